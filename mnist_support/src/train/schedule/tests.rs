use super::*;
use crate::{
    Error,
    train::{TrainingSettings, fixture},
};

/// Returns the learning rates of a fit of 100 iterations with a rate of 1.
fn rates(schedule: LearningRateSchedule) -> Vec<f64> {
    let settings = TrainingSettings {
        learning_rate: 1.0,
        learning_rate_schedule: schedule,
        ..Default::default()
    };
    let state = ScheduleState::default();
    (1..=100)
        .map(|iteration| settings.learning_rate_at(iteration, 100, &state))
        .collect()
}

#[test]
fn thirty_learning_rates_of_each_schedule_are_those_of_pytorch() {
    let fixture = fixture::read();
    for case in fixture.schedules {
        let what = format!("{:?} after {:?}", case.settings, case.warm_up);
        let settings = TrainingSettings {
            learning_rate: 0.1,
            learning_rate_schedule: case.settings,
            warm_up: case.warm_up,
            ..Default::default()
        };
        settings.validate().unwrap();
        let mut state = ScheduleState::default();
        let mut found = Vec::new();
        for (iteration, loss) in (1..).zip(&fixture.losses) {
            found.push(settings.learning_rate_at(iteration, fixture.losses.len(), &state));
            settings.observe_loss(iteration, *loss, &mut state);
        }
        fixture::assert_close(&found, &case.learning_rates, &what);
    }
}

#[test]
fn cosine_annealing_falls_from_one_towards_zero() {
    let rates = rates(LearningRateSchedule::CosineAnnealing);
    assert_eq!(rates[0], 1.0);
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]));
    assert!((rates[50] - 0.5).abs() < 1e-12);
    assert!(rates[99] > 0.0 && rates[99] < 0.001);
}

#[test]
fn one_cycle_rises_to_one_and_falls() {
    let rates = rates(LearningRateSchedule::OneCycle { warm_up: 0.2 });
    assert!(rates[0] > 0.0 && rates[0] < 0.1);
    assert_eq!(rates[19], 1.0);
    assert!(rates[..20].windows(2).all(|pair| pair[1] > pair[0]));
    assert!(rates[20..].windows(2).all(|pair| pair[1] < pair[0]));
    assert!(rates.iter().all(|rate| *rate > 0.0));
}

#[test]
fn a_warm_up_does_not_count_the_losses_against_the_patience() {
    let settings = TrainingSettings {
        learning_rate: 1.0,
        learning_rate_schedule: LearningRateSchedule::ReduceLrOnPlateau(ReduceLrOnPlateau {
            patience: 1,
            ..Default::default()
        }),
        warm_up: Some(LinearLr::default()),
        ..Default::default()
    };
    let mut state = ScheduleState::default();
    let mut rates = Vec::new();
    for iteration in 1..=9 {
        rates.push(settings.learning_rate_at(iteration, 100, &state));
        settings.observe_loss(iteration, 7.0, &mut state);
    }
    // The loss after the sixth iteration is the first that counts. Two more are not lower.
    assert_eq!(rates[5..], [1.0, 1.0, 1.0, 0.1]);
    assert!(rates[..5].windows(2).all(|pair| pair[1] > pair[0]));
}

#[test]
fn settings_outside_their_range_are_named() {
    let plateau = LearningRateSchedule::ReduceLrOnPlateau;
    for (expected, schedule) in [
        ("step_size", LearningRateSchedule::step_lr(0, 0.1)),
        ("gamma", LearningRateSchedule::step_lr(10, 0.0)),
        ("gamma", LearningRateSchedule::step_lr(10, f64::NAN)),
        (
            "milestones",
            LearningRateSchedule::multi_step_lr([20, 10], 0.1),
        ),
        ("gamma", LearningRateSchedule::multi_step_lr([10, 20], -0.1)),
        ("gamma", LearningRateSchedule::exponential_lr(f64::INFINITY)),
        ("t_max", LearningRateSchedule::cosine_annealing_lr(0, 0.0)),
        (
            "eta_min",
            LearningRateSchedule::cosine_annealing_lr(10, -1.0),
        ),
        ("start_factor", LearningRateSchedule::linear_lr(0.0, 1.0, 5)),
        ("end_factor", LearningRateSchedule::linear_lr(0.1, 1.1, 5)),
        ("total_iters", LearningRateSchedule::linear_lr(0.1, 1.0, 0)),
        ("warm_up", LearningRateSchedule::OneCycle { warm_up: 1.5 }),
        (
            "factor",
            plateau(ReduceLrOnPlateau {
                factor: 1.0,
                ..Default::default()
            }),
        ),
        (
            "threshold",
            plateau(ReduceLrOnPlateau {
                threshold: -0.1,
                ..Default::default()
            }),
        ),
        (
            "min_lr",
            plateau(ReduceLrOnPlateau {
                min_lr: f64::NAN,
                ..Default::default()
            }),
        ),
    ] {
        let settings = TrainingSettings {
            learning_rate_schedule: schedule,
            ..Default::default()
        };
        match settings.validate() {
            Err(Error::InvalidSetting { setting, .. }) => assert_eq!(setting, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn schedules_that_were_saved_before_are_read_and_written_as_before() {
    for (json, schedule) in [
        (r#""Constant""#, LearningRateSchedule::Constant),
        (
            r#""CosineAnnealing""#,
            LearningRateSchedule::CosineAnnealing,
        ),
        (
            r#"{"OneCycle":{"warm_up":0.2}}"#,
            LearningRateSchedule::OneCycle { warm_up: 0.2 },
        ),
    ] {
        assert_eq!(serde_json::to_string(&schedule).unwrap(), json);
        let read = serde_json::from_str::<LearningRateSchedule>(json).unwrap();
        assert_eq!(read, schedule);
    }
}

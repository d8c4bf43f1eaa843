//! Fits that are interrupted and resumed, for everything that has a state of its own.

use super::*;
use crate::train::{LearningRateSchedule, Optimizer, ReduceLrOnPlateau, fixture};

/// Checks that a fit that is stopped and resumed has the bits of an undisturbed one, which it
/// returns.
fn check_resume(settings: &TrainingSettings) -> Trained {
    let network = Network::new(&[16], vec![Layer::linear(16, 2)]).unwrap();
    let undisturbed = fit(&network, settings, None, NEVER).swap_remove(0);
    let iterations = undisturbed.report.iterations();
    for stop in [1, 7] {
        let folder = tempfile::tempdir().unwrap();
        let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let checkpoints = Checkpoints::new(folder, 1000).unwrap();
        let stopped = fit(&network, settings, Some(&checkpoints), stop);
        assert!(stopped[0].report.iterations() < iterations);
        let resumed = fit(&network, settings, Some(&checkpoints), NEVER);
        let what = format!(
            "{:?} {:?} stopped after {stop}",
            settings.optimizer, settings.learning_rate_schedule
        );
        for rank in &resumed {
            assert_eq!(rank.report.history, undisturbed.report.history, "{what}");
            assert_eq!(rank.weights, undisturbed.weights, "{what}");
        }
    }
    undisturbed
}

#[test]
fn a_resumed_fit_has_the_bits_of_an_undisturbed_one_for_every_optimizer() {
    for case in fixture::read().optimizers {
        let settings = TrainingSettings {
            optimizer: case.settings,
            mini_batch: Some(5),
            ..settings(10)
        };
        check_resume(&settings);
    }
}

#[test]
fn a_resumed_fit_has_the_bits_of_an_undisturbed_one_for_every_schedule() {
    for case in fixture::read().schedules {
        let settings = TrainingSettings {
            optimizer: Optimizer::sgd(0.0),
            learning_rate_schedule: case.settings,
            warm_up: case.warm_up,
            mini_batch: Some(5),
            ..settings(10)
        };
        check_resume(&settings);
    }
}

#[test]
fn a_plateau_of_the_training_loss_or_of_the_validation_loss_survives_a_resume() {
    let plateau = ReduceLrOnPlateau {
        factor: 0.5,
        patience: 1,
        // No loss is that much lower, so that every one counts.
        threshold: 0.99,
        ..Default::default()
    };
    for validation_fraction in [0.0, 0.25] {
        let settings = |schedule| TrainingSettings {
            optimizer: Optimizer::sgd(0.0),
            learning_rate_schedule: schedule,
            validation_fraction,
            validation_every: 2,
            ..settings(14)
        };
        let reduced = check_resume(&settings(LearningRateSchedule::ReduceLrOnPlateau(plateau)));
        let constant = check_resume(&settings(LearningRateSchedule::Constant));
        let losses = |trained: &Trained| -> Vec<f64> {
            let points = trained.report.history.iter();
            points.map(|point| point.training_loss).collect()
        };
        // The third loss, after the sixth iteration, is the second that is not lower.
        assert_eq!(losses(&reduced)[..7], losses(&constant)[..7]);
        assert_ne!(losses(&reduced)[7], losses(&constant)[7]);
    }
}

#[test]
fn the_gradient_that_is_clipped_is_the_mean_over_all_ranks() {
    let network = Network::new(&[16], vec![Layer::linear(16, 2)]).unwrap();
    let change = |iterations, clip_grad_norm| {
        let settings = TrainingSettings {
            optimizer: Optimizer::sgd(0.0),
            learning_rate: 1.0,
            clip_grad_norm,
            ..settings(iterations)
        };
        let start = network.initialize(settings.seed);
        let trained = fit(&network, &settings, None, NEVER).swap_remove(2);
        let squares = trained.weights.iter().zip(&start).map(|(end, start)| {
            let change: Tensor = end - start;
            change.square().sum(tch::Kind::Double).double_value(&[])
        });
        squares.sum::<f64>().sqrt()
    };
    let norm = change(1, None);
    assert!(
        (change(1, Some(norm / 3.0)) - norm / 3.0).abs() < 1e-5,
        "{norm}"
    );
    assert!((change(1, Some(norm * 1.1)) - norm).abs() < 1e-6, "{norm}");
}

#[test]
fn a_checkpoint_from_before_targets_of_every_kind_is_resumed() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/checkpoint_before_targets.safetensors"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file, folder.path().join("checkpoint.safetensors")).unwrap();
    let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let checkpoints = Checkpoints::new(folder, 1000).unwrap();
    let network = Network::new(&[16], vec![Layer::linear(16, 2)]).unwrap();
    // The settings of the fit that was stopped after 7 iterations.
    let settings = TrainingSettings {
        validation_fraction: 0.25,
        validation_every: 3,
        mini_batch: Some(5),
        ..settings(12)
    };
    let resumed = fit(&network, &settings, Some(&checkpoints), NEVER).swap_remove(0);
    let undisturbed = fit(&network, &settings, None, NEVER).swap_remove(0);
    // Another CPU may have written it: not to the bit.
    for (found, expected) in resumed.weights.iter().zip(&undisturbed.weights) {
        assert!(
            found.allclose(expected, 1e-5, 1e-6, false),
            "{found} {expected}"
        );
    }
    let (found, expected) = (resumed.report.history, undisturbed.report.history);
    assert_eq!(found.len(), 12);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found.training_loss - expected.training_loss).abs() < 1e-5);
    }
}

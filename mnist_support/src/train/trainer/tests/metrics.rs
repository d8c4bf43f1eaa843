//! The metrics of the validation rows of three ranks.

use tch::Kind;

use super::*;
use crate::{
    evaluate::{BinaryMetric, Metric, RegressionMetric, ValidationMetric},
    train::{CrossEntropy, Loss},
};

fn measured(metrics: Vec<ValidationMetric>) -> TrainingSettings {
    TrainingSettings {
        metrics,
        validation_fraction: 0.4,
        validation_every: 2,
        ..settings(12)
    }
}

fn values(report: &FitReport, metric: impl Into<ValidationMetric>) -> Vec<f64> {
    let points = report.metric(metric).into_iter();
    points.map(|(_, value)| value).collect()
}

/// Trains three ranks, whose reports must agree, and returns the report.
fn report(
    shard: &(dyn Fn(usize) -> TrainingData + Sync),
    network: &Network,
    settings: &TrainingSettings,
) -> FitReport {
    let ranks = fit_on(shard, network, settings, None, NEVER).into_iter();
    let reports: Vec<FitReport> = ranks.map(|rank| rank.unwrap().report).collect();
    for report in &reports {
        assert_eq!(report.metrics, reports[0].metrics);
    }
    reports[0].clone()
}

/// Checks that a metric is what the loss is, at each validation.
fn assert_is_the_loss(report: &FitReport, metric: ValidationMetric) {
    let (found, losses) = (report.metric(metric), report.validation_losses());
    assert_eq!(found.len(), 6);
    for ((iteration, found), (at, loss)) in found.into_iter().zip(losses) {
        assert_eq!(iteration, at);
        assert!(
            (found - loss).abs() < 1e-5,
            "{metric}: {found}, loss {loss}"
        );
    }
}

/// The toy's rows with weights.
fn weighted(rank: usize) -> TrainingData {
    let weights: Vec<f32> = (0..SHARDS[rank])
        .map(|row| 0.5 + (row % 3) as f32)
        .collect();
    toy(rank).weights(Tensor::from_slice(&weights)).unwrap()
}

/// Numbers and labels made from the toy's pixels.
fn targets(rank: usize, labels: bool) -> TrainingData {
    let pixels = toy(rank).select(&(0..SHARDS[rank]).collect::<Vec<_>>());
    let pixels = pixels.unwrap().features;
    let targets = pixels.narrow(1, 3, 3);
    let targets = match labels {
        true => targets.gt(1.0).to_kind(Kind::Float),
        false => targets,
    };
    let weights: Vec<f32> = (0..SHARDS[rank])
        .map(|row| 0.5 + (row % 3) as f32)
        .collect();
    TrainingData::new(pixels, targets, None)
        .unwrap()
        .weights(Tensor::from_slice(&weights))
        .unwrap()
}

fn three_outputs() -> Network {
    Network::new(&[16], vec![Layer::linear(16, 3)]).unwrap()
}

#[test]
fn metrics_that_are_the_loss_by_another_name_have_its_value() {
    let classes = measured(vec![Metric::LogLoss.into()]);
    let report_of_classes = report(&weighted, &normalised(), &classes);
    assert_is_the_loss(&report_of_classes, Metric::LogLoss.into());

    for (labels, loss, metric) in [
        (false, Loss::mse(), RegressionMetric::Mse.into()),
        (false, Loss::l1(), RegressionMetric::Mae.into()),
        (true, Loss::bce_with_logits(), Metric::LogLoss.into()),
    ] {
        let settings = TrainingSettings {
            loss,
            ..measured(vec![metric])
        };
        let shard = |rank: usize| targets(rank, labels);
        assert_is_the_loss(&report(&shard, &three_outputs(), &settings), metric);
    }
}

#[test]
fn ignored_rows_are_left_out_of_metrics_as_of_the_loss() {
    for ignored in [-1, 0] {
        let settings = TrainingSettings {
            loss: Loss::CrossEntropy(CrossEntropy {
                ignore_index: Some(ignored),
                ..Default::default()
            }),
            ..measured(vec![
                Metric::LogLoss.into(),
                BinaryMetric::AreaUnderROC.into(),
            ])
        };
        // Every third row is ignored.
        let shard = |rank: usize| {
            let rows: Vec<i64> = (0..SHARDS[rank]).collect();
            let batch = toy(rank).select(&rows).unwrap();
            let third = Tensor::from_slice(&rows).remainder(3).eq(0);
            let targets = batch.targets.masked_fill(&third, ignored);
            TrainingData::new(batch.features, targets, None).unwrap()
        };
        let report = report(&shard, &normalised(), &settings);
        assert_is_the_loss(&report, Metric::LogLoss.into());
        if ignored == 0 {
            // All that is left is of class 1.
            let areas = values(&report, BinaryMetric::AreaUnderROC);
            assert_eq!(areas, [1.0; 6]);
        }
    }
}

#[test]
fn areas_under_curves_see_the_rows_of_all_ranks() {
    let metrics = vec![
        BinaryMetric::AreaUnderROC.into(),
        BinaryMetric::AreaUnderPR.into(),
        Metric::Accuracy.into(),
    ];
    let report_of_classes = report(&weighted, &normalised(), &measured(metrics.clone()));
    for metric in metrics {
        let values = values(&report_of_classes, metric);
        // The halves are easily told apart.
        assert!(values[5] > 0.9 && values[5] <= 1.0, "{metric}: {values:?}");
    }
    let labels = TrainingSettings {
        loss: Loss::bce_with_logits(),
        learning_rate: 0.1,
        ..measured(vec![BinaryMetric::AreaUnderROC.into()])
    };
    let report = report(&|rank| targets(rank, true), &three_outputs(), &labels);
    let areas = values(&report, BinaryMetric::AreaUnderROC);
    assert!(areas[5] > 0.8, "{areas:?}");
}

#[test]
fn metrics_change_neither_the_losses_nor_the_weights() {
    let with = fit(
        &normalised(),
        &measured(vec![Metric::F1.into(), BinaryMetric::AreaUnderPR.into()]),
        None,
        NEVER,
    );
    let without = fit(&normalised(), &measured(Vec::new()), None, NEVER);
    assert_eq!(with[0].weights, without[0].weights);
    assert_eq!(with[0].report.history, without[0].report.history);
    assert!(without[0].report.metrics.is_empty());
}

#[test]
fn a_resumed_fit_reports_the_metrics_of_an_undisturbed_one() {
    let settings = TrainingSettings {
        monitor: Some(Metric::Accuracy.into()),
        early_stop_patience: Some(4),
        ..measured(vec![BinaryMetric::AreaUnderROC.into()])
    };
    let undisturbed = fit(&normalised(), &settings, None, NEVER);
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let checkpoints = Checkpoints::new(lake, 1000).unwrap();
    let stopped = fit(&normalised(), &settings, Some(&checkpoints), 5);
    assert!(stopped[0].report.interrupted);
    let resumed = fit(&normalised(), &settings, Some(&checkpoints), NEVER);
    assert_eq!(resumed[2].report.metrics, undisturbed[0].report.metrics);
    assert_eq!(resumed[2].weights, undisturbed[0].weights);
}

#[test]
fn the_monitored_metric_decides_when_to_stop_and_what_to_keep() {
    let monitor = RegressionMetric::Var;
    let settings = TrainingSettings {
        loss: Loss::mse(),
        monitor: Some(monitor.into()),
        validation_every: 1,
        early_stop_patience: Some(3),
        learning_rate: 0.2,
        iterations: Some(60),
        ..measured(Vec::new())
    };
    let shard = |rank: usize| targets(rank, false);
    let report = report(&shard, &three_outputs(), &settings);
    assert!(report.stopped_early);
    let points = report.metric(monitor);
    let largest = points.iter().max_by(|one, other| one.1.total_cmp(&other.1));
    let largest = *largest.unwrap();
    assert_eq!(report.best_iteration as f64, largest.0);
    assert_eq!(report.iterations(), report.best_iteration + 3);
    let losses = report.validation_losses();
    let lowest = losses.iter().min_by(|one, other| one.1.total_cmp(&other.1));
    assert_ne!(lowest.unwrap().0, largest.0, "the loss would keep the same");
    let kept = losses.iter().find(|point| point.0 == largest.0).unwrap();
    assert_eq!(report.best_validation_loss, Some(kept.1));
    let text = report.to_string();
    assert!(
        text.contains("stopped early: var no longer improved"),
        "{text}"
    );
    assert!(text.contains("best var, validation loss"), "{text}");
}

#[test]
fn metrics_without_validation_rows_and_of_something_else_are_refused() {
    let errors = |settings: &TrainingSettings| {
        let ranks = fit_on(&toy, &normalised(), settings, None, NEVER).into_iter();
        ranks.map(|rank| rank.unwrap_err().to_string())
    };
    let accuracy = vec![Metric::Accuracy.into()];
    let no_rows = TrainingSettings {
        validation_fraction: 0.0,
        ..measured(accuracy)
    };
    for error in errors(&no_rows) {
        assert_eq!(
            error,
            "metrics = accuracy needs validation rows: set validation_fraction or \
             validation_indicator_col"
        );
    }
    for error in errors(&measured(vec![RegressionMetric::Rmse.into()])) {
        assert!(error.starts_with("metrics = rmse is of numbers"), "{error}");
    }
}

#[test]
fn a_progress_line_shows_the_metrics_after_the_losses() {
    let value = |metric: ValidationMetric, value| MetricValue { metric, value };
    let event = ProgressEvent::Iteration {
        losses: LossPoint {
            iteration: 10,
            training_loss: 0.5,
            validation_loss: Some(0.25),
        },
        metrics: Some(MetricPoint {
            iteration: 10,
            values: vec![
                value(Metric::Accuracy.into(), 0.9812),
                value(BinaryMetric::AreaUnderROC.into(), f64::NAN),
            ],
        }),
        iterations: 50,
        rows_per_second: 100.0,
        seconds_left: None,
    };
    let line = "iteration 10/50  training loss 0.5000  validation loss 0.2500  accuracy 0.9812  \
                areaUnderROC NaN  100 rows/s";
    assert_eq!(event.to_string(), line);
    // It crosses processes as JSON, in which NaN is null.
    let json = serde_json::to_string(&event).unwrap();
    let read: ProgressEvent = serde_json::from_str(&json).unwrap();
    assert_eq!(read.to_string(), line);
}

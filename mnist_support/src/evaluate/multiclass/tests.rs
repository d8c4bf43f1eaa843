use polars::{df, prelude::*};

use super::*;
use crate::error::TableError;

fn frame() -> DataFrame {
    df!(
        "label" => [0_i64, 0, 0, 0, 1, 1, 1, 2, 2, 2],
        "prediction" => [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0],
    )
    .unwrap()
}

fn evaluate(metric: Metric, frame: &DataFrame) -> f64 {
    MulticlassClassificationEvaluator::new()
        .metric_name(metric)
        .evaluate(frame)
        .unwrap()
}

fn assert_near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "{found} is not {expected}"
    );
}

#[test]
fn metrics_are_those_computed_by_hand() {
    // Label frequencies 0.4, 0.3, 0.3; precisions 3/5, 2/4, 1; recalls 3/4, 2/3, 1/3.
    let frame = frame();
    assert_near(evaluate(Metric::Accuracy, &frame), 0.6);
    assert_near(
        evaluate(Metric::WeightedPrecision, &frame),
        0.4 * 0.6 + 0.3 * 0.5 + 0.3,
    );
    assert_near(evaluate(Metric::WeightedRecall, &frame), 0.6);
    let f1 = 0.4 * (2.0 / 3.0) + 0.3 * (4.0 / 7.0) + 0.3 * 0.5;
    assert_near(evaluate(Metric::F1, &frame), f1);
}

#[test]
fn a_class_that_is_never_a_label_or_never_predicted_counts_as_in_spark() {
    let frame = df!("label" => [0_u8, 0, 5], "prediction" => [0_i32, 9, 9]).unwrap();
    // Class 0: precision 1, recall 1/2. Class 5: both 0. Class 9 has weight 0.
    assert_near(evaluate(Metric::WeightedPrecision, &frame), 2.0 / 3.0);
    assert_near(evaluate(Metric::WeightedRecall, &frame), 1.0 / 3.0);
    assert_near(evaluate(Metric::F1, &frame), 2.0 / 3.0 * (2.0 / 3.0));
    assert_near(evaluate(Metric::Accuracy, &frame), 1.0 / 3.0);
}

#[test]
fn defaults_are_those_of_spark() {
    let evaluator = MulticlassClassificationEvaluator::new();
    assert_eq!(evaluator.metric_name, Metric::F1);
    assert_eq!(
        (
            evaluator.label_col.as_str(),
            evaluator.prediction_col.as_str()
        ),
        ("label", "prediction")
    );
    assert_eq!(
        serde_json::to_string(&Metric::WeightedPrecision).unwrap(),
        "\"weightedPrecision\""
    );
    assert_eq!(serde_json::to_string(&Metric::F1).unwrap(), "\"f1\"");
}

#[test]
fn other_columns_of_other_types_can_be_compared() {
    let frame = df!("digit" => [1_u32, 2, 3], "guess" => [1.0_f32, 2.0, -0.0]).unwrap();
    let evaluator = MulticlassClassificationEvaluator::new()
        .label_col("digit")
        .prediction_col("guess")
        .metric_name(Metric::Accuracy);
    assert_near(evaluator.evaluate(&frame).unwrap(), 2.0 / 3.0);
    let zeros = df!("label" => [0.0], "prediction" => [-0.0]).unwrap();
    assert_near(evaluate(Metric::F1, &zeros), 1.0);
}

#[test]
fn a_missing_column_is_named_with_the_existing_ones() {
    let evaluator = MulticlassClassificationEvaluator::new().prediction_col("guess");
    match evaluator.evaluate(&frame()) {
        Err(Error::Table(TableError::ColumnNotFound {
            column, available, ..
        })) => {
            assert_eq!(column, "guess");
            assert_eq!(available, "\"label\", \"prediction\"");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_value_is_named_with_its_row_and_column() {
    let null = df!("label" => [Some(1_i64), Some(2), None], "prediction" => [1_i64, 2, 3]);
    let nan = df!("label" => [1_i64, 2, 3], "prediction" => [1.0, 2.0, f64::NAN]);
    for (frame, expected) in [(null, "label"), (nan, "prediction")] {
        match MulticlassClassificationEvaluator::new().evaluate(&frame.unwrap()) {
            Err(Error::Table(TableError::MissingValue { row, column, .. })) => {
                assert_eq!((row, column.as_str()), (3, expected));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn text_and_a_frame_without_rows_are_refused() {
    let text = df!("label" => ["a", "b"], "prediction" => ["a", "b"]).unwrap();
    let error = MulticlassClassificationEvaluator::new()
        .evaluate(&text)
        .unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "label"),
        "{error}"
    );
    let error = MulticlassClassificationEvaluator::new().evaluate(&frame().head(Some(0)));
    assert!(
        matches!(error, Err(Error::ShapeMismatch { .. })),
        "{error:?}"
    );
}

fn probabilities(rows: [&[f64]; 3]) -> DataFrame {
    let lists = rows.map(|row| Some(Series::from_iter(row.iter().copied())));
    let lists: ListChunked = lists.into_iter().collect();
    df!("label" => [0, 1, 2], "probability" => lists.into_series()).unwrap()
}

#[test]
fn metrics_of_one_class_are_those_computed_by_hand() {
    // Class 1: 2 of 3 rows found, 4 predictions of which 2 are right, 7 rows of other classes.
    let frame = frame();
    let evaluator = MulticlassClassificationEvaluator::new().metric_label(1.0);
    let value = |metric| {
        evaluator
            .clone()
            .metric_name(metric)
            .evaluate(&frame)
            .unwrap()
    };
    assert_near(value(Metric::PrecisionByLabel), 0.5);
    assert_near(value(Metric::RecallByLabel), 2.0 / 3.0);
    assert_near(value(Metric::TruePositiveRateByLabel), 2.0 / 3.0);
    assert_near(value(Metric::FalsePositiveRateByLabel), 2.0 / 7.0);
    let f2 = evaluator
        .clone()
        .beta(2.0)
        .metric_name(Metric::FMeasureByLabel);
    // 5 P R / (4 P + R).
    assert_near(f2.evaluate(&frame).unwrap(), 5.0 / 3.0 / (2.0 + 2.0 / 3.0));
    let error = evaluator
        .metric_label(7.0)
        .metric_name(Metric::RecallByLabel);
    let error = error.evaluate(&frame).unwrap_err().to_string();
    assert!(
        error.contains("metric_label = 7 is the label of no row"),
        "{error}"
    );
}

#[test]
fn a_weight_counts_as_that_many_rows() {
    let weighted = df!("label" => [0, 0, 1], "prediction" => [0, 1, 1], "times" => [3, 1, 2]);
    let repeated = df!("label" => [0, 0, 0, 0, 1, 1], "prediction" => [0, 0, 0, 1, 1, 1]);
    let (weighted, repeated) = (weighted.unwrap(), repeated.unwrap());
    for metric in [
        Metric::F1,
        Metric::HammingLoss,
        Metric::WeightedFalsePositiveRate,
    ] {
        let evaluator = MulticlassClassificationEvaluator::new().metric_name(metric);
        let expected = evaluator.evaluate(&repeated).unwrap();
        let found = evaluator.weight_col("times").evaluate(&weighted).unwrap();
        assert_near(found, expected);
    }
}

#[test]
fn log_loss_is_the_mean_negative_logarithm_of_the_labels_probability() {
    let frame = probabilities([&[0.5, 0.5, 0.0], &[0.0, 1.0, 0.0], &[0.75, 0.0, 0.25]]);
    let evaluator = MulticlassClassificationEvaluator::new().metric_name(Metric::LogLoss);
    assert_near(evaluator.evaluate(&frame).unwrap(), 3.0 * 2_f64.ln() / 3.0);
    assert!(!evaluator.is_larger_better());
    let wrong = probabilities([&[0.0, 1.0, 0.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]]);
    assert_near(evaluator.evaluate(&wrong).unwrap(), -1e-15_f64.ln() / 3.0);
    let error = evaluator.eps(0.5).evaluate(&frame).unwrap_err().to_string();
    assert_eq!(error, "eps = 0.5 must be between 0 and 0.5");
}

#[test]
fn probabilities_that_cannot_be_are_named_with_their_row_and_column() {
    let row: &[f64] = &[0.5, 0.25, 0.25];
    for (rows, expected) in [
        (
            [row, &[0.5, 0.5], row],
            r#"row 2, column "probability": "a list of 2" is not"#,
        ),
        (
            [row, row, &[-0.1, -2.5, -9.0]],
            r#"row 3, column "probability": "-0.1" is not"#,
        ),
        (
            [row, row, &[f64::NAN, 0.0, 0.0]],
            "row 3, column \"probability\": the value is",
        ),
        (
            [&[0.5, 0.5]; 3],
            r#"row 3, column "label": "2" is not a class from 0 to 1"#,
        ),
    ] {
        let evaluator = MulticlassClassificationEvaluator::new().metric_name(Metric::LogLoss);
        let error = evaluator
            .evaluate(&probabilities(rows))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_evaluator_that_was_saved_before_weights_existed_still_loads() {
    let saved = r#"{"label_col":"digit","prediction_col":"guess","metric_name":"accuracy"}"#;
    let loaded: MulticlassClassificationEvaluator = serde_json::from_str(saved).unwrap();
    let expected = MulticlassClassificationEvaluator::new()
        .label_col("digit")
        .prediction_col("guess")
        .metric_name(Metric::Accuracy);
    assert_eq!(loaded, expected);
}

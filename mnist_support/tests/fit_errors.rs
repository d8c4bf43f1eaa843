//! Fits that fail: each error says what is wrong, and where.

mod common;

use common::{digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    Error,
    error::{PipelineError, TableError, TrainingError},
    ml,
    train::Optimizer,
};
use polars::prelude::*;

fn fails(frame: &DataFrame, estimator: ml::TorchEstimator) -> Error {
    pipeline(pixel_columns(frame), estimator)
        .fit(frame)
        .unwrap_err()
}

#[test]
fn settings_outside_their_range_are_named() {
    let frame = digits(20);
    let cases = [
        (estimator().partitions(0), "partitions"),
        (estimator().partitions(21), "partitions"),
        (estimator().mini_batch(0), "mini_batch"),
        (
            estimator().mini_batch(1).validation_fraction(1.0),
            "validation_fraction",
        ),
        (
            estimator().mini_batch(1).validation_fraction(-0.5),
            "validation_fraction",
        ),
        (
            estimator().mini_batch(1).validation_fraction(0.01),
            "validation_fraction",
        ),
        (
            estimator().mini_batch(1).learning_rate(-1.0),
            "learning_rate",
        ),
    ];
    for (estimator, expected) in cases {
        match fails(&frame, estimator) {
            Error::InvalidSetting { setting, .. } => assert_eq!(setting, expected),
            other => panic!("{expected}: {other}"),
        }
    }
}

#[test]
fn a_label_outside_the_classes_is_named_with_its_row_in_the_whole_frame() {
    let mut frame = digits(40);
    let mut labels: Vec<i64> = vec![3; 40];
    labels[31] = 12;
    frame
        .with_column(Column::new("label".into(), labels))
        .unwrap();
    match fails(&frame, estimator().mini_batch(5)) {
        Error::Table(TableError::LabelOutOfRange { row, label, .. }) => {
            assert_eq!((row, label), (32, 12.0))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn missing_columns_and_values_are_named() {
    let frame = digits(40);
    let error = fails(&frame.drop("label").unwrap(), estimator().mini_batch(5));
    assert!(
        matches!(&error, Error::Table(TableError::ColumnNotFound { column, .. }) if column == "label"),
        "{error}"
    );

    let error = pipeline(vec!["pixel1".into(), "pixel9999".into()], estimator())
        .fit(&frame)
        .unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::ColumnNotFound { column, .. }) if column == "pixel9999"),
        "{error}"
    );

    let mut holed = frame.clone();
    let mut values: Vec<Option<u8>> = vec![Some(0); 40];
    values[39] = None;
    holed
        .with_column(Column::new("pixel5".into(), values))
        .unwrap();
    match fails(&holed, estimator().mini_batch(5)) {
        Error::Table(TableError::MissingValue { row, column, .. }) => {
            assert_eq!((row, column.as_str()), (40, "pixel5"))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn features_that_do_not_fill_the_network_are_an_error_that_says_how_many_it_needs() {
    let frame = digits(40);
    let error = pipeline(
        vec!["pixel1".into(), "pixel2".into()],
        estimator().mini_batch(5),
    )
    .fit(&frame)
    .unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }));
    assert!(error.to_string().contains("784"), "{error}");
}

#[test]
fn an_estimator_without_its_vector_column_says_what_makes_one() {
    let error = ml::Pipeline::new()
        .stage(estimator())
        .fit(digits(40))
        .unwrap_err();
    assert!(error.to_string().contains("VectorAssembler"), "{error}");
}

#[test]
fn a_pipeline_without_stages_or_with_a_column_twice_is_an_error() {
    let frame = digits(40);
    assert!(matches!(
        ml::Pipeline::new().fit(&frame),
        Err(Error::Pipeline(PipelineError::InvalidStage { .. }))
    ));
    let twice = pipeline(pixel_columns(&frame), estimator())
        .stage(ml::MinMaxScaler::new().input_col("features"));
    assert!(matches!(
        twice.fit(&frame),
        Err(Error::Pipeline(PipelineError::InvalidStage {
            stage: 3,
            kind: "MinMaxScaler",
            ..
        }))
    ));
}

#[test]
fn a_loss_that_is_not_finite_ends_the_fit_with_its_iteration() {
    let frame = digits(40);
    let error = fails(
        &frame,
        estimator()
            .mini_batch(5)
            .optimizer(Optimizer::sgd(0.0))
            .learning_rate(1e30),
    );
    assert!(
        matches!(error, Error::Training(TrainingError::Diverged { .. })),
        "{error}"
    );
}

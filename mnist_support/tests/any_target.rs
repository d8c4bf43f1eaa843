//! Targets of every kind through the public interface: the cases of SparkTorch's own tests, the
//! columns that a model adds, and what is refused.

#[path = "common/mod.rs"]
mod common;
#[path = "common/targets.rs"]
mod targets;

use std::sync::Mutex;

use mnist_support::{
    Layer, Network, Result,
    engine::Threads,
    evaluate::{
        BinaryClassificationEvaluator, BinaryMetric, Metric, MulticlassClassificationEvaluator,
        ValidationMetric,
    },
    lake::{Credentials, Lake},
    ml::{
        Label, MinMaxScaler, Pipeline, PipelineModel, TorchEstimator, TorchModel, Transform,
        VectorAssembler,
    },
    network::write_safetensors,
    shard::Data,
    train::{CrossEntropy, Loss, Nll, Optimizer, Progress, ProgressEvent, Silent},
};
use polars::prelude::*;
use targets::{assembled, perceptron, points, problems, short};

fn fit(estimator: TorchEstimator) -> Result<PipelineModel> {
    assembled()
        .stage(estimator)
        .fit_with(points(), &Threads, &Silent)
}

fn types(frame: &DataFrame) -> Vec<(String, DataType)> {
    let columns = frame.columns().iter().skip(points().width());
    columns
        .filter(|column| column.name() != "features")
        .map(|column| (column.name().to_string(), column.dtype().clone()))
        .collect()
}

fn numbers(frame: &DataFrame, column: &str) -> Vec<f64> {
    let column = frame.column(column).unwrap().cast(&DataType::Float64);
    column.unwrap().f64().unwrap().into_no_null_iter().collect()
}

/// The values of a list column, row by row.
fn lists(frame: &DataFrame, column: &str) -> Vec<Vec<f64>> {
    let lists = frame.column(column).unwrap().list().unwrap();
    lists
        .series_iter()
        .map(|list| {
            let list = list.unwrap().cast(&DataType::Float64).unwrap();
            list.f64().unwrap().into_no_null_iter().collect()
        })
        .collect()
}

/// The mean loss of the first and of the last five iterations.
fn first_and_last(model: &PipelineModel) -> [f64; 2] {
    let history = &model.report().unwrap().history;
    let mean = |points: &[mnist_support::train::LossPoint]| {
        points.iter().map(|point| point.training_loss).sum::<f64>() / points.len() as f64
    };
    [mean(&history[..5]), mean(&history[history.len() - 5..])]
}

#[test]
fn every_kind_of_target_is_learnt_and_gives_columns_of_its_kind() {
    let floats = DataType::List(Box::new(DataType::Float32));
    let vector = |name: &str| (name.to_owned(), floats.clone());
    let one = |name: &str, kind: DataType| (name.to_owned(), kind);
    let expected = [
        vec![one("prediction", DataType::Float64)],
        vec![vector("prediction")],
        vec![
            (
                "prediction".to_owned(),
                DataType::List(Box::new(DataType::UInt8)),
            ),
            vector("probability"),
        ],
        vec![
            one("prediction", DataType::Int64),
            vector("probability"),
            vector("rawPrediction"),
        ],
        vec![one("prediction", DataType::Int64), vector("probability")],
        vec![one("prediction", DataType::Float64)],
        vec![vector("prediction")],
        vec![one("prediction", DataType::Int64)],
        vec![one("prediction", DataType::Float64)],
        vec![one("prediction", DataType::Float64)],
        vec![vector("prediction")],
        vec![one("prediction", DataType::Int64)],
        vec![one("prediction", DataType::Int64), vector("probability")],
    ];
    assert_eq!(problems().len(), expected.len());
    for ((what, estimator), expected) in problems().into_iter().zip(expected) {
        let model = fit(estimator).unwrap_or_else(|error| panic!("{what}: {error}"));
        let [first, last] = first_and_last(&model);
        assert!(last < first, "{what}: {first} to {last}");
        let predicted = model.transform(points()).unwrap();
        assert_eq!(types(&predicted), expected, "{what}");

        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        model.save(&lake).unwrap();
        let loaded = PipelineModel::load(&lake).unwrap();
        assert_eq!(loaded.transform(points()).unwrap(), predicted, "{what}");
    }
}

/// The rows to train on, and those to validate with, in two tables.
fn two_tables() -> [DataFrame; 2] {
    let points = points();
    [points.slice(0, 300), points.slice(300, 100)]
}

fn validated() -> TorchEstimator {
    short(perceptron(2)).mini_batch(40).validation_every(2)
}

#[test]
fn rows_of_another_table_validate_like_rows_that_a_column_holds_out() {
    let [train, validation] = two_tables();
    let held_out: Vec<bool> = (0..400).map(|row| row >= 300).collect();
    let one_table = points()
        .with_column(Column::new("held_out".into(), held_out))
        .unwrap()
        .clone();
    let by_column = assembled()
        .stage(
            validated()
                .partitions(1)
                .validation_indicator_col("held_out"),
        )
        .fit_with(one_table, &Threads, &Silent)
        .unwrap();
    let data = Data::from(train).with_validation(validation);
    let fit = |ranks| {
        let pipeline = assembled().stage(validated().partitions(ranks));
        pipeline.fit_with(data.clone(), &Threads, &Silent).unwrap()
    };
    let by_table = fit(1);
    let reports = [&by_column, &by_table].map(|model| model.report().unwrap());
    assert_eq!(reports[0].history, reports[1].history);
    assert_eq!(
        (reports[1].training_rows, reports[1].validation_rows),
        (300, 100)
    );
    for ranks in [1, 3] {
        let [first, again] = [fit(ranks), fit(ranks)];
        let weights = |model: &PipelineModel| model.torch_model().unwrap().to_safetensors();
        assert_eq!(weights(&first), weights(&again));
        assert_eq!(first.report().unwrap().validation_rows, 100);
    }
}

#[test]
fn a_scaler_learns_nothing_from_another_tables_rows() {
    let [train, validation] = two_tables();
    let mut wider = validation;
    let wide = wider.column("x0").unwrap() * 10.0;
    wider.with_column(wide).unwrap();
    let fit = |data: Data| {
        let pipeline = Pipeline::new()
            .stage(
                VectorAssembler::new()
                    .input_cols(["x0", "x1"])
                    .output_col("raw"),
            )
            .stage(MinMaxScaler::new().input_col("raw").output_col("features"))
            .stage(short(Network::new(&[2], vec![Layer::linear(2, 2)]).unwrap()).partitions(2));
        pipeline.fit_with(data, &Threads, &Silent).unwrap()
    };
    let alone = fit(Data::from(train.clone()));
    let validated = fit(Data::from(train).with_validation(wider));
    let range = |model: &PipelineModel| {
        let scaler = model.scaler_model().unwrap();
        (
            scaler.original_min().to_vec(),
            scaler.original_max().to_vec(),
        )
    };
    assert_eq!(range(&validated), range(&alone));
}

#[test]
fn a_table_to_validate_with_that_does_not_suit_is_named() {
    let [train, validation] = two_tables();
    let data = |validation: DataFrame| Data::from(train.clone()).with_validation(validation);
    let refusal = |estimator: TorchEstimator, data: Data| {
        let model = assembled()
            .stage(estimator)
            .fit_with(data, &Threads, &Silent);
        model.unwrap_err().to_string()
    };
    let without = refusal(validated(), data(validation.drop("label").unwrap()));
    assert!(without.contains("label"), "{without}");
    let without = refusal(validated(), data(validation.drop("x3").unwrap()));
    assert!(without.contains("x3"), "{without}");
    let leave_one_out = "holds out rows, and the data bring rows to validate with: leave out one";
    assert_eq!(
        refusal(
            validated().validation_fraction(0.2),
            data(validation.clone())
        ),
        format!("validation_fraction = 0.2 {leave_one_out}")
    );
    assert_eq!(
        refusal(
            validated().validation_indicator_col("is_validation"),
            data(validation)
        ),
        format!("validation_indicator_col = is_validation {leave_one_out}")
    );
}

#[test]
fn probabilities_add_up_to_1_and_the_prediction_is_the_likeliest() {
    let single = short(perceptron(1)).loss(Loss::bce_with_logits());
    let double = short(perceptron(2));
    for estimator in [single, double] {
        let estimator = estimator
            .iterations(60)
            .probability_col("probability")
            .raw_prediction_col("rawPrediction");
        let frame = fit(estimator).unwrap().transform(points()).unwrap();
        let predictions = numbers(&frame, "prediction");
        let labels = numbers(&frame, "label");
        let right = predictions.iter().zip(&labels).filter(|(a, b)| a == b);
        assert!(right.count() > 390);
        for ((prediction, of), raw) in predictions
            .iter()
            .zip(lists(&frame, "probability"))
            .zip(lists(&frame, "rawPrediction"))
        {
            assert!((of[0] + of[1] - 1.0).abs() < 1e-6);
            assert_eq!(*prediction == 1.0, of[1] > of[0]);
            assert_eq!(*prediction == 1.0, raw[1] > raw[0]);
        }
    }
}

/// What SparkTorch's `create_spark_torch_model` and `attach_pytorch_model_to_pipeline` do.
#[test]
fn a_network_that_was_trained_elsewhere_goes_into_a_pipeline_and_out_of_it() {
    let trained = fit(short(perceptron(1)).loss(Loss::mse())).unwrap();
    let torch = trained.torch_model().unwrap();
    let (network, weights) = (torch.network().clone(), torch.weights());
    let weights = weights
        .iter()
        .map(|weight| weight.shallow_clone())
        .collect();
    let elsewhere = TorchModel::new(network, weights)
        .unwrap()
        .features_col("inputs")
        .prediction_col("estimate")
        .loss(Loss::mse());
    let columns: Vec<String> = (0..10).map(|index| format!("x{index}")).collect();
    let attached = PipelineModel::new()
        .stage(
            VectorAssembler::new()
                .input_cols(columns)
                .output_col("inputs"),
        )
        .stage(elsewhere.clone());
    let estimates = attached.transform(points()).unwrap();
    let with_vectors = trained.select(["prediction", "features"]);
    let predictions = with_vectors.transform(points()).unwrap();
    assert_eq!(
        numbers(&estimates, "estimate"),
        numbers(&predictions, "prediction")
    );
    // Alone, on a vector column that another stage has left.
    let again = elsewhere.features_col("features");
    let frame = again
        .transform(predictions.drop("prediction").unwrap())
        .unwrap();
    assert_eq!(
        numbers(&frame, "estimate"),
        numbers(&predictions, "prediction")
    );
}

#[test]
fn a_fitted_model_is_trained_further_and_its_first_layer_can_stay() {
    let first = fit(short(perceptron(1)).loss(Loss::mse())).unwrap();
    let model = first.torch_model().unwrap();
    let longer = model
        .estimator()
        .clone()
        .initial_weights(model)
        .freeze(["0.*"])
        .iterations(40);
    let second = fit(longer).unwrap();
    assert!(first_and_last(&second)[1] < first_and_last(&first)[1]);
    let weights = |model: &PipelineModel| {
        let weights = model.torch_model().unwrap().weights().iter();
        weights
            .map(|weight| weight.shallow_clone())
            .collect::<Vec<_>>()
    };
    let (before, after) = (weights(&first), weights(&second));
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
}

#[test]
fn a_weight_of_0_leaves_a_row_out_of_training_and_validation() {
    let mut frame = points();
    let rows = frame.height();
    let spoilt = |row: usize| row.is_multiple_of(4);
    let label = numbers(&frame, "label");
    let wrong = label.iter().enumerate();
    let wrong: Vec<f64> = wrong
        .map(|(row, label)| if spoilt(row) { 1e6 } else { *label })
        .collect();
    let weights: Vec<i32> = (0..rows).map(|row| i32::from(!spoilt(row))).collect();
    frame
        .with_column(Column::new("label".into(), wrong))
        .unwrap();
    frame
        .with_column(Column::new("weight".into(), weights))
        .unwrap();
    let estimator = short(perceptron(1))
        .loss(Loss::mse())
        .weight_col("weight")
        .validation_fraction(0.25);
    let model = assembled()
        .stage(estimator)
        .fit_with(&frame, &Threads, &Silent)
        .unwrap();
    let report = model.report().unwrap();
    assert!(report.history[0].training_loss < 10.0, "{report:?}");
    assert!(report.best_validation_loss < Some(10.0), "{report:?}");
}

#[test]
fn metrics_at_validation_are_what_evaluators_find_in_the_same_rows() {
    let area = BinaryMetric::AreaUnderROC;
    let estimator = short(perceptron(1))
        .loss(Loss::bce_with_logits())
        .weight_col("weight")
        .validation_indicator_col("is_validation")
        .metrics([Metric::Accuracy, Metric::LogLoss, Metric::WeightedPrecision])
        .monitor(area)
        .probability_col("probability")
        .raw_prediction_col("rawPrediction")
        .partitions(3);
    let model = fit(estimator).unwrap();
    let frame = points();
    let held_out = frame.column("is_validation").unwrap().bool().unwrap();
    let predictions = model.transform(frame.filter(held_out).unwrap()).unwrap();
    let report = model.report().unwrap();
    let kept = |metric: ValidationMetric| {
        let points = report.metric(metric).into_iter();
        let mut points = points.filter(|point| point.0 == report.best_iteration as f64);
        points.next().unwrap().1
    };
    for metric in [Metric::Accuracy, Metric::LogLoss, Metric::WeightedPrecision] {
        let evaluator = MulticlassClassificationEvaluator::new().metric_name(metric);
        let expected = evaluator
            .weight_col("weight")
            .evaluate(&predictions)
            .unwrap();
        let found = kept(metric.into());
        assert!(
            (found - expected).abs() < 1e-5,
            "{metric}: {found}, {expected}"
        );
    }
    let expected = BinaryClassificationEvaluator::new()
        .weight_col("weight")
        .evaluate(&predictions)
        .unwrap();
    assert!((kept(area.into()) - expected).abs() < 1e-9);
    let largest = report.metric(area).into_iter().map(|point| point.1);
    assert_eq!(largest.fold(0.0, f64::max), kept(area.into()));
    let text = report.to_string();
    assert!(text.contains("there, accuracy 0."), "{text}");
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn report(&self, event: &ProgressEvent) {
        if matches!(event, ProgressEvent::Warning { .. }) {
            self.0.lock().unwrap().push(event.to_string());
        }
    }
}

#[test]
fn what_is_probably_a_mistake_is_said_before_training() {
    let ends_in = |layer| Network::new(&[10], vec![Layer::linear(10, 2), layer]).unwrap();
    let cases = [
        (
            short(perceptron(2)).mini_batch(1000),
            "warning: mini_batch is 1000, and a partition has fewer rows to train on: it takes all \
             of them",
        ),
        (
            short(ends_in(Layer::LogSoftmax)),
            "warning: CrossEntropy applies LogSoftmax itself, and the network ends in one: remove \
             the layer, or use Loss::nll()",
        ),
        (
            short(perceptron(2)).loss(Loss::nll()),
            "warning: Nll needs log-probabilities, and the network does not end in LogSoftmax: add \
             the layer, or use Loss::cross_entropy()",
        ),
    ];
    for (estimator, expected) in cases {
        let warnings = Warnings::default();
        assembled()
            .stage(estimator)
            .fit_with(points(), &Threads, &warnings)
            .unwrap();
        assert_eq!(*warnings.0.lock().unwrap(), [expected]);
    }
}

/// [`points`] with another label in the third row.
fn with_label(label: f64) -> DataFrame {
    let mut labels = numbers(&points(), "label");
    labels[2] = label;
    with_column(Series::new("label".into(), labels))
}

fn with_column(column: Series) -> DataFrame {
    let mut frame = points();
    frame.with_column(column.into()).unwrap();
    frame
}

/// A value for each row of [`points`].
fn each<T>(value: impl Fn(usize) -> T) -> Vec<T> {
    (0..400).map(value).collect()
}

#[test]
fn a_label_that_does_not_suit_the_loss_is_named_with_its_row() {
    let class = || short(perceptron(2));
    let binary = || short(perceptron(1)).loss(Loss::bce_with_logits());
    let number = || short(perceptron(1)).loss(Loss::mse());
    let null = |row: usize| (row != 2).then_some(1.0);
    let empty = |row: usize| {
        let length = if row == 2 { 0 } else { 3 };
        Series::new("".into(), vec![0.0_f64; length])
    };
    let cases = [
        (class(), with_label(0.5), &["row 3", "\"label\"", "0.5"][..]),
        (class(), with_label(-1.0), &["row 3", "\"label\"", "-1"]),
        (class(), with_label(2.0), &["row 3", "\"label\"", "2"]),
        (
            class(),
            with_label(f64::NAN),
            &["row 3", "\"label\"", "NaN"],
        ),
        (
            class(),
            with_column(Series::new("label".into(), each(null))),
            &["row 3", "\"label\""],
        ),
        (
            class(),
            with_column(Series::new(
                "label".into(),
                each(|row| format!("class {row}")),
            )),
            &["\"label\"", "str"],
        ),
        (
            binary(),
            with_label(2.0),
            &["row 3", "\"label\"", "2", "0 or 1"],
        ),
        (
            number(),
            with_label(f64::INFINITY),
            &["row 3", "\"label\"", "inf"],
        ),
        (
            number(),
            with_column(Series::new("label".into(), each(null))),
            &["row 3", "\"label\""],
        ),
        (
            short(perceptron(1)).loss(Loss::poisson_nll()),
            with_label(-1.0),
            &["row 3", "\"label\"", "-1"],
        ),
        (
            short(perceptron(3)).loss(Loss::mse()),
            with_column(Series::new("label".into(), each(empty))),
            &["row 3", "\"label\"", "a list of 0", "a list of 3"],
        ),
        (
            number().weight_col("weight"),
            with_column(Series::new(
                "weight".into(),
                each(|row| if row == 2 { -1.0 } else { 1.0 }),
            )),
            &["row 3", "\"weight\"", "-1"],
        ),
        (
            number().weight_col("weight"),
            with_column(Series::new(
                "weight".into(),
                each(|row| if row == 2 { f64::NAN } else { 1.0 }),
            )),
            &["row 3", "\"weight\"", "NaN"],
        ),
        (
            number().weight_col("weight"),
            with_column(Series::new("weight".into(), each(|_| 0.0))),
            &["weight_col", "some must count"],
        ),
        (
            number().validation_indicator_col("sum"),
            points(),
            &["\"sum\"", "row 1"],
        ),
    ];
    for (estimator, frame, expected) in cases {
        let error = assembled()
            .stage(estimator)
            .fit_with(&frame, &Threads, &Silent)
            .unwrap_err()
            .to_string();
        for part in expected {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_a_row_is_read() {
    let small = Network::new(&[10], vec![Layer::linear(10, 2)]).unwrap();
    let weights = write_safetensors(&small, &small.initialize(1)).unwrap();
    let cases = [
        (
            short(perceptron(1))
                .loss(Loss::mse())
                .prediction_col("label"),
            &["prediction_col", "label", "choose a new name"][..],
        ),
        (
            short(perceptron(2)).prediction_col("weight"),
            &["\"weight\"", "already"],
        ),
        (
            short(perceptron(2)).probability_col("prediction"),
            &["probability_col", "prediction"],
        ),
        (
            short(perceptron(1)).loss(Loss::mse()).probability_col("p"),
            &["probability_col", "no probabilities"],
        ),
        (
            short(perceptron(2)).epochs(3),
            &["epochs", "iterations is 20", "one of the two"],
        ),
        (
            short(perceptron(2)).initial_weights(weights),
            &["weights", "\"0.weight\"", "[2, 10]", "[20, 10]"],
        ),
        (
            short(perceptron(2)).initial_weights(vec![1, 2, 3]),
            &["weights", "not a complete safetensors file"],
        ),
        (
            short(perceptron(2)).freeze(["encoder.*"]),
            &["freeze", "encoder.*", "0.weight, 0.bias, 2.weight, 2.bias"],
        ),
        (
            short(perceptron(2)).freeze(["*"]),
            &["freeze", "no parameter to train"],
        ),
        (
            short(perceptron(2)).label_col(["sum", "product"]),
            &["label_col", "one column of classes"],
        ),
        (
            short(perceptron(2)).loss(Loss::mse()).label_col(["sum"]),
            &["label_col", "must name 2"],
        ),
        (
            short(perceptron(2))
                .loss(Loss::mse())
                .label_col(Label::Features),
            &["label_col", "10 targets", "2 outputs"],
        ),
        (
            short(perceptron(2)).loss(Loss::Nll(Nll {
                weight: Some(vec![1.0]),
                ..Nll::default()
            })),
            &["weight", "one for each"],
        ),
        (
            short(perceptron(2)).loss(Loss::CrossEntropy(CrossEntropy {
                weight: Some(vec![0.0, 0.0]),
                ..CrossEntropy::default()
            })),
            &["weight", "not all 0"],
        ),
        (
            short(perceptron(2))
                .validation_indicator_col("is_validation")
                .validation_fraction(0.1),
            &["validation_indicator_col", "one of the two"],
        ),
        (
            short(perceptron(2)).optimizer(Optimizer::sgd(-1.0)),
            &["momentum"],
        ),
    ];
    for (estimator, expected) in cases {
        // A row that would be an error if it were read.
        let error = assembled()
            .stage(estimator)
            .fit_with(with_label(-7.0), &Threads, &Silent)
            .unwrap_err()
            .to_string();
        for part in expected {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

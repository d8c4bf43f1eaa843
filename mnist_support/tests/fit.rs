//! Fits of the whole pipeline on real digits.

mod common;

use common::{digits, estimator, lake, pipeline, pixel_columns};
use mnist_support::{
    Layer, Network,
    collective::thread_group,
    engine::{Engine, Threads},
    evaluate::{Metric, MulticlassClassificationEvaluator},
    ml::{self, Fit, FitContext, FitSpec, StageModel, Transform},
    shard::Data,
    train::{LossPoint, Optimizer, Progress, ProgressEvent, Sgd, Silent},
};
use polars::prelude::*;
use std::sync::Mutex;

fn losses(model: &ml::PipelineModel) -> Vec<LossPoint> {
    model.report().unwrap().history.clone()
}

fn bits(model: &StageModel) -> Vec<u32> {
    let StageModel::Torch(model) = model else {
        panic!("the last stage is the network")
    };
    model
        .weights()
        .iter()
        .flat_map(|weight| Vec::<f32>::try_from(weight.reshape([-1])).unwrap())
        .map(f32::to_bits)
        .collect()
}

#[test]
fn a_short_fit_learns_to_read_digits_it_has_not_seen() {
    let train = lake().parquet("train.parquet").unwrap();
    let pixels = train
        .columns()
        .into_iter()
        .filter(|name| name != "label")
        .collect();
    let model = pipeline(
        pixels,
        estimator()
            .iterations(150)
            .mini_batch(300)
            .learning_rate(0.003),
    )
    .fit(&train)
    .unwrap();
    let predictions = model
        .transform(lake().parquet("test.parquet").unwrap())
        .unwrap();
    let accuracy = MulticlassClassificationEvaluator::new()
        .metric_name(Metric::Accuracy)
        .evaluate(&predictions)
        .unwrap();
    assert_eq!(predictions.height(), 10_000);
    assert!(accuracy > 0.92, "accuracy {accuracy}");
}

#[test]
fn all_ranks_end_with_the_same_bits() {
    let frame = digits(601);
    // 601 rows in 3 ranks: shards of different sizes, with validation and dropout.
    let estimator = estimator()
        .partitions(3)
        .validation_fraction(0.2)
        .validation_every(5);
    let spec = FitSpec {
        stages: pipeline(pixel_columns(&frame), estimator).stages().to_vec(),
    };
    let shards = Data::from(&frame).shards(3).unwrap();
    let ranks: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let ranks: Vec<_> = thread_group(3)
            .into_iter()
            .zip(shards)
            .map(|(collective, shard)| {
                let spec = &spec;
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    bits(
                        ml::fit(&shard, &collective, spec, FitContext::new(&Silent))
                            .unwrap()
                            .last()
                            .unwrap(),
                    )
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    assert_eq!(ranks[0].len(), 40_994);
    assert_eq!(ranks[0], ranks[1]);
    assert_eq!(ranks[0], ranks[2]);
}

#[test]
fn the_same_seed_and_partitions_give_the_same_losses_again() {
    let frame = digits(600);
    let fit = |seed| {
        let estimator = estimator()
            .seed(seed)
            .validation_fraction(0.25)
            .validation_every(4);
        pipeline(pixel_columns(&frame), estimator)
            .fit(&frame)
            .unwrap()
    };
    let first = losses(&fit(7));
    assert_eq!(first, losses(&fit(7)));
    assert_ne!(first, losses(&fit(8)));
}

#[test]
fn a_file_in_the_lake_and_the_same_rows_in_memory_give_the_same_fit() {
    let folder = tempfile::tempdir().unwrap();
    let mut frame = digits(400);
    let path = folder.path().join("digits.csv");
    CsvWriter::new(std::fs::File::create(&path).unwrap())
        .finish(&mut frame)
        .unwrap();
    let file = mnist_support::lake::Lake::open(
        folder.path().to_str().unwrap(),
        &mnist_support::lake::Credentials::local(),
    )
    .unwrap()
    .csv("digits.csv")
    .unwrap();
    // One rank each, so that both see the same rows.
    let pipeline = pipeline(pixel_columns(&frame), estimator().partitions(1));
    assert_eq!(
        losses(&pipeline.fit(&file).unwrap()),
        losses(&pipeline.fit(&frame).unwrap())
    );
}

/// A network without dropout on all rows at once: several ranks compute what one computes alone.
#[test]
fn features_that_memory_does_not_hold_are_drawn_from_a_file_to_the_same_bits() {
    let file = lake().parquet("test.parquet").unwrap();
    let pixels = pixel_columns(&digits(1));
    let fit = |estimator: ml::TorchEstimator| {
        let estimator = estimator.validation_fraction(0.2).validation_every(5);
        pipeline(pixels.clone(), estimator).fit(&file).unwrap()
    };
    let in_memory = fit(estimator());
    // The features of a rank have 3.9 MB.
    for bytes in [0, 2_000_000] {
        let in_files = fit(estimator().memory_budget(bytes));
        assert_eq!(losses(&in_files), losses(&in_memory));
        assert_eq!(common::bits(&in_files), common::bits(&in_memory));
    }
}

fn whole_batch(partitions: usize) -> Vec<LossPoint> {
    let frame = digits(101);
    let network = Network::new(
        &[784],
        vec![Layer::linear(784, 16), Layer::ReLU, Layer::linear(16, 10)],
    )
    .unwrap();
    let estimator = ml::TorchEstimator::new(network)
        .features_col("scaledFeatures")
        .iterations(30)
        .learning_rate(0.01)
        .partitions(partitions)
        .verbose(0);
    losses(
        &pipeline(pixel_columns(&frame), estimator)
            .fit(&frame)
            .unwrap(),
    )
}

#[test]
fn ranks_with_uneven_shards_train_as_one_rank_with_all_rows() {
    let alone = whole_batch(1);
    for partitions in [2, 3] {
        for (one, many) in alone.iter().zip(whole_batch(partitions)) {
            assert!(
                (one.training_loss - many.training_loss).abs() < 1e-4,
                "{one:?} {many:?}"
            );
        }
    }
    assert!(alone[29].training_loss < 0.5 * alone[0].training_loss);
}

#[test]
fn the_weights_of_the_lowest_validation_loss_are_kept() {
    let frame = digits(400);
    // A learning rate at which the validation loss soon rises.
    let estimator = estimator()
        .iterations(60)
        .learning_rate(0.05)
        .validation_fraction(0.3)
        .validation_every(3)
        .early_stop_patience(4);
    let model = pipeline(pixel_columns(&frame), estimator)
        .fit(&frame)
        .unwrap();
    let report = model.report().unwrap();
    let measured = report.validation_losses();
    let (best, lowest) = measured
        .iter()
        .copied()
        .reduce(|a, b| if b.1 < a.1 { b } else { a })
        .unwrap();
    assert_eq!(report.best_iteration, best as usize);
    assert_eq!(report.best_validation_loss, Some(lowest));
    if report.stopped_early {
        let since = measured
            .iter()
            .filter(|(iteration, _)| *iteration > best)
            .count();
        assert_eq!(since, 4);
        assert!(report.iterations() < 60);
    }
}

#[test]
fn early_stopping_ends_a_fit_that_no_longer_improves() {
    let frame = digits(200);
    let estimator = estimator()
        .iterations(500)
        .learning_rate(0.03)
        .validation_fraction(0.5)
        .validation_every(1)
        .early_stop_patience(5);
    let model = pipeline(pixel_columns(&frame), estimator)
        .fit(&frame)
        .unwrap();
    let report = model.report().unwrap();
    assert!(report.stopped_early && report.iterations() < 500);
    assert_eq!(report.iterations(), report.best_iteration + 5);
}

#[test]
fn rank_zero_alone_reports_the_progress_of_every_iteration() {
    struct Record(Mutex<Vec<ProgressEvent>>);
    impl Progress for Record {
        fn report(&self, event: &ProgressEvent) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
    let frame = digits(300);
    let record = Record(Mutex::default());
    let model = pipeline(pixel_columns(&frame), estimator().validation_fraction(0.2))
        .fit_with(&frame, &Threads, &record)
        .unwrap();
    let events = record.0.into_inner().unwrap();
    assert!(matches!(
        events[0],
        ProgressEvent::Started {
            world_size: 2,
            training_rows: 240,
            validation_rows: 60,
            iterations: 20
        }
    ));
    let told: Vec<LossPoint> = events[1..]
        .iter()
        .map(|event| match event {
            ProgressEvent::Iteration { losses, .. } => *losses,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, losses(&model));
}

#[test]
fn stages_can_be_fitted_one_by_one() {
    let frame = digits(120);
    let assembled = ml::VectorAssembler::new()
        .input_cols(pixel_columns(&frame))
        .transform(&frame)
        .unwrap();
    let scaler = ml::MinMaxScaler::new().fit(&assembled).unwrap();
    let scaled = scaler.transform(&assembled).unwrap();
    let one_by_one = estimator().fit(&scaled).unwrap();
    let together = pipeline(pixel_columns(&frame), estimator())
        .fit(&frame)
        .unwrap();
    for (a, b) in one_by_one.report().history.iter().zip(losses(&together)) {
        assert!(
            (a.training_loss - b.training_loss).abs() < 1e-4,
            "{a:?} {b:?}"
        );
    }
    assert_eq!(one_by_one.transform(&scaled).unwrap().height(), 120);
}

#[test]
fn transform_keeps_the_rows_order_and_adds_a_column_for_each_stage() {
    let frame = digits(301);
    let model = pipeline(pixel_columns(&frame), estimator())
        .fit(&frame)
        .unwrap();
    let transformed = model.transform(&frame).unwrap();
    assert_eq!(
        transformed.column("label").unwrap(),
        frame.column("label").unwrap()
    );
    // Vectors that only other stages read are left out, unless they are asked for.
    assert_eq!(transformed.width(), frame.width() + 1);
    assert_eq!(transformed.columns()[frame.width()].name(), "prediction");
    let names = ["scaledFeatures", "label", "features", "prediction"];
    let selected = model.clone().select(names).transform(&frame).unwrap();
    assert_eq!(selected.get_column_names(), names);
    let types = selected.dtypes();
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    assert_eq!(types, ["list[f32]", "u8", "list[u8]", "i64"]);
    let predicted = |frame: &DataFrame| frame.column("prediction").unwrap().clone();
    assert_eq!(predicted(&selected), predicted(&transformed));
    let error = model.clone().select(["label", "digit"]).transform(&frame);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("no column \"digit\"")
    );
    let scaled = selected
        .column("scaledFeatures")
        .unwrap()
        .list()
        .unwrap()
        .get_inner();
    let scaled = scaled.f32().unwrap();
    assert!(scaled.min().unwrap() >= 0.0 && scaled.max().unwrap() <= 1.0);
    // A frame without rows has no predictions, but does have their column.
    let empty = model.transform(frame.slice(0, 0)).unwrap();
    assert_eq!(
        (empty.height(), empty.column("prediction").unwrap().len()),
        (0, 0)
    );
}

#[test]
fn rows_can_be_transformed_into_a_folder() {
    let frame = digits(301);
    let model = pipeline(pixel_columns(&frame), estimator())
        .fit(&frame)
        .unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let folder = mnist_support::lake::Lake::open(
        temporary.path().to_str().unwrap(),
        &mnist_support::lake::Credentials::local(),
    )
    .unwrap();
    model.transform_to(&frame, &folder).unwrap();
    let rows: usize = folder
        .list()
        .unwrap()
        .iter()
        .map(|name| folder.parquet(name).unwrap().collect().unwrap().height())
        .sum();
    assert_eq!(rows, 301);
    let error = model.transform_to(&frame, &folder).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
}

#[test]
fn the_scalers_statistics_come_from_all_partitions() {
    let frame = df!("x" => [1.0_f32, 2.0, 3.0, 9.0], "y" => [5.0_f32, 5.0, 5.0, 5.0]).unwrap();
    let stages = vec![
        ml::VectorAssembler::new().input_cols(["x", "y"]).into(),
        ml::MinMaxScaler::new().into(),
    ];
    let models = Threads
        .fit(
            &Data::from(&frame),
            4,
            &FitSpec { stages },
            FitContext::new(&Silent),
        )
        .unwrap();
    let Some(StageModel::MinMaxScaler(scaler)) = models.last() else {
        panic!("{models:?}")
    };
    assert_eq!(
        (scaler.original_min(), scaler.original_max()),
        (&[1.0, 5.0][..], &[9.0, 5.0][..])
    );
}

#[test]
fn every_optimizer_lowers_the_loss() {
    let frame = digits(200);
    let network = Network::new(&[784], vec![Layer::linear(784, 10)]).unwrap();
    for (optimizer, rate) in [
        (Optimizer::adam(), 0.01),
        (Optimizer::adam_w(0.01), 0.01),
        (Optimizer::sgd(0.9), 0.02),
        (
            Optimizer::Sgd(Sgd {
                momentum: 0.9,
                weight_decay: 1e-4,
                nesterov: true,
                ..Default::default()
            }),
            0.02,
        ),
        (Optimizer::nadam(), 0.01),
        (Optimizer::radam(), 0.02),
        (Optimizer::adamax(), 0.01),
        (Optimizer::rms_prop(), 0.002),
        (Optimizer::adagrad(), 0.02),
        (Optimizer::adadelta(), 1.0),
    ] {
        let estimator = ml::TorchEstimator::new(network.clone())
            .features_col("scaledFeatures")
            .optimizer(optimizer)
            .learning_rate(rate)
            .iterations(50)
            .partitions(2)
            .verbose(0);
        let history = losses(
            &pipeline(pixel_columns(&frame), estimator)
                .fit(&frame)
                .unwrap(),
        );
        let (first, last) = (history[0].training_loss, history[49].training_loss);
        assert!(last < 0.3 * first, "{optimizer:?}: {first} to {last}");
    }
}

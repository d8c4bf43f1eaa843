//! Fits that read the features again in every epoch: `Shuffle::Blocks`.

mod common;

use std::{
    fs::{self, File},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array};
use arrow_ipc::writer::FileWriter;
use common::bits;
use mnist_support::{
    Error, Layer, Network,
    engine::Threads,
    lake::{Credentials, Lake, LakeFrame},
    ml::{
        ImageDecoder, MinMaxScaler, Normalizer, Pipeline, PipelineModel, StandardScaler,
        StringIndexer, TorchEstimator, VectorAssembler,
    },
    shard::Data,
    train::{Loss, Progress, ProgressEvent, Shuffle, Silent},
};
use polars::prelude::*;
use tempfile::TempDir;

/// Rows with bytes, floats and doubles, and a class and a word that follow from them.
fn rows(count: usize) -> DataFrame {
    let mut state: u64 = 11;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let bytes: Vec<(u8, u8)> = (0..count)
        .map(|_| (next(256) as u8, next(256) as u8))
        .collect();
    let half: Vec<f32> = (0..count).map(|_| next(1000) as f32 / 8.0).collect();
    let double: Vec<f64> = (0..count).map(|_| next(1000) as f64 / 7.0).collect();
    let label = bytes.iter().map(|(a, b)| i64::from(a > b));
    let word = bytes
        .iter()
        .map(|(a, b)| if a > b { "more" } else { "less" });
    df!(
        "a" => bytes.iter().map(|bytes| bytes.0).collect::<Vec<_>>(),
        "b" => bytes.iter().map(|bytes| bytes.1).collect::<Vec<_>>(),
        "half" => half,
        "double" => double,
        "label" => label.collect::<Vec<_>>(),
        "word" => word.collect::<Vec<_>>(),
        "held_out" => (0..count).map(|row| row % 5 == 2).collect::<Vec<_>>(),
    )
    .unwrap()
}

/// Writes row groups of exactly so many rows.
fn write(folder: &Path, name: &str, frame: &DataFrame, group: usize) {
    let file = File::create(folder.join(name)).unwrap();
    let mut writer = ParquetWriter::new(file).batched(frame.schema()).unwrap();
    for start in (0..frame.height()).step_by(group) {
        let mut rows = frame.slice(start as i64, group);
        rows.rechunk_mut_par();
        writer.write_batch(&rows).unwrap();
    }
    writer.finish().unwrap();
}

/// Part files of uneven sizes, with uneven row groups: 600,123 rows.
fn parts() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let frame = rows(600_123);
    let (mut start, table) = (0, folder.path().join("table"));
    fs::create_dir(&table).unwrap();
    for (part, (count, group)) in [
        (90_000, 30_000),
        (500, 100),
        (60_000, 7_000),
        (123, 123),
        (49_877, 20_000),
        (100_000, 16_384),
        (180_123, 11_111),
        (119_500, 20_000),
    ]
    .into_iter()
    .enumerate()
    {
        let frame = frame.slice(start, count);
        write(&table, &format!("part-{part:05}.parquet"), &frame, group);
        start += count as i64;
    }
    folder
}

fn open(folder: &TempDir) -> Lake {
    Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap()
}

fn table(folder: &TempDir) -> LakeFrame {
    open(folder).parquet("table").unwrap()
}

fn network(features: i64) -> Network {
    network_of(features, 2)
}

fn network_of(features: i64, outputs: i64) -> Network {
    let layers = vec![
        Layer::linear(features, 4),
        Layer::ReLU,
        Layer::linear(4, outputs),
    ];
    Network::new(&[features], layers).unwrap()
}

/// An epoch and a half, in which a rank draws from several groups.
fn estimator(features: i64) -> TorchEstimator {
    TorchEstimator::new(network(features))
        .features_col("scaledFeatures")
        .shuffle(Shuffle::Blocks)
        .mini_batch(10_000)
        .iterations(45)
        .learning_rate(0.01)
        .partitions(2)
        .verbose(0)
}

fn pipeline(columns: &[&str], estimator: TorchEstimator) -> Pipeline {
    let assembler = VectorAssembler::new().input_cols(columns.to_vec());
    Pipeline::new()
        .stage(assembler)
        .stage(MinMaxScaler::new())
        .stage(estimator)
}

fn fit(data: impl Into<Data>, estimator: TorchEstimator) -> mnist_support::Result<PipelineModel> {
    pipeline(&["a", "b"], estimator).fit_with(data, &Threads, &Silent)
}

/// The least budget that does, from the error of a fit that has none.
fn least(table: &LakeFrame, estimator: TorchEstimator) -> u64 {
    let error = fit(table, estimator.memory_budget(0)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { setting: "memory_budget", value, .. } if value == "0"),
        "{error}"
    );
    let text = error.to_string();
    let (_, rest) = text.split_once("is less than the ").unwrap();
    let (bytes, rest) = rest.split_once(' ').unwrap();
    assert!(
        rest.starts_with("bytes that Shuffle::Blocks needs"),
        "{text}"
    );
    bytes.parse().unwrap()
}

#[test]
fn any_budget_that_suffices_gives_the_same_bits_and_less_is_refused_with_the_least_that_does() {
    let folder = parts();
    let table = table(&folder);
    let first = fit(&table, estimator(2)).unwrap();
    let losses = |model: &PipelineModel| model.report().unwrap().history.clone();
    assert!(losses(&first)[44].training_loss < 0.9 * losses(&first)[0].training_loss);
    let least = least(&table, estimator(2));
    assert!(
        least < 500_000,
        "a rank's features have 600 kB, {least} bytes"
    );
    for budget in [least, least + 100_000, 1 << 30] {
        let model = fit(&table, estimator(2).memory_budget(budget)).unwrap();
        assert_eq!(losses(&model), losses(&first), "{budget}");
        assert_eq!(bits(&model), bits(&first), "{budget}");
    }
    let error = fit(&table, estimator(2).memory_budget(least - 1)).unwrap_err();
    assert!(error.to_string().contains(&least.to_string()), "{error}");
    // Another seed, and another order, give others.
    assert_ne!(
        bits(&fit(&table, estimator(2).seed(7)).unwrap()),
        bits(&first)
    );
    let all = fit(&table, estimator(2).shuffle(Shuffle::Rows)).unwrap();
    assert_ne!(bits(&all), bits(&first));
}

/// A file whose row groups are as large as the blocks of a frame in memory.
fn same_blocks(frame: &DataFrame) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "table", frame, 16_384);
    folder
}

#[test]
fn the_blocks_of_files_are_drawn_to_the_bits_of_the_same_blocks_in_memory() {
    let frame = rows(150_000);
    let folder = same_blocks(&frame);
    let file = table(&folder);
    let short = |features| estimator(features).partitions(1).iterations(40);
    let cases: [(&str, Pipeline); 6] = [
        ("bytes", pipeline(&["a", "b"], short(2))),
        ("floats", pipeline(&["a", "half"], short(2))),
        ("doubles", pipeline(&["a", "double"], short(2))),
        (
            "validation",
            pipeline(&["a", "half"], short(2).validation_fraction(0.1)),
        ),
        (
            "rows that are held out, weights, words",
            Pipeline::new()
                .stage(StringIndexer::new().input_col("word").output_col("index"))
                .stage(VectorAssembler::new().input_cols(["a", "b", "double"]))
                .stage(MinMaxScaler::new())
                .stage(
                    short(3)
                        .label_col("index")
                        .weight_col("half")
                        .validation_indicator_col("held_out"),
                ),
        ),
        (
            "a stage after one that learns",
            Pipeline::new()
                .stage(VectorAssembler::new().input_cols(["a", "b"]))
                .stage(MinMaxScaler::new())
                .stage(
                    Normalizer::new()
                        .input_col("scaledFeatures")
                        .output_col("norm"),
                )
                .stage(short(2).features_col("norm")),
        ),
    ];
    for (what, pipeline) in cases {
        let of_file = pipeline.fit_with(&file, &Threads, &Silent).unwrap();
        let in_memory = pipeline.fit_with(&frame, &Threads, &Silent).unwrap();
        assert_eq!(bits(&of_file), bits(&in_memory), "{what}");
        let [of_file, in_memory] =
            [of_file, in_memory].map(|model| model.report().unwrap().clone());
        assert_eq!(of_file.history, in_memory.history, "{what}");
    }
}

/// Each has the rows of one block, and is read whenever they are needed.
#[test]
fn a_delta_table_a_compressed_file_and_images_are_drawn_as_their_rows_in_memory() {
    let lake = Lake::open("src/examples/data", &Credentials::local()).unwrap();
    let short = |network| {
        let estimator = TorchEstimator::new(network)
            .shuffle(Shuffle::Blocks)
            .features_col("scaledFeatures")
            .partitions(1)
            .mini_batch(30)
            .iterations(20);
        estimator.verbose(0)
    };
    let housing = ["housing_median_age", "average_rooms", "median_income"];
    let layers = vec![Layer::Flatten, Layer::linear(64, 10)];
    let image = Network::new(&[1, 8, 8], layers).unwrap();
    let one_house = Network::new(&[3], vec![Layer::linear(3, 1)]).unwrap();
    let digits = lake.csv("mnist.csv.gz").unwrap();
    let label = digits.columns()[0].clone();
    let pixels = digits.columns().split_off(1);
    let cases: [(LakeFrame, Pipeline); 3] = [
        (
            lake.delta("housing").unwrap(),
            Pipeline::new()
                .stage(VectorAssembler::new().input_cols(housing))
                .stage(StandardScaler::new().with_mean(true))
                .stage(
                    short(one_house)
                        .loss(Loss::mse())
                        .label_col("median_house_value"),
                ),
        ),
        (
            digits.rename([(label, "label")]).unwrap(),
            Pipeline::new()
                .stage(VectorAssembler::new().input_cols(pixels))
                .stage(MinMaxScaler::new())
                .stage(short(network_of(784, 10))),
        ),
        (
            lake.images("digits/*/*.png").unwrap(),
            Pipeline::new()
                .stage(ImageDecoder::new().channels(1))
                .stage(MinMaxScaler::new())
                .stage(short(image)),
        ),
    ];
    for (table, pipeline) in cases {
        let frame = table.collect().unwrap();
        let read = pipeline.fit_with(&table, &Threads, &Silent).unwrap();
        let in_memory = pipeline.fit_with(&frame, &Threads, &Silent).unwrap();
        let history = |model: &PipelineModel| model.report().unwrap().history.clone();
        assert_eq!(history(&read), history(&in_memory), "{}", table.name());
        assert_eq!(bits(&read), bits(&in_memory), "{}", table.name());
        let losses = history(&read);
        assert!(losses[19].training_loss < losses[0].training_loss);
    }
}

#[test]
fn another_table_validates_as_rows_in_memory_do() {
    let frame = rows(120_000);
    let folder = same_blocks(&frame);
    let validation = rows(130_000).slice(120_000, 10_000);
    write(folder.path(), "validation", &validation, 1_000);
    let file = table(&folder);
    let of_files = Data::from(&file).with_validation(open(&folder).parquet("validation").unwrap());
    let in_memory = Data::from(&frame).with_validation(&validation);
    let estimator = estimator(2).partitions(1);
    let of_files = fit(of_files, estimator.clone()).unwrap();
    let in_memory = fit(in_memory, estimator).unwrap();
    let (of_files, in_memory) = (of_files.report().unwrap(), in_memory.report().unwrap());
    assert_eq!(of_files.validation_rows, 10_000);
    assert_eq!(of_files.history, in_memory.history);
    assert!(of_files.history[44].validation_loss.is_some());
}

#[test]
fn a_block_of_bytes_is_widened_where_a_later_file_has_floats() {
    let frame = rows(98_304);
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table");
    fs::create_dir(&table).unwrap();
    let (bytes, mut floats) = frame.split_at(65_536);
    floats
        .apply("a", |column| column.cast(&DataType::Float32).unwrap())
        .unwrap();
    write(&table, "part-0.parquet", &bytes, 16_384);
    write(&table, "part-1.parquet", &floats, 16_384);
    let mut whole = frame.clone();
    whole
        .apply("a", |column| column.cast(&DataType::Float32).unwrap())
        .unwrap();
    let estimator = estimator(2).partitions(1).iterations(30);
    let of_files = fit(self::table(&folder), estimator.clone()).unwrap();
    let in_memory = fit(&whole, estimator).unwrap();
    assert_eq!(bits(&of_files), bits(&in_memory));
}

/// Record batches of 10,000 rows.
fn write_batches(file: &File, frame: &DataFrame) {
    let bytes = |name: &str| -> ArrayRef {
        let values = frame.column(name).unwrap().u8().unwrap();
        Arc::new(UInt8Array::from_iter_values(values.into_no_null_iter()))
    };
    let labels = frame.column("label").unwrap().i64().unwrap();
    let labels: ArrayRef = Arc::new(Int64Array::from_iter_values(labels.into_no_null_iter()));
    let columns = [("a", bytes("a")), ("b", bytes("b")), ("label", labels)];
    let whole = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = FileWriter::try_new(file, &whole.schema()).unwrap();
    for start in (0..whole.num_rows()).step_by(10_000) {
        writer.write(&whole.slice(start, 10_000)).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn csv_files_and_record_batches_are_drawn_in_blocks_too() {
    let mut frame = rows(100_000).select(["a", "b", "label"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(folder.path().join(name)).unwrap();
    CsvWriter::new(file("table.csv"))
        .finish(&mut frame)
        .unwrap();
    write_batches(&file("table.arrow"), &frame);
    let lake = open(&folder);
    let estimator = estimator(2).iterations(25);
    for table in [
        lake.csv("table.csv").unwrap(),
        lake.ipc("table.arrow").unwrap(),
    ] {
        let once = fit(&table, estimator.clone()).unwrap();
        let twice = fit(&table, estimator.clone()).unwrap();
        assert_eq!(bits(&once), bits(&twice));
    }
}

/// Does something once, after an iteration.
struct After<F> {
    iteration: usize,
    calls: AtomicUsize,
    act: F,
}

impl<F: Fn() + Send + Sync> After<F> {
    fn new(iteration: usize, act: F) -> Self {
        After {
            iteration,
            calls: AtomicUsize::new(0),
            act,
        }
    }
}

impl<F: Fn() + Send + Sync> Progress for After<F> {
    fn report(&self, event: &ProgressEvent) {
        if let ProgressEvent::Iteration { losses, .. } = event
            && losses.iteration == self.iteration
            && self.calls.fetch_add(1, Ordering::SeqCst) == 0
        {
            (self.act)();
        }
    }
}

#[test]
fn a_rank_that_is_killed_in_the_middle_of_an_epoch_goes_on_with_the_bits_of_an_undisturbed_fit() {
    let folder = parts();
    let table = table(&folder);
    let estimator = estimator(2).validation_fraction(0.05).validation_every(10);
    let undisturbed = fit(&table, estimator.clone()).unwrap();
    let restarted = estimator.checkpoint_every(4).max_restarts(1);
    for iteration in [3, 18, 33] {
        let kill = After::new(iteration, || panic!("killed"));
        let model = pipeline(&["a", "b"], restarted.clone())
            .fit_with(&table, &Threads, &kill)
            .unwrap();
        assert!(kill.calls.load(Ordering::SeqCst) > 0);
        assert_eq!(bits(&model), bits(&undisturbed), "{iteration}");
        let [model, undisturbed] = [&model, &undisturbed].map(|model| model.report().unwrap());
        assert_eq!(model.history, undisturbed.history);
    }
}

#[test]
fn a_part_that_vanishes_or_changes_between_two_epochs_is_named() {
    for change in [
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
        },
        |path: &Path| fs::write(path, "short").unwrap(),
    ] {
        let folder = parts();
        let table = table(&folder);
        let estimator = estimator(2).iterations(124);
        let least = least(&table, estimator.clone());
        let path = folder.path().join("table/part-00002.parquet");
        let after = After::new(20, || change(&path));
        let error = pipeline(&["a", "b"], estimator.memory_budget(least))
            .fit_with(&table, &Threads, &after)
            .unwrap_err();
        assert!(error.to_string().contains("part-00002.parquet"), "{error}");
    }
}

#[test]
fn a_damaged_page_in_one_part_is_named_with_its_file() {
    let folder = parts();
    let table = table(&folder);
    let path = folder.path().join("table/part-00004.parquet");
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[1_000..60_000] {
        *byte ^= 0x5a;
    }
    fs::write(&path, bytes).unwrap();
    let error = fit(&table, estimator(2)).unwrap_err();
    assert!(error.to_string().contains("part-00004.parquet"), "{error}");
}

#[test]
fn a_value_that_a_network_cannot_take_is_named_by_its_file_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut frame = rows(40_000);
    let doubles = frame.column("double").unwrap().f64().unwrap();
    let doubles: Float64Chunked = doubles
        .iter()
        .enumerate()
        .map(|(row, value)| match row {
            33_332 => Some(1e300),
            _ => value,
        })
        .collect();
    frame
        .with_column(doubles.with_name("double".into()).into_column())
        .unwrap();
    write(folder.path(), "table", &frame, 10_000);
    let assembler = VectorAssembler::new().input_cols(["a", "double"]);
    let estimator = estimator(2).features_col("features").partitions(1);
    let error = Pipeline::new()
        .stage(assembler)
        .stage(estimator)
        .fit_with(table(&folder), &Threads, &Silent)
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("table, row 33333, column"), "{text}");
}

//! Fits whose ranks get other parts of the table every few epochs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use polars::{
    df,
    prelude::{DataFrame, NamedFrom, Series},
};
use tch::{Device, Kind, Tensor};

use super::{Engine, Threads};
use crate::{
    Error, Layer, Network, Result,
    collective::thread_group,
    interrupt::{self, Interrupt},
    lake::{Credentials, Lake, ReadProgress},
    program::{self, FitSpec},
    shard::{Data, Part, Shard, Source},
    stages::{FitContext, HandleInvalid, StageModel, TorchEstimator, VectorAssembler},
    tensor_file,
    train::{FitReport, Loss, Optimizer, Progress, ProgressEvent, Shuffle, Silent},
};

const ROWS: usize = 96;
const RATE: f64 = 1e-4;
/// Rows in an iteration: four of each rank.
const BATCH: usize = 8;

/// Each row has a feature of its own, and so a weight of its own that moves when it is drawn. The
/// targets are 1 in the first half and 2 in the second. With holes, one row in 13 is left out.
fn rows(holes: bool) -> DataFrame {
    let own = |row: usize| (0..ROWS).map(move |column| u8::from(column == row));
    let vectors = (0..ROWS).map(|row| Series::new("".into(), own(row).collect::<Vec<u8>>()));
    df!(
        "own" => vectors.collect::<Vec<_>>(),
        "x" => (0..ROWS).map(|row| (!holes || !has_hole(row)).then_some(0.0)).collect::<Vec<_>>(),
        "y" => (0..ROWS).map(target).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn target(row: usize) -> f64 {
    if row < ROWS / 2 { 1.0 } else { 2.0 }
}

fn has_hole(row: usize) -> bool {
    row % 13 == 5
}

fn estimator() -> TorchEstimator {
    let width = ROWS as i64 + 1;
    let network = Network::new(&[width], vec![Layer::linear(width, 1)]).unwrap();
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let names = network.state_names();
    let weights = [zeros(&[1, width]), zeros(&[1])];
    let tensors = names.iter().map(String::as_str).zip(&weights);
    let file = tensor_file::serialize(tensors, None).unwrap();
    TorchEstimator::new(network)
        .label_col("y")
        .loss(Loss::mse())
        .initial_weights(file)
        .optimizer(Optimizer::sgd(0.0))
        .learning_rate(RATE)
        .partitions(2)
        .mini_batch(BATCH / 2)
        .verbose(0)
}

fn spec(estimator: TorchEstimator) -> FitSpec {
    let assembler = VectorAssembler::new().input_cols(["own", "x"]);
    FitSpec {
        stages: vec![
            assembler.handle_invalid(HandleInvalid::Skip).into(),
            estimator.into(),
        ],
    }
}

fn fit(rows: DataFrame, estimator: TorchEstimator) -> Vec<StageModel> {
    let context = FitContext::new(&Silent);
    let models = Threads.fit(&Data::from(rows), 2, &spec(estimator), context);
    models.unwrap()
}

fn weights(models: &[StageModel]) -> Vec<f32> {
    let model = models.iter().find_map(StageModel::torch_model).unwrap();
    Vec::try_from(model.weights()[0].flatten(0, -1)).unwrap()
}

/// How often each row was drawn.
fn draws(models: &[StageModel]) -> Vec<usize> {
    // The gradient of a row's squared error, of which weights this small change little.
    let step = |row| RATE * 2.0 * target(row) / BATCH as f64;
    let weights = weights(models).into_iter().take(ROWS).enumerate();
    weights
        .map(|(row, weight)| (f64::from(weight) / step(row)).round() as usize)
        .collect()
}

fn report(models: &[StageModel]) -> &FitReport {
    let model = models.iter().find_map(StageModel::torch_model).unwrap();
    model.report()
}

#[test]
fn each_epoch_draws_each_row_once_and_mixes_what_began_on_different_ranks() {
    for shuffle in [Shuffle::Rows, Shuffle::Blocks] {
        let estimator = estimator().shuffle(shuffle).epochs(6);
        let models = fit(rows(false), estimator.partition_shuffles(2));
        assert_eq!(draws(&models), [6; ROWS]);
        let history = &report(&models).history;
        let losses: Vec<f64> = history.iter().map(|point| point.training_loss).collect();
        assert_eq!(losses.len(), 72);
        // In the first round, each rank has one half of the rows: the mean of 1 and 4.
        let is_even = |loss: &f64| (loss - 2.5).abs() < 0.1;
        assert!(losses[..24].iter().all(is_even), "{losses:?}");
        for round in [24..48, 48..72] {
            assert!(!losses[round.clone()].iter().all(is_even), "{losses:?}");
        }
    }
}

#[test]
fn what_is_held_out_stays_held_out_whoever_has_the_part() {
    for shuffle in [Shuffle::Rows, Shuffle::Blocks] {
        let estimator = estimator().shuffle(shuffle).validation_fraction(0.25);
        let models = fit(rows(true), estimator.epochs(9).partition_shuffles(1));
        // A quarter of the 89 rows, as far as parts of five or six rows have quarters.
        let held_out = report(&models).validation_rows;
        assert!((21..=24).contains(&held_out), "{held_out}");
        let draws = draws(&models);
        let never = draws.iter().filter(|draws| **draws == 0).count();
        assert_eq!(never, held_out + 7, "{draws:?}");
        for (part, draws) in draws.chunks(6).enumerate() {
            let rows = part * 6..(part + 1) * 6;
            let holes = rows.filter(|row| has_hole(*row)).count();
            let never = draws.iter().filter(|draws| **draws == 0).count();
            assert!((1..=2).contains(&(never - holes)), "{part}: {draws:?}");
        }
        // A rank with fewer rows than another draws some of them once more.
        assert!(draws.iter().all(|draws| *draws <= 14), "{draws:?}");
        // They are validated with the weights of their time: those of their own never moved.
        let losses = report(&models).history.iter();
        let losses: Vec<f64> = losses.filter_map(|point| point.validation_loss).collect();
        assert!(
            losses.len() > 5 && losses.is_sorted_by(|a, b| a >= b),
            "{losses:?}"
        );
    }
}

/// Stops a fit after an iteration.
struct StopAfter<'a>(usize, &'a Interrupt);

impl Progress for StopAfter<'_> {
    fn report(&self, event: &ProgressEvent) {
        if let ProgressEvent::Iteration { losses, .. } = event
            && losses.iteration == self.0
        {
            self.1.request();
        }
    }
}

#[test]
fn a_fit_resumes_in_any_round_with_the_bits_of_one_that_was_not_stopped() {
    let data = Data::from(rows(false));
    for shuffle in [Shuffle::Rows, Shuffle::Blocks] {
        let estimator = estimator().shuffle(shuffle).epochs(4).partition_shuffles(1);
        let spec = spec(estimator.checkpoint_every(1));
        let undisturbed = Threads.fit(&data, 2, &spec, FitContext::new(&Silent));
        let undisturbed = undisturbed.unwrap();
        for stop_after in [3, 12, 30] {
            let folder = tempfile::tempdir().unwrap();
            let run = Lake::open(&folder.path().to_string_lossy(), &Credentials::local());
            let (run, stop) = (run.unwrap(), Interrupt::new());
            let progress = StopAfter(stop_after, &stop);
            let mut context = FitContext::new(&progress);
            (context.run_folder, context.interrupt) = (Some(&run), &stop);
            let stopped = Threads.fit(&data, 2, &spec, context).unwrap();
            assert!(report(&stopped).interrupted);
            let mut context = FitContext::new(&Silent);
            context.run_folder = Some(&run);
            let resumed = Threads.fit(&data, 2, &spec, context).unwrap();
            assert_eq!(weights(&resumed), weights(&undisturbed));
            assert_eq!(report(&resumed).history, report(&undisturbed).history);
        }
    }
}

/// Rows that stop the fit in a read of one of their parts, by its number, while the other rank has
/// read its own and waits.
#[derive(Clone, Debug)]
struct StopWhileReading {
    rows: Shard,
    reads: Arc<AtomicUsize>,
    at: usize,
    stop: Interrupt,
}

impl Source for StopWhileReading {
    fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        let shards = Data::from(self.rows.read()?).shards(parts)?.into_iter();
        let part = |rows| {
            Shard::new(StopWhileReading {
                rows,
                ..self.clone()
            })
        };
        Ok(shards.map(part).collect())
    }

    fn name(&self) -> String {
        "the table".to_owned()
    }
}

impl Part for StopWhileReading {
    fn name(&self) -> String {
        "the table".to_owned()
    }

    fn read(
        &self,
        _columns: Option<&[String]>,
        _on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        if self.reads.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            thread::sleep(Duration::from_millis(500));
            self.stop.request();
            while !interrupt::requested() {
                thread::sleep(Duration::from_millis(1));
            }
            return Err(interrupt::interrupted("reading", "the table"));
        }
        self.rows.read()
    }
}

#[test]
fn a_stop_while_parts_are_dealt_anew_returns_the_model_of_the_round_before() {
    let width = ROWS as i64 + 1;
    let layers = vec![
        Layer::batch_norm1d(width, Default::default()),
        Layer::linear(width, 1),
    ];
    let network = Network::new(&[width], layers).unwrap();
    let estimator = TorchEstimator::new(network)
        .label_col("y")
        .loss(Loss::mse())
        .mini_batch(BATCH / 2)
        .partition_shuffles(1)
        .verbose(0);
    let state = |models: &[StageModel]| -> Vec<Vec<f32>> {
        let model = models.iter().find_map(StageModel::torch_model).unwrap();
        let tensors = model.weights().iter();
        let values = |tensor: &Tensor| tensor.to_kind(Kind::Float).flatten(0, -1);
        tensors
            .map(|tensor| Vec::try_from(values(tensor)).unwrap())
            .collect()
    };
    let undisturbed = fit(rows(false), estimator.clone().epochs(1));
    // 16 parts were read for the first round, and the second needs as many.
    let stop = Interrupt::new();
    let data = Data::new(StopWhileReading {
        rows: Shard::rows("the table", rows(false), 0),
        reads: Arc::default(),
        at: 32,
        stop: stop.clone(),
    });
    let mut context = FitContext::new(&Silent);
    context.interrupt = &stop;
    let stopped = Threads.fit(&data, 2, &spec(estimator.epochs(3)), context);
    let stopped = stopped.unwrap();
    assert!(report(&stopped).interrupted);
    assert_eq!(report(&stopped).iterations(), 12);
    assert_eq!(state(&stopped), state(&undisturbed));
}

#[test]
fn rows_that_cannot_be_dealt_anew_are_refused() {
    let spec = spec(estimator().partition_shuffles(1));
    let shard = Data::from(rows(false)).shards(1).unwrap().remove(0);
    let rank = thread_group(1).pop().unwrap();
    let error = program::fit(&shard, &rank, &spec, FitContext::new(&Silent)).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::InvalidSetting {
                setting: "partition_shuffles",
                ..
            }
        ),
        "{error}"
    );
    let error = spec
        .check_deals_nothing("the table \"digits\"")
        .unwrap_err();
    assert!(error.to_string().contains("digits"), "{error}");
}

//! Stop: a fit that is asked to stop returns what it has, and everything else ends without a
//! partial result.

mod common;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{bits, digits, estimator, lake, pipeline, pixel_columns};
use mnist_support::{
    Error, Layer, Network, Result,
    collective::{Collective, ReduceOp, ThreadCollective, thread_group},
    engine::{Engine, Threads},
    interrupt::{Interrupt, until_interrupted},
    lake::{Credentials, Lake},
    ml::{PipelineModel, TorchEstimator},
    shard::Data,
    train::{
        Checkpoints, FitReport, Progress, ProgressEvent, Silent, Trained, TrainingData,
        TrainingSettings, train,
    },
};
use polars::prelude::DataFrame;
use tch::Tensor;

/// Requests a stop once an iteration has ended.
struct AskAfter {
    iteration: usize,
    interrupt: Interrupt,
}

impl Progress for AskAfter {
    fn report(&self, event: &ProgressEvent) {
        if matches!(event, ProgressEvent::Iteration { losses, .. } if losses.iteration == self.iteration)
        {
            self.interrupt.request();
        }
    }
}

/// Runs a fit that is asked to stop once `iteration` has ended.
fn stopped_after<T>(iteration: usize, fit: impl FnOnce(&dyn Progress) -> T) -> T {
    let interrupt = Interrupt::new();
    let _scope = interrupt.scope();
    fit(&AskAfter {
        iteration,
        interrupt: interrupt.clone(),
    })
}

fn fit(
    frame: &DataFrame,
    estimator: TorchEstimator,
    progress: &dyn Progress,
) -> Result<PipelineModel> {
    pipeline(pixel_columns(frame), estimator).fit_with(frame, &Threads, progress)
}

#[test]
fn a_stopped_fit_has_the_bits_of_a_fit_of_as_many_iterations() {
    let frame = digits(400);
    let endless = estimator().iterations(1_000_000);
    let stopped = stopped_after(6, |ask| fit(&frame, endless, ask)).unwrap();
    let report = stopped.report().unwrap();
    assert!(report.interrupted);
    assert_eq!((report.iterations(), report.best_iteration), (7, 7));
    let printed = report.to_string();
    let line = "\nstopped on request after iteration 7 of 1000000";
    assert!(printed.ends_with(line), "{printed}");

    let short = fit(&frame, estimator().iterations(7), &Silent).unwrap();
    let expected = short.report().unwrap();
    assert!(!expected.interrupted && !expected.to_string().contains("stopped"));
    assert_eq!(report.history, expected.history);
    assert_eq!(bits(&stopped), bits(&short));
}

#[test]
fn the_best_weights_so_far_are_kept_where_there_are_validation_losses() {
    let frame = digits(400);
    let settings = || estimator().validation_fraction(0.2).validation_every(4);
    let endless = settings().iterations(1_000_000);
    let stopped = stopped_after(13, |ask| fit(&frame, endless, ask)).unwrap();
    // A fit of 12 iterations has the same last validation.
    let short = fit(&frame, settings().iterations(12), &Silent).unwrap();
    let (report, expected) = (stopped.report().unwrap(), short.report().unwrap());
    assert_eq!(report.iterations(), 14);
    assert_eq!(report.best_iteration, expected.best_iteration);
    assert_eq!(report.best_validation_loss, expected.best_validation_loss);
    assert_eq!(bits(&stopped), bits(&short));
}

#[test]
fn a_long_fit_and_its_validation_end_within_two_seconds() {
    let train = lake().parquet("train.parquet").unwrap().collect().unwrap();
    let interrupt = Interrupt::new();
    let _scope = interrupt.scope();
    let endless = estimator()
        .mini_batch(300)
        .iterations(1_000_000)
        .validation_fraction(0.5)
        .validation_every(1);
    thread::scope(|threads| {
        let press = threads.spawn(|| {
            thread::sleep(Duration::from_secs(4));
            interrupt.request();
            Instant::now()
        });
        let model = fit(&train, endless, &Silent).unwrap();
        let took = press.join().unwrap().elapsed();
        assert!(model.report().unwrap().interrupted);
        assert!(took < Duration::from_secs(2), "{took:?}");
        println!("the fit had ended {took:?} after it was asked to");
    });
}

#[test]
fn a_request_with_the_last_iteration_has_stopped_nothing() {
    let frame = digits(400);
    let settings = estimator().iterations(20);
    let model = stopped_after(19, |ask| fit(&frame, settings, ask)).unwrap();
    assert!(!model.report().unwrap().interrupted);
}

#[test]
fn a_press_between_two_fits_does_not_stop_the_second() {
    let frame = digits(400);
    let interrupt = Interrupt::new();
    interrupt.request();
    let _scope = interrupt.scope();
    let model = fit(&frame, estimator(), &Silent).unwrap();
    assert!(!model.report().unwrap().interrupted);
}

#[test]
fn a_loop_over_fits_ends_with_the_fit_that_was_stopped() {
    let frame = digits(400);
    let interrupt = Interrupt::new();
    let _scope = interrupt.scope();
    let ask = AskAfter {
        iteration: 3,
        interrupt: interrupt.clone(),
    };
    let mut reports: Vec<FitReport> = Vec::new();
    for seed in until_interrupted(0..5) {
        let model = fit(&frame, estimator().seed(seed), &ask).unwrap();
        reports.push(model.report().unwrap().clone());
    }
    assert_eq!(reports.len(), 1);
    assert!(reports[0].interrupted);
}

fn open(folder: &tempfile::TempDir) -> Lake {
    Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap()
}

#[test]
fn a_stopped_fit_resumes_from_its_run_folder_and_ends_with_the_bits_of_an_uninterrupted_one() {
    let frame = digits(400);
    let settings = || {
        estimator()
            .iterations(24)
            .validation_fraction(0.2)
            .validation_every(4)
            .learning_rate(0.005)
    };
    let uninterrupted = fit(&frame, settings(), &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fit_in_folder = |progress: &dyn Progress| {
        pipeline(pixel_columns(&frame), settings().checkpoint_every(1000))
            .run_folder(&open(&folder))
            .fit_with(&frame, &Threads, progress)
            .unwrap()
    };
    // Between two validations, when a validation is due, three times in a row, and near the end.
    for stops in [&[5][..], &[7], &[1, 3, 5], &[22]] {
        for stop in stops {
            let stopped = stopped_after(*stop, fit_in_folder);
            let report = stopped.report().unwrap();
            assert_eq!((report.interrupted, report.iterations()), (true, stop + 1));
            let left = open(&folder).list().unwrap();
            assert_eq!(left, ["prediction/checkpoint.safetensors"]);
        }
        let model = fit_in_folder(&Silent);
        assert_eq!(bits(&model), bits(&uninterrupted), "{stops:?}");
        let (report, expected) = (model.report().unwrap(), uninterrupted.report().unwrap());
        assert!(!report.interrupted);
        assert_eq!(report.history, expected.history);
        assert_eq!(report.best_iteration, expected.best_iteration);
        assert!(open(&folder).list().unwrap().is_empty());
    }
}

/// A collective whose rank is asked to stop during a given exchange.
struct AskAtExchange {
    end: ThreadCollective,
    exchanges: AtomicUsize,
    exchange: Option<usize>,
    interrupt: Interrupt,
}

impl Collective for AskAtExchange {
    fn rank(&self) -> usize {
        self.end.rank()
    }
    fn world_size(&self) -> usize {
        self.end.world_size()
    }
    fn all_reduce(&self, tensor: &mut Tensor, operation: ReduceOp) -> Result<()> {
        if Some(self.exchanges.fetch_add(1, Ordering::SeqCst)) == self.exchange {
            self.interrupt.request();
        }
        self.end.all_reduce(tensor, operation)
    }
    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()> {
        self.end.broadcast(tensor, root)
    }
    fn barrier(&self) -> Result<()> {
        self.end.barrier()
    }
}

/// Trains three ranks on points of their own. Rank 1 is asked to stop at `exchange`.
fn three_ranks(exchange: Option<usize>, folder: &Lake) -> Vec<Trained> {
    let network = Network::new(&[2], vec![Layer::linear(2, 3)]).unwrap();
    let settings = TrainingSettings {
        iterations: Some(6),
        mini_batch: Some(4),
        validation_fraction: 0.5,
        validation_every: 2,
        ..TrainingSettings::default()
    };
    thread::scope(|threads| {
        let ranks: Vec<_> = thread_group(3)
            .into_iter()
            .map(|end| {
                let (network, settings) = (&network, &settings);
                threads.spawn(move || {
                    tch::set_num_threads(1);
                    let rank = end.rank() as i64;
                    let points: Vec<f32> = (0..40).map(|x| ((x + 7 * rank) % 11) as f32).collect();
                    let labels: Vec<i64> = (0..20).map(|row| (row + rank) % 3).collect();
                    let features = Tensor::from_slice(&points).view([20, 2]);
                    let data = TrainingData::new(features, Tensor::from_slice(&labels), None);
                    let interrupt = Interrupt::new();
                    let collective = AskAtExchange {
                        exchange: exchange.filter(|_| rank == 1),
                        exchanges: AtomicUsize::new(0),
                        interrupt: interrupt.clone(),
                        end,
                    };
                    let checkpoints = Checkpoints::new(folder.clone(), 1000).unwrap();
                    train(
                        network,
                        &data.unwrap(),
                        &collective,
                        settings,
                        &Silent,
                        Some(&checkpoints),
                        &interrupt,
                    )
                    .unwrap()
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn weights(trained: &Trained) -> Vec<u32> {
    let weights = trained.weights.iter();
    weights
        .flat_map(|weight| Vec::<f32>::try_from(weight.reshape([-1])).unwrap())
        .map(f32::to_bits)
        .collect()
}

#[test]
fn one_rank_that_is_asked_to_stop_at_any_exchange_stops_all_after_the_same_iteration() {
    let uninterrupted = three_ranks(None, &open(&tempfile::tempdir().unwrap()));
    // The first exchange sums the row counts. Six steps follow, with a validation after every
    // second one, and then two exchanges that compare the weights.
    for (exchange, iterations) in [(1, 2), (2, 2), (3, 3), (4, 4), (5, 4), (7, 6), (8, 6)] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = three_ranks(Some(exchange), &open(&folder));
        for rank in &stopped {
            assert!(rank.report.interrupted, "exchange {exchange}");
            assert_eq!(rank.report.iterations(), iterations, "exchange {exchange}");
            assert_eq!(rank.report.history, stopped[0].report.history);
            assert_eq!(weights(rank), weights(&stopped[0]));
        }
        let whole = three_ranks(None, &open(&folder));
        for rank in &whole {
            assert!(!rank.report.interrupted);
            assert_eq!(rank.report.history, uninterrupted[0].report.history);
            assert_eq!(weights(rank), weights(&uninterrupted[0]));
        }
    }
}

fn is_interrupted<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Interrupted { .. }))
}

#[test]
fn reading_transforming_and_saving_end_in_an_error_and_leave_nothing_half_written() {
    let frame = digits(400);
    let model = fit(&frame, estimator(), &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = open(&folder).folder("rows");
    let file = lake().csv("test.csv").unwrap();
    {
        let interrupt = Interrupt::new();
        let _scope = interrupt.scope();
        interrupt.request();
        assert!(is_interrupted(file.collect()));
        assert!(is_interrupted(lake().parquet("test.parquet")));
        assert!(is_interrupted(model.transform(&frame)));
        assert!(is_interrupted(model.transform(&file)));
        assert!(is_interrupted(model.transform_to(&file, &output)));
        assert!(is_interrupted(model.save(&open(&folder))));
        let pixels = pixel_columns(&frame);
        let fitted = pipeline(pixels, estimator()).fit_with(&file, &Threads, &Silent);
        assert!(is_interrupted(fitted));
    }
    assert!(open(&folder).list().unwrap().is_empty());
    // Everything is as before: the same calls work.
    assert_eq!(file.collect().unwrap().height(), 10_000);
    model.transform_to(&file, &output).unwrap();
    model.save(&open(&folder).folder("model")).unwrap();
}

#[test]
fn a_transformation_that_is_stopped_while_it_writes_removes_the_parts_that_it_wrote() {
    let model = fit(&digits(400), estimator(), &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rows = Data::from(&lake().csv("train.csv").unwrap());
    // When the first part exists, the second mostly does not yet. If it does, there is nothing to
    // stop.
    for attempt in 0.. {
        assert!(attempt < 20, "no stop came between the two parts");
        let output = open(&folder).folder(&format!("rows-{attempt}"));
        let interrupt = Interrupt::new();
        let written = thread::scope(|threads| {
            let watching = threads.spawn(|| {
                let part = folder.path().join(format!("rows-{attempt}"));
                let begun = || part.read_dir().is_ok_and(|mut files| files.any(|_| true));
                let start = Instant::now();
                while !begun() && start.elapsed() < Duration::from_secs(60) {
                    thread::sleep(Duration::from_micros(100));
                }
                interrupt.request();
            });
            let _scope = interrupt.scope();
            let written = Threads.transform_to(&rows, model.stages(), None, &output);
            watching.join().unwrap();
            written
        });
        if written.is_ok() {
            continue;
        }
        assert!(is_interrupted(written));
        assert!(output.list().unwrap().is_empty());
        break;
    }
}

#[test]
fn a_model_that_was_saved_before_there_was_a_stop_still_loads() {
    let model = fit(&digits(400), estimator(), &Silent).unwrap();
    let report = serde_json::to_value(model.report().unwrap()).unwrap();
    let mut before = report.clone();
    let fields = before.as_object_mut().unwrap();
    assert!(fields.remove("interrupted").is_some() && fields.remove("max_iterations").is_some());
    let loaded: FitReport = serde_json::from_value(before).unwrap();
    assert!(!loaded.interrupted);
    assert_eq!(loaded.history, model.report().unwrap().history);
}

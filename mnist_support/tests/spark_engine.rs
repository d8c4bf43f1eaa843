//! Fits and transformations on the executors of a real cluster.

#[path = "common/benchmark_networks.rs"]
mod benchmark_networks;
#[path = "common/spark.rs"]
mod cluster;
mod common;
#[path = "common/sparktorch.rs"]
mod sparktorch;
#[path = "common/targets.rs"]
mod targets;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    io::Write,
    os::unix::ffi::OsStringExt,
    process::{Command, Stdio},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cluster::{Cluster, runs, until};
use common::{bits, digits, estimator, lake, pipeline, pixel_columns};
use mnist_support::{
    Error,
    engine::{Engine, Session, Spark, Threads},
    error::{JobError, SparkError},
    evaluate::{Metric, MulticlassClassificationEvaluator},
    interrupt::Interrupt,
    lake::{Credentials, Lake, LakeFrame},
    ml::{Pipeline, PipelineModel, TorchEstimator, VectorAssembler},
    shard::{Data, frame_from_batches},
    spark::{SaveMode, SparkSession},
    train::{LossPoint, Progress, ProgressEvent, Silent},
};
use polars::{
    df,
    prelude::{DataFrame, ParquetWriter},
};
use tempfile::TempDir;

struct Bench {
    cluster: MutexGuard<'static, Option<Cluster>>,
    folder: TempDir,
    file: LakeFrame,
}

impl Bench {
    /// Returns the cluster and a file of 400 digits; `None` without Java.
    fn new() -> Option<Bench> {
        let cluster = cluster::shared("spark-engine", &[])?;
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("digits.parquet")).unwrap();
        let writer = ParquetWriter::new(file).with_row_group_size(Some(50));
        writer.finish(&mut digits(400)).unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let file = lake.parquet("digits.parquet").unwrap();
        Some(Bench {
            cluster,
            folder,
            file,
        })
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    fn engine(&self) -> Spark {
        Spark::connect(&self.cluster().url).unwrap()
    }
}

fn fit(
    data: impl Into<Data>,
    estimator: TorchEstimator,
    engine: &dyn Engine,
    progress: &dyn Progress,
) -> mnist_support::Result<PipelineModel> {
    pipeline(pixel_columns(&digits(1)), estimator).fit_with(data, engine, progress)
}

fn fifty_steps() -> TorchEstimator {
    estimator()
        .iterations(50)
        .validation_fraction(0.2)
        .validation_every(10)
}

fn history(model: &PipelineModel) -> Vec<LossPoint> {
    model.report().unwrap().history.clone()
}

#[test]
fn spark_trains_to_the_bits_that_threads_train_to_and_predicts_the_same() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let spark = fit(&bench.file, fifty_steps(), &engine, &Silent).unwrap();
    let threads = fit(&bench.file, fifty_steps(), &Threads, &Silent).unwrap();
    assert_eq!(history(&spark), history(&threads));
    assert_eq!(bits(&spark), bits(&threads));

    let data = Data::from(&bench.file);
    let there = engine.transform(&data, spark.stages(), None).unwrap();
    let here = Threads.transform(&data, threads.stages(), None).unwrap();
    assert_eq!(there, here);

    let folder = Lake::open(bench.folder.path().to_str().unwrap(), &Credentials::local())
        .unwrap()
        .folder("predictions");
    engine
        .transform_to(&data, spark.stages(), None, &folder)
        .unwrap();
    assert_eq!(
        folder.list().unwrap(),
        ["part-00000-c00000.parquet", "part-00001-c00000.parquet"]
    );
    let written = ["part-00000-c00000.parquet", "part-00001-c00000.parquet"]
        .map(|name| folder.parquet(name).unwrap().collect().unwrap());
    assert_eq!(written[0].vstack(&written[1]).unwrap(), here);
    let error = engine
        .transform_to(&data, spark.stages(), None, &folder)
        .unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
}

#[test]
fn parts_of_the_lake_s_table_are_dealt_anew_on_spark_and_rows_of_spark_are_not() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let estimator = fifty_steps().partition_shuffles(3);
    let spark = fit(&bench.file, estimator.clone(), &engine, &Silent).unwrap();
    let threads = fit(&bench.file, estimator.clone(), &Threads, &Silent).unwrap();
    assert_eq!(history(&spark), history(&threads));
    assert_eq!(bits(&spark), bits(&threads));
    let path = bench.folder.path().join("digits.parquet");
    let query = format!("SELECT * FROM parquet.`{}`", path.display());
    let error = fit(engine.session().sql(&query), estimator, &engine, &Silent).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::InvalidSetting {
                setting: "partition_shuffles",
                ..
            }
        ) && error.to_string().contains("can read again"),
        "{error}"
    );
}

#[test]
fn every_network_of_the_benchmark_is_trained_on_spark_to_the_bits_of_threads() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    for (name, estimator) in benchmark_networks::all() {
        // The cluster has two slots.
        let estimator = estimator.partitions(2);
        let spark = fit(&bench.file, estimator.clone(), &engine, &Silent);
        let spark = spark.unwrap_or_else(|error| panic!("{name}: {error}"));
        let threads = fit(&bench.file, estimator, &Threads, &Silent).unwrap();
        assert_eq!(history(&spark), history(&threads), "{name}");
        assert_eq!(bits(&spark), bits(&threads), "{name}");
    }
}

#[test]
fn targets_of_every_kind_are_trained_on_spark_to_the_bits_of_threads() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let points = targets::points();
    for (what, estimator) in targets::problems() {
        let pipeline = targets::assembled().stage(estimator);
        let spark = pipeline.fit_with(&points, &engine, &Silent);
        let spark = spark.unwrap_or_else(|error| panic!("{what}: {error}"));
        let threads = pipeline.fit_with(&points, &Threads, &Silent).unwrap();
        assert_eq!(history(&spark), history(&threads), "{what}");
        let metrics = |model: &PipelineModel| model.report().unwrap().metrics.clone();
        assert_eq!(metrics(&spark), metrics(&threads), "{what}");
        assert_eq!(bits(&spark), bits(&threads), "{what}");
        let data = Data::from(&points);
        let there = engine.transform(&data, spark.stages(), None).unwrap();
        let here = Threads.transform(&data, threads.stages(), None).unwrap();
        assert_eq!(there, here, "{what}");
    }
    // And with rows to validate with from another table.
    let data = Data::from(points.slice(0, 300)).with_validation(points.slice(300, 100));
    let estimator = targets::short(targets::perceptron(2)).validation_every(2);
    let pipeline = targets::assembled().stage(estimator);
    let spark = pipeline.fit_with(data.clone(), &engine, &Silent).unwrap();
    let threads = pipeline.fit_with(data, &Threads, &Silent).unwrap();
    assert_eq!(history(&spark), history(&threads));
    assert_eq!(bits(&spark), bits(&threads));
    assert_eq!(spark.report().unwrap().validation_rows, 100);
}

#[test]
fn sparktorchs_twelve_cases_pass_on_spark() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let points = targets::points();
    for (name, estimator, check) in sparktorch::cases() {
        let pipeline = targets::assembled().stage(estimator);
        let model = pipeline.fit_with(&points, &engine, &Silent);
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        let frame = engine
            .transform(&Data::from(&points), model.stages(), None)
            .unwrap();
        check(&model, &frame);
    }
}

#[test]
fn two_fits_at_once_in_one_session_give_the_models_of_one_after_the_other() {
    let Some(bench) = Bench::new() else { return };
    let session = Session::remote(&bench.cluster().url).unwrap();
    let pipelines =
        [1, 2].map(|seed| pipeline(pixel_columns(&digits(1)), fifty_steps().seed(seed)));
    // Each needs both of the cluster's cores.
    let models = thread::scope(|scope| {
        let fits = pipelines
            .each_ref()
            .map(|pipeline| scope.spawn(|| session.fit(pipeline, &bench.file)));
        fits.map(|fit| fit.join().unwrap().unwrap())
    });
    for (pipeline, model) in pipelines.iter().zip(&models) {
        let alone = pipeline.fit_with(&bench.file, &Threads, &Silent).unwrap();
        assert_eq!(history(model), history(&alone));
        assert_eq!(bits(model), bits(&alone));
    }
}

/// Returns the sessions that the cluster's server has seen.
fn sessions(cluster: &Cluster) -> BTreeSet<String> {
    let log = std::fs::read_to_string(cluster.folder.join("logs/server.log")).unwrap();
    let named = log.split("sessionId: ").skip(1);
    named.map(|rest| rest.chars().take(36).collect()).collect()
}

#[test]
fn all_calls_of_a_program_run_in_one_session_of_the_server() {
    let Some(bench) = Bench::new() else { return };
    let before = sessions(bench.cluster());
    let session = Session::remote(&bench.cluster().url).unwrap();
    session.set_default();
    let model = pipeline(pixel_columns(&digits(1)), fifty_steps())
        .fit(&bench.file)
        .unwrap();
    let there = model.transform(&bench.file).unwrap();
    assert_eq!(session.transform(&model, &bench.file).unwrap(), there);
    session.stop();
    assert_eq!(sessions(bench.cluster()).difference(&before).count(), 1);

    // Without it the next call creates another session, on threads here.
    assert!(Session::get_or_create().unwrap().spark().is_none());
    assert_eq!(model.transform(&bench.file).unwrap(), there);
}

#[test]
fn rows_in_memory_travel_to_the_executors() {
    let Some(bench) = Bench::new() else { return };
    let frame = digits(400);
    let spark = fit(
        &frame,
        fifty_steps().partitions(1),
        &bench.engine(),
        &Silent,
    )
    .unwrap();
    let threads = fit(&frame, fifty_steps().partitions(1), &Threads, &Silent).unwrap();
    assert_eq!(history(&spark), history(&threads));
}

#[test]
fn a_query_s_rows_stream_into_the_workers() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let path = bench.folder.path().join("digits.parquet");
    let query = format!("SELECT * FROM parquet.`{}` WHERE label < 5", path.display());
    let rows = engine.session().sql(&query);
    let model = fit(&rows, fifty_steps(), &engine, &Silent).unwrap();
    let labels: Vec<u8> = digits(400)
        .column("label")
        .unwrap()
        .u8()
        .unwrap()
        .into_no_null_iter()
        .collect();
    let chosen = labels.iter().filter(|label| **label < 5).count();
    let report = model.report().unwrap();
    assert_eq!(report.training_rows + report.validation_rows, chosen);
    let predictions = engine
        .transform(&Data::from(&rows), model.stages(), None)
        .unwrap();
    assert_eq!(predictions.height(), chosen);
}

#[test]
fn a_real_fit_is_as_good_on_spark() {
    let Some(bench) = Bench::new() else { return };
    let (train, test) = (
        lake().parquet("train.parquet").unwrap(),
        lake().parquet("test.parquet").unwrap(),
    );
    let settings = || {
        estimator()
            .iterations(150)
            .mini_batch(300)
            .learning_rate(0.003)
    };
    let accuracy = |frame: &DataFrame| {
        MulticlassClassificationEvaluator::new()
            .metric_name(Metric::Accuracy)
            .evaluate(frame)
            .unwrap()
    };
    let engine = bench.engine();
    let spark = fit(&train, settings(), &engine, &Silent).unwrap();
    let there = accuracy(
        &engine
            .transform(&Data::from(&test), spark.stages(), None)
            .unwrap(),
    );
    let threads = fit(&train, settings(), &Threads, &Silent).unwrap();
    let here = accuracy(&threads.transform(&test).unwrap());
    assert!(
        (there - here).abs() < 0.003,
        "{there} on Spark, {here} on threads"
    );
    assert!(there > 0.9, "{there}");
}

#[test]
fn a_fit_on_spark_reports_progress_while_it_runs() {
    struct Times(Mutex<Vec<(Instant, ProgressEvent)>>);
    impl Progress for Times {
        fn report(&self, event: &ProgressEvent) {
            self.0.lock().unwrap().push((Instant::now(), event.clone()));
        }
    }
    let Some(bench) = Bench::new() else { return };
    // Far longer than the second that an event may take, however fast the machine is.
    let iterations = 2000;
    let long = fifty_steps().iterations(iterations).validation_every(500);
    let times = Times(Mutex::default());
    let model = fit(&bench.file, long, &bench.engine(), &times).unwrap();
    let ended = Instant::now();
    let times = times.0.into_inner().unwrap();
    assert_eq!(times.len(), 1 + iterations);
    let first = (ended - times[1].0).as_secs_f64();
    let seconds = model.report().unwrap().seconds;
    assert!(
        first > seconds / 2.0,
        "the first event of a fit of {seconds} s came {first} s before the end"
    );
}

/// Returns the worker processes of a cluster's executors.
fn workers(cluster: &Cluster) -> Vec<u32> {
    let executors = cluster.folder.join("work");
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|process| {
            let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains("mnist-worker")
                && std::fs::read_link(format!("/proc/{process}/cwd")).is_ok_and(|folder| {
                    folder.starts_with(&executors) || folder.starts_with(&cluster.folder)
                })
                && runs(*process)
        })
        .collect()
}

fn kill(process: u32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
    assert!(killed.is_ok());
}

#[test]
fn a_worker_killed_at_ten_moments_of_a_fit_does_not_change_its_result() {
    let Some(bench) = Bench::new() else { return };
    let long = || fifty_steps().iterations(800);
    let uninterrupted = fit(&bench.file, long(), &Threads, &Silent).unwrap();
    let restartable = || long().checkpoint_every(20).max_restarts(3);
    let started = || {
        until(Duration::from_secs(60), "started", || {
            workers(bench.cluster()).len() == 2
        })
    };
    // The kills are spread over the workers' run time, however fast the machine is.
    let engine = bench.engine();
    let run = thread::scope(|scope| {
        let fit = scope.spawn(|| fit(&bench.file, restartable(), &engine, &Silent));
        started();
        let run = until(Duration::from_secs(60), "ended", || {
            workers(bench.cluster()).is_empty()
        });
        fit.join().unwrap().unwrap();
        run
    });
    let (mut recovered, mut restarted) = (0, 0);
    for tenth in 0..10 {
        struct Restarts(AtomicUsize);
        impl Progress for Restarts {
            fn report(&self, event: &ProgressEvent) {
                if matches!(event, ProgressEvent::Restarted { .. }) {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let restarts = Restarts(AtomicUsize::new(0));
        let model = thread::scope(|scope| {
            let fit = scope.spawn(|| fit(&bench.file, restartable(), &engine, &restarts));
            started();
            // From the very beginning, when the workers read, to the end, when they answer.
            thread::sleep(run * tenth / 10);
            if let Some(victim) = workers(bench.cluster()).get(tenth as usize % 2) {
                kill(*victim);
            }
            fit.join().unwrap()
        })
        .unwrap_or_else(|error| panic!("killed after {tenth} tenths of {run:?}: {error}"));
        assert_eq!(bits(&model), bits(&uninterrupted));
        recovered += 1;
        restarted += restarts.0.load(Ordering::SeqCst);
    }
    // On a channel that the test harness does not capture.
    let told = format!(
        "{recovered} of 10 fits killed within {run:?} recovered, with {restarted} restarts\n"
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(restarted >= 5, "only {restarted} kills hit a running fit");
}

#[test]
fn a_rank_that_dies_once_does_not_change_the_result() {
    let Some(bench) = Bench::new() else { return };
    let long = || fifty_steps().iterations(800);
    let engine = bench.engine();
    let model = thread::scope(|scope| {
        let restartable = long().checkpoint_every(20).max_restarts(3);
        let fit = scope.spawn(|| fit(&bench.file, restartable, &engine, &Silent));
        until(Duration::from_secs(60), "started", || {
            workers(bench.cluster()).len() == 2
        });
        kill(workers(bench.cluster())[1]);
        fit.join().unwrap().unwrap()
    });
    let uninterrupted = fit(&bench.file, long(), &Threads, &Silent).unwrap();
    assert_eq!(bits(&model), bits(&uninterrupted));
}

/// The second Spark worker of a cluster, whose machine a test takes away.
struct Machine<'a> {
    cluster: &'a Cluster,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl<'a> Machine<'a> {
    const ROLE: &'static str = "worker-2";

    fn of(cluster: &'a Cluster) -> Machine<'a> {
        let process = cluster.process(Self::ROLE);
        let read = |name| std::fs::read(format!("/proc/{process}/{name}")).unwrap();
        let strings = |bytes: Vec<u8>| -> Vec<OsString> {
            let ended = bytes.split(|byte| *byte == 0).filter(|one| !one.is_empty());
            ended.map(|one| OsString::from_vec(one.to_vec())).collect()
        };
        let environment = strings(read("environ")).into_iter().filter_map(|variable| {
            let variable = variable.into_string().ok()?;
            let (name, value) = variable.split_once('=')?;
            Some((name.into(), value.into()))
        });
        Machine {
            cluster,
            environment: environment.collect(),
            command: strings(read("cmdline")),
        }
    }

    /// Ends the worker and its executor, as if their machine were switched off.
    fn take_away(&self) {
        let worker = self.cluster.process(Self::ROLE);
        let children = format!("/proc/{worker}/task/{worker}/children");
        let children = std::fs::read_to_string(children).unwrap();
        kill(worker);
        for executor in children.split_whitespace() {
            kill(executor.parse().unwrap());
        }
        until(Duration::from_secs(10), "gone", || !runs(worker));
    }

    /// Starts the worker, to which the master gives an executor again.
    #[expect(clippy::zombie_processes, reason = "the cluster's guard ends it")]
    fn give_back(&self) {
        if runs(self.cluster.process(Self::ROLE)) {
            return;
        }
        let folder = &self.cluster.folder;
        let log = File::create(folder.join("logs/worker-2.log")).unwrap();
        let worker = Command::new("setsid")
            .args(&self.command)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pids = folder.join("pids").join(Self::ROLE);
        std::fs::write(pids, worker.id().to_string()).unwrap();
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[test]
fn a_fit_on_a_cluster_that_shrinks_goes_on_once_it_has_grown_again_or_says_what_is_missing() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let machine = Machine::of(bench.cluster());
    let long = || fifty_steps().iterations(2000);
    let shrink = |then: &dyn Fn()| {
        thread::scope(|scope| {
            let restartable = long().checkpoint_every(50).max_restarts(3);
            let fit = scope.spawn(|| fit(&bench.file, restartable, &engine, &Silent));
            until(Duration::from_secs(60), "started", || {
                workers(bench.cluster()).len() == 2
            });
            thread::sleep(Duration::from_secs(1));
            machine.take_away();
            let taken = Instant::now();
            then();
            (fit.join().unwrap(), taken.elapsed())
        })
    };
    let (model, took) = shrink(&|| machine.give_back());
    let uninterrupted = fit(&bench.file, long(), &Threads, &Silent).unwrap();
    assert_eq!(bits(&model.unwrap()), bits(&uninterrupted));
    tell("a fit that lost an executor and got another", took);

    let (result, took) = shrink(&|| ());
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Spark(SparkError::TooFewSlots {
                needed: 2,
                found: 1,
                ..
            })
        ),
        "{error}"
    );
    assert!(took < Duration::from_secs(120), "{took:?}");
    tell("a fit that lost an executor for good", took);

    // The next test needs both cores.
    machine.give_back();
    fit(&bench.file, fifty_steps(), &engine, &Silent).unwrap();
}

#[test]
fn workers_end_when_the_program_that_waits_for_them_is_gone() {
    let Some(bench) = Bench::new() else { return };
    // A process of its own, so that it can be killed: this test binary, asked for an endless fit.
    let mut program = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["fit_without_end", "--exact", "--ignored"])
        .env("SPARK_ENGINE_URL", &bench.cluster().url)
        .env("SPARK_ENGINE_FILE", bench.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until(Duration::from_secs(60), "started", || {
        workers(bench.cluster()).len() == 2
    });
    thread::sleep(Duration::from_secs(2));
    program.kill().unwrap();
    program.wait().unwrap();
    let took = until(Duration::from_secs(30), "ended", || {
        workers(bench.cluster()).is_empty()
    });
    println!("the workers were gone after {took:?}");
    // The server may still be learning of the failure, and the next test needs its cores.
    thread::sleep(Duration::from_secs(2));
}

#[test]
#[ignore = "the program that another test starts and kills"]
fn fit_without_end() {
    let folder = std::env::var("SPARK_ENGINE_FILE").unwrap();
    let file = Lake::open(&folder, &Credentials::local())
        .unwrap()
        .parquet("digits.parquet")
        .unwrap();
    let engine = Spark::connect(&std::env::var("SPARK_ENGINE_URL").unwrap()).unwrap();
    fit(
        &file,
        fifty_steps().iterations(10_000_000),
        &engine,
        &Silent,
    )
    .unwrap();
}

/// Runs something that is asked to stop once `now` is true. Returns its result, and how long after
/// the request it came.
fn stopped<T: Send>(now: impl Fn() -> bool + Sync, run: impl FnOnce() -> T) -> (T, Duration) {
    let interrupt = Interrupt::new();
    let _scope = interrupt.scope();
    let (result, pressed) = thread::scope(|scope| {
        let press = scope.spawn(|| {
            until(Duration::from_secs(60), "so far", &now);
            interrupt.request();
            Instant::now()
        });
        let result = run();
        (result, press.join().unwrap())
    });
    (result, pressed.elapsed())
}

/// Prints on a channel that the test harness does not capture.
fn tell(what: &str, took: Duration) {
    let told = format!("{what} ended {:.2} s later\n", took.as_secs_f64());
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

#[test]
fn a_fit_on_spark_that_is_stopped_gives_the_model_so_far_within_two_seconds() {
    struct Iterations(AtomicUsize);
    impl Progress for Iterations {
        fn report(&self, event: &ProgressEvent) {
            if let ProgressEvent::Iteration { losses, .. } = event {
                self.0.store(losses.iteration, Ordering::SeqCst);
            }
        }
    }
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let folder = Lake::open(bench.folder.path().to_str().unwrap(), &Credentials::local())
        .unwrap()
        .folder("run");
    let long = || fifty_steps().iterations(2500).checkpoint_every(100_000);
    let fit_in_folder = |progress: &dyn Progress| {
        pipeline(pixel_columns(&digits(1)), long())
            .run_folder(&folder)
            .fit_with(&bench.file, &engine, progress)
    };
    let iterations = Iterations(AtomicUsize::new(0));
    let begun = || iterations.0.load(Ordering::SeqCst) > 100;
    let (model, took) = stopped(begun, || fit_in_folder(&iterations));
    let report = model.unwrap().report().unwrap().clone();
    assert!(report.interrupted, "{report}");
    assert!(report.iterations() < 2500 && report.best_validation_loss.is_some());
    assert!(took < Duration::from_secs(2), "{took:?}");
    tell("a fit on Spark that was stopped", took);
    let left = folder.list().unwrap();
    assert_eq!(left, ["prediction/checkpoint.safetensors"]);

    // When run again, it resumes and ends as if it had never been stopped.
    let model = fit_in_folder(&Silent).unwrap();
    let uninterrupted = fit(&bench.file, long(), &Threads, &Silent).unwrap();
    assert_eq!(history(&model), history(&uninterrupted));
    assert_eq!(bits(&model), bits(&uninterrupted));
}

#[test]
fn a_stop_before_a_fit_on_spark_trains_and_one_of_a_transformation_are_errors_within_two_seconds() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    // So that the workers' files are already on the cluster.
    let model = fit(&bench.file, fifty_steps(), &engine, &Silent).unwrap();
    let gone = || {
        until(Duration::from_secs(10), "ended", || {
            workers(bench.cluster()).is_empty()
        })
    };
    let soon = Instant::now() + Duration::from_millis(500);
    let endless = fifty_steps().iterations(10_000_000);
    let (result, took) = stopped(
        || Instant::now() > soon,
        || fit(&bench.file, endless, &engine, &Silent),
    );
    assert!(matches!(result, Err(Error::Interrupted { .. })));
    assert!(took < Duration::from_secs(2), "{took:?}");
    tell("a fit on Spark that was stopped before it had begun", took);
    gone();

    // A table that takes long to produce, so that the transformation is stopped in the middle.
    let path = bench.folder.path().join("digits.parquet");
    let query = format!(
        "SELECT d.* FROM parquet.`{}` d CROSS JOIN range(3000)",
        path.display()
    );
    let rows = Data::from(engine.session().sql(&query));
    let output = Lake::open(bench.folder.path().to_str().unwrap(), &Credentials::local())
        .unwrap()
        .folder("rows");
    let begun = || !workers(bench.cluster()).is_empty();
    let (result, took) = stopped(begun, || {
        engine.transform_to(&rows, model.stages(), None, &output)
    });
    assert!(matches!(result, Err(Error::Interrupted { .. })));
    assert!(took < Duration::from_secs(2), "{took:?}");
    tell("a transformation on Spark that was stopped", took);
    gone();
    assert!(output.list().unwrap().is_empty());
    // The session is still usable.
    let data = Data::from(&bench.file);
    assert_eq!(
        engine
            .transform(&data, model.stages(), None)
            .unwrap()
            .height(),
        400
    );
}

#[test]
fn errors_in_the_workers_come_back_as_they_were() {
    let Some(bench) = Bench::new() else { return };
    match fit(
        &bench.file,
        fifty_steps().validation_fraction(1e-6),
        &bench.engine(),
        &Silent,
    )
    .unwrap_err()
    {
        Error::Job(JobError::InRank { message, .. }) => {
            assert!(message.contains("validation_fraction"), "{message}")
        }
        other => panic!("{other}"),
    }
    let error = fit(
        &bench.file,
        fifty_steps().partitions(3),
        &bench.engine(),
        &Silent,
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::Spark(SparkError::TooFewSlots { .. })),
        "{error}"
    );
    let error = fit(
        &bench.file,
        fifty_steps().partitions(401),
        &bench.engine(),
        &Silent,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidSetting {
                setting: "partitions",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn no_partitions_and_ten_thousand_are_refused_at_once() {
    let Some(bench) = Bench::new() else { return };
    let engine = bench.engine();
    let refused = |rows: Data, partitions: usize| {
        let start = Instant::now();
        let error = fit(rows, fifty_steps().partitions(partitions), &engine, &Silent).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(20), "{error}");
        error
    };
    let pixels = pixel_columns(&digits(1));
    let pixels = pixels.iter().map(|name| format!(", 2 AS {name}"));
    let query = format!("SELECT 1 AS label{}", pixels.collect::<String>());
    let table = engine.session().sql(&query);
    for rows in [Data::from(&bench.file), Data::from(&table)] {
        let error = refused(rows, 0);
        assert!(
            matches!(&error, Error::InvalidSetting { setting: "partitions", value, .. } if value == "0"),
            "{error}"
        );
    }
    for rows in [Data::from(digits(10_000)), Data::from(&table)] {
        let error = refused(rows, 10_000);
        assert!(
            matches!(
                error,
                Error::Spark(SparkError::TooFewSlots {
                    needed: 10_000,
                    found: 2,
                    ..
                })
            ),
            "{error}"
        );
    }
}

/// The rows of a query in SQL, as text.
fn answer(spark: &SparkSession, query: &str) -> DataFrame {
    frame_from_batches(&spark.sql(query).collect().unwrap(), query).unwrap()
}

#[test]
fn a_transformation_s_rows_stay_on_spark_for_sql_and_as_a_table() {
    let Some(bench) = Bench::new() else { return };
    let session = Session::new(bench.engine());
    let spark = session.spark().unwrap();
    let model = fit(&bench.file, fifty_steps(), &Threads, &Silent).unwrap();
    let expected = model.transform(digits(400)).unwrap();
    let expected = expected.column("prediction").unwrap().i64().unwrap();
    let right = digits(400)
        .column("label")
        .unwrap()
        .u8()
        .unwrap()
        .into_no_null_iter()
        .zip(expected.into_no_null_iter())
        .filter(|(label, prediction)| i64::from(*label) == *prediction)
        .count();

    let path = bench.folder.path().join("digits.parquet");
    let query = format!(
        "SELECT *, timestamp_ntz'2026-01-02 03:04:05' AS taken, timestamp'2026-01-02 03:04:05Z' AS at, \
         named_struct('a b', array(1.5D, null)) AS more FROM parquet.`{}`",
        path.display()
    );
    let chosen = model
        .clone()
        .select(["label", "prediction", "features", "taken", "at", "more"]);
    let on_spark = session
        .transform_on_spark(&chosen, spark.sql(&query))
        .unwrap();
    on_spark.create_or_replace_temp_view("predictions").unwrap();
    let count = "SELECT count(*) AS n, count_if(label = prediction) AS right, \
                 min(typeof(features)) AS features, min(size(features)) AS width, \
                 min(typeof(taken)) AS taken, min(typeof(at)) AS at, min(typeof(more)) AS more, \
                 min(CAST(taken AS STRING)) AS clock, min(CAST(unix_timestamp(at) AS STRING)) AS moment, \
                 min(more.`a b`[0]) AS first FROM predictions";
    let counted = answer(spark, count);
    let row = counted.get(0).unwrap();
    let row: Vec<String> = row
        .iter()
        .map(|value| value.to_string().replace('"', ""))
        .collect();
    assert_eq!(
        row,
        [
            "400",
            &right.to_string(),
            "array<float>",
            "784",
            "timestamp_ntz",
            "timestamp",
            "struct<a b:array<double>>",
            "2026-01-02 03:04:05",
            "1767323045",
            "1.5",
        ]
    );

    // A table of the lake is transformed where it lies.
    let of_file = session
        .transform_on_spark(&model.select(["label", "prediction"]), &bench.file)
        .unwrap();
    of_file
        .write()
        .mode(SaveMode::Overwrite)
        .save_as_table("predicted")
        .unwrap();
    let in_table = answer(
        spark,
        "SELECT count_if(label = prediction) AS n FROM predicted",
    );
    assert_eq!(in_table.get(0).unwrap()[0].to_string(), right.to_string());
    match of_file.write().save_as_table("predicted").unwrap_err() {
        Error::Spark(SparkError::Failed { reason, .. }) => {
            assert!(reason.contains("TABLE_OR_VIEW_ALREADY_EXISTS"), "{reason}")
        }
        other => panic!("{other}"),
    }
    of_file
        .write()
        .mode(SaveMode::Append)
        .save_as_table("predicted")
        .unwrap();
    let twice = answer(spark, "SELECT count(*) AS n FROM predicted");
    assert_eq!(twice.get(0).unwrap()[0].to_string(), "800");
    answer(spark, "DROP TABLE predicted");
}

#[test]
fn rows_that_do_not_fill_the_cluster_are_transformed_and_what_is_wrong_with_them_is_named() {
    let Some(bench) = Bench::new() else { return };
    let session = Session::new(bench.engine());
    let spark = session.spark().unwrap();
    let assembler = VectorAssembler::new().input_cols(["x", "y"]);
    let frame = df!("x" => [1.0, 2.0], "y" => [3.0, 4.0]).unwrap();
    let model = Pipeline::new().stage(assembler).fit(&frame).unwrap();
    let query = |rows: usize| format!("SELECT 1.0D AS x, 2.0D AS y FROM range({rows})");
    for rows in [0, 1] {
        let table = spark.sql(&query(rows));
        let transformed = session.transform(&model, &table).unwrap();
        assert_eq!(transformed.shape(), (rows, 3));
        let on_spark = session.transform_on_spark(&model, &table).unwrap();
        let batches = on_spark.collect().unwrap();
        let counts = batches.iter().map(|batch| batch.num_rows());
        assert_eq!(counts.sum::<usize>(), rows);
    }
    let holes =
        spark.sql("SELECT CAST(id AS DOUBLE) AS x, IF(id = 7, NULL, 1.0D) AS y FROM range(20)");
    let error = session
        .transform_on_spark(&model, &holes)
        .unwrap()
        .collect()
        .unwrap_err();
    match error {
        Error::Job(JobError::InRank { message, .. }) => {
            assert!(
                message.contains("column \"y\": the value is missing"),
                "{message}"
            )
        }
        other => panic!("{other}"),
    }
    let error = session.transform_on_spark(&model, &frame).unwrap_err();
    assert!(error.to_string().contains("in this process"), "{error}");
    let error = Session::threads()
        .transform_on_spark(&model, &frame)
        .unwrap_err();
    assert!(error.to_string().contains("is not on Spark"), "{error}");
}

/// What a session that is warm adds to the work itself: run it alone, on a machine with nothing
/// else to do.
#[test]
#[ignore = "measures: cargo test --test spark_engine warm_session -- --ignored --nocapture"]
fn a_warm_session_transforms_and_fits_without_long_waits() {
    let Some(bench) = Bench::new() else { return };
    let session = Session::new(bench.engine());
    let rows = digits(10_000);
    let pipeline = pipeline(pixel_columns(&digits(1)), fifty_steps());
    let (mut transforms, mut overheads) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let start = Instant::now();
        let model = session.fit(&pipeline, &bench.file).unwrap();
        let trained = model.report().unwrap().seconds;
        overheads.push(start.elapsed().as_secs_f64() - trained);
        let model = model.select(["label", "prediction"]);
        let start = Instant::now();
        assert_eq!(session.transform(&model, &rows).unwrap().height(), 10_000);
        transforms.push(start.elapsed().as_secs_f64());
    }
    // The first of each warms up.
    eprintln!("a fit over its training: {:.2?} s", &overheads[1..]);
    eprintln!(
        "a transformation of 10,000 rows: {:.2?} s",
        &transforms[1..]
    );
}

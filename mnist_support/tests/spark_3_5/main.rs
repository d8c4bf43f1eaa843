//! The function that executors run, on the Python worker of Spark 3.5. `make test-spark SPARK=3.5`
//! installs it. There, only the protocol is left out: no package has that version's Connect server.

#[path = "../common/spark.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use common::{bits, digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    engine::{Engine, Threads},
    lake::{Credentials, Lake},
    ml::PipelineModel,
    spark::{Libtorch, WorkerCommand},
    train::Silent,
    worker::{Answers, Job},
};
use polars::prelude::ParquetWriter;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A Python to run Spark 3.5 with.
struct Python {
    program: PathBuf,
    /// Where PySpark is, unless that Python has it.
    spark_home: Option<PathBuf>,
}

/// Returns Spark 3.5's Python, or the one that `make test-spark SPARK_PYTHON=python3.9` names:
/// here, the session's and the executors' are one. `None`, and says so, where it is not installed.
fn python() -> Option<Python> {
    let own = root().join(".tools/spark_3.5/bin/python");
    if !own.exists() {
        let message =
            b"LEFT OUT: tests on Spark 3.5: `make test-spark SPARK=3.5` installs it and runs them\n";
        std::io::stderr().write_all(message).unwrap();
        return None;
    }
    if env::var("MNIST_SPARK_PYTHON").is_ok_and(|named| !named.is_empty()) {
        const FIND: &str = "import pyspark; print(pyspark.__path__[0])";
        let found = Command::new(own).args(["-c", FIND]).output().unwrap();
        let spark_home = String::from_utf8(found.stdout).unwrap();
        return Some(Python {
            program: cluster::python(),
            spark_home: Some(PathBuf::from(spark_home.trim())),
        });
    }
    Some(Python {
        program: own,
        spark_home: None,
    })
}

/// Runs a command's workers, and returns what Spark said and the rows that they answered.
fn run(python: &Python, folder: &Path, command: &WorkerCommand) -> (Output, Vec<RecordBatch>) {
    let java = Command::new(root().join("mnist_support/scripts/java.sh"))
        .output()
        .unwrap();
    let java = String::from_utf8(java.stdout).unwrap();
    let (pickle, answer) = (folder.join("command.pickle"), folder.join("answer"));
    fs::write(&pickle, command.pickled(2)).unwrap();
    let mut session = Command::new(&python.program);
    session.env_remove("SPARK_HOME").env_remove("PYTHONPATH");
    if let Some(spark_home) = &python.spark_home {
        let libraries = fs::read_dir(spark_home.join("python/lib")).unwrap();
        let libraries = libraries.map(|entry| entry.unwrap().path());
        session
            .env("PYTHONPATH", env::join_paths(libraries).unwrap())
            .env("SPARK_HOME", spark_home);
    }
    let output = session
        .arg(root().join("mnist_support/tests/spark_3_5/session.py"))
        .arg(&pickle)
        .arg("2")
        .arg(&answer)
        .arg(&command.executable)
        .args(&command.files)
        .env("JAVA_HOME", java.trim())
        .env("PYSPARK_PYTHON", &python.program)
        .output()
        .unwrap();
    let rows = File::open(answer).map_or_else(
        |_| Vec::new(),
        |file| {
            let stream = StreamReader::try_new(file, None).unwrap();
            stream.map(|batch| batch.unwrap()).collect()
        },
    );
    (output, rows)
}

/// Returns the worker program with a job, and the libraries that it needs besides libtorch.
fn worker(folder: &Path, job: &Job) -> WorkerCommand {
    let file = folder.join("job.json");
    job.write(&file).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_needed = |path: &&str| path.ends_with("libtch.so") || path.contains("/libstd-");
    let mut libraries: Vec<_> = maps
        .lines()
        .filter_map(|line| line.get(line.find('/')?..))
        .filter(is_needed)
        .collect();
    libraries.dedup();
    let libtorch = root().join("target/x86_64-unknown-linux-gnu/debug/libtorch/lib");
    let command = WorkerCommand::new(env!("CARGO_BIN_EXE_mnist-worker"))
        .argument("--job")
        .argument("job.json")
        .file(file)
        .libtorch(Libtorch::Folder(libtorch.to_str().unwrap().to_owned()));
    libraries.into_iter().fold(command, WorkerCommand::file)
}

/// Returns the model of a fit's answers.
fn model(answers: Answers, folder: &Path) -> PipelineModel {
    let saved = Lake::open(folder.to_str().unwrap(), &Credentials::local())
        .unwrap()
        .folder("model");
    for (name, bytes) in answers.files {
        saved.put(&name, bytes.into()).unwrap();
    }
    PipelineModel::load(&saved).unwrap()
}

#[test]
fn a_fit_in_a_barrier_stage_of_spark_3_5_gives_the_bits_that_threads_give() {
    let Some(python) = python() else { return };
    let folder = TempDir::new().unwrap();
    let file = File::create(folder.path().join("digits.parquet")).unwrap();
    let writer = ParquetWriter::new(file).with_row_group_size(Some(50));
    writer.finish(&mut digits(400)).unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let file = lake.parquet("digits.parquet").unwrap();
    let pipeline = pipeline(pixel_columns(&digits(1)), estimator().iterations(50));

    let command = worker(folder.path(), &Job::fit(&pipeline, &file));
    let (output, rows) = run(&python, folder.path(), &command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let there = model(Answers::collect(&rows, 2).unwrap(), folder.path());
    let here = pipeline.fit_with(&file, &Threads, &Silent).unwrap();
    assert_eq!(bits(&there), bits(&here));
    assert_eq!(
        there.report().unwrap().history,
        here.report().unwrap().history
    );
    assert_eq!(
        Threads
            .transform(&(&file).into(), there.stages(), None)
            .unwrap(),
        Threads
            .transform(&(&file).into(), here.stages(), None)
            .unwrap()
    );
}

#[test]
fn a_libtorch_that_is_missing_on_spark_3_5_is_named() {
    let Some(python) = python() else { return };
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("worker");
    fs::write(&program, "").unwrap();
    let command = WorkerCommand::new(program).libtorch(Libtorch::Folder("/nowhere".to_owned()));
    let (output, rows) = run(&python, folder.path(), &command);
    assert!(!output.status.success() && rows.is_empty());
    let said = String::from_utf8_lossy(&output.stderr);
    let report = said.split_once("mnist-worker-failed ").unwrap().1;
    assert!(
        report.contains("\"world_size\": 2") && report.contains("/nowhere"),
        "{said}"
    );
}

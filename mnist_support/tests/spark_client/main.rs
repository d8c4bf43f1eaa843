//! Worker programs on a Spark cluster with two cores, which the tests start and stop.

#[path = "../common/spark.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod failures;
mod frames;
mod jobs;
mod losses;
mod tls;

use std::{fs, path::Path, sync::MutexGuard};

use arrow_array::{RecordBatch, cast::AsArray, types::Int32Type};
use cluster::Cluster;
use mnist_support::spark::{Libtorch, SparkSession, WorkerCommand};
use serde_json::Value;
use tempfile::TempDir;

/// So short that the stream of every longer job ends early.
const STREAM: &str = "spark.connect.execute.reattachable.senderMaxStreamDuration=5s";

/// The beginning of all workers in these tests: the rows of standard input, and a function to
/// answer.
const WORKER: &str = r#"
import json, os, signal, sys, time
import pyarrow as pa

SCHEMA = pa.schema([("rank", pa.int32()), ("kind", pa.string()), ("json", pa.string()), ("data", pa.binary())])
rank = int(os.environ["RANK"])

def read():
    try:
        return list(pa.ipc.open_stream(sys.stdin.buffer))
    except pa.ArrowInvalid:
        return []

def answer(*rows):
    with pa.ipc.new_stream(sys.stdout.buffer, SCHEMA) as stream:
        for told, data in rows:
            row = {"rank": rank, "kind": "test", "json": json.dumps(told), "data": data}
            stream.write_batch(pa.RecordBatch.from_pylist([row], schema=SCHEMA))
"#;

/// A test's cluster, session and folder.
struct Bench {
    spark: SparkSession,
    folder: TempDir,
    _cluster: MutexGuard<'static, Option<Cluster>>,
}

impl Bench {
    fn new() -> Option<Bench> {
        let cluster = cluster::shared("spark-client-tests", &[STREAM])?;
        let spark = SparkSession::connect(&cluster.as_ref()?.url).unwrap();
        Some(Bench {
            spark,
            folder: TempDir::new().unwrap(),
            _cluster: cluster,
        })
    }

    fn worker(&self, program: &str) -> WorkerCommand {
        worker(self.folder.path(), program)
    }
}

/// Returns a Python program as a worker.
fn worker(folder: &Path, program: &str) -> WorkerCommand {
    let path = folder.join("worker");
    let python = cluster::python();
    fs::write(
        &path,
        format!("#!{}\n{WORKER}\n{program}\n", python.display()),
    )
    .unwrap();
    WorkerCommand::new(path).libtorch(Libtorch::NotNeeded)
}

/// Returns the rank, JSON and data of every row.
fn rows(batches: &[RecordBatch]) -> Vec<(i32, Value, Vec<u8>)> {
    let mut rows = Vec::new();
    for batch in batches {
        let ranks = batch["rank"].as_primitive::<Int32Type>();
        let json = batch["json"].as_string::<i32>();
        let data = batch["data"].as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let told = serde_json::from_str(json.value(row)).unwrap();
            rows.push((ranks.value(row), told, data.value(row).to_vec()));
        }
    }
    rows
}

/// Returns the processes whose IDs workers have left in a folder.
fn processes(folder: &Path) -> Vec<u32> {
    fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_prefix("pid-")?
                .parse()
                .ok()
        })
        .collect()
}

/// Returns a worker that leaves its process ID in a folder and then sleeps.
fn sleeper(folder: &Path) -> String {
    format!(
        "open({:?} + str(os.getpid()), 'w').close()\ntime.sleep(600)",
        folder.join("pid-")
    )
}

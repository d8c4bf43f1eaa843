//! Worker programs on a Spark cluster of two cores, which the tests start and stop.

#[path = "common/spark.rs"]
mod cluster;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::MutexGuard,
    thread,
    time::{Duration, Instant},
};

use arrow_array::{RecordBatch, cast::AsArray, types::Int32Type};
use cluster::{Cluster, runs, until};
use mnist_support::{
    Error,
    spark::{Libtorch, SparkSession, WorkerCommand},
};
use serde_json::Value;
use tempfile::TempDir;

/// So short that every longer job sees its stream end early.
const STREAM: &str = "spark.connect.execute.reattachable.senderMaxStreamDuration=5s";

/// What all workers of these tests begin with: the rows of standard input, and an answer to it.
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

/// A Python program as a worker.
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

/// Rank, JSON and data of every row.
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

/// The processes whose numbers workers have left in a folder.
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

/// A worker that leaves its number in a folder and then sleeps.
fn sleeper(folder: &Path) -> String {
    format!(
        "open({:?} + str(os.getpid()), 'w').close()\ntime.sleep(600)",
        folder.join("pid-")
    )
}

#[test]
fn a_range_gives_each_worker_a_row_and_all_of_them_the_same_meeting_place() {
    let Some(bench) = Bench::new() else { return };
    let command = bench
        .worker(
            "names = ['WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'MNIST_WORKER_ADDR', 'GIVEN']\n\
             rows = [row['id'] for batch in read() for row in batch.to_pylist()]\n\
             answer(([os.environ[name] for name in names] + sys.argv[1:], str(rows).encode()))",
        )
        .argument("an argument")
        .variable("GIVEN", "größe");
    let numbers = bench.spark.range(2).unwrap();
    let mut ports = BTreeSet::new();
    for _ in 0..2 {
        let start = Instant::now();
        let answers = rows(&bench.spark.run_workers(&numbers, 2, &command).unwrap());
        eprintln!("a barrier job: {:.2} s", start.elapsed().as_secs_f64());
        assert_eq!(answers.len(), 2);
        for (rank, (found, told, data)) in answers.iter().enumerate() {
            assert_eq!(*found, rank as i32);
            let port = told[2].as_str().unwrap();
            assert_eq!(
                *told,
                serde_json::json!(["2", "127.0.0.1", port, "127.0.0.1", "größe", "an argument"])
            );
            assert_eq!(*data, format!("[{rank}]").into_bytes());
            ports.insert(port.to_owned());
        }
    }
    assert_eq!(ports.len(), 2, "one port for each job");
}

#[test]
fn many_rows_stream_through_the_workers_and_back() {
    let Some(bench) = Bench::new() else { return };
    // 10,000 rows of 4,708 bytes.
    let frame = bench.spark.sql(
        "SELECT id, CAST(repeat(chr(65 + id % 26), 4700) AS BINARY) AS bytes FROM range(10000)",
    );
    let command = bench.worker(
        "batches = read()\n\
         rows = [(row['id'], row['bytes']) for batch in batches for row in batch.to_pylist()]\n\
         assert all(data == bytes([65 + id % 26]) * 4700 for id, data in rows)\n\
         answer(*((None, b''.join(data for id, data in rows[start:start + 500])) for start in range(0, len(rows), 500)), \
         ([id for id, data in rows], b''))",
    );
    let start = Instant::now();
    let answers = rows(&bench.spark.run_workers(&frame, 2, &command).unwrap());
    eprintln!(
        "47 MB there and back: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let bytes: usize = answers.iter().map(|(_, _, data)| data.len()).sum();
    assert_eq!(bytes, 47_000_000);
    let mut ids = Vec::new();
    for rank in 0..2 {
        let ends: Vec<&Value> = answers
            .iter()
            .filter(|(r, told, _)| *r == rank && told.is_array())
            .map(|(_, told, _)| told)
            .collect();
        let [end] = ends[..] else {
            panic!("rank {rank} has {} last rows", ends.len())
        };
        let mine: Vec<i64> = end
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect();
        assert!(
            (4_900..=5_100).contains(&mine.len()),
            "rank {rank} got {} rows",
            mine.len()
        );
        ids.extend(mine);
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..10_000).collect::<Vec<i64>>());
}

#[test]
fn a_table_s_columns_keep_their_names_and_types_and_no_rows_are_fine() {
    let Some(bench) = Bench::new() else { return };
    let query =
        "SELECT CAST(id AS TINYINT) AS `a.b`, CAST(id AS DOUBLE) AS `back``tick` FROM range(3)";
    bench
        .spark
        .sql("DROP TABLE IF EXISTS odd")
        .collect()
        .unwrap();
    bench
        .spark
        .sql(&format!("CREATE TABLE odd USING parquet AS {query}"))
        .collect()
        .unwrap();
    let table = bench.spark.table("odd");
    assert_eq!(table.columns().unwrap(), ["a.b", "back`tick"]);
    let count: usize = table
        .collect()
        .unwrap()
        .iter()
        .map(RecordBatch::num_rows)
        .sum();
    assert_eq!(count, 3);
    let command = bench.worker(
        "batches = read()\n\
         answer(([str(batch.schema.types) for batch in batches][:1], str(sum(batch.num_rows for batch in batches)).encode()))",
    );
    let answers = rows(&bench.spark.run_workers(&table, 1, &command).unwrap());
    let types = "[DataType(int8), DataType(double)]";
    assert_eq!(answers, [(0, serde_json::json!([types]), b"3".to_vec())]);

    let nothing = bench.spark.sql("SELECT * FROM odd WHERE `a.b` > 100");
    let answers = rows(&bench.spark.run_workers(&nothing, 2, &command).unwrap());
    assert!(
        answers.iter().all(|(_, _, data)| data == b"0"),
        "{answers:?}"
    );
    bench.spark.sql("DROP TABLE odd").collect().unwrap();
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let Some(bench) = Bench::new() else { return };
    let error = bench.spark.table("nowhere").columns().unwrap_err();
    assert!(
        matches!(&error, Error::Spark { reason, .. } if reason.contains("nowhere")),
        "{error}"
    );
}

#[test]
fn a_job_that_outlives_its_stream_comes_to_its_end() {
    let Some(bench) = Bench::new() else { return };
    let command = bench.worker("time.sleep(12)\nanswer((None, b'done'))");
    let start = Instant::now();
    let answers = rows(
        &bench
            .spark
            .run_workers(&bench.spark.range(2).unwrap(), 2, &command)
            .unwrap(),
    );
    assert!(start.elapsed() > Duration::from_secs(12));
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|(_, _, data)| data == b"done"));
}

#[test]
fn without_a_barrier_more_workers_than_cores_run_one_after_another() {
    let Some(bench) = Bench::new() else { return };
    let command = bench
        .worker("answer(('MASTER_PORT' in os.environ, b''))")
        .barrier(false);
    let frame = bench.spark.range(5).unwrap();
    let answers = rows(&bench.spark.run_workers(&frame, 5, &command).unwrap());
    let ranks: Vec<i32> = answers.iter().map(|(rank, _, _)| *rank).collect();
    assert_eq!(ranks, [0, 1, 2, 3, 4]);
    assert!(
        answers
            .iter()
            .all(|(_, told, _)| *told == Value::Bool(false))
    );
}

#[test]
fn a_failed_worker_is_named_and_quoted_at_length() {
    let Some(bench) = Bench::new() else { return };
    // 60 lines of 100 letters are more than the 2 kB that come with a call.
    let command = bench.worker(
        "read()\n\
         if rank == 1:\n    \
             for line in range(60): print(line, 'x' * 100, file=sys.stderr)\n    \
             print('the disk of größe 0 is full', file=sys.stderr)\n    \
             sys.exit(3)\n\
         time.sleep(600)",
    );
    let start = Instant::now();
    let error = bench
        .spark
        .run_workers(&bench.spark.range(2).unwrap(), 2, &command)
        .unwrap_err();
    eprintln!(
        "a failure arrives after {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let Error::CopyFailed {
        rank: 1,
        world_size: 2,
        reason,
    } = error
    else {
        panic!("{error}")
    };
    for part in [
        "exit status 3",
        "\n0 xxx",
        "\n59 xxx",
        "the disk of größe 0 is full",
    ] {
        assert!(reason.contains(part), "{part:?} is not in: {reason}");
    }
}

#[test]
fn a_worker_that_is_killed_and_one_that_says_nothing_are_errors() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(1).unwrap();
    for (program, expected) in [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9 (Killed)"),
        ("", "exit status 0, and its answer could not be read"),
        (
            "print('not Arrow')",
            "exit status 0, and its answer could not be read",
        ),
    ] {
        let error = bench
            .spark
            .run_workers(&frame, 1, &bench.worker(program))
            .unwrap_err();
        assert!(
            matches!(&error, Error::CopyFailed { rank: 0, world_size: 1, reason } if reason.contains(expected)),
            "{error}"
        );
    }
    let error = bench
        .spark
        .run_workers(&frame, 1, &bench.worker("answer()"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::CopyFailed { reason, .. } if reason.contains("without an answer")),
        "{error}"
    );
}

#[test]
fn too_few_cores_for_a_barrier_are_said_at_once() {
    let Some(bench) = Bench::new() else { return };
    assert_eq!(bench.spark.slots().unwrap(), Some(2));
    let start = Instant::now();
    let frame = bench.spark.range(3).unwrap();
    let error = bench
        .spark
        .run_workers(&frame, 3, &bench.worker("answer((1, b''))"))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooFewSlots {
                needed: 3,
                found: 2,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "after {:?}",
        start.elapsed()
    );
}

#[test]
fn another_python_than_the_executors_is_an_error_that_names_both() {
    let Some(bench) = Bench::new() else { return };
    let python = Command::new(cluster::python())
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .unwrap();
    let version = String::from_utf8(python.stdout).unwrap().trim().to_owned();
    let start = Instant::now();
    assert_eq!(bench.spark.python_version().unwrap(), version);
    eprintln!(
        "asking for the executors' Python: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    bench.spark.set_python_version("3.9");
    let frame = bench.spark.range(2).unwrap();
    let error = bench
        .spark
        .run_workers(&frame, 2, &bench.worker("answer((1, b''))"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::PythonMismatch { executors, given, .. } if *executors == version && given == "3.9"),
        "{error}"
    );
}

#[test]
fn libtorch_is_found_or_missed_by_name() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(1).unwrap();
    let command = bench.worker(
        "folders = os.environ['LD_LIBRARY_PATH'].split(':')\n\
         answer((any(os.path.exists(folder + '/libtorch_cpu.so') for folder in folders), b''))",
    );
    let installed = command.clone().libtorch(Libtorch::Installed);
    let answers = rows(&bench.spark.run_workers(&frame, 1, &installed).unwrap());
    assert_eq!(answers[0].1, Value::Bool(true));
    let nowhere = command.libtorch(Libtorch::Folder("/nowhere".to_owned()));
    let error = bench.spark.run_workers(&frame, 1, &nowhere).unwrap_err();
    assert!(
        matches!(&error, Error::CopyFailed { reason, .. } if reason.contains("/nowhere")),
        "{error}"
    );
}

#[test]
fn files_travel_under_their_own_names_and_changed_content_is_sent_anew() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(1).unwrap();
    let file: PathBuf = bench.folder.path().join("lib some.so.1");
    for content in ["first", "other"] {
        fs::write(&file, content).unwrap();
        // The program changes too, under the name that it has.
        let command = bench
            .worker(&format!(
                "answer((open('lib some.so.1').read(), b'{content}'))"
            ))
            .file(&file);
        let answers = rows(&bench.spark.run_workers(&frame, 1, &command).unwrap());
        assert_eq!(
            answers,
            [(0, Value::from(content), content.as_bytes().to_vec())]
        );
    }
    let missing = bench.worker("").file("/nowhere/at all");
    let error = bench.spark.run_workers(&frame, 1, &missing).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if path.ends_with("at all")),
        "{error}"
    );
}

#[test]
fn an_interrupt_ends_the_workers_within_ten_seconds() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder.path();
    let command = bench.worker(&sleeper(folder));
    let frame = bench.spark.range(2).unwrap();
    let (error, gone) = thread::scope(|scope| {
        let run = scope.spawn(|| bench.spark.run_workers(&frame, 2, &command).unwrap_err());
        until(Duration::from_secs(60), "started", || {
            processes(folder).len() == 2
        });
        bench.spark.interrupt().unwrap();
        let gone = until(Duration::from_secs(10), "ended", || {
            !processes(folder).into_iter().any(runs)
        });
        (run.join().unwrap(), gone)
    });
    eprintln!(
        "interrupted workers are gone after {:.2} s",
        gone.as_secs_f64()
    );
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    // The session goes on.
    assert_eq!(bench.spark.slots().unwrap(), Some(2));
}

#[test]
fn a_lost_executor_and_a_server_that_is_gone_are_errors_and_no_hang() {
    // This cluster does not survive: it is this test's own.
    let Some(cluster) = Cluster::start("spark-loss-tests", &[STREAM]) else {
        return;
    };
    assert_eq!(cluster::up(&cluster.folder, &[]), cluster.url, "it is up");
    let spark = SparkSession::connect(&cluster.url).unwrap();
    let frame = spark.range(2).unwrap();
    type Loss = (&'static str, fn(&Cluster));
    let losses: [Loss; 2] = [
        ("an executor", |cluster| {
            let executor = Command::new("pkill")
                .args(["-KILL", "-P", &cluster.process("worker-1").to_string()])
                .status();
            assert!(executor.unwrap().success());
        }),
        ("the server", |cluster| {
            let server = Command::new("kill")
                .args(["-KILL", &cluster.process("server").to_string()])
                .status();
            assert!(server.unwrap().success());
        }),
    ];
    for (what, lose) in losses {
        let folder = TempDir::new().unwrap();
        let command = worker(folder.path(), &sleeper(folder.path()));
        let (error, took) = thread::scope(|scope| {
            let run = scope.spawn(|| spark.run_workers(&frame, 2, &command).unwrap_err());
            until(Duration::from_secs(60), "started", || {
                processes(folder.path()).len() == 2
            });
            let start = Instant::now();
            lose(&cluster);
            (run.join().unwrap(), start.elapsed())
        });
        eprintln!("{what} lost, after {:.2} s: {error}", took.as_secs_f64());
        assert!(took < Duration::from_secs(60), "{took:?}");
        match what {
            "the server" => assert!(matches!(error, Error::Unreachable { .. }), "{error}"),
            _ => assert!(
                matches!(&error, Error::Spark { reason, .. } if reason.contains("xecutor")),
                "{error}"
            ),
        }
        until(Duration::from_secs(30), "ended", || {
            !processes(folder.path()).into_iter().any(runs)
        });
    }
    // What is left of it does not stand in the way of starting it anew.
    let anew = SparkSession::connect(&cluster::up(&cluster.folder, &[])).unwrap();
    assert_eq!(anew.slots().unwrap(), Some(2));
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("sc://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = SparkSession::connect(&url).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Unreachable { .. }), "{text}");
    assert!(
        text.contains(&url) && text.contains("make spark-up"),
        "{text}"
    );
}

#[test]
fn an_address_is_refused_without_showing_its_token() {
    for url in [
        "http://a:1",
        "sc://a:b",
        "sc://a:1/;user_id=me;token=secret",
        "sc://a:1/;token=secret",
    ] {
        let error = SparkSession::connect(url).unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidSetting {
                    setting: "SPARK_REMOTE",
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}

//! Interrupted jobs, and parts of the cluster that disappear.

use std::{
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use mnist_support::{Error, error::SparkError, spark::SparkSession};
use tempfile::TempDir;

use crate::{
    Bench, STREAM,
    cluster::{self, Cluster, runs, until},
    processes, sleeper, worker,
};

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
    // The session is still usable.
    assert_eq!(bench.spark.slots().unwrap(), Some(2));
}

#[test]
fn a_lost_executor_and_a_server_that_is_gone_are_errors_and_no_hang() {
    // This test's own cluster, because it does not survive.
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
            "the server" => assert!(
                matches!(error, Error::Spark(SparkError::Unreachable { .. })),
                "{error}"
            ),
            _ => assert!(
                matches!(&error, Error::Spark(SparkError::ExecutorLost { reason, .. }) if reason.starts_with("executor ")),
                "{error}"
            ),
        }
        until(Duration::from_secs(30), "ended", || {
            !processes(folder.path()).into_iter().any(runs)
        });
    }
    // Its remains do not prevent it from being started again.
    let again = SparkSession::connect(&cluster::up(&cluster.folder, &[])).unwrap();
    assert_eq!(again.slots().unwrap(), Some(2));
}

#[test]
fn a_session_survives_the_server_closing_it_and_a_restart() {
    // The port must be the same when the server comes back.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.unwrap().port();
    let settings = [
        &format!("spark.connect.grpc.binding.port={port}"),
        "spark.connect.session.manager.defaultSessionTimeout=10s",
        "spark.connect.session.manager.maintenanceInterval=1s",
    ];
    let Some(cluster) = Cluster::start("spark-restart-tests", &settings) else {
        return;
    };
    // A first task starts the executors and their Python, for which a busy machine may need longer
    // than the server keeps the session.
    until(Duration::from_secs(120), "started", || {
        SparkSession::connect(&cluster.url)
            .and_then(|spark| spark.python_version())
            .is_ok()
    });
    let spark = SparkSession::connect(&cluster.url).unwrap();
    let frame = spark.range(1).unwrap();
    let folder = TempDir::new().unwrap();
    let command = worker(folder.path(), "answer((open('note').read(), b''))");
    let note = folder.path().join("note");
    std::fs::write(&note, "sent").unwrap();
    let command = command.file(&note);
    let run = || {
        spark
            .run_workers(&frame, 1, &command)
            .map(|rows| rows.len())
    };
    assert_eq!(run().unwrap(), 1);
    // Longer than the server keeps an idle session.
    thread::sleep(Duration::from_secs(15));
    assert_eq!(run().unwrap(), 1);

    let server = Command::new("kill")
        .args(["-KILL", &cluster.process("server").to_string()])
        .status();
    assert!(server.unwrap().success());
    let start = Instant::now();
    let error = run().unwrap_err();
    assert!(
        matches!(error, Error::Spark(SparkError::Unreachable { .. })),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(cluster::up(&cluster.folder, &settings[..1]), cluster.url);
    assert_eq!(run().unwrap(), 1);
}

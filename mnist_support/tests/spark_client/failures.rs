//! Jobs that fail, in the worker or because the executors lack something.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use mnist_support::{
    Error,
    error::{JobError, SparkError},
    spark::{Libtorch, WorkerCommand},
};
use serde_json::Value;

use crate::{Bench, cluster, rows};

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
    let Error::Job(JobError::RankFailed {
        rank: 1,
        world_size: 2,
        reason,
    }) = error
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
            matches!(&error, Error::Job(JobError::RankFailed { rank: 0, world_size: 1, reason }) if reason.contains(expected)),
            "{error}"
        );
    }
    let error = bench
        .spark
        .run_workers(&frame, 1, &bench.worker("answer()"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Job(JobError::RankFailed { reason, .. }) if reason.contains("without an answer")),
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
            Error::Spark(SparkError::TooFewSlots {
                needed: 3,
                found: 2,
                ..
            })
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
    let other = if version == "3.9" { "3.10" } else { "3.9" };
    bench.spark.set_python_version(other);
    let frame = bench.spark.range(2).unwrap();
    let error = bench
        .spark
        .run_workers(&frame, 2, &bench.worker("answer((1, b''))"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Spark(SparkError::PythonMismatch { executors, given, .. }) if *executors == version && given == other),
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
        matches!(&error, Error::Job(JobError::RankFailed { reason, .. }) if reason.contains("/nowhere")),
        "{error}"
    );
}

#[test]
fn another_libtorch_is_named_before_the_barrier_with_the_one_that_is_needed() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(2).unwrap();
    // So that the executors have started.
    bench.spark.python_version().unwrap();
    let torch = bench.folder.path().join("torch");
    std::fs::create_dir_all(torch.join("lib")).unwrap();
    std::fs::write(torch.join("lib/libtorch_cpu.so"), "").unwrap();
    for other in ["2.6.0+cu124", "3.0.0+cpu"] {
        let version = format!("__version__ = '{other}'\n");
        std::fs::write(torch.join("version.py"), version).unwrap();
        let command = bench
            .worker("answer((None, b''))")
            .libtorch(Libtorch::Folder(torch.to_str().unwrap().to_owned()));
        let start = Instant::now();
        let error = bench.spark.run_workers(&frame, 2, &command).unwrap_err();
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "after {:?}",
            start.elapsed()
        );
        let text = error.to_string();
        assert!(
            matches!(error, Error::Spark(SparkError::LibtorchMismatch { .. })),
            "{text}"
        );
        assert!(
            text.contains(other) && text.contains("MNIST_LIBTORCH"),
            "{text}"
        );
    }
}

/// A file that needs another version of a library than there is: a copy of a program in which the
/// name of a version is another.
fn program_of_the_future(folder: &std::path::Path) -> std::path::PathBuf {
    let mut program = std::fs::read("/bin/ls").unwrap();
    let (old, new) = (b"GLIBC_2.34\0", b"GLIBC_9.34\0");
    let places: Vec<usize> = (0..program.len() - old.len())
        .filter(|&at| program[at..].starts_with(old))
        .collect();
    assert!(!places.is_empty());
    // Versions are found by the hash of their name, which stands before it in the same table.
    let hash = |name: &[u8]| {
        let hashed = name.iter().fold(0_u32, |hash, &byte| {
            let hash = (hash << 4).wrapping_add(byte.into());
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        hashed.to_le_bytes()
    };
    let (old_hash, new_hash) = (hash(&old[..10]), hash(&new[..10]));
    for at in places {
        program[at..at + new.len()].copy_from_slice(new);
    }
    let at = (0..program.len()).find(|&at| program[at..].starts_with(&old_hash));
    program[at.unwrap()..][..4].copy_from_slice(&new_hash);
    let path = folder.join("future");
    std::fs::write(&path, program).unwrap();
    path
}

#[test]
fn an_older_glibc_than_the_worker_needs_is_named_before_the_barrier() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(2).unwrap();
    // So that the executors have started.
    bench.spark.python_version().unwrap();
    let command = WorkerCommand::new(program_of_the_future(bench.folder.path()));
    let start = Instant::now();
    let error = bench.spark.run_workers(&frame, 2, &command).unwrap_err();
    assert!(
        matches!(&error, Error::Spark(SparkError::SystemMismatch { needed, found, .. })
            if needed == "GLIBC_9.34" && found.starts_with("glibc 2.")),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

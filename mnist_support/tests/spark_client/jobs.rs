//! Jobs that complete: rows in, rows out.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use mnist_support::{Error, error::SparkError};
use serde_json::Value;

use crate::{Bench, rows};

#[test]
fn a_range_gives_each_worker_a_row_and_all_of_them_the_same_rendezvous() {
    let Some(bench) = Bench::new() else { return };
    let command = bench
        .worker(
            "names = ['WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'MNIST_WORKER_ADDR', 'LOCAL_WORLD_SIZE', 'GIVEN']\n\
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
                serde_json::json!([
                    "2",
                    "127.0.0.1",
                    port,
                    "127.0.0.1",
                    "2",
                    "größe",
                    "an argument"
                ])
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
fn a_missing_table_is_named() {
    let Some(bench) = Bench::new() else { return };
    let error = bench.spark.table("nowhere").columns().unwrap_err();
    assert!(
        matches!(&error, Error::Spark(SparkError::Failed { reason, .. }) if reason.contains("nowhere")),
        "{error}"
    );
}

#[test]
fn a_job_that_outlives_its_stream_completes() {
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
fn files_travel_under_their_own_names_and_changed_content_is_sent_again() {
    let Some(bench) = Bench::new() else { return };
    let frame = bench.spark.range(1).unwrap();
    let file: PathBuf = bench.folder.path().join("lib some.so.1");
    for content in ["first", "other"] {
        fs::write(&file, content).unwrap();
        // The program changes too, under the same name.
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

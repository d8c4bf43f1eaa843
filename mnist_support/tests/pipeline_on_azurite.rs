//! End to end on a real Azurite: rows from a container, a model into it and out again.

mod azurite;
mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use azurite::Azurite;
use common::{digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    Error,
    engine::Threads,
    error::LakeError,
    lake::{Credentials, Lake, LakeFrame},
    ml::PipelineModel,
    train::{Progress, ProgressEvent, Shuffle},
};
use polars::prelude::{DataFrame, ParquetWriter};

fn parquet(rows: &DataFrame, group: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_row_group_size(Some(group))
        .finish(&mut rows.clone())
        .unwrap();
    bytes
}

#[test]
fn a_pipeline_is_fitted_to_a_container_s_file_and_saved_beside_it() {
    let azurite = Azurite::shared();
    let lake = Lake::open("az://pipelines", &Credentials::azurite(azurite.port())).unwrap();
    assert!(lake.create_container().unwrap());
    lake.put("digits.parquet", parquet(&digits(400), 100).into())
        .unwrap();

    let rows = lake.parquet("digits.parquet").unwrap();
    let estimator = estimator().checkpoint_every(10);
    let model = pipeline(pixel_columns(&digits(1)), estimator)
        .run_folder(&lake.folder("runs/first"))
        .fit(&rows)
        .unwrap();
    assert!(lake.folder("runs/first").list().unwrap().is_empty());

    let models = lake.folder("models/digits");
    assert!(matches!(
        PipelineModel::load(&models),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
    model.save(&models).unwrap();
    model.save(&models).unwrap();
    assert_eq!(models.list().unwrap().len(), 3);
    let loaded = PipelineModel::load(&models).unwrap();
    let predicted = |model: &PipelineModel| {
        let frame = model.transform(&rows).unwrap();
        frame.column("prediction").unwrap().clone()
    };
    assert_eq!(predicted(&loaded), predicted(&model));

    let folder = lake.folder("predictions");
    model.transform_to(&rows, &folder).unwrap();
    let first = folder.parquet("part-00000-c00000.parquet").unwrap();
    assert!(first.columns().contains(&"prediction".to_owned()));
}

/// What stands between a store and its clients, and lets so many bytes a second through to them.
struct Narrow {
    port: u16,
    passed: Arc<AtomicU64>,
}

impl Narrow {
    /// Lasts as long as the process.
    fn start(store: u16, bytes_per_second: f64) -> Narrow {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passed, next) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(Mutex::new(Instant::now())),
        );
        let counter = passed.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let store = TcpStream::connect(("127.0.0.1", store)).unwrap();
                let (passed, next) = (counter.clone(), next.clone());
                let (from, to) = (client.try_clone().unwrap(), store.try_clone().unwrap());
                thread::spawn(move || copy(from, to, |_| ()));
                thread::spawn(move || {
                    copy(store, client, |bytes| {
                        passed.fetch_add(bytes as u64, Ordering::Relaxed);
                        let taken = Duration::from_secs_f64(bytes as f64 / bytes_per_second);
                        let mut next = next.lock().unwrap();
                        *next = Instant::now().max(*next) + taken;
                        let until = *next;
                        drop(next);
                        thread::sleep(until.saturating_duration_since(Instant::now()));
                    });
                });
            }
        });
        Narrow { port, passed }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(usize)) {
    let mut buffer = [0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        pass(bytes);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    // The other side may have gone already.
    let _ = to.shutdown(Shutdown::Write);
}

/// When each epoch ended, and how many bytes had passed by then.
struct Epochs {
    iterations: usize,
    passed: Arc<AtomicU64>,
    ends: Mutex<Vec<(Instant, u64)>>,
}

impl Progress for Epochs {
    fn report(&self, event: &ProgressEvent) {
        if let ProgressEvent::Iteration { losses, .. } = event
            && losses.iteration.is_multiple_of(self.iterations)
        {
            let passed = self.passed.load(Ordering::Relaxed);
            self.ends.lock().unwrap().push((Instant::now(), passed));
        }
    }
}

/// Three epochs of the originals' network. Returns the seconds that the last two took together, and
/// how many bytes came meanwhile.
fn epochs(table: &LakeFrame, shuffle: Shuffle, rows: usize, passed: &Arc<AtomicU64>) -> (f64, u64) {
    let iterations = rows / 300;
    let epochs = Epochs {
        iterations,
        passed: passed.clone(),
        ends: Mutex::default(),
    };
    let estimator = estimator()
        .mini_batch(150)
        .iterations(3 * iterations)
        .shuffle(shuffle);
    let pipeline = pipeline(pixel_columns(&digits(1)), estimator);
    pipeline.fit_with(table, &Threads, &epochs).unwrap();
    let ends = epochs.ends.into_inner().unwrap();
    let [(first, before), _, (last, after)] = ends[..] else {
        panic!("{} epochs", ends.len());
    };
    ((last - first).as_secs_f64(), after - before)
}

#[test]
#[ignore = "measures for some minutes, alone on the machine: --nocapture shows what"]
fn after_the_first_epoch_training_does_not_wait_for_a_slow_store() {
    const PARTS: usize = 100;
    const ROWS: usize = 3000;
    let azurite = Azurite::shared();
    let direct = Lake::open("az://slow", &Credentials::azurite(azurite.port())).unwrap();
    assert!(direct.create_container().unwrap());
    let part = parquet(&digits(ROWS), 600);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("table")).unwrap();
    for number in 0..PARTS {
        let name = format!("table/part-{number:05}.parquet");
        direct.put(&name, part.clone().into()).unwrap();
        std::fs::write(folder.path().join(&name), &part).unwrap();
    }
    let narrow = Narrow::start(azurite.port(), 20e6);
    let slow = Lake::open("az://slow", &Credentials::azurite(narrow.port)).unwrap();
    let local = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    for shuffle in [Shuffle::Rows, Shuffle::Blocks] {
        let mut shares = Vec::new();
        for _ in 0..3 {
            let run = |lake: &Lake| {
                let table = lake.parquet("table").unwrap();
                epochs(&table, shuffle, PARTS * ROWS, &narrow.passed)
            };
            let ((seconds, bytes), (undisturbed, _)) = (run(&slow), run(&local));
            println!(
                "{shuffle:?}: {seconds:.1} s for two epochs, {undisturbed:.1} s from a local \
                 folder, {:.1} MB fetched",
                bytes as f64 / 1e6
            );
            shares.push(1.0 - undisturbed / seconds);
        }
        shares.sort_by(f64::total_cmp);
        assert!(
            shares[1] < 0.1,
            "{shuffle:?} waits for {shares:?} of the time"
        );
    }
}

//! Ranks that are processes: `mnist-worker`, started as `torchrun` starts it.

#[path = "common/benchmark_networks.rs"]
mod benchmark_networks;
mod common;
#[path = "common/targets.rs"]
mod targets;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use arrow_ipc::reader::StreamReader;
use common::{bits, digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    Error,
    engine::Threads,
    error::JobError,
    lake::{Credentials, Lake, LakeFrame},
    ml::{PipelineModel, TorchEstimator},
    run::LeaseHolder,
    shard::Data,
    train::{Shuffle, Silent},
    worker::{Answers, Job, Rows},
};
use polars::prelude::ParquetWriter;
use tempfile::TempDir;

struct Setting {
    folder: TempDir,
    frame: LakeFrame,
}

/// Creates a folder with a file of 400 digits.
fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("digits.parquet")).unwrap();
    ParquetWriter::new(file)
        .with_row_group_size(Some(50))
        .finish(&mut digits(400))
        .unwrap();
    let frame = open(folder.path()).parquet("digits.parquet").unwrap();
    Setting { folder, frame }
}

fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap()
}

/// Starts programs without input, whose output is collected.
fn spawn(commands: Vec<Command>) -> Vec<Child> {
    let commands = commands.into_iter();
    commands
        .map(|mut command| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect()
}

fn fifty_steps() -> TorchEstimator {
    estimator()
        .iterations(50)
        .validation_fraction(0.2)
        .validation_every(10)
}

impl Setting {
    fn job(&self, estimator: TorchEstimator) -> Job {
        let run = open(self.folder.path()).folder("run");
        let pipeline = pipeline(pixel_columns(&digits(1)), estimator).run_folder(&run);
        Job::fit(&pipeline, &self.frame)
    }

    /// Starts the ranks of a job on a free port.
    fn start(&self, job: &Job, world_size: usize, arguments: &[&str]) -> Vec<Child> {
        spawn(self.commands(job, world_size, arguments))
    }

    /// How the ranks of a job are started on a free port.
    fn commands(&self, job: &Job, world_size: usize, arguments: &[&str]) -> Vec<Command> {
        let file = self.folder.path().join("job.json");
        job.write(&file).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        (0..world_size)
            .map(|rank| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-worker"));
                command
                    .arg("--job")
                    .arg(&file)
                    .args(arguments)
                    .env("RANK", rank.to_string())
                    .env("WORLD_SIZE", world_size.to_string())
                    .env("MASTER_ADDR", "127.0.0.1")
                    .env("MASTER_PORT", port.to_string());
                command
            })
            .collect()
    }

    fn threads(&self, estimator: TorchEstimator) -> PipelineModel {
        pipeline(pixel_columns(&digits(1)), estimator)
            .fit_with(&self.frame, &Threads, &Silent)
            .unwrap()
    }
}

#[test]
fn three_processes_train_targets_of_every_kind_to_the_bits_of_threads() {
    let mut setting = setting();
    let file = std::fs::File::create(setting.folder.path().join("points.parquet")).unwrap();
    ParquetWriter::new(file)
        .with_row_group_size(Some(50))
        .finish(&mut targets::points())
        .unwrap();
    setting.frame = open(setting.folder.path())
        .parquet("points.parquet")
        .unwrap();
    for (what, estimator) in targets::problems() {
        let run = open(setting.folder.path()).folder("run");
        let pipeline = targets::assembled()
            .stage(estimator.partitions(3))
            .run_folder(&run);
        let job = Job::fit(&pipeline, &setting.frame);
        let answers = answers(setting.start(&job, 3, &[]));
        let processes = model(&answers.unwrap_or_else(|error| panic!("{what}: {error}")));
        let threads = pipeline
            .fit_with(&setting.frame, &Threads, &Silent)
            .unwrap();
        let history = |model: &PipelineModel| model.report().unwrap().history.clone();
        assert_eq!(history(&processes), history(&threads), "{what}");
        let metrics = |model: &PipelineModel| model.report().unwrap().metrics.clone();
        assert_eq!(metrics(&processes), metrics(&threads), "{what}");
        assert_eq!(bits(&processes), bits(&threads), "{what}");
    }
}

#[test]
fn three_processes_train_every_network_of_the_benchmark_to_the_bits_of_threads() {
    let setting = setting();
    for (name, estimator) in benchmark_networks::all() {
        let answers = answers(setting.start(&setting.job(estimator.clone()), 3, &[]));
        let processes = model(&answers.unwrap_or_else(|error| panic!("{name}: {error}")));
        assert_eq!(
            bits(&processes),
            bits(&setting.threads(estimator)),
            "{name}"
        );
    }
}

#[test]
fn processes_validate_with_rows_of_another_file_to_the_bits_of_threads() {
    let mut setting = setting();
    let points = targets::points();
    for (name, mut rows) in [
        ("train", points.slice(0, 300)),
        ("validation", points.slice(300, 2)),
    ] {
        let file = setting.folder.path().join(format!("{name}.parquet"));
        ParquetWriter::new(std::fs::File::create(file).unwrap())
            .with_row_group_size(Some(50))
            .finish(&mut rows)
            .unwrap();
    }
    let lake = open(setting.folder.path());
    let validation = lake.parquet("validation.parquet").unwrap();
    setting.frame = lake.parquet("train.parquet").unwrap();
    let estimator = targets::short(targets::perceptron(2))
        .validation_every(2)
        .partitions(3);
    let pipeline = targets::assembled()
        .stage(estimator)
        .run_folder(&lake.folder("run"));
    let job = Job::fit(&pipeline, &setting.frame).with_validation(&validation);
    let processes = model(&answers(setting.start(&job, 3, &[])).unwrap());
    let data = Data::from(&setting.frame).with_validation(&validation);
    let threads = pipeline.fit_with(data, &Threads, &Silent).unwrap();
    let history = |model: &PipelineModel| model.report().unwrap().history.clone();
    assert_eq!(history(&processes), history(&threads));
    assert_eq!(processes.report().unwrap().validation_rows, 2);
    assert_eq!(bits(&processes), bits(&threads));
}

#[test]
fn processes_that_read_blocks_in_every_epoch_train_to_the_bits_of_threads() {
    let setting = setting();
    let estimator = fifty_steps().shuffle(Shuffle::Blocks).partitions(3);
    let answers = answers(setting.start(&setting.job(estimator.clone()), 3, &[]));
    let processes = model(&answers.unwrap());
    let threads = setting.threads(estimator);
    let history = |model: &PipelineModel| model.report().unwrap().history.clone();
    assert_eq!(history(&processes), history(&threads));
    assert_eq!(bits(&processes), bits(&threads));
}

#[test]
fn processes_whose_parts_are_dealt_anew_train_to_the_bits_of_threads() {
    let setting = setting();
    let kept = fifty_steps().partitions(3);
    let estimator = kept.clone().partition_shuffles(2);
    let answers = answers(setting.start(&setting.job(estimator.clone()), 3, &[]));
    let processes = model(&answers.unwrap());
    assert_eq!(bits(&processes), bits(&setting.threads(estimator)));
    assert_ne!(bits(&processes), bits(&setting.threads(kept)));
}

/// Returns the ranks' answers once all have exited.
fn answers(processes: Vec<Child>) -> mnist_support::Result<Answers> {
    let count = processes.len();
    let mut batches = Vec::new();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let stream = StreamReader::try_new(&output.stdout[..], None)
            .unwrap_or_else(|error| panic!("{error}: {text}"));
        batches.extend(stream.map(|batch| batch.unwrap()));
    }
    Answers::collect(&batches, count)
}

/// Returns the model in the answers.
fn model(answers: &Answers) -> PipelineModel {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &answers.files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    PipelineModel::load(&open(folder.path())).unwrap()
}

#[test]
fn processes_train_to_the_bits_that_threads_train_to() {
    let setting = setting();
    let threads = setting.threads(fifty_steps());
    let processes = model(&answers(setting.start(&setting.job(fifty_steps()), 2, &[])).unwrap());
    assert_eq!(
        processes.report().unwrap().history,
        threads.report().unwrap().history
    );
    assert_eq!(bits(&processes), bits(&threads));
}

#[test]
fn a_fit_that_nobody_waits_for_saves_its_model() {
    let setting = setting();
    let models: PathBuf = setting.folder.path().join("models/digits");
    let processes = setting.start(
        &setting.job(fifty_steps().verbose(1)),
        2,
        &["--save", models.to_str().unwrap()],
    );
    let mut printed = Vec::new();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        printed.push(String::from_utf8(output.stdout).unwrap());
    }
    assert!(printed[0].contains("iteration 50/50"), "{printed:?}");
    assert!(printed[1].is_empty(), "only rank 0 tells: {printed:?}");
    let saved = PipelineModel::load(&open(&models)).unwrap();
    assert_eq!(bits(&saved), bits(&setting.threads(fifty_steps())));
}

#[test]
fn a_fit_that_ctrl_c_ends_saves_the_model_so_far() {
    let setting = setting();
    let models: PathBuf = setting.folder.path().join("models/digits");
    let endless = fifty_steps().iterations(1_000_000).verbose(2);
    let arguments = ["--save", models.to_str().unwrap()];
    let mut processes = setting.start(&setting.job(endless), 2, &arguments);
    let mut printed = BufReader::new(processes[0].stdout.take().unwrap()).lines();
    printed
        .find(|line| line.as_ref().unwrap().starts_with("iteration"))
        .unwrap()
        .unwrap();
    // To all ranks, as torchrun passes it on.
    let ids = processes.iter().map(|process| process.id().to_string());
    let sent = Command::new("kill").arg("-INT").args(ids).status();
    assert!(sent.unwrap().success());
    let pressed = Instant::now();
    let last = printed.map(Result::unwrap).last().unwrap();
    assert!(
        last.starts_with("stopped on request after iteration"),
        "{last}"
    );
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let took = pressed.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let saved = PipelineModel::load(&open(&models)).unwrap();
    assert!(saved.report().unwrap().interrupted);
}

#[test]
fn a_transformation_needs_no_other_rank() {
    let setting = setting();
    let model = setting.threads(fifty_steps());
    let models = setting.folder.path().join("model");
    model.save(&open(&models)).unwrap();
    let job = Job::Transform {
        model: models.display().to_string(),
        rows: Rows::File(Box::new(setting.frame.source().clone())),
        columns: Some(vec!["label".to_owned(), "prediction".to_owned()]),
        save: None,
    };
    let answers = answers(setting.start(&job, 3, &[])).unwrap();
    let parts: Vec<_> = answers.files.into_values().collect();
    let rows: usize = parts
        .into_iter()
        .map(|part| {
            use polars::prelude::{ParquetReader, SerReader};
            ParquetReader::new(std::io::Cursor::new(part))
                .finish()
                .unwrap()
                .height()
        })
        .sum();
    assert_eq!(rows, 400);
}

/// Waits until the fit has written a checkpoint.
fn wait_for_checkpoint(setting: &Setting) {
    let file = setting
        .folder
        .path()
        .join("run/prediction/checkpoint.safetensors");
    let start = Instant::now();
    while !file.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no checkpoint came"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_process_ends_the_other_and_the_next_start_ends_as_if_nothing_had_happened() {
    let long = || fifty_steps().iterations(800);
    let checkpointed = || long().checkpoint_every(7);
    for victim in [0, 1] {
        let setting = setting();
        let mut processes = setting.start(&setting.job(checkpointed()), 2, &[]);
        wait_for_checkpoint(&setting);
        processes[victim].kill().unwrap();
        let killed = Instant::now();
        let survivor = processes.remove(1 - victim);
        processes.remove(0).wait().unwrap();
        let output = survivor.wait_with_output().unwrap();
        assert!(
            killed.elapsed() < Duration::from_secs(20),
            "the other rank went on waiting"
        );
        let stream = StreamReader::try_new(&output.stdout[..], None).unwrap();
        let batches: Vec<_> = stream.map(|batch| batch.unwrap()).collect();
        assert!(matches!(
            Answers::collect(&batches, 2),
            Err(Error::Job(JobError::InRank { .. }))
        ));

        let resumed = model(&answers(setting.start(&setting.job(checkpointed()), 2, &[])).unwrap());
        let uninterrupted = setting.threads(long());
        assert_eq!(
            resumed.report().unwrap().history,
            uninterrupted.report().unwrap().history
        );
        assert_eq!(bits(&resumed), bits(&uninterrupted));
    }
}

#[test]
fn an_error_of_one_rank_is_the_answer_of_the_job() {
    let setting = setting();
    let job = setting.job(fifty_steps().validation_fraction(1e-6));
    match answers(setting.start(&job, 2, &[])).unwrap_err() {
        Error::Job(JobError::InRank { message, .. }) => {
            assert!(message.contains("validation_fraction"), "{message}")
        }
        other => panic!("{other}"),
    }
}

/// A rank whose folder for temporary files is on a disk of 64 KiB, in a mount namespace of its own;
/// `None` where the user may not make one.
fn on_a_small_disk(process: &Command, folder: &Path) -> Option<Command> {
    const MOUNT: &str = "mount -t tmpfs -o size=64k tmpfs \"$0\" && exec \"$@\"";
    let command = |program: &[&OsStr]| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", MOUNT]).arg(folder);
        command.args(program);
        command
    };
    let can = command(&["true".as_ref()]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        let message = b"LEFT OUT: a full disk: the user may make no namespaces\n";
        std::io::stderr().write_all(message).unwrap();
        return None;
    }
    let program: Vec<&OsStr> = [process.get_program()]
        .into_iter()
        .chain(process.get_args())
        .collect();
    let mut command = command(&program);
    command.envs(
        process
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.env("TMPDIR", folder);
    Some(command)
}

#[test]
fn a_disk_that_is_full_while_features_are_written_to_it_is_named() {
    let setting = setting();
    let estimator = fifty_steps().memory_budget(1 << 10);
    let job = setting.job(estimator.clone());
    let whole = answers(setting.start(&job, 2, &[])).unwrap();
    let small = tempfile::tempdir().unwrap();
    let mut ranks = setting.commands(&job, 2, &[]);
    let Some(full) = on_a_small_disk(&ranks[1], small.path()) else {
        return;
    };
    ranks[1] = full;
    match answers(spawn(ranks)).unwrap_err() {
        Error::Job(JobError::InRank {
            rank: 1, message, ..
        }) => {
            let folder = small.path().display().to_string();
            assert!(
                message.contains("writing features to a file in"),
                "{message}"
            );
            assert!(
                message.contains(&folder) && message.contains("No space left"),
                "{message}"
            );
        }
        other => panic!("{other}"),
    }
    // With room, and with all in memory, it is the same model.
    let in_memory = setting.threads(fifty_steps().partitions(2));
    assert_eq!(bits(&model(&whole)), bits(&in_memory));
}

/// The file without a name that a process writes to below a folder, once it has written some.
#[cfg(target_os = "linux")]
fn spilled_file(process: u32, folder: &Path) -> Option<std::fs::File> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    open.flatten().find_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let file = std::fs::File::open(entry.path()).ok();
        file.filter(|file| {
            target.starts_with(folder) && file.metadata().is_ok_and(|metadata| metadata.len() > 0)
        })
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_rank_killed_while_it_writes_features_to_a_file_leaves_nothing_and_the_next_start_ends_well() {
    const ROWS: usize = 100_000;
    const PARTS: usize = 20;
    let setting = setting();
    // Parts: they are decoded and written one after the other.
    let table = setting.folder.path().join("table");
    std::fs::create_dir(&table).unwrap();
    let mut part = digits(ROWS / PARTS);
    for number in 0..PARTS {
        let file = std::fs::File::create(table.join(format!("part-{number:05}.parquet"))).unwrap();
        ParquetWriter::new(file).finish(&mut part).unwrap();
    }
    let frame = open(setting.folder.path()).parquet("table").unwrap();
    let setting = Setting { frame, ..setting };
    let estimator = estimator().memory_budget(1 << 10);
    let job = setting.job(estimator.clone());
    let whole = (ROWS / 2 * 784) as u64;
    let local = tempfile::tempdir().unwrap();
    // The processor may be busy with others just then: until a rank is seen before it has ended.
    let was_writing = (0..10).any(|_| {
        let mut ranks = setting.commands(&job, 2, &[]);
        ranks.iter_mut().for_each(|rank| {
            rank.env("TMPDIR", local.path());
        });
        let mut processes = spawn(ranks);
        let start = Instant::now();
        let spilled = loop {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "nothing was written"
            );
            match spilled_file(processes[1].id(), local.path()) {
                Some(file) => break file,
                None => thread::sleep(Duration::from_micros(200)),
            }
        };
        processes[1].kill().unwrap();
        processes.remove(1).wait().unwrap();
        let written = spilled.metadata().unwrap().len();
        let error = answers(processes).unwrap_err();
        assert!(
            matches!(error, Error::Job(JobError::InRank { .. })),
            "{error}"
        );
        let left: Vec<_> = std::fs::read_dir(local.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        written < whole
    });
    assert!(was_writing, "no rank was killed while it was writing");
    let model = model(&answers(setting.start(&job, 2, &[])).unwrap());
    assert_eq!(bits(&model), bits(&setting.threads(estimator)));
}

#[test]
fn a_rank_whose_lease_is_not_renewed_ends() {
    let setting = setting();
    let mut job = setting.job(fifty_steps().iterations(1_000_000));
    if let Job::Fit { lease, .. } = &mut job {
        *lease = true;
    }
    // Acquired once, and then dropped.
    let run = open(setting.folder.path()).folder("run");
    drop(LeaseHolder::start(&run).unwrap());
    let start = Instant::now();
    let mut said = Vec::new();
    for mut process in setting.start(&job, 2, &[]) {
        let mut text = String::new();
        process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        process.wait().unwrap();
        said.push(text);
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{said:?}");
    // The other rank may have noticed only that this one was gone.
    assert!(
        said.iter()
            .any(|text| text.contains("has not renewed its lease")),
        "{said:?}"
    );
}

#[test]
fn an_invalid_job_file_and_missing_variables_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    std::fs::write(&file, "{\"Fit\": {}}").unwrap();
    let run = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnist-worker"));
        command
            .arg("--job")
            .arg(file)
            .env_remove("RANK")
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&file).contains("job.json is not a job"));
    assert!(run(&folder.path().join("none.json")).contains("none.json"));
    setting().job(fifty_steps()).write(&file).unwrap();
    assert!(run(&file).contains("RANK"));
}

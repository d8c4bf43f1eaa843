//! Runs ranks as processes on the executors of a Spark cluster.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use polars::prelude::DataFrame;
use tempfile::TempDir;

use super::{Engine, with_restarts};
use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt::{self, Interrupt},
    lake::{Credentials, FileSource, Lake, LakeFrame, columns_among, stack},
    program::{
        self, FitSpec,
        parts::{check_empty, from_parquet, or_remove_parts, to_parquet},
    },
    run::{
        LeaseHolder, ProgressReader, ROWS_FILE, Run, StopFile, VALIDATION_FILE, remove_leftovers,
    },
    shard::{Data, Shard, frame_from_batches},
    spark::{Libtorch, SparkFrame, SparkSession, SparkType, WorkerCommand},
    stages::{self, FitContext, StageModel},
    train::{Progress, ProgressEvent},
    worker::{Answers, Job, Rows},
};

const WORKER: &str = "mnist-worker";
/// Names the worker program, if it is not this workspace's.
const WORKER_VARIABLE: &str = "MNIST_WORKER";
/// Names the executors' libtorch folder, if libtorch is not in their Python's torch package.
const LIBTORCH_VARIABLE: &str = "MNIST_LIBTORCH";
/// How often the run's folder is polled for progress events.
const PROGRESS_POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How often the watch checks whether the fit was asked to stop.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs each rank as a process on an executor: a fit as a barrier stage whose ranks communicate
/// over Gloo, a transformation as a map.
#[derive(Clone, Debug)]
pub struct Spark {
    session: SparkSession,
    worker: PathBuf,
}

impl Spark {
    /// Connects to the Spark Connect server at `sc://host:port`.
    ///
    /// # Errors
    /// [`SparkError::Unreachable`](crate::error::SparkError::Unreachable) if no server answers;
    /// [`LakeError::NotFound`] without the worker program.
    pub fn connect(url: &str) -> Result<Self> {
        Self::on(SparkSession::connect(url)?)
    }

    /// Uses an existing session, such as that of a [`SparkFrame`].
    ///
    /// # Errors
    /// [`LakeError::NotFound`] without the worker program.
    pub fn on(session: SparkSession) -> Result<Self> {
        Ok(Spark {
            session,
            worker: worker_program()?,
        })
    }

    /// The session, for its tables and queries.
    pub fn session(&self) -> &SparkSession {
        &self.session
    }

    /// Adds the columns of `models` to `data` as [`transform`](Engine::transform) does, but leaves
    /// the rows on the cluster; see
    /// [`PipelineModel::transform_on_spark`](crate::ml::PipelineModel::transform_on_spark).
    ///
    /// # Errors
    /// Those of `transform_on_spark`.
    pub fn transform_frame(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
    ) -> Result<SparkFrame> {
        const FOLDER: &str = "rows";
        let world_size = self.transform_world_size(data)?;
        let (frame, rows) = match (data.downcast_ref::<SparkFrame>(), data.file()) {
            (None, Some(file)) => (
                self.session.range(world_size)?,
                Rows::File(Box::new(file.clone())),
            ),
            (Some(frame), _) => (frame.clone(), streamed(frame)),
            (None, None) => {
                return Err(Error::InvalidSetting {
                    setting: "data",
                    value: data.name(),
                    reason: "is in this process: what stays on Spark is made of the session's \
                             tables and of the lake's"
                        .to_owned(),
                });
            }
        };
        let types = program::transform(&without_rows(data)?, models, columns)?;
        let result = columns_on_spark(&types, data)?;
        let folder = temporary_folder()?;
        let files = save_models(models, &folder)?;
        let job = transform_job(rows, columns, Some(FOLDER));
        let command = self.command(&job, &files, &folder)?;
        let names = types.get_column_names();
        let result: Vec<(&str, SparkType)> = names
            .into_iter()
            .map(|name| name.as_str())
            .zip(result)
            .collect();
        self.session
            .map_in_workers(&frame, world_size, &command, FOLDER, &result)
    }

    /// Returns what Spark streams to the workers, and where they read their rows: all columns, or
    /// at least those of `columns` that there are.
    fn rows(
        &self,
        data: &Data,
        columns: Option<&[String]>,
        world_size: usize,
        run: &Lake,
    ) -> Result<(SparkFrame, Rows)> {
        if let Some(frame) = data.downcast_ref::<SparkFrame>() {
            let rows = streamed(frame);
            let frame = match columns {
                Some(wanted) => frame.select(columns_among(&frame.columns()?, wanted)),
                None => frame.clone(),
            };
            return Ok((frame, rows));
        }
        let file = file(data, columns, run, ROWS_FILE)?;
        Ok((self.session.range(world_size)?, Rows::File(Box::new(file))))
    }

    fn run_job(
        &self,
        frame: &SparkFrame,
        world_size: usize,
        job: &Job,
        files: &[PathBuf],
        tag: Option<&str>,
    ) -> Result<Answers> {
        let folder = temporary_folder()?;
        let mut command = self.command(job, files, &folder)?;
        command.tag = tag.map(str::to_owned);
        let answers = self.session.run_workers(frame, world_size, &command)?;
        Answers::collect(&answers, world_size)
    }

    /// Returns the worker's command for a job, which is written to `folder` to be sent from there.
    fn command(&self, job: &Job, files: &[PathBuf], folder: &TempDir) -> Result<WorkerCommand> {
        const FILE: &str = "job.json";
        job.write(&folder.path().join(FILE))?;
        let mut command = WorkerCommand::new(&self.worker)
            .argument("--job")
            .argument(FILE)
            .file(folder.path().join(FILE))
            .barrier(matches!(job, Job::Fit { .. }));
        for file in files.iter().chain(&loaded_libraries()?) {
            command = command.file(file);
        }
        if let Ok(folder) = env::var(LIBTORCH_VARIABLE) {
            command = command.libtorch(Libtorch::Folder(folder));
        }
        Ok(command)
    }

    /// How many ranks transform `data`.
    fn transform_world_size(&self, data: &Data) -> Result<usize> {
        match streams(data) {
            true => Ok(self.default_parallelism()),
            false => Ok(data.shards_at_most(self.default_parallelism())?.len()),
        }
    }
}

impl Engine for Spark {
    fn default_parallelism(&self) -> usize {
        // A server that does not report its cores says so again when they are needed.
        self.session.slots().ok().flatten().unwrap_or(2).max(1)
    }

    fn fit(
        &self,
        data: &Data,
        world_size: usize,
        spec: &FitSpec,
        context: FitContext<'_>,
    ) -> Result<Vec<StageModel>> {
        // Having more ranks than rows is detected here, not on the executors.
        match streams(data) {
            true => spec.check_deals_nothing(&data.name())?,
            false => drop(spec.shards(data, world_size)?),
        }
        let own = context.run_folder.is_none().then(Run::new).transpose()?;
        let run = own.as_ref().map(Run::folder).or(context.run_folder);
        let run = run.expect("a run is created if none is given");
        remove_leftovers(run)?;
        let columns = spec.input_cols();
        let (frame, rows) = self.rows(data, Some(&columns), world_size, run)?;
        let validation = match data.validation() {
            None => None,
            Some(data) => {
                let file = file(&data, Some(&columns), run, VALIDATION_FILE)?;
                Some(Rows::File(Box::new(file)))
            }
        };
        let _lease = LeaseHolder::start(run)?;
        let stop = StopFile::new(run);
        let tag = next_tag();
        let mut attempt = 0;
        let answers = with_restarts(spec, context, || {
            interrupt::check("the fit at", self.session.url())?;
            if attempt > 0 {
                self.session.wait_for_slots(world_size)?;
            }
            let job = Job::Fit {
                spec: spec.clone(),
                rows: rows.clone(),
                validation: validation.clone(),
                run_folder: Some(run.url().to_owned()),
                attempt,
                lease: true,
            };
            let watch = Watch {
                events: ProgressReader::new(run, attempt),
                progress: context.progress,
                interrupt: context.interrupt,
                stop: &stop,
                session: &self.session,
                tag: &tag,
            };
            attempt += 1;
            watch.during(|| self.run_job(&frame, world_size, &job, &[], Some(&tag)))
        })?;
        // The result of a stopped fit is still collected.
        let _shield = interrupt::shield();
        let models = load_models(answers.files)?;
        if let Some(own) = own {
            own.finish()?;
        }
        Ok(models)
    }

    fn transform(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
    ) -> Result<DataFrame> {
        let answers = self.transform_parts(data, models, columns, None)?;
        let parts = answers.files.into_values().map(from_parquet);
        match stack(parts.collect::<Result<Vec<_>>>()?, &data.name())? {
            Some(whole) => Ok(whole),
            // No task has received a row.
            None => program::transform(&without_rows(data)?, models, columns),
        }
    }

    fn transform_to(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
        folder: &Lake,
    ) -> Result<()> {
        check_empty(folder)?;
        let written = self.transform_parts(data, models, columns, Some(folder));
        or_remove_parts(written.map(drop), folder)
    }
}

impl Spark {
    /// Runs a map without a barrier: each rank returns its rows, or writes them to `save`.
    fn transform_parts(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
        save: Option<&Lake>,
    ) -> Result<Answers> {
        let world_size = self.transform_world_size(data)?;
        let run = Run::new()?;
        let (frame, rows) = self.rows(data, None, world_size, run.folder())?;
        let folder = temporary_folder()?;
        let files = save_models(models, &folder)?;
        let job = transform_job(rows, columns, save.map(Lake::url));
        let answers = self.run_job(&frame, world_size, &job, &files, None)?;
        run.finish()?;
        Ok(answers)
    }
}

/// Runs beside a fit on the cluster: forwards progress events to the user, and a stop request to
/// the ranks.
struct Watch<'a> {
    events: ProgressReader,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
    stop: &'a StopFile,
    session: &'a SparkSession,
    /// Identifies this fit among others that may run in the session.
    tag: &'a str,
}

impl Watch<'_> {
    /// Watches while `job` runs.
    fn during<T>(mut self, job: impl FnOnce() -> Result<T>) -> Result<T> {
        let (done, waiting) = channel::<()>();
        thread::scope(|scope| {
            let watching = scope.spawn(move || self.watch(&waiting));
            let result = {
                // The ranks stop by themselves and answer with what they have.
                let _shield = interrupt::shield();
                job()
            };
            drop(done);
            let watched = watching
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let result = result?;
            watched?;
            Ok(result)
        })
    }

    fn watch(&mut self, done: &Receiver<()>) -> Result<()> {
        let _shield = interrupt::shield();
        let (mut trains, mut asked, mut looked) = (false, false, Instant::now());
        loop {
            let ended = done.recv_timeout(STOP_POLL_INTERVAL) != Err(RecvTimeoutError::Timeout);
            let ask = self.interrupt.is_requested() && !asked && !ended;
            // Read the events once more before stopping: the ranks may have started to train.
            if ended || ask || looked.elapsed() >= PROGRESS_POLL_INTERVAL {
                looked = Instant::now();
                for event in self.events.take()? {
                    trains |= matches!(event, ProgressEvent::Started { .. });
                    self.progress.report(&event);
                }
            }
            if ended {
                return Ok(());
            }
            if ask && trains {
                asked = true;
                self.stop.write()?;
            } else if ask {
                // Repeat until the job is gone: it may not have reached the server yet.
                self.session.interrupt_tag(self.tag)?;
            }
        }
    }
}

/// Returns a file in the lake with the rows: their own, or one with this name in the run's folder.
fn file(data: &Data, columns: Option<&[String]>, run: &Lake, name: &str) -> Result<FileSource> {
    if let Some(file) = data.file() {
        return Ok(file.clone());
    }
    let mut frame = data.collect()?;
    if let Some(wanted) = columns {
        let names: Vec<String> = frame
            .get_column_names()
            .iter()
            .map(ToString::to_string)
            .collect();
        frame = frame
            .select(columns_among(&names, wanted))
            .map_err(TableError::about(data.name()))?;
    }
    run.put(name, Bytes::from(to_parquet(&frame)?))?;
    Ok(run.parquet(name)?.source().clone())
}

/// Returns a tag for one fit of this process.
fn next_tag() -> String {
    static FITS: AtomicU64 = AtomicU64::new(0);
    format!("fit-{}", FITS.fetch_add(1, Ordering::Relaxed))
}

/// Whether the rows are on the cluster, which then streams them to the ranks.
fn streams(data: &Data) -> bool {
    data.downcast_ref::<SparkFrame>().is_some()
}

/// Returns the job of transforming rows with the fitted stages that are sent beside it.
fn transform_job(rows: Rows, columns: Option<&[String]>, save: Option<&str>) -> Job {
    Job::Transform {
        model: ".".to_owned(),
        rows,
        columns: columns.map(<[String]>::to_vec),
        save: save.map(str::to_owned),
    }
}

/// How the rows of a frame reach the ranks.
fn streamed(frame: &SparkFrame) -> Rows {
    Rows::Stdin {
        name: frame.name().to_owned(),
    }
}

/// Returns the columns of rows on the cluster or in the lake, without rows.
fn without_rows(data: &Data) -> Result<Shard> {
    let frame = if let Some(frame) = data.downcast_ref::<SparkFrame>() {
        frame_from_batches(&frame.limit(0).collect()?, frame.name())?
    } else if let Some(file) = data.downcast_ref::<LakeFrame>() {
        file.head(1)?.clear()
    } else {
        data.collect()?.clear()
    };
    Ok(Shard::rows(data.name(), frame, 0))
}

/// Returns Spark's types for the columns of a transformation of `data`.
fn columns_on_spark(result: &DataFrame, data: &Data) -> Result<Vec<SparkType>> {
    let frame = data.downcast_ref::<SparkFrame>();
    let without_zone = frame.map(SparkFrame::timestamps_without_zone).transpose()?;
    let columns = result.columns().iter().map(|column| {
        let name = column.name().as_str();
        if without_zone.iter().flatten().any(|kept| kept == name) {
            return Ok(SparkType::named("timestamp_ntz"));
        }
        SparkType::of(column.dtype()).ok_or_else(|| {
            Error::Table(TableError::ColumnType {
                table: data.name(),
                column: name.to_owned(),
                found: column.dtype().to_string(),
                expected: "a type that Spark has".to_owned(),
            })
        })
    });
    columns.collect()
}

/// Writes the fitted stages to files in a local folder, and returns their paths.
fn save_models(models: &[StageModel], folder: &TempDir) -> Result<Vec<PathBuf>> {
    let local = Lake::open(&folder.path().to_string_lossy(), &Credentials::local())?;
    stages::save(models, &local)?;
    let names = local.list()?;
    Ok(names.iter().map(|name| folder.path().join(name)).collect())
}

/// Loads the fitted stages from their files.
fn load_models(files: BTreeMap<String, Vec<u8>>) -> Result<Vec<StageModel>> {
    let folder = temporary_folder()?;
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).map_err(|source| Error::Io {
            operation: "writing",
            path,
            source,
        })?;
    }
    stages::load(&Lake::open(
        &folder.path().to_string_lossy(),
        &Credentials::local(),
    )?)
}

/// Returns the worker program: the one that the environment names, or the one that this workspace
/// has built.
fn worker_program() -> Result<PathBuf> {
    if let Some(program) = env::var_os(WORKER_VARIABLE) {
        return Ok(PathBuf::from(program));
    }
    const BUILT: &str = "target/x86_64-unknown-linux-gnu/debug";
    let here = env::current_dir().unwrap_or_default();
    here.ancestors()
        .map(|folder| folder.join(BUILT).join(WORKER))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            Error::Lake(LakeError::NotFound {
                url: format!("{BUILT}/{WORKER}"),
                hint: format!(
                    "build it with `cargo build --bin {WORKER}`, or name it in {WORKER_VARIABLE}"
                ),
            })
        })
}

/// Returns the shared libraries that the worker needs besides libtorch. This process has loaded the
/// same ones.
fn loaded_libraries() -> Result<Vec<PathBuf>> {
    let path = Path::new("/proc/self/maps");
    let maps = fs::read_to_string(path).map_err(|source| Error::Io {
        operation: "reading",
        path: path.to_owned(),
        source,
    })?;
    let mut libraries: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "libtch.so" || (name.starts_with("libstd-") && name.ends_with(".so"))
        })
        .collect();
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

fn temporary_folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|source| Error::Io {
        operation: "making a folder below",
        path: env::temp_dir(),
        source,
    })
}

//! Programs that run on the executors.

use std::{collections::BTreeMap, path::PathBuf};

use arrow_array::{Int32Array, RecordBatch, cast::AsArray, types::Int32Type};
use spark_connect_proto as proto;

use super::{
    artifact, execution,
    frame::{SparkFrame, partition_count},
    job::{Job, SOURCE, file_name},
    pickle::{self, Columns},
    plan,
    session::SparkSession,
    types::SparkType,
};
use crate::{Error, Result, error::JobError, worker::COLUMNS};

const OPERATION: &str = "running workers at";

/// The columns of the workers' answers.
fn result() -> [(&'static str, SparkType); COLUMNS.len()] {
    COLUMNS.map(|(name, _, spark, _)| (name, SparkType::named(spark)))
}

/// Where a worker finds libtorch on its executor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Libtorch {
    /// In the folder that the executor's environment variable `MNIST_LIBTORCH` names, or else in
    /// its Python's torch package.
    #[default]
    Installed,
    /// In this folder of every executor, or in its subfolder `lib`.
    Folder(String),
    /// The worker does not need it.
    NotNeeded,
}

/// A program to run on executors, once per partition of a frame.
///
/// On its executor, the program gets:
/// - its files, under their own names, in its working directory, which is private and first on
///   `LD_LIBRARY_PATH`, before the folder of libtorch;
/// - the environment variables `RANK` and `WORLD_SIZE`, and with a barrier also `MASTER_ADDR` and
///   `MASTER_PORT` (an address and a free port of rank 0's machine), `MNIST_WORKER_ADDR` (the
///   address by which Spark knows its own machine) and `LOCAL_WORLD_SIZE` (how many ranks have the
///   same one);
/// - on standard input, the partition's rows as an Arrow IPC stream, or nothing at all if there are
///   none. It need not read them.
///
/// On standard output it must write an Arrow IPC stream with the columns `rank: int32`,
/// `kind: utf8`, `json: utf8`, `data: binary` and at least one row, and then exit with status 0.
/// Anything else is an error, which quotes the end of its standard error. It is killed if the job
/// ends early.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The path of the program on this machine. It is sent to the executors.
    pub executable: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables, in addition to the executor's own.
    pub environment: Vec<(String, String)>,
    /// Other files to send, such as shared libraries.
    pub files: Vec<PathBuf>,
    /// Where to find libtorch.
    pub libtorch: Libtorch,
    /// Whether all ranks run at the same time and fail together. Otherwise they run as slots become
    /// free, and Spark retries a failed rank, by default 3 times.
    pub barrier: bool,
    /// Lets [`SparkSession::interrupt_tag`] end these workers and no others of the session.
    pub tag: Option<String>,
}

impl WorkerCommand {
    /// Creates a command with a barrier, an [installed](Libtorch::Installed) libtorch and no
    /// arguments.
    pub fn new(executable: impl Into<PathBuf>) -> WorkerCommand {
        WorkerCommand {
            executable: executable.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
            libtorch: Libtorch::default(),
            barrier: true,
            tag: None,
        }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> WorkerCommand {
        self.arguments.push(argument.into());
        self
    }

    /// Adds an environment variable.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> WorkerCommand {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a file to send.
    pub fn file(mut self, path: impl Into<PathBuf>) -> WorkerCommand {
        self.files.push(path.into());
        self
    }

    /// Sets where to find libtorch.
    pub fn libtorch(mut self, libtorch: Libtorch) -> WorkerCommand {
        self.libtorch = libtorch;
        self
    }

    /// Sets the tag for [`SparkSession::interrupt_tag`].
    pub fn tag(mut self, tag: impl Into<String>) -> WorkerCommand {
        self.tag = Some(tag.into());
        self
    }

    /// Sets whether all ranks run at the same time.
    pub fn barrier(mut self, barrier: bool) -> WorkerCommand {
        self.barrier = barrier;
        self
    }

    /// Returns the function that the executors run, pickled, for a session in which the worker's
    /// files have their own names.
    #[doc(hidden)] // for the test on Spark 3.5, which has no Connect server to send it to
    pub fn pickled(&self, world_size: usize) -> Vec<u8> {
        let files = [&self.executable].into_iter().chain(&self.files);
        let files = files.map(|path| (file_name(path), file_name(path)));
        let job = Job::new(world_size, self, files.collect()).json();
        pickle::command(SOURCE, "run", &job, &result())
    }
}

impl SparkSession {
    /// Divides the rows of `frame` about evenly among `world_size` workers, runs them, and returns
    /// their answers in rank order.
    ///
    /// Rows arrive only when the last worker has ended. Each call runs the workers again.
    ///
    /// # Errors
    /// [`JobError::RankFailed`] names the worker that failed first and quotes it;
    /// [`SparkError::TooFewSlots`](crate::error::SparkError::TooFewSlots) reports at once that a
    /// barrier needs more cores than there are;
    /// [`SparkError::PythonMismatch`](crate::error::SparkError::PythonMismatch) if the executors'
    /// Pythons differ, or another was [set](Self::set_python_version); [`Error::Interrupted`] after
    /// [`interrupt`](Self::interrupt);
    /// [`SparkError::Unreachable`](crate::error::SparkError::Unreachable) if the server is gone;
    /// [`Error::Io`] for a file that cannot be read;
    /// [`SparkError::Failed`](crate::error::SparkError::Failed) for everything else that Spark
    /// reports.
    pub fn run_workers(
        &self,
        frame: &SparkFrame,
        world_size: usize,
        command: &WorkerCommand,
    ) -> Result<Vec<RecordBatch>> {
        partition_count(world_size)?;
        let columns = frame.columns()?;
        if command.barrier {
            self.check_slots(world_size)?;
        }
        let python = self.python_version()?;
        let job = self.job(world_size, command)?;
        if command.barrier {
            self.check_libtorch(&job, &python)?;
        }
        let job = job.json();
        let workers = plan::map_partitions(
            divided(frame, world_size)?,
            &columns,
            plan::PythonFunction {
                source: SOURCE,
                function: "run",
                job: &job,
                python: &python,
                result: &result(),
            },
            command.barrier,
        );
        // Collected directly: any operation above a barrier stage would rerun it when it fails.
        let answers = execution::collect(
            &self.connection,
            OPERATION,
            plan::root(workers),
            command.tag.as_deref(),
            if command.barrier { world_size } else { 1 },
        )?;
        check_ranks(&answers, world_size)?;
        Ok(answers)
    }

    /// Returns a frame of the rows that workers make of those of `frame`: what each of `world_size`
    /// writes to Parquet files in the subfolder `folder` of its working directory, with these
    /// columns. The rows stay on the cluster, and nothing runs before the frame is used. Each use
    /// runs the workers again. There is no barrier.
    ///
    /// # Errors
    /// Those of asking the server and of sending the files. What fails in a worker is an error of
    /// using the frame.
    pub(crate) fn map_in_workers(
        &self,
        frame: &SparkFrame,
        world_size: usize,
        command: &WorkerCommand,
        folder: &str,
        columns: &Columns,
    ) -> Result<SparkFrame> {
        let input = frame.columns()?;
        let python = self.python_version()?;
        let job = self.job(world_size, command)?.with_rows(folder, columns);
        let relation = plan::map_partitions(
            divided(frame, world_size)?,
            &input,
            plan::PythonFunction {
                source: SOURCE,
                function: "transform",
                job: &job.json(),
                python: &python,
                result: columns,
            },
            false,
        );
        Ok(SparkFrame {
            session: self.clone(),
            relation,
            name: format!("what workers made of {}", frame.name()),
            partitions: Some(world_size),
        })
    }

    /// Sends the files and returns the job that describes them.
    fn job<'a>(&self, world_size: usize, command: &'a WorkerCommand) -> Result<Job<'a>> {
        let mut files = BTreeMap::new();
        for path in [&command.executable].into_iter().chain(&command.files) {
            let artifact = artifact::send(&self.connection, path)?;
            if files.insert(file_name(path), artifact).is_some() {
                return Err(Error::InvalidSetting {
                    setting: "files",
                    value: path.display().to_string(),
                    reason: "has the same name as another file of the worker".to_owned(),
                });
            }
        }
        Ok(Job::new(world_size, command, files))
    }
}

/// Divides the rows of a frame about evenly among `world_size` partitions.
fn divided(frame: &SparkFrame, world_size: usize) -> Result<proto::Relation> {
    if frame.partitions == Some(world_size) {
        return Ok(frame.relation.clone());
    }
    let partitions = partition_count(world_size)?;
    Ok(plan::repartition(frame.relation.clone(), partitions))
}

/// Returns an error if a rank did not answer.
fn check_ranks(answers: &[RecordBatch], world_size: usize) -> Result<()> {
    let mut answered = vec![false; world_size];
    for batch in answers {
        let ranks: Option<&Int32Array> = batch
            .column_by_name("rank")
            .and_then(|column| column.as_primitive_opt::<Int32Type>());
        for rank in ranks.into_iter().flat_map(|ranks| ranks.values()) {
            if let Some(answered) = usize::try_from(*rank)
                .ok()
                .and_then(|rank| answered.get_mut(rank))
            {
                *answered = true;
            }
        }
    }
    match answered.iter().position(|answered| !answered) {
        None => Ok(()),
        Some(rank) => Err(Error::Job(JobError::RankFailed {
            rank,
            world_size,
            reason: "it ended without an answer".to_owned(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn answer(ranks: Vec<i32>) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("rank", DataType::Int32, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int32Array::from(ranks))]).unwrap()
    }

    #[test]
    fn a_rank_that_did_not_answer_is_named() {
        assert!(check_ranks(&[answer(vec![1, 1]), answer(vec![0])], 2).is_ok());
        for (answers, missing) in [(vec![answer(vec![0, 2])], 1), (vec![], 0)] {
            let error = check_ranks(&answers, 3).unwrap_err();
            assert!(
                matches!(error, Error::Job(JobError::RankFailed { rank, world_size: 3, .. }) if rank == missing),
                "{error}"
            );
        }
    }
}

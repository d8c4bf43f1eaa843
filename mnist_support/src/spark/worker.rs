//! Programs that run on the executors.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow_array::{Int32Array, RecordBatch, cast::AsArray, types::Int32Type};
use serde::Serialize;

use super::{
    artifact, execution,
    frame::{SparkFrame, partition_count},
    pickle, plan,
    session::SparkSession,
};
use crate::{Error, Result, error::JobError, worker::COLUMNS};

const SOURCE: &str = include_str!("run_worker.py");
const OPERATION: &str = "running workers at";

/// Where a worker finds libtorch on its executor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Libtorch {
    /// In the folder that the executor's environment variable `MNIST_LIBTORCH` names, else in its Python's torch
    /// package.
    #[default]
    Installed,
    /// In this folder of every executor, or in its subfolder `lib`.
    Folder(String),
    /// Nowhere: the worker does without.
    NotNeeded,
}

/// A program to be run on executors, once for each partition of a frame.
///
/// On its executor the program gets:
/// - its files under their own names in its working directory, which is its alone and on `LD_LIBRARY_PATH`,
///   after which stands the folder of libtorch;
/// - in its environment `RANK` and `WORLD_SIZE`, and with a barrier also `MASTER_ADDR` and `MASTER_PORT` (an
///   address and a free port of the machine of rank 0) and `MNIST_WORKER_ADDR`, the address of its own machine
///   by which Spark knows it;
/// - on standard input the partition's rows as an Arrow IPC stream, or nothing at all where there are none. It
///   need not read them.
///
/// It answers on standard output with an Arrow IPC stream of the columns `rank: int32`, `kind: utf8`,
/// `json: utf8`, `data: binary`, of at least one row, and ends with exit status 0. Anything else is an error that
/// quotes the end of its standard error. When the job ends early it is killed.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program's file here; it is sent to the executors.
    pub executable: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment, beside the executor's own.
    pub environment: Vec<(String, String)>,
    /// Other files to send, such as shared libraries.
    pub files: Vec<PathBuf>,
    /// Where it finds libtorch.
    pub libtorch: Libtorch,
    /// Whether all ranks run at the same time and fail together. Without, they run as there is room, and Spark
    /// runs a rank that failed again, by default 3 times.
    pub barrier: bool,
    /// By which [`SparkSession::interrupt_tag`] ends these workers and no others of the session.
    pub tag: Option<String>,
}

impl WorkerCommand {
    /// A program that runs with a barrier, finds libtorch [installed](Libtorch::Installed), and has no arguments.
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

    /// Adds a variable of the environment.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> WorkerCommand {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a file to send.
    pub fn file(mut self, path: impl Into<PathBuf>) -> WorkerCommand {
        self.files.push(path.into());
        self
    }

    /// Says where it finds libtorch.
    pub fn libtorch(mut self, libtorch: Libtorch) -> WorkerCommand {
        self.libtorch = libtorch;
        self
    }

    /// Names these workers for [`SparkSession::interrupt_tag`].
    pub fn tag(mut self, tag: impl Into<String>) -> WorkerCommand {
        self.tag = Some(tag.into());
        self
    }

    /// Says whether all ranks run at the same time.
    pub fn barrier(mut self, barrier: bool) -> WorkerCommand {
        self.barrier = barrier;
        self
    }
}

/// What run_worker.py is told.
#[derive(Serialize)]
struct Job<'a> {
    world_size: usize,
    barrier: bool,
    executable: String,
    arguments: &'a [String],
    environment: BTreeMap<&'a str, &'a str>,
    /// The names of the files, and those of the artifacts that they are.
    files: BTreeMap<String, String>,
    /// The columns of a worker's answer, with pyarrow's names of their types.
    answer: [(&'a str, &'a str); 4],
    /// None: not needed; empty: installed.
    libtorch: Option<&'a str>,
}

impl SparkSession {
    /// Deals the rows of `frame` out to `world_size` workers, about as many to each, runs them, and returns what they
    /// answer, in the order of their ranks.
    ///
    /// The rows arrive when the last worker has ended. Each call runs the workers anew.
    ///
    /// # Errors
    /// [`JobError::RankFailed`](crate::error::JobError::RankFailed) names the worker that failed first and quotes it; [`SparkError::TooFewSlots`](crate::error::SparkError::TooFewSlots) says at once
    /// that a barrier needs more cores than there are; [`SparkError::PythonMismatch`](crate::error::SparkError::PythonMismatch), where executors differ in their
    /// Python or another was [set](Self::set_python_version); [`Error::Interrupted`] after
    /// [`interrupt`](Self::interrupt); [`SparkError::Unreachable`](crate::error::SparkError::Unreachable) where the server is gone; [`Error::Io`] for a file
    /// that can't be read; [`SparkError::Failed`](crate::error::SparkError::Failed) for all else that Spark reports.
    pub fn run_workers(
        &self,
        frame: &SparkFrame,
        world_size: usize,
        command: &WorkerCommand,
    ) -> Result<Vec<RecordBatch>> {
        let partitions = partition_count(world_size)?;
        let columns = frame.columns()?;
        if command.barrier {
            self.check_slots(world_size)?;
        }
        let python = self.python_version()?;
        let job = self.job(world_size, command)?;
        let job = serde_json::to_string(&job).expect("a command is numbers and text");
        let input = if frame.partitions == Some(world_size) {
            frame.relation.clone()
        } else {
            plan::repartition(frame.relation.clone(), partitions)
        };
        let workers = plan::map_partitions(
            input,
            &columns,
            plan::PythonFunction {
                command: pickle::command(SOURCE, "run", &job),
                python: &python,
                output: &COLUMNS
                    .map(|(name, _, sql, _)| format!("{name} {sql}"))
                    .join(", "),
            },
            command.barrier,
        );
        // Collected directly: anything above a barrier would run it again when it fails.
        let answers =
            execution::collect(&self.connection, OPERATION, workers, command.tag.as_deref())?;
        check_ranks(&answers, world_size)?;
        Ok(answers)
    }

    /// Sends the files and says what is to be done with them.
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
        Ok(Job {
            world_size,
            barrier: command.barrier,
            executable: file_name(&command.executable),
            arguments: &command.arguments,
            environment: command
                .environment
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            files,
            answer: COLUMNS.map(|(name, .., pyarrow)| (name, pyarrow)),
            libtorch: match &command.libtorch {
                Libtorch::Installed => Some(""),
                Libtorch::Folder(folder) => Some(folder),
                Libtorch::NotNeeded => None,
            },
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// An error if a rank did not answer.
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

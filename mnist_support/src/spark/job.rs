//! What a task is told: the input of run_worker.py.

use std::{collections::BTreeMap, path::Path};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Field, Schema};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{Libtorch, WorkerCommand, pickle::Columns};
use crate::worker::COLUMNS;

/// What the executors' Python runs.
pub(super) const SOURCE: &str = include_str!("run_worker.py");

/// The input of run_worker.py.
#[derive(Clone, Serialize)]
pub(super) struct Job<'a> {
    world_size: usize,
    barrier: bool,
    executable: String,
    arguments: &'a [String],
    environment: BTreeMap<&'a str, &'a str>,
    /// The artifact of each file, by the file's name.
    files: BTreeMap<String, String>,
    /// The columns of a worker's answer, with pyarrow's type names.
    answer: [(&'a str, &'a str); 4],
    /// Where a worker writes its rows, if they stay on the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<RowFiles<'a>>,
    /// None: not needed; empty: installed.
    pub(super) libtorch: Option<&'a str>,
    /// The version that the worker was built for.
    libtorch_version: &'static str,
}

/// The rows that a worker writes to Parquet files.
#[derive(Clone, Serialize)]
struct RowFiles<'a> {
    /// In the worker's folder.
    folder: &'a str,
    /// An Arrow IPC stream in base64, without rows, that tells the types in which Spark takes them.
    schema: String,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        world_size: usize,
        command: &'a WorkerCommand,
        files: BTreeMap<String, String>,
    ) -> Self {
        Job {
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
            rows: None,
            libtorch: match &command.libtorch {
                Libtorch::Installed => Some(""),
                Libtorch::Folder(folder) => Some(folder),
                Libtorch::NotNeeded => None,
            },
            libtorch_version: env!("LIBTORCH_VERSION"),
        }
    }

    /// The same for a task of its own.
    pub(super) fn without_barrier(mut self) -> Self {
        self.barrier = false;
        self
    }

    /// The same for workers that write rows with these columns to this subfolder.
    pub(super) fn with_rows(mut self, folder: &'a str, columns: &Columns) -> Self {
        self.rows = Some(RowFiles {
            folder,
            schema: BASE64_STANDARD.encode(schema(columns)),
        });
        self
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("a job is numbers and text")
    }
}

/// Returns an Arrow IPC stream with these columns and no rows.
fn schema(columns: &Columns) -> Vec<u8> {
    let fields = columns.iter();
    let fields = fields.map(|(name, dtype)| Field::new(*name, dtype.arrow(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    StreamWriter::try_new(Vec::new(), &schema)
        .and_then(StreamWriter::into_inner)
        .expect("memory takes what is written")
}

/// Returns the name under which a worker finds a file.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn python_3_9_takes_the_grammar_of_what_executors_run() {
        const PARSE: &str = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 9))";
        let mut python = Command::new("python3")
            .args(["-c", PARSE])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = python.stdin.take().unwrap();
        input.write_all(SOURCE.as_bytes()).unwrap();
        drop(input);
        assert!(python.wait().unwrap().success());
    }
}

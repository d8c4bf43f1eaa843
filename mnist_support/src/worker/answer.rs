//! A worker's answer: an Arrow IPC stream on its standard output.
//!
//! Each row has a rank, a kind and, depending on the kind, JSON and bytes. A `file` row holds a
//! chunk of a file, an `error` row why this rank failed, and a `done` row that it succeeded. A file
//! is split into chunks of a few MB, because Spark limits the size of a row.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use arrow_array::{
    Array, BinaryArray, Int32Array, RecordBatch, StringArray, cast::AsArray, types::Int32Type,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    error::{CollectiveError, JobError, TableError},
};

/// The columns of an answer: the name, and what Arrow, Spark and pyarrow call the type.
pub(crate) const COLUMNS: [(&str, DataType, &str, &str); 4] = [
    ("rank", DataType::Int32, "integer", "int32"),
    ("kind", DataType::Utf8, "string", "string"),
    ("json", DataType::Utf8, "string", "string"),
    ("data", DataType::Binary, "binary", "binary"),
];

/// The length of a file's chunk, in bytes.
const CHUNK_BYTES: usize = 4 << 20;

/// How a rank ended, in the JSON of an `error` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The error message.
    pub message: String,
    /// Whether the rank failed only because another rank did.
    pub consequence: bool,
    /// Whether the error is [`TableError::WiderValue`].
    #[serde(default)]
    pub wider_value: bool,
}

#[derive(Serialize, Deserialize)]
struct Part {
    name: String,
    part: usize,
    parts: usize,
}

/// What error messages call the answer.
const ANSWER: &str = "the worker's answer";

/// Writes a worker's answer.
pub(super) struct AnswerWriter<W: Write> {
    rank: i32,
    schema: Arc<Schema>,
    writer: StreamWriter<W>,
}

impl<W: Write> AnswerWriter<W> {
    pub(super) fn new(output: W, rank: usize) -> Result<Self> {
        let columns = COLUMNS.map(|(name, dtype, ..)| Field::new(name, dtype, false));
        let schema = Arc::new(Schema::new(columns.to_vec()));
        Ok(AnswerWriter {
            rank: rank as i32,
            writer: StreamWriter::try_new(output, &schema).map_err(TableError::about(ANSWER))?,
            schema,
        })
    }

    /// Writes a file.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let parts = bytes.len().div_ceil(CHUNK_BYTES).max(1);
        for part in 0..parts {
            let bytes = &bytes[part * CHUNK_BYTES..bytes.len().min((part + 1) * CHUNK_BYTES)];
            let place = Part {
                name: name.to_owned(),
                part,
                parts,
            };
            self.row("file", &place, bytes)?;
        }
        Ok(())
    }

    /// Ends the answer, with the rank's error if there is one.
    pub(super) fn finish(mut self, error: Option<&Error>) -> Result<()> {
        match error {
            None => self.row("done", &(), &[])?,
            Some(error) => {
                let outcome = Outcome {
                    message: error.to_string(),
                    consequence: matches!(
                        error,
                        Error::Collective(CollectiveError::ExchangeAborted { .. })
                    ),
                    wider_value: matches!(error, Error::Table(TableError::WiderValue { .. })),
                };
                self.row("error", &outcome, &[])?;
            }
        }
        self.writer.finish().map_err(TableError::about(ANSWER))
    }

    fn row(&mut self, kind: &str, json: &impl Serialize, data: &[u8]) -> Result<()> {
        let json = serde_json::to_string(json).expect("an answer is numbers and text");
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(Int32Array::from(vec![self.rank])),
            Arc::new(StringArray::from(vec![kind])),
            Arc::new(StringArray::from(vec![json])),
            Arc::new(BinaryArray::from_vec(vec![data])),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .and_then(|row| self.writer.write(&row))
            .map_err(TableError::about(ANSWER))
    }
}

/// The combined answers of all ranks of a job.
#[derive(Debug, Default)]
pub struct Answers {
    /// The files, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Answers {
    /// Combines the ranks' answers.
    ///
    /// # Errors
    /// [`JobError::InRank`] with the error of the rank that failed first; [`JobError::RankFailed`]
    /// if a rank ended without a result, or a chunk of a file is missing.
    pub fn collect(batches: &[RecordBatch], world_size: usize) -> Result<Answers> {
        let mut gathered = Gathered {
            files: BTreeMap::new(),
            ended: vec![false; world_size],
            failures: Vec::new(),
        };
        for row in batches.iter().flat_map(rows) {
            gathered.add(row)?;
        }
        gathered.finish()
    }
}

/// The contents of all ranks' rows so far.
struct Gathered {
    files: BTreeMap<String, Received>,
    /// Whether each rank has reported how it ended.
    ended: Vec<bool>,
    failures: Vec<(usize, Outcome)>,
}

/// The chunks of a rank's file that have arrived, out of `count`.
#[derive(Default)]
struct Received {
    rank: usize,
    count: usize,
    parts: BTreeMap<usize, Vec<u8>>,
}

impl Gathered {
    fn add(&mut self, (rank, kind, json, data): Row) -> Result<()> {
        let unreadable =
            |reason: String| self.failed(rank, &format!("its answer cannot be read: {reason}"));
        let not_json = |error: serde_json::Error| unreadable(error.to_string());
        match kind {
            "file" => {
                let place: Part = serde_json::from_str(json).map_err(not_json)?;
                let file = self.files.entry(place.name).or_default();
                (file.rank, file.count) = (rank, place.parts);
                file.parts.insert(place.part, data.to_vec());
                return Ok(());
            }
            "error" => {
                let outcome = serde_json::from_str(json).map_err(not_json)?;
                self.failures.push((rank, outcome));
            }
            "done" => {}
            other => return Err(unreadable(format!("it holds a row of the kind {other:?}"))),
        }
        if let Some(ended) = self.ended.get_mut(rank) {
            *ended = true;
        }
        Ok(())
    }

    fn finish(self) -> Result<Answers> {
        let failures = self.failures.iter();
        let first = failures.min_by_key(|(rank, outcome)| (outcome.consequence, *rank));
        if let Some((rank, outcome)) = first {
            return Err(Error::Job(JobError::InRank {
                rank: *rank,
                world_size: self.ended.len(),
                message: outcome.message.clone(),
                wider_value: outcome.wider_value,
            }));
        }
        if let Some(rank) = self.ended.iter().position(|ended| !ended) {
            return Err(self.failed(rank, "it ended without saying how"));
        }
        let cut = |file: &&Received| file.parts.len() != file.count;
        if let Some(file) = self.files.values().find(cut) {
            return Err(self.failed(file.rank, "a part of its answer is missing"));
        }
        let files = self.files.into_iter();
        let files = files.map(|(name, file)| (name, file.parts.into_values().flatten().collect()));
        Ok(Answers {
            files: files.collect(),
        })
    }

    fn failed(&self, rank: usize, reason: &str) -> Error {
        Error::Job(JobError::RankFailed {
            rank,
            world_size: self.ended.len(),
            reason: reason.to_owned(),
        })
    }
}

/// A rank, a kind, JSON and bytes.
type Row<'a> = (usize, &'a str, &'a str, &'a [u8]);

/// Returns the rows of a batch with the columns of an answer; none if it has other columns.
fn rows(batch: &RecordBatch) -> Vec<Row<'_>> {
    let column = |name| batch.column_by_name(name);
    let (Some(rank), Some(kind), Some(json), Some(data)) = (
        column("rank").and_then(|column| column.as_primitive_opt::<Int32Type>()),
        column("kind").and_then(|column| column.as_string_opt::<i32>()),
        column("json").and_then(|column| column.as_string_opt::<i32>()),
        column("data").and_then(|column| column.as_binary_opt::<i32>()),
    ) else {
        return Vec::new();
    };
    (0..batch.num_rows())
        .map(|row| {
            (
                rank.value(row).max(0) as usize,
                kind.value(row),
                json.value(row),
                data.value(row),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow_ipc::reader::StreamReader;

    use super::*;
    use crate::error::TrainingError;

    fn answer(rank: usize, files: &[(&str, &[u8])], error: Option<Error>) -> Vec<RecordBatch> {
        let mut bytes = Vec::new();
        let mut writer = AnswerWriter::new(&mut bytes, rank).unwrap();
        for (name, content) in files {
            writer.file(name, content).unwrap();
        }
        writer.finish(error.as_ref()).unwrap();
        StreamReader::try_new(&bytes[..], None)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn large_files_arrive_whole_in_parts_of_a_few_megabytes() {
        let large: Vec<u8> = (0..(9 << 20) + 17).map(|byte| (byte % 251) as u8).collect();
        let first = answer(0, &[("weights", &large), ("empty", b"")], None);
        let parts = first.iter().flat_map(rows).map(|(.., data)| data.len());
        assert_eq!(parts.max(), Some(CHUNK_BYTES));
        let batches = [first, answer(1, &[], None)].concat();
        let answers = Answers::collect(&batches, 2).unwrap();
        assert_eq!(answers.files["weights"], large);
        assert_eq!(answers.files["empty"], b"");
    }

    #[test]
    fn the_error_that_caused_the_others_is_the_one_returned() {
        let aborted = Error::Collective(CollectiveError::ExchangeAborted {
            world_size: 2,
            reason: "gone".to_owned(),
        });
        let cause = Error::Training(TrainingError::Diverged {
            iteration: 3,
            loss: f64::NAN,
        });
        let batches = [answer(0, &[], Some(aborted)), answer(1, &[], Some(cause))].concat();
        match Answers::collect(&batches, 2).unwrap_err() {
            Error::Job(JobError::InRank {
                rank: 1, message, ..
            }) => assert!(message.contains("iteration 3"), "{message}"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_rank_that_did_not_say_how_it_ended_and_a_cut_file_are_errors() {
        let silent = Answers::collect(&answer(0, &[], None), 2);
        assert!(matches!(
            silent,
            Err(Error::Job(JobError::RankFailed { rank: 1, .. }))
        ));
        let mut cut = answer(0, &[("weights", &vec![1; 5 << 20])], None);
        cut.remove(0);
        assert!(matches!(
            Answers::collect(&cut, 1),
            Err(Error::Job(JobError::RankFailed { rank: 0, .. }))
        ));
    }
}

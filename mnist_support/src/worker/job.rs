//! The job of a worker.

use std::{fs, io::Read, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    error::JobError,
    lake::{Credentials, FileSource, LakeFrame},
    program::FitSpec,
    secrets::SecretScope,
    shard::{Data, Shard},
};

/// The secret scope whose credentials a worker uses. Each machine has its own.
pub(super) const SCOPE: &str = "adls";

/// The description of a job, the same for all its ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Job {
    /// A fit, together with the other ranks.
    Fit {
        /// The stages to fit.
        spec: FitSpec,
        /// The rows to fit them to.
        rows: Rows,
        /// The rows to validate with, if they are from another table.
        #[serde(default)]
        validation: Option<Rows>,
        /// The URL of the run's folder, which all ranks can reach, for checkpoints, progress and
        /// the lease.
        #[serde(default)]
        run_folder: Option<String>,
        /// The number of earlier attempts.
        #[serde(default)]
        attempt: usize,
        /// Whether the rank must exit once the lease in the run's folder is no longer renewed.
        #[serde(default)]
        lease: bool,
    },
    /// A transformation of this rank's rows.
    Transform {
        /// The URL or path of the fitted pipeline.
        model: String,
        /// The rows to transform.
        rows: Rows,
        /// The columns to return, if they were selected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Vec<String>>,
        /// The URL of a folder to write the rows to, instead of answering them.
        #[serde(default)]
        save: Option<String>,
    },
}

/// Where a worker's rows come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Rows {
    /// A file in the lake, of which each rank reads its own part.
    File(Box<FileSource>),
    /// An Arrow IPC stream on standard input that holds this rank's rows alone.
    Stdin {
        /// What error messages call the rows.
        name: String,
    },
}

impl Job {
    /// Reads a job from a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`JobError::InvalidJob`] for one that is not a
    /// job.
    pub fn read(path: &Path) -> Result<Job> {
        let text = fs::read(path).map_err(|source| Error::Io {
            operation: "reading the job",
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::Job(JobError::InvalidJob {
                path: path.to_owned(),
                reason: error.into(),
            })
        })
    }

    /// Writes the job to a JSON file, for [`read`](Self::read).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |source| Error::Io {
            operation: "writing the job",
            path: path.to_owned(),
            source,
        };
        let text = serde_json::to_vec_pretty(self).expect("a job is numbers and text");
        fs::write(path, text).map_err(failed)
    }
}

/// Opens a file with this machine's credentials.
fn open(source: &FileSource) -> Result<Data> {
    let credentials = Credentials::from_scope(&SecretScope::open(SCOPE)?)?;
    Ok(LakeFrame::open(source, &credentials)?.into())
}

impl Rows {
    /// Returns the shard of `rank`, if there are enough rows for it to have one. The rows must be
    /// in a file.
    pub(super) fn shard_if_any(&self, rank: usize, world_size: usize) -> Result<Option<Shard>> {
        match self {
            Rows::File(source) => {
                let shards = open(source)?.shards_at_most(world_size)?;
                Ok(shards.into_iter().nth(rank))
            }
            Rows::Stdin { .. } => Ok(None),
        }
    }

    /// Returns the shard of `rank` of those that `split` makes. `input` is read instead if the rows
    /// come from standard input: `None` if there are none, whose columns nobody knows then.
    pub(super) fn shard(
        &self,
        rank: usize,
        world_size: usize,
        input: impl Read + Send + 'static,
        split: impl FnOnce(&Data, usize) -> Result<Vec<Shard>>,
    ) -> Result<Option<Shard>> {
        let shards = match self {
            // The parts depend on the file alone, so every rank computes the same ones.
            Rows::File(source) => split(&open(source)?, world_size)?,
            Rows::Stdin { name } => {
                return Shard::stream(name, input);
            }
        };
        let shard = shards.into_iter().nth(rank);
        shard.map(Some).ok_or_else(|| Error::InvalidSetting {
            setting: "RANK",
            value: rank.to_string(),
            reason: format!("is not below WORLD_SIZE, which is {world_size}"),
        })
    }
}

//! What a worker is to do.

use std::{fs, io::Read, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    error::JobError,
    lake::{Credentials, FileSource, LakeFrame},
    program::FitSpec,
    secrets::SecretScope,
    shard::{Data, Shard, read_frame},
};

/// The secret scope whose credentials a worker uses; each machine has its own.
pub(super) const SCOPE: &str = "adls";

/// What all ranks of a job are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Job {
    /// A fit, together with the other ranks.
    Fit {
        /// The stages.
        spec: FitSpec,
        /// The rows to fit them to.
        rows: Rows,
        /// The URL of the run's folder, which all ranks reach: for checkpoints, progress and the lease.
        #[serde(default)]
        run_folder: Option<String>,
        /// How often the fit was tried before.
        #[serde(default)]
        attempt: usize,
        /// Whether somebody renews a lease in the run's folder, without which the rank is to end.
        #[serde(default)]
        lease: bool,
    },
    /// A transformation of this rank's rows.
    Transform {
        /// The URL or path of the fitted pipeline.
        model: String,
        /// The rows to transform.
        rows: Rows,
        /// The URL of a folder that the rows are written to, rather than answered.
        #[serde(default)]
        save: Option<String>,
    },
}

/// Where a worker's rows come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Rows {
    /// A file in the lake, of which each rank reads its own part.
    File(FileSource),
    /// An Arrow IPC stream on the standard input, which brings this rank's rows alone.
    Stdin {
        /// What errors call them.
        name: String,
    },
}

impl Job {
    /// Reads a job from a file of JSON.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be read, [`JobError::InvalidJob`](crate::error::JobError::InvalidJob) for one that is no job.
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

    /// Writes the job to a file of JSON, for [`read`](Self::read).
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

impl Rows {
    /// The part of `rank`; `input` is read where the rows come from there.
    pub(super) fn shard(&self, rank: usize, world_size: usize, input: impl Read) -> Result<Shard> {
        let shards = match self {
            Rows::File(source) => {
                let credentials = Credentials::from_scope(&SecretScope::open(SCOPE)?)?;
                // Every rank cuts the file alike: the cuts depend on the file alone.
                Data::from(LakeFrame::open(source, &credentials)?).shards(world_size)?
            }
            Rows::Stdin { name } => {
                return Ok(Shard::rows(name, read_frame(input, name)?, 0));
            }
        };
        shards
            .into_iter()
            .nth(rank)
            .ok_or_else(|| Error::InvalidSetting {
                setting: "RANK",
                value: rank.to_string(),
                reason: format!("is not below WORLD_SIZE, which is {world_size}"),
            })
    }
}

//! Checkpoints, from which an interrupted fit resumes.

use std::collections::HashMap;

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Kind;

use super::{
    TrainingSettings,
    state::{Scalars, State},
};
use crate::{
    Error, Network, Result,
    error::{Cause, LakeError, TrainingError},
    interrupt,
    lake::Lake,
    tensor_file,
};

/// The single file in a folder of checkpoints. Each checkpoint atomically replaces the previous
/// one.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// Where and how often a fit writes its state.
///
/// A checkpoint holds the weights and buffers, the optimiser's state, the best weights so far, the
/// losses and the iteration number. A fit that finds a checkpoint of its own in the folder resumes
/// from it, and ends with the same bits as an uninterrupted fit.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: Lake,
    every: usize,
}

/// The metadata of a checkpoint, beside its tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    fit: String,
    #[serde(alias = "numbers")] // as it was called before
    scalars: Scalars,
}

impl Checkpoints {
    /// Writes checkpoints every `every` iterations to `folder`, which all ranks can reach and
    /// nothing else uses.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `every` is 0.
    pub fn new(folder: Lake, every: usize) -> Result<Self> {
        if every == 0 {
            return Err(Error::InvalidSetting {
                setting: "checkpoint_every",
                value: "0".to_owned(),
                reason: "must be at least 1".to_owned(),
            });
        }
        Ok(Checkpoints { folder, every })
    }

    pub(super) fn is_due(&self, iteration: usize) -> bool {
        iteration.is_multiple_of(self.every)
    }

    /// Writes the state of the fit that `fit` identifies.
    pub(super) fn write(&self, fit: &str, state: &State) -> Result<()> {
        // A fit that is being stopped needs this checkpoint most of all.
        let _shield = interrupt::shield();
        let (scalars, tensors) = state.state_dict()?;
        let header = Header {
            fit: fit.to_owned(),
            scalars,
        };
        let header = serde_json::to_string(&header).expect("a state is numbers and text");
        let metadata = HashMap::from([("state".to_owned(), header)]);
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let file = tensor_file::serialize(tensors, Some(metadata))?;
        self.folder.put(CHECKPOINT_FILE, Bytes::from(file))
    }

    /// Loads the state of the last checkpoint, if there is one.
    pub(super) fn read(&self, fit: &str, state: &mut State) -> Result<()> {
        let file = match self.folder.get(CHECKPOINT_FILE) {
            Err(Error::Lake(LakeError::NotFound { .. })) => return Ok(()),
            other => other?,
        };
        let tensors = SafeTensors::deserialize(&file).map_err(|error| self.invalid(error))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&file).map_err(|error| self.invalid(error))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("state"))
            .ok_or_else(|| self.invalid("it does not hold the state of a fit"))?;
        let header: Header = serde_json::from_str(header).map_err(|error| self.invalid(error))?;
        if header.fit != fit {
            return Err(self.invalid(
                "it belongs to a fit with other settings, another network or other rows: \
                 choose another folder, or remove it",
            ));
        }
        state.load_state_dict(header.scalars, |name, like| {
            let view = tensors.tensor(name).map_err(|error| self.invalid(error))?;
            if view.dtype() != Dtype::F32 || view.shape() != [like.numel()] {
                return Err(
                    self.invalid(format!("its tensor {name} has a different shape or type"))
                );
            }
            let tensor = tensor_file::read(&view, Kind::Float)?;
            Ok(tensor.f_to_device(like.device())?)
        })
    }

    fn invalid(&self, reason: impl Into<Cause>) -> Error {
        Error::Training(TrainingError::InvalidCheckpoint {
            url: format!("{}/{CHECKPOINT_FILE}", self.folder),
            reason: reason.into(),
        })
    }
}

/// Identifies a fit by the network, the settings that affect its result, and how the rows are dealt
/// out.
pub(super) fn fit_identity(
    network: &Network,
    settings: &TrainingSettings,
    world_size: usize,
    rows: [usize; 3],
) -> String {
    let settings = TrainingSettings {
        verbose: 0,
        checkpoint_every: None,
        max_restarts: 0,
        ..settings.clone()
    };
    let identity = serde_json::to_vec(&(network, settings, world_size, rows))
        .expect("a network and its settings are numbers and text");
    format!("{:x}", Sha256::digest(identity))
}

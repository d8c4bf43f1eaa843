//! Checkpoints: a fit that ended in the middle goes on where it was.

use std::collections::HashMap;

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::{
    TrainingSettings,
    state::{Scalars, State},
};
use crate::{
    Error, Network, Result,
    error::{LakeError, TrainingError},
    interrupt,
    lake::Lake,
};

/// The one file of a folder of checkpoints; each replaces the former, whole or not at all.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// Where and how often a fit writes its state.
///
/// A checkpoint holds the weights and buffers, the optimiser's state, the best weights so far, the losses and the
/// number of the iteration. A fit that finds one of its own in the folder goes on from there, and ends
/// with the same bits as a fit that was never disturbed.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: Lake,
    every: usize,
}

/// What a checkpoint says of itself besides its tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    fit: String,
    #[serde(alias = "numbers")] // as it was called before
    scalars: Scalars,
}

impl Checkpoints {
    /// Checkpoints in `folder`, a folder of their own that all ranks reach, every `every` iterations.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] where `every` is 0.
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
        // Also, and above all, of a fit that is being stopped.
        let _shield = interrupt::shield();
        let (scalars, tensors) = state.state_dict()?;
        let header = Header {
            fit: fit.to_owned(),
            scalars,
        };
        let header = serde_json::to_string(&header).map_err(|error| self.invalid(error))?;
        let bytes = tensors
            .iter()
            .map(|(name, tensor)| Ok((name, to_bytes(tensor)?, tensor.size()[0] as usize)))
            .collect::<Result<Vec<_>>>()?;
        let views = bytes
            .iter()
            .map(|(name, bytes, length)| {
                let view = TensorView::new(Dtype::F32, vec![*length], bytes);
                Ok((name, view.map_err(|error| self.invalid(error))?))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([("state".to_owned(), header)]);
        let file =
            safetensors::serialize(views, Some(metadata)).map_err(|error| self.invalid(error))?;
        self.folder.put(CHECKPOINT_FILE, Bytes::from(file))
    }

    /// Takes over the state of the last checkpoint, if there is one.
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
            .ok_or_else(|| self.invalid("it holds no state of a fit"))?;
        let header: Header = serde_json::from_str(header).map_err(|error| self.invalid(error))?;
        if header.fit != fit {
            return Err(self.invalid(
                "it belongs to a fit with other settings, another network or other rows: \
                 take another folder, or remove it",
            ));
        }
        state.load_state_dict(header.scalars, |name, like| {
            let view = tensors.tensor(name).map_err(|error| self.invalid(error))?;
            if view.dtype() != Dtype::F32 || view.shape() != [like.numel()] {
                return Err(self.invalid(format!("its tensor {name} has another shape or type")));
            }
            let shape = [like.numel() as i64];
            let tensor = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?;
            Ok(tensor.f_to_device(like.device())?)
        })
    }

    fn invalid(&self, reason: impl ToString) -> Error {
        Error::Training(TrainingError::InvalidCheckpoint {
            url: format!("{}/{CHECKPOINT_FILE}", self.folder),
            reason: reason.to_string(),
        })
    }
}

/// What makes two fits the same one: the network, the settings that decide the result, and how the rows
/// are dealt out.
pub(super) fn fit_identity(
    network: &Network,
    settings: &TrainingSettings,
    world_size: usize,
    rows: [usize; 3],
) -> Result<String> {
    let settings = TrainingSettings {
        verbose: 0,
        checkpoint_every: None,
        max_restarts: 0,
        ..settings.clone()
    };
    let identity = serde_json::to_vec(&(network, settings, world_size, rows)).map_err(|error| {
        Error::InvalidSetting {
            setting: "settings",
            value: "that JSON cannot hold".to_owned(),
            reason: error.to_string(),
        }
    })?;
    Ok(format!("{:x}", Sha256::digest(identity)))
}

fn to_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.f_to_device(Device::Cpu)?;
    let mut bytes = vec![0; 4 * tensor.numel()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

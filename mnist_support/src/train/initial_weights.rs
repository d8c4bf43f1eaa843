//! Weights from which a fit starts.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tch::Tensor;

use crate::{Network, Result, network::read_safetensors};

/// The weights from which a fit starts, in place of random ones: a safetensors file with PyTorch's
/// names, or those of a fitted [`TorchModel`](crate::ml::TorchModel).
///
/// In JSON, it is the file in base64.
#[derive(Clone, PartialEq)]
pub struct InitialWeights(Arc<[u8]>);

impl InitialWeights {
    /// Reads the tensors for `network`.
    ///
    /// # Errors
    /// Those of [`read_safetensors`].
    pub(crate) fn read(&self, network: &Network) -> Result<Vec<Tensor>> {
        read_safetensors(network, &self.0)
    }
}

impl From<Vec<u8>> for InitialWeights {
    fn from(file: Vec<u8>) -> Self {
        InitialWeights(file.into())
    }
}

impl From<Bytes> for InitialWeights {
    fn from(file: Bytes) -> Self {
        InitialWeights(file.as_ref().into())
    }
}

impl fmt::Debug for InitialWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitialWeights({} bytes)", self.0.len())
    }
}

impl Serialize for InitialWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for InitialWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let file = BASE64_STANDARD.decode(text).map_err(de::Error::custom)?;
        Ok(file.into())
    }
}

//! Exchanges that are built from those of a [`Collective`].

use serde::{Serialize, de::DeserializeOwned};
use tch::{Kind, Tensor};

use super::{Collective, ReduceOp};
use crate::{Error, Result, error::CollectiveError};

/// Returns the bytes of every rank, by rank, in every rank. Ranks may give different numbers of
/// bytes, even none.
pub(crate) fn all_gather(bytes: &[u8], collective: &dyn Collective) -> Result<Vec<Vec<u8>>> {
    let (rank, world_size) = (collective.rank(), collective.world_size());
    let mut lengths = vec![0_i64; world_size];
    lengths[rank] = bytes.len() as i64;
    let mut lengths = Tensor::f_from_slice(&lengths)?;
    collective.all_reduce(&mut lengths, ReduceOp::Sum)?;
    let lengths = Vec::<i64>::try_from(&lengths)?;
    let mut gathered = Vec::with_capacity(world_size);
    for (root, &length) in lengths.iter().enumerate() {
        if length == 0 {
            gathered.push(Vec::new());
            continue;
        }
        let mut tensor = match root == rank {
            true => Tensor::f_from_slice(bytes)?,
            false => Tensor::f_zeros([length], (Kind::Uint8, tch::Device::Cpu))?,
        };
        collective.broadcast(&mut tensor, root)?;
        gathered.push(Vec::try_from(&tensor)?);
    }
    Ok(gathered)
}

/// Returns the values of every rank, by rank, in every rank: `torch.distributed`'s
/// `all_gather_object`.
pub(crate) fn all_gather_json<T: Serialize + DeserializeOwned>(
    value: &T,
    collective: &dyn Collective,
) -> Result<Vec<T>> {
    let aborted = |error: serde_json::Error| {
        Error::Collective(CollectiveError::ExchangeAborted {
            world_size: collective.world_size(),
            reason: error.to_string(),
        })
    };
    let bytes = serde_json::to_vec(value).map_err(aborted)?;
    let gathered = all_gather(&bytes, collective)?.into_iter();
    gathered
        .map(|bytes| serde_json::from_slice(&bytes).map_err(aborted))
        .collect()
}

/// Returns the reduction of every rank's numbers.
pub(crate) fn all_reduce_f64(
    values: &[f64],
    operation: ReduceOp,
    collective: &dyn Collective,
) -> Result<Vec<f64>> {
    let mut tensor = Tensor::f_from_slice(values)?;
    collective.all_reduce(&mut tensor, operation)?;
    Ok(Vec::try_from(&tensor)?)
}

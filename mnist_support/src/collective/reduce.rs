//! The one way in which all collectives combine the ranks' tensors.

use tch::Tensor;

use super::ReduceOp;
use crate::Result;

/// Combines the tensors of all ranks, which have one shape and kind, in the order of the ranks.
///
/// Sums of floats depend on the order of their terms. Since every collective adds in this one, a program
/// computes the same bits on threads as on processes.
pub(super) fn reduce_in_order(
    world_size: usize,
    tensor_of: impl Fn(usize) -> Result<Tensor>,
    operation: ReduceOp,
) -> Result<Tensor> {
    let mut result = tensor_of(0)?.f_detach_copy()?;
    for rank in 1..world_size {
        let other = tensor_of(rank)?;
        result = match operation {
            ReduceOp::Sum => result.f_add_(&other)?,
            ReduceOp::Min => result.f_minimum(&other)?,
            ReduceOp::Max => result.f_maximum(&other)?,
        };
    }
    Ok(result)
}

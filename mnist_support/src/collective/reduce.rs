//! The reduction that all collectives share.

use tch::Tensor;

use super::ReduceOp;
use crate::Result;

/// Reduces the tensors of all ranks, which have the same shape and kind, in rank order.
///
/// Floating-point sums depend on the order of their terms. Since every collective adds in this
/// order, a program computes the same bits on threads and on processes.
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

//! Collective communication between the ranks of a program.
//!
//! The names are those of `torch.distributed`. A program written against [`Collective`] runs
//! unchanged on threads, on processes, or alone.

mod gather;
mod gloo;
mod reduce;
#[cfg(test)]
mod suite;
mod threads;

use tch::Tensor;

use crate::Result;
#[cfg(test)]
use gather::all_gather;
pub(crate) use gather::{all_gather_json, all_reduce_f64};
pub use gloo::{Bind, GlooCollective, GlooConfig, StoreHost};
pub use threads::{ThreadCollective, thread_group};

/// How [`Collective::all_reduce`] combines the ranks' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// The sum, added in the order of the ranks, so that every rank gets the same bits.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// One rank's handle to a group of ranks.
///
/// Every rank must call the same methods in the same order, with tensors of the same shape and
/// kind. When a rank fails, leaves, or does not answer within the collective's timeout, the others'
/// calls return
/// [`CollectiveError::ExchangeAborted`](crate::error::CollectiveError::ExchangeAborted) instead of
/// waiting for it.
pub trait Collective {
    /// The rank of this process or thread, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn world_size(&self) -> usize;

    /// Replaces `tensor` with the reduction of all ranks' tensors, the same bits in every rank.
    fn all_reduce(&self, tensor: &mut Tensor, operation: ReduceOp) -> Result<()>;

    /// Replaces `tensor` with that of rank `root`.
    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()>;

    /// Returns once every rank has called it.
    fn barrier(&self) -> Result<()>;
}

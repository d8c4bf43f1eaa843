//! What joins the copies of a program: ranks, and exchanges in which all of them take part.
//!
//! The names are those of `torch.distributed`. A program that is written against [`Collective`] runs
//! unchanged on threads, on processes, or alone.

mod gloo;
mod reduce;
#[cfg(test)]
mod suite;
mod threads;

use tch::Tensor;

use crate::Result;
pub use gloo::{Bind, GlooCollective, GlooConfig, StoreHost};
pub use threads::{ThreadCollective, thread_group};

/// How [`Collective::all_reduce`] combines the copies' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// The sum, added in the order of the ranks, so that every copy gets the same bits.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// One copy's end of a group of copies.
///
/// Every copy must call the same methods in the same order with tensors of the same shape and kind.
/// When a copy fails or leaves, or does not answer in the time that the collective allows, the others' calls end in [`Error::ExchangeAborted`](crate::Error::ExchangeAborted)
/// instead of waiting for it.
pub trait Collective {
    /// This copy's number, from 0.
    fn rank(&self) -> usize;

    /// How many copies there are.
    fn world_size(&self) -> usize;

    /// Replaces `tensor` by the combination of all copies' tensors, the same bits in every copy.
    fn all_reduce(&self, tensor: &mut Tensor, operation: ReduceOp) -> Result<()>;

    /// Replaces `tensor` by that of the copy of rank `root`.
    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()>;

    /// Returns when every copy has called it.
    fn barrier(&self) -> Result<()>;
}

//! Errors of the collective that connects the ranks.

/// Why the ranks could not connect, or did not stay connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// The rendezvous failed: the ranks did not find each other.
    #[error(
        "rank {rank} could not join the rendezvous of {world_size} ranks at {master}: {reason}"
    )]
    Rendezvous {
        rank: usize,
        world_size: usize,
        master: String,
        reason: String,
    },
    /// An exchange was aborted because another rank failed or left.
    #[error("the exchange between {world_size} ranks was aborted: {reason}")]
    ExchangeAborted { world_size: usize, reason: String },
    /// The ranks ended with different weights, though they should be equal bit for bit.
    #[error(
        "the {world_size} ranks ended with different weights: do they all run on the same kind of processor?"
    )]
    WeightsDiffer { world_size: usize },
}

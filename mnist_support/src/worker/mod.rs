//! A rank of a fit or a transformation that is a process of its own: the program `mnist-worker`.
//!
//! A Spark task or `torchrun` starts it, with its rank and the address of the rendezvous in
//! `torch.distributed`'s variables (`RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`), and names
//! a [`Job`]: data in JSON, never code. The rank reads its own part of the rows from the lake, or
//! receives them as an Arrow IPC stream on standard input.

mod answer;
mod job;
mod rank;

pub use crate::shard::frame_from_batches;
pub(crate) use answer::COLUMNS;
pub use answer::{Answers, Outcome};
pub use job::{Job, Rows};
pub use rank::{Output, run};

//! A rank of a fit, or of a transformation, that is a process of its own: the program `mnist-worker`.
//!
//! Whoever starts it, Spark's task or `torchrun`, tells it its rank and where the others are by the
//! variables of `torch.distributed` (`RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`), and names a
//! [`Job`]: data in JSON, never code. The rank reads its own part of the rows from the lake, or gets them
//! as an Arrow IPC stream on its standard input.

mod answer;
mod job;
mod rank;

pub use crate::shard::frame_from_batches;
pub(crate) use answer::COLUMNS;
pub use answer::{Answers, Outcome};
pub use job::{Job, Rows};
pub use rank::{Output, run};

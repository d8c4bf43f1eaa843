//! Trains networks with libtorch on data from a data lake, data-parallel, from a Rust notebook.
//!
//! The modules stand in the order of the data's way: from the lake over shards and features to the
//! training step, and from the weights to predictions.

pub mod error;
pub mod secrets;

pub mod lake;
pub mod mnist;
pub mod shard;
pub mod data;

pub mod network;
pub mod collective;
pub mod train;
pub mod ml;
pub mod engine;

pub mod evaluate;
pub mod traditional;
pub mod display;

pub use error::{Error, Result};
pub use network::{CnnConfig, DropoutMasks, Layer, Network};

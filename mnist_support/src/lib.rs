//! Trains networks with libtorch, data-parallel, on tables: in memory, in a data lake, on a Spark cluster.
//!
//! Who knows SparkML and PyTorch knows most of it. A [`Pipeline`](ml::Pipeline) of stages is fitted to a
//! table and becomes a [`PipelineModel`](ml::PipelineModel), which adds a column of predictions to another;
//! the stage that learns is a [`TorchEstimator`](ml::TorchEstimator), whose [`Network`] is a list of
//! `torch.nn`'s layers.
//!
//! ```
//! use mnist_support::prelude::*;
//!
//! // Points on two circles, one inside the other: a line can't tell them apart.
//! let radius = |point: i32| if point % 2 == 0 { 1.0 } else { 3.0 };
//! let points = df!(
//!     "x" => (0..200).map(|point| radius(point) * (point as f64).cos()).collect::<Vec<_>>(),
//!     "y" => (0..200).map(|point| radius(point) * (point as f64).sin()).collect::<Vec<_>>(),
//!     "label" => (0..200).map(|point| point % 2).collect::<Vec<_>>(),
//! )?;
//!
//! let network = Network::new(&[2], vec![Layer::linear(2, 16), Layer::ReLU, Layer::linear(16, 2)])?;
//! let model = Pipeline::new()
//!     .stage(VectorAssembler::new().input_cols(["x", "y"]).output_col("features"))
//!     .stage(TorchEstimator::new(network).partitions(2).iterations(200).learning_rate(0.01))
//!     .fit(&points)?;
//!
//! let predictions = model.transform(&points)?;
//! let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
//! assert_eq!(accuracy.evaluate(&predictions)?, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The idea
//!
//! A fit is one program that runs in many ranks. [`ml::fit`] takes a [`Shard`](shard::Shard) of the rows, a
//! [`Collective`](collective::Collective) that joins it with the other ranks, and a
//! [`FitSpec`](ml::FitSpec); it returns fitted stages and a report. An [`Engine`](engine::Engine) decides only
//! where the ranks run: on threads of this process, as above, or as processes on Spark's executors. Nothing above
//! an engine knows which one it is, and nothing below the trainer knows what is trained. What crosses from one
//! process to another is data (JSON, safetensors, Arrow), never code. The same rows, seed and number of ranks
//! give the same weights, to the last bit, wherever they run.
//!
//! # Where to go from here
//!
//! - **Your tables.** [`lake::Lake`] opens a folder or a container of Azure Data Lake Storage;
//!   [`Lake::csv`](lake::Lake::csv) and [`Lake::parquet`](lake::Lake::parquet) are tables that no one has read
//!   yet: each rank reads its own part.
//! - **Your network.** [`network`] lists the layers, and [`train::TrainingSettings`] what a fit can be told.
//! - **A Spark cluster.** With `SPARK_REMOTE=sc://HOST:PORT` in the environment the same program runs there;
//!   [`engine::Session`] chooses by code.
//! - **A loop of your own.** [`traditional`] has the classic pieces, a `DataLoader`, `EarlyStopping` and so on,
//!   for a network of tch's `nn` or of this crate; [`train::train`] is the data-parallel loop alone.
//! - **Results.** [`evaluate`] has the metrics, [`display`] the pictures for a notebook.
//! - **Stop.** In a notebook, and with Ctrl-C in a program that calls [`interrupt::install`], a fit ends after
//!   the iteration that runs and returns the model so far.
//! - **Errors.** Every function returns [`Error`], which names the file, row, column, key or layer.

// The floors of the house, from the bottom to the top: a module imports from those above it in this list
// and from none below it. tests/floors.rs fails otherwise.

/// Writes numbers for people.
mod text;

pub mod error;

pub mod interrupt;

/// Waits for requests.
mod runtime;

/// Runs work on several threads.
mod threads;

/// Random streams by seed and purpose.
mod random;

/// Writes a file whole or not at all.
mod partial_file;

/// Finds errors of the C++ below `native/`.
mod native;

/// Tensors to and from safetensors.
mod tensor_file;

pub mod secrets;

pub mod lake;

pub mod shard;

pub mod data;

pub mod network;

pub mod collective;

pub mod train;

mod stages;

mod program;

#[doc(hidden)] // for tests
pub mod run;

#[doc(hidden)] // for the program mnist-worker
pub mod worker;

pub mod spark;

pub mod engine;

pub mod ml;

pub mod evaluate;

pub mod display;

pub mod mnist;

pub mod traditional;

pub mod prelude;

pub use error::{Error, Result};
pub use network::{CnnConfig, DropoutMasks, Layer, Network};
pub use {ndarray, plotters, polars, tch};

//! Data-parallel training of neural networks with libtorch, on tables in memory, in a data lake or
//! on a Spark cluster.
//!
//! If you know SparkML and PyTorch, you know most of this crate. Fitting a
//! [`Pipeline`](ml::Pipeline) of stages to a table gives a [`PipelineModel`](ml::PipelineModel),
//! which adds a column of predictions to another table. The stage that learns is a
//! [`TorchEstimator`](ml::TorchEstimator). Its [`Network`] is a list of `torch.nn` layers, or a
//! module that was exported from PyTorch.
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
//! let network =
//!     Network::new(&[2], vec![Layer::linear(2, 16), Layer::ReLU, Layer::linear(16, 2)])?;
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
//! A fit is one program that runs on many ranks. Each rank calls [`ml::fit`] with its
//! [`Shard`](shard::Shard) of the rows, a [`Collective`](collective::Collective) that connects it
//! to the other ranks, and a [`FitSpec`](ml::FitSpec), and gets back the fitted stages and a
//! report. An [`Engine`](engine::Engine) only decides where the ranks run: on threads of this
//! process, as above, or in processes on Spark executors. Nothing above an engine knows which one
//! it is, and nothing below the trainer knows what is being trained. Only data crosses from one
//! process to another (JSON, safetensors, Arrow), never code. The same rows, seed and world size
//! give the same weights, bit for bit, wherever the ranks run.
//!
//! # Where to go from here
//!
//! - **Your tables.** [`lake::Lake`] opens a folder or a container of Azure Data Lake Storage.
//!   [`Lake::csv`](lake::Lake::csv) and [`Lake::parquet`](lake::Lake::parquet) return tables that
//!   are read lazily: each rank reads its own partition.
//!   [`Lake::images`](lake::Lake::images) does the same for folders of images. [`examples`] has
//!   whole programs, from files as people have them to predictions.
//! - **Your network.** [`network`] lists the layers, [`names`] what they are in PyTorch.
//!   [`Network::from_pt2`] takes a module of PyTorch's. [`train::TrainingSettings`] are the
//!   settings of a fit.
//! - **Your targets.** [`train::Loss`] says what the label is: a class, numbers, several labels, or
//!   the features themselves. [`ml::TorchEstimator`] names its columns.
//! - **A Spark cluster.** With `SPARK_REMOTE=sc://HOST:PORT` in the environment, the same program
//!   runs on the cluster. [`engine::Session`] makes the choice in code.
//! - **Your own training loop.** [`traditional`] has the classic building blocks, such as
//!   `DataLoader` and `EarlyStopping`, for networks built with tch's `nn` or with this crate.
//!   [`train::train`] is the data-parallel loop by itself.
//! - **Results.** [`evaluate`] has the metrics, [`display`] the plots for a notebook.
//! - **Stopping.** When Stop is pressed in a notebook, or Ctrl-C in a program that has called
//!   [`interrupt::install`], a fit ends after the current iteration and returns the model so far.
//! - **Errors.** Every function returns [`Error`], which names the file, row, column, key or layer.

// The modules in dependency order, from the bottom up: a module may import from the modules above
// it in this list, never from those below. tests/module_order.rs enforces this.

/// Formats numbers for people.
mod text;

/// How much memory there is.
mod memory;

pub mod error;

pub mod interrupt;

/// Runs requests and waits for them.
mod runtime;

/// Runs functions on several threads.
mod threads;

/// Seeded random streams, one for each purpose.
mod random;

/// Transposes squares of bytes.
mod square;

#[cfg(test)]
#[doc(hidden)]
mod fuzz;

/// Writes a file whole or not at all.
mod partial_file;

/// Reports the errors of the C++ code in `native/`.
mod native;

/// Reads and writes safetensors.
mod tensor_file;

pub mod secrets;

pub mod lake;

pub mod shard;

pub mod data;

pub mod network;

pub mod collective;

pub mod evaluate;

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

pub mod display;

pub mod mnist;

pub mod traditional;

pub mod prelude;

#[doc = include_str!("names.md")]
pub mod names {}

pub mod examples;

pub use error::{Error, Result};
pub use network::{CnnConfig, DropoutMasks, Layer, Network};
pub use {ndarray, plotters, polars, tch};

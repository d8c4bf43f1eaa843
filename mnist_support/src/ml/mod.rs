//! Pipelines like SparkML's: stages with input and output columns, and the models that fitting
//! gives.
//!
//! ```
//! use mnist_support::ml::{MinMaxScaler, Pipeline, TorchEstimator, VectorAssembler};
//! use mnist_support::{Layer, Network};
//! use polars::prelude::*;
//!
//! let frame = df!(
//!     "x" => [0.0_f32, 1.0, 2.0, 3.0],
//!     "y" => [3.0_f32, 2.0, 1.0, 0.0],
//!     "label" => [0, 0, 1, 1],
//! )?;
//! let network = Network::new(&[2], vec![Layer::linear(2, 2)])?;
//! let pipeline = Pipeline::new()
//!     .stage(VectorAssembler::new().input_cols(["x", "y"]).output_col("features"))
//!     .stage(MinMaxScaler::new().input_col("features").output_col("scaledFeatures"))
//!     .stage(
//!         TorchEstimator::new(network)
//!             .features_col("scaledFeatures")
//!             .iterations(200)
//!             .learning_rate(0.1)
//!             .partitions(2)
//!             .verbose(0),
//!     );
//! let model = pipeline.fit(&frame)?;
//! let predictions = model.transform(&frame)?;
//! let classes = predictions.column("prediction")?.i64()?.to_vec_null_aware().left().unwrap();
//! assert_eq!(classes, [0, 0, 1, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod fuzz;
mod job;
mod onnx;
mod pipeline;
mod pipeline_model;
mod single;

pub use crate::{
    program::{FitSpec, RunSettings, fit, transform},
    stages::*,
};
pub use pipeline::Pipeline;
pub use pipeline_model::PipelineModel;
pub use single::{Fit, Transform};

//! What a pipeline is made of: stages, before and after their fit, on the rows of one rank.
//!
//! A stage knows its columns and its settings, and how one rank fits it together with the others. It does
//! not know where the ranks run.

mod context;
mod min_max_scaler;
mod persistence;
mod stage;
mod table;
mod torch_estimator;
mod torch_model;
mod vector_assembler;

pub use context::FitContext;
pub use min_max_scaler::{MinMaxScaler, MinMaxScalerModel};
pub(crate) use persistence::{load, save};
pub use stage::{Stage, StageModel};
pub(crate) use table::Table;
pub use torch_estimator::TorchEstimator;
pub use torch_model::TorchModel;
pub use vector_assembler::VectorAssembler;

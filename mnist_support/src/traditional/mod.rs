//! Training on one machine, with the names of scikit-learn and PyTorch.
//!
//! The parts of the traditional notebook's own training loop. Everything is in memory and in one
//! process.

mod data_loader;
mod dataset;
mod early_stopping;
mod min_max_scaler;
pub mod prelude;
mod split;
mod tensor_dataset;
pub mod transforms;

pub use data_loader::{Batches, DataLoader};
pub use dataset::Dataset;
pub use early_stopping::EarlyStopping;
pub use min_max_scaler::MinMaxScaler;
pub use split::{Split, train_test_split};
pub use tensor_dataset::TensorDataset;

//! Training on one machine, in scikit-learn's and PyTorch's names.
//!
//! What the traditional notebook's own loop is written with: everything is in memory and in one process.

mod data_loader;
mod dataset;
mod early_stopping;
mod min_max_scaler;
pub mod prelude;
mod split;

pub use data_loader::{Batches, DataLoader};
pub use dataset::Dataset;
pub use early_stopping::EarlyStopping;
pub use min_max_scaler::MinMaxScaler;
pub use split::{Split, train_test_split};

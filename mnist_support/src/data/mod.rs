//! From a frame's columns to the matrix and the labels that a network is trained on.
//!
//! A frame stores its values column by column, a network reads them row by row. [`Features`] is the
//! row-major matrix between the two, [`labels_from_frame`] the classes, [`NumClasses`] their
//! number, and [`MinMaxStatistics`] what a scaler has to know of every column.

mod affine;
mod classes;
mod columns;
mod features;
mod labels;
mod min_max;
mod tensors;
mod transpose;
mod view;

pub use classes::NumClasses;
pub use columns::TableRows;
pub(crate) use columns::numeric_column;
pub use features::Features;
pub use labels::labels_from_frame;
pub use min_max::MinMaxStatistics;
pub(crate) use min_max::check_finite;
pub use tensors::{array_from_tensor, tensor_from_array};
pub use view::FeaturesView;

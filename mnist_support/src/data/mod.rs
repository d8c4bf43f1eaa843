//! From the columns of a DataFrame to the matrix and labels that a network is trained on.
//!
//! A DataFrame stores its values by column, and a network reads them by row. [`Features`] is the
//! row-major matrix in between, [`labels_from_frame`] extracts the labels, [`NumClasses`] counts
//! the classes, and [`MinMaxStatistics`] holds what a scaler needs to know about every column.

mod affine;
mod block_stream;
mod blocks;
mod classes;
mod columns;
mod features;
mod image;
mod labels;
mod lists;
mod matrix;
mod max_abs;
mod min_max;
mod moments;
mod statistics;
mod targets;
mod tensors;
mod transpose;
mod view;

pub(crate) use affine::Affine;
pub(crate) use block_stream::{BlockRows, BlockStream};
pub(crate) use blocks::{BlockMatrix, BlockShapes, ReadBlock};
pub use classes::NumClasses;
pub use columns::TableRows;
pub(crate) use columns::{Indices, column, numeric_column, numeric_or_null};
pub use features::Features;
pub(crate) use features::fits_f32;
pub(crate) use image::{ImageOptions, images_from_frame};
pub(crate) use labels::classes_from_frame;
pub use labels::labels_from_frame;
pub(crate) use lists::{Lists, is_list, lists_from_frame};
pub(crate) use matrix::{Kind, Matrix, MatrixBuilder, MemoryBudget};
pub(crate) use max_abs::MaxAbs;
pub use min_max::MinMaxStatistics;
pub(crate) use min_max::check_finite;
pub(crate) use moments::Moments;
pub(crate) use statistics::Statistic;
pub use targets::TargetValues;
pub(crate) use targets::{
    check_targets, indicator_from_frame, targets_from_frame, weights_from_frame,
};
pub use tensors::{array_from_tensor, tensor_from_array};
pub use view::FeaturesView;

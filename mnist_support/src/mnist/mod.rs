//! MNIST's own files, and the lake that is laid out from them.
//!
//! [`read_images`] and [`read_labels`] read the IDX format; [`prepare`] checks the four files' SHA-256 and
//! writes the container `torchtut` of the local lake: `train.csv` and `test.csv`, and the same as Parquet.

mod idx;
mod layout;
mod manifest;
mod sources;
mod tables;

pub use idx::{IdxImages, read_images, read_labels};
pub use layout::{CONTAINER, Origin, Outcome, check, prepare};
pub use tables::Digits;

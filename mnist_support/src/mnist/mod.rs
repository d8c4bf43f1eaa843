//! Images in MNIST's format, and the lake that is made from them.
//!
//! [`read_images`] and [`read_labels`] read the IDX format, plain or gzipped. [`prepare`] finds the
//! four files of a set, MNIST's or your own, and writes the container `torchtut` of the local lake:
//! `train.csv` and `test.csv`, and the same tables as Parquet.

mod content;
mod digits;
mod find;
mod idx;
mod layout;
mod manifest;
mod sources;
mod tables;

pub use crate::error::{FolderError, IdxError};
pub use digits::Digits;
pub use idx::{IdxImages, read_images, read_labels};
pub use layout::{CONTAINER, Origin, Outcome, check, prepare};

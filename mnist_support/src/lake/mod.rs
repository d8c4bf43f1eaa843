//! A data lake: folders of files in an object store, read as tables and in partitions.
//!
//! A [`Lake`] is a container on Azure (`abfss://`, `az://`) or Azurite, or a folder on this machine
//! (`file://` and plain paths), all through object_store. A [`LakeFrame`] is a CSV or Parquet file
//! seen as a table. It knows its columns and can be split into [`Partition`]s. Each partition is
//! read by the worker that it is sent to, so no worker reads the whole file.
//!
//! Every call blocks. Requests run on one async runtime of the crate. A request is retried at most
//! three times and given up after about 20 seconds.

mod azure;
mod credentials;
mod failure;
mod file;
mod local;
mod location;
pub(crate) mod reading;
mod store;
mod table;
mod upload;

use crate::runtime;
pub use credentials::{Authentication, Credentials};
pub use reading::ReadProgress;
pub use store::Lake;
pub(crate) use table::columns_among;
pub use table::{
    FileFormat, FileSource, LakeFrame, NumberType, PartFile, Partition, Paths, Predicate,
};

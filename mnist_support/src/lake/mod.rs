//! A data lake: folders of files in an object store, read as tables and in partitions.
//!
//! A [`Lake`] is a container on Azure (`abfss://`, `az://`) or Azurite, a bucket (`s3://`,
//! `gs://`), or a folder on this machine (`file://` and plain paths), all through object_store. A
//! [`LakeFrame`] is a CSV or Parquet file seen as a table. It knows its columns and can be split
//! into [`Partition`]s. Each partition is read by the worker that it is sent to, so no worker reads
//! the whole file.
//!
//! Every call blocks. Requests run on one async runtime of the crate. A request that gets no answer
//! is retried at most three times. A transfer that moves is never ended: it is given up when
//! nothing has arrived for 30 seconds, and a body that breaks off is taken up where it broke. A
//! service that says it is busy (429, 503) is asked again for about a minute, and after 3 seconds
//! of that the user is told.

mod azure;
mod buckets;
mod credentials;
mod failure;
mod file;
#[cfg(all(test, unix))]
mod fuzz;
mod hosts;
mod listing;
mod local;
mod location;
mod pasted;
mod patience;
mod platform;
pub(crate) mod reading;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod transfer;
mod upload;

use crate::runtime;
pub use credentials::{Authentication, Credentials};
pub use reading::ReadProgress;
pub use store::Lake;
pub(crate) use table::{
    BLOCK_ROWS, Each, RowGroupWriter, append, columns_among, frame_from_batches, stack,
};
pub use table::{
    ColumnType, CsvOptions, DeltaVersion, Encoding, FileFormat, FileSource, LakeFrame, NumberType,
    PartFile, Partition, Paths, Predicate,
};

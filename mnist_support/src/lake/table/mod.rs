//! Files of a lake, seen as tables.
//!
//! A format is a folder that implements [`TableFile`](table_file::TableFile) and a variant of
//! [`FileFormat`].

mod arrow;
mod column_type;
mod csv;
mod delta;
mod discover;
mod folder;
mod format;
mod frame;
mod guard;
mod image;
mod ipc;
mod number_type;
mod parquet;
mod partition;
mod plan;
mod predicate;
mod scan;
mod stack;
mod table_file;
mod times;
mod types;
mod view;

pub(crate) use arrow::frame_from_batches;
pub use column_type::ColumnType;
pub use csv::{CsvOptions, Encoding};
pub use delta::DeltaVersion;
pub use discover::{PartFile, Paths};
pub use format::FileFormat;
pub use frame::{FileSource, LakeFrame};
pub use number_type::NumberType;
pub(crate) use parquet::RowGroupWriter;
pub(crate) use partition::BLOCK_ROWS;
pub use partition::Partition;
pub use predicate::Predicate;
pub(crate) use scan::{Scan, columns_among};
pub(crate) use stack::{append, stack};
pub(crate) use table_file::Each;

//! Files of a lake, seen as tables.
//!
//! A format is a folder that implements [`TableFile`](table_file::TableFile) and a variant of
//! [`FileFormat`].

mod csv;
mod format;
mod frame;
mod number_type;
mod parquet;
mod partition;
mod table_file;

pub use format::FileFormat;
pub use frame::{FileSource, LakeFrame};
pub use number_type::NumberType;
pub use partition::Partition;

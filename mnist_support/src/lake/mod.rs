//! A data lake: folders of files in a store, read as tables and in parts.
//!
//! One [`Lake`] serves containers on Azure (`abfss://`, `az://`), Azurite, and folders on this machine
//! (`file://` and plain paths), all through object_store. A [`LakeFrame`] is a CSV or Parquet file seen as a
//! table: it knows its columns and can be cut into [`Partition`]s, and each is read on its own by whichever
//! worker it is sent to, so that no worker reads the whole.
//!
//! Every call blocks; the requests run on one runtime of the crate's own. A request is tried again at most
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
pub use reading::Reading;
pub use store::Lake;
pub use table::{FileFormat, FileSource, LakeFrame, NumberType, Partition};

//! stub
pub mod error;
pub mod evaluate;
pub mod network;
pub use error::{Error, Result};

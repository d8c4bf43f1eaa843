//! stub
pub mod data;
pub mod display;
pub mod error;
pub mod traditional;
pub use error::{Error, Result};

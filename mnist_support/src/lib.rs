//! stub
pub mod error;
pub use error::{Error, Result};
pub mod lake;
pub mod mnist;
pub mod secrets;

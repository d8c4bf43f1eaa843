pub use mnist_support::*;

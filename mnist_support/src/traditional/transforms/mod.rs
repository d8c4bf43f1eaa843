//! Transforms of images, with the names and settings of torchvision's `transforms.v2`.
//!
//! An image is a tensor of floats of shape [channels, height, width]. A
//! [`DataLoader`](super::DataLoader::transform) applies transforms to each sample. To add one, give
//! it a file, and a line here.

mod normalize;
mod random_crop;
mod random_horizontal_flip;
mod random_rotation;

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::{Error, Result};

pub use normalize::Normalize;
pub use random_crop::RandomCrop;
pub use random_horizontal_flip::RandomHorizontalFlip;
pub use random_rotation::RandomRotation;

/// A transform of a sample's features.
pub trait Transform: fmt::Debug + Send + Sync + 'static {
    /// Transforms the features of one sample. Whatever is random in it depends on `seed` alone.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for features that it can't transform, and those of libtorch.
    fn apply(&self, features: &Tensor, seed: u64) -> Result<Tensor>;
}

/// The random numbers of a transform.
fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The channels, height and width of an image.
fn image(features: &Tensor) -> Result<[i64; 3]> {
    let size = features.size();
    <[i64; 3]>::try_from(size.as_slice()).map_err(|_| Error::ShapeMismatch {
        what: "a sample".to_owned(),
        found: size,
        expected: "an image of shape [channels, height, width]".to_owned(),
    })
}

#[cfg(test)]
mod tests;

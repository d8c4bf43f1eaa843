//! Random streams that depend on nothing but their key.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream is for, so that two uses with the same numbers don't draw the same.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Which rows a rank draws: by rank and epoch.
    Rows = 0,
    /// The weights that a network starts from.
    Initialization = 1,
    /// Which values dropout zeroes: by step and rank.
    Dropout = 2,
}

/// The stream of a purpose, a seed and two numbers. The four fill ChaCha's 256-bit key, so any two
/// streams that differ in one of them are independent.
pub(crate) fn stream(purpose: Purpose, seed: u64, numbers: [u64; 2]) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    let words = [seed, numbers[0], numbers[1], purpose as u64];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

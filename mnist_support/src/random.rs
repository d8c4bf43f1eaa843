//! Random streams that depend only on their key.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream is used for, so that two uses with the same numbers draw different values.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The rows that a rank draws, by rank and epoch.
    Rows = 0,
    /// The initial weights of a network.
    Initialization = 1,
    /// The values that dropout zeroes, by iteration and rank.
    Dropout = 2,
    /// What a transform of a sample draws, by epoch, sample and transform.
    Transform = 3,
    /// The order of a rank's blocks, by rank and epoch.
    Blocks = 4,
    /// The order of the rows of a group of blocks, by rank, and by epoch and group in one number.
    BlockRows = 5,
    /// Which parts of the table a rank gets, by round.
    Parts = 6,
}

/// The random stream of a purpose, a seed and two numbers. Together they fill ChaCha's 256-bit key,
/// so streams that differ in any of them are independent.
pub(crate) fn stream(purpose: Purpose, seed: u64, numbers: [u64; 2]) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    let words = [seed, numbers[0], numbers[1], purpose as u64];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A seed that depends on the same as [`stream`].
pub(crate) fn seed_of(purpose: Purpose, seed: u64, numbers: [u64; 2]) -> u64 {
    stream(purpose, seed, numbers).random()
}

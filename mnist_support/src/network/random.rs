//! Random streams that depend on nothing but their key.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream is for, so that two uses with the same numbers don't draw the same.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Initialization = 1,
    Dropout = 2,
}

/// The stream of a purpose and three numbers. The four fill ChaCha's 256-bit key, so any two
/// streams that differ in one of them are independent.
pub(super) fn stream(purpose: Purpose, seed: u64, step: u64, rank: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    let words = [seed, step, rank, purpose as u64];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

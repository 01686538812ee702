//! The order of cells within a block.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A random order of `cells` cells, the same for the same seed and block on every machine and in every release.
///
/// The key of ChaCha20 is the seed, little-endian and filled with zeros, and its stream is the block, so that a block's order does not
/// depend on how many blocks there are. The shuffle (Fisher-Yates from the end) is our own: that of a library may change with its version.
pub(super) fn of_block(seed: u64, block: u32, cells: usize) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha20Rng::from_seed(key);
    rng.set_stream(u64::from(block));
    let mut order: Vec<usize> = (0..cells).collect();
    for last in (1..cells).rev() {
        order.swap(last, below(&mut rng, last + 1));
    }
    order
}

/// A uniform number below `bound`, which is above 0. Draws that would favour small numbers are thrown away.
fn below(rng: &mut impl Rng, bound: usize) -> usize {
    let bound = bound as u64;
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < fair {
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
            return (draw % bound) as usize;
        }
    }
}

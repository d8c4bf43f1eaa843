//! Squares of bytes.

/// The number of rows and columns of a square.
pub(crate) const SIDE: usize = 8;

/// The bytes from `at` on, which are there, as one number.
#[inline]
pub(crate) fn load(bytes: &[u8], at: usize) -> u64 {
    // A copy of a slice is a call, even of eight bytes.
    let bytes = bytes[at..].first_chunk::<SIDE>();
    u64::from_le_bytes(*bytes.expect("the square is within the bytes"))
}

/// Writes the bytes of a number from `at` on.
#[inline]
pub(crate) fn store(bytes: &mut [u8], at: usize, line: u64) {
    let bytes = bytes[at..].first_chunk_mut::<SIDE>();
    *bytes.expect("the square is within the bytes") = line.to_le_bytes();
}

/// Transposes a square of bytes: byte `j` of number `i` becomes byte `i` of number `j`, counted
/// from the lowest byte. First halves are swapped, then quarters, then single bytes (Warren,
/// "Hacker's Delight", 7-3).
#[inline]
pub(crate) fn transpose(square: [u64; SIDE]) -> [u64; SIDE] {
    let [a, b, c, d, e, f, g, h] = square;
    const HALVES: (u32, u64) = (32, 0x0000_0000_ffff_ffff);
    let ((a, e), (b, f)) = (swap(a, e, HALVES), swap(b, f, HALVES));
    let ((c, g), (d, h)) = (swap(c, g, HALVES), swap(d, h, HALVES));
    const QUARTERS: (u32, u64) = (16, 0x0000_ffff_0000_ffff);
    let ((a, c), (b, d)) = (swap(a, c, QUARTERS), swap(b, d, QUARTERS));
    let ((e, g), (f, h)) = (swap(e, g, QUARTERS), swap(f, h, QUARTERS));
    const BYTES: (u32, u64) = (8, 0x00ff_00ff_00ff_00ff);
    let ((a, b), (c, d)) = (swap(a, b, BYTES), swap(c, d, BYTES));
    let ((e, f), (g, h)) = (swap(e, f, BYTES), swap(g, h, BYTES));
    [a, b, c, d, e, f, g, h]
}

/// Swaps the upper bits of one number with the lower bits of the other, in groups of so many bits,
/// of which `low` are the lower ones.
#[inline]
fn swap(upper: u64, lower: u64, (bits, low): (u32, u64)) -> (u64, u64) {
    (
        (upper & low) | ((lower & low) << bits),
        ((upper >> bits) & low) | (lower & !low),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let value = |row: usize, column: usize| (8 * row + column) as u8;
        let square = |value: &dyn Fn(usize, usize) -> u8| -> [u64; SIDE] {
            std::array::from_fn(|row| {
                u64::from_le_bytes(std::array::from_fn(|column| value(row, column)))
            })
        };
        let transposed = transpose(square(&value));
        assert_eq!(transposed, square(&|row, column| value(column, row)));
    }
}

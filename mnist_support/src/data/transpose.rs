//! Transposes columns into rows, one tile at a time.

/// The number of rows in a tile: 64 bytes of a column are one cache line.
const TILE_ROWS: usize = 64;

/// Writes `columns` side by side into `output`, a row-major matrix of `width` columns, starting at
/// its column `first_column`. Every column has `output.len() / width` values. The caller passes
/// about 64 columns at once.
///
/// Walking down a whole column would touch one cache line of the output for each value. Within a
/// tile, the cache lines of its columns and its rows all stay in the L1 cache. The columns of a
/// tile are first copied next to each other, so that the strides between them are short and
/// constant.
pub(super) fn columns_into_rows<T: Copy + Default>(
    columns: &[&[T]],
    output: &mut [T],
    width: usize,
    first_column: usize,
) {
    let last_column = first_column + columns.len();
    let mut tile = vec![[T::default(); TILE_ROWS]; columns.len()];
    for (number, rows) in output.chunks_mut(TILE_ROWS * width).enumerate() {
        let first_row = number * TILE_ROWS;
        let height = rows.len() / width;
        for (values, column) in tile.iter_mut().zip(columns) {
            values[..height].copy_from_slice(&column[first_row..first_row + height]);
        }
        for (index, row) in rows.chunks_exact_mut(width).enumerate() {
            for (value, column) in row[first_column..last_column].iter_mut().zip(&tile) {
                *value = column[index];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_last_whole_tile_are_written_too() {
        let rows = 2 * TILE_ROWS + 5;
        let columns: Vec<Vec<u32>> = (0..3)
            .map(|column| (0..rows).map(|row| (10 * row + column) as u32).collect())
            .collect();
        let slices: Vec<&[u32]> = columns.iter().map(Vec::as_slice).collect();
        let mut output = vec![u32::MAX; rows * 4];

        columns_into_rows(&slices, &mut output, 4, 1);

        for (row, values) in output.chunks(4).enumerate() {
            let row = row as u32;
            assert_eq!(values, [u32::MAX, 10 * row, 10 * row + 1, 10 * row + 2]);
        }
    }
}

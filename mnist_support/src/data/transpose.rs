//! Transposes columns into rows, one tile at a time.

use crate::square::{SIDE, load, store, transpose};

/// The number of rows in a tile: 64 bytes of a column are one cache line.
const TILE_ROWS: usize = 64;

/// A function such as [`columns_into_rows`].
pub(super) type IntoRows<T> = fn(&[&[T]], &mut [T], usize, usize);

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

/// The number of rows in a tile of bytes. Of so many, the processor fetches the next cache lines of
/// a column before they are asked for.
const TILE_BYTES: usize = 256;

/// Like [`columns_into_rows`], for bytes: within a tile in squares, several bytes at a time.
pub(super) fn byte_columns_into_rows(
    columns: &[&[u8]],
    output: &mut [u8],
    width: usize,
    first_column: usize,
) {
    let mut tile = vec![[0; TILE_BYTES]; columns.len()];
    for (number, rows) in output.chunks_mut(TILE_BYTES * width).enumerate() {
        let first_row = number * TILE_BYTES;
        let height = rows.len() / width;
        for (values, column) in tile.iter_mut().zip(columns) {
            values[..height].copy_from_slice(&column[first_row..first_row + height]);
        }
        for (number, rows) in rows.chunks_mut(SIDE * width).enumerate() {
            write_squares(&tile, number * SIDE, rows, width, first_column);
        }
    }
}

/// Writes [`SIDE`] rows of a tile, from `top` on, or those that are left.
fn write_squares(
    tile: &[[u8; TILE_BYTES]],
    top: usize,
    rows: &mut [u8],
    width: usize,
    first_column: usize,
) {
    let mut done = 0;
    if rows.len() == SIDE * width {
        for columns in tile.as_chunks::<SIDE>().0 {
            let mut square = [0; SIDE];
            for (line, column) in square.iter_mut().zip(columns) {
                *line = load(column, top);
            }
            for (index, line) in transpose(square).into_iter().enumerate() {
                store(rows, index * width + first_column + done, line);
            }
            done += SIDE;
        }
        if done == tile.len() {
            return;
        }
    }
    // The remaining columns on the right and rows at the bottom.
    for (index, row) in rows.chunks_exact_mut(width).enumerate() {
        let values = row[first_column + done..].iter_mut();
        for (value, column) in values.zip(&tile[done..]) {
            *value = column[top + index];
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

    #[test]
    fn bytes_are_laid_out_like_other_values() {
        for (rows, columns) in [(8, 8), (16, 20), (7, 16), (561, 3), (529, 17), (3, 1)] {
            let columns: Vec<Vec<u8>> = (0..columns)
                .map(|column| (0..rows).map(|row| (row * 31 + column * 7) as u8).collect())
                .collect();
            let slices: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
            let width = slices.len() + 3;
            let (mut bytes, mut expected) = (vec![255; rows * width], vec![255; rows * width]);
            byte_columns_into_rows(&slices, &mut bytes, width, 2);
            columns_into_rows(&slices, &mut expected, width, 2);
            assert_eq!(bytes, expected, "{rows} rows of {} columns", slices.len());
        }
    }
}

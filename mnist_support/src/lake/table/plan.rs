//! Which rows of which row groups make up a partition, and which bytes are fetched for them. The
//! record batches of Arrow IPC files count as row groups.

use std::ops::Range;

use super::partition::{Block, Part};
use crate::{Error, Result};

/// Pieces of a file that are this close are fetched together: the bytes between them cost less than
/// another request.
const GAP: u64 = 64 << 10;

/// Splits the rows of a file into `n` non-empty ranges: between row groups if there are enough of
/// them, otherwise within them.
fn cut(group_rows: &[usize], n: usize) -> Vec<Range<usize>> {
    let rows: usize = group_rows.iter().sum();
    let even = |part: usize| (rows as u128 * part as u128 / n as u128) as usize;
    let mut ends: Vec<usize> = group_rows
        .iter()
        .scan(0, |end, rows| {
            *end += rows;
            Some(*end)
        })
        .collect();
    ends.dedup();
    ends.retain(|end| *end > 0);
    let mut cuts = vec![0];
    if n <= ends.len() {
        // The row group end closest to an even split that leaves at least one row group for each
        // part on either side.
        let mut next = 0;
        for part in 1..n {
            let candidates = next..ends.len() - (n - part);
            let nearest = candidates
                .min_by_key(|index| ends[*index].abs_diff(even(part)))
                .unwrap_or(next);
            cuts.push(ends[nearest]);
            next = nearest + 1;
        }
    } else {
        cuts.extend((1..n).map(even));
    }
    cuts.push(rows);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// The row groups that hold a range of rows, the number of rows to skip in the first one, and the
/// number of rows.
pub(super) fn locate(group_rows: &[usize], rows: Range<usize>) -> (Range<usize>, usize, usize) {
    let mut start = 0;
    let mut groups: Option<Range<usize>> = None;
    let mut skip = 0;
    for (index, size) in group_rows.iter().enumerate() {
        let end = start + size;
        if start < rows.end && end > rows.start {
            match &mut groups {
                Some(groups) => groups.end = index + 1,
                None => {
                    groups = Some(index..index + 1);
                    skip = rows.start - start;
                }
            }
        }
        start = end;
    }
    (groups.unwrap_or(0..0), skip, rows.len())
}

/// Splits a file, or its first `limit` rows, into `n` parts: between row groups, or within them if
/// there are fewer than `n`.
///
/// # Errors
/// [`Error::InvalidSetting`] for more parts than rows.
pub(super) fn partitions(
    group_rows: &[usize],
    n: usize,
    limit: Option<usize>,
    url: &str,
) -> Result<Vec<Part>> {
    let all: usize = group_rows.iter().sum();
    let rows = limit.map_or(all, |limit| limit.min(all));
    if n > rows {
        return Err(Error::InvalidSetting {
            setting: "partitions",
            value: n.to_string(),
            reason: format!("is more than the {rows} rows of {url}"),
        });
    }
    let part = |range| {
        let (groups, skip, rows) = locate(group_rows, range);
        Part::RowGroups { groups, skip, rows }
    };
    let ranges = if rows == all {
        cut(group_rows, n)
    } else {
        let even = |part: usize| rows * part / n;
        (0..n).map(|part| even(part)..even(part + 1)).collect()
    };
    Ok(ranges.into_iter().map(part).collect())
}

/// The number of rows of a part, or of all.
pub(super) fn rows(group_rows: &[usize], part: Option<&Part>) -> u64 {
    match part {
        Some(Part::RowGroups { rows, .. }) => *rows as u64,
        _ => group_rows.iter().sum::<usize>() as u64,
    }
}

/// The number in the file, from 1, of row `index` of a part.
pub(super) fn row_number(group_rows: &[usize], part: &Part, index: u64) -> u64 {
    let above = match part {
        Part::RowGroups { groups, skip, .. } => {
            group_rows.iter().take(groups.start).sum::<usize>() + skip
        }
        Part::Bytes(_) | Part::Files(_) => 0,
    };
    above as u64 + index + 1
}

/// The row groups of a part, the number of rows to skip in them, and the number of rows; `None` if
/// a file with these row groups cannot have this part.
pub(super) fn checked(group_rows: &[usize], part: &Part) -> Option<(Range<usize>, usize, usize)> {
    let Part::RowGroups { groups, skip, rows } = part else {
        return None;
    };
    let available: usize = group_rows.get(groups.clone())?.iter().sum();
    (skip.checked_add(*rows)? <= available).then(|| (groups.clone(), *skip, *rows))
}

/// Splits a part into blocks: row groups, of which small ones are joined. `bytes` is the size of a
/// row group.
pub(super) fn blocks(
    group_rows: &[usize],
    bytes: impl Fn(usize) -> u64,
    part: &Part,
) -> Vec<Block> {
    let Some((groups, mut skip, mut left)) = checked(group_rows, part) else {
        // Reading it says that the file has changed.
        return vec![Block {
            part: part.clone(),
            rows: None,
            bytes: 0,
        }];
    };
    let mut blocks: Vec<Block> = Vec::new();
    for group in groups {
        let all = group_rows[group];
        let above = skip.min(all);
        let rows = left.min(all - above);
        (skip, left) = (skip - above, left - rows);
        if rows == 0 {
            continue;
        }
        let share = u128::from(bytes(group)) * rows as u128 / all as u128;
        let next = Block {
            part: Part::RowGroups {
                groups: group..group + 1,
                skip: above,
                rows,
            },
            rows: Some(rows),
            bytes: share as u64,
        };
        match blocks.last_mut() {
            Some(last) if last.has_room_for(&next) => {
                last.rows = Some(last.rows.unwrap_or(0) + rows);
                last.bytes += next.bytes;
                if let Part::RowGroups { groups, rows, .. } = &mut last.part {
                    groups.end = group + 1;
                    *rows = last.rows.unwrap_or(0);
                }
            }
            _ => blocks.push(next),
        }
    }
    blocks
}

/// What fetching some pieces of a file costs, in bytes: a request costs as much as [`GAP`] bytes.
pub(super) fn cost(pieces: impl Iterator<Item = Range<u64>>) -> u64 {
    let ranges = coalesced(pieces);
    ranges
        .iter()
        .map(|range| range.end - range.start + GAP)
        .sum()
}

/// Splits consecutive row groups, which cost `sizes`, into runs of at most `largest`, or of a
/// single row group.
pub(super) fn runs(
    groups: Range<usize>,
    sizes: impl Fn(usize) -> u64,
    largest: u64,
) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for group in groups {
        let own = sizes(group);
        bytes += own;
        match runs.last_mut() {
            Some(run) if bytes <= largest => run.end = group + 1,
            _ => {
                runs.push(group..group + 1);
                bytes = own;
            }
        }
    }
    runs
}

/// The ranges to fetch for some pieces of a file, in order.
pub(super) fn coalesced(pieces: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut pieces: Vec<Range<u64>> = pieces.filter(|piece| !piece.is_empty()).collect();
    pieces.sort_by_key(|piece| piece.start);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for piece in pieces {
        match ranges.last_mut() {
            Some(range) if piece.start <= range.end + GAP => range.end = range.end.max(piece.end),
            _ => ranges.push(piece),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_end_where_row_groups_end() {
        assert_eq!(cut(&[10, 10, 10, 10], 2), [0..20, 20..40]);
        assert_eq!(cut(&[10, 10, 10], 2), [0..10, 10..30]);
        assert_eq!(cut(&[100, 1, 1], 3), [0..100, 100..101, 101..102]);
        assert_eq!(cut(&[1, 1, 100], 3), [0..1, 1..2, 2..102]);
        assert_eq!(cut(&[5, 0, 5], 2), [0..5, 5..10]);
    }

    #[test]
    fn with_too_few_row_groups_partitions_end_within_them() {
        assert_eq!(cut(&[10], 3), [0..3, 3..6, 6..10]);
        assert_eq!(cut(&[2, 2], 4), [0..1, 1..2, 2..3, 3..4]);
    }

    #[test]
    fn every_row_is_in_one_partition_and_none_is_empty() {
        for groups in [&[7][..], &[3, 4], &[1, 1, 1, 9, 2], &[6, 0, 1, 0]] {
            let rows: usize = groups.iter().sum();
            for n in 1..=rows {
                let ranges = cut(groups, n);
                assert_eq!(ranges.len(), n);
                assert!(
                    ranges.iter().all(|range| !range.is_empty()),
                    "{groups:?} in {n}: {ranges:?}"
                );
                assert_eq!((ranges[0].start, ranges[n - 1].end), (0, rows));
                assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            }
        }
    }

    #[test]
    fn near_pieces_are_fetched_together_and_far_ones_apart() {
        let far = 10 + GAP + 1;
        let pieces = [far..far + 5, 0..10, 10..10, 4..6];
        assert_eq!(coalesced(pieces.into_iter()), [0..10, far..far + 5]);
        let near = [10 + GAP..20 + GAP, 0..10];
        let all = 0..20 + GAP;
        assert_eq!(coalesced(near.into_iter()), std::slice::from_ref(&all));
    }

    #[test]
    fn runs_hold_as_much_as_allowed_or_one_row_group() {
        let sizes = [3, 3, 9, 1, 1];
        let runs = runs(0..5, |group| sizes[group], 6);
        assert_eq!(runs, [0..2, 2..3, 3..5]);
    }

    #[test]
    fn small_row_groups_are_joined_to_blocks_that_hold_the_rows_of_the_part() {
        let part = |groups, skip, rows| Part::RowGroups { groups, skip, rows };
        let of = |group_rows: &[usize], whole: Part| -> Vec<Part> {
            let blocks = blocks(group_rows, |group| group_rows[group] as u64, &whole);
            blocks.into_iter().map(|block| block.part).collect()
        };
        let groups = [10_000, 6_000, 0, 300, 90_000, 20_000, 5];
        assert_eq!(
            of(&groups, part(0..7, 0, 126_305)),
            [
                part(0..4, 0, 16_300),
                part(4..5, 0, 90_000),
                part(5..6, 0, 20_000),
                part(6..7, 0, 5),
            ]
        );
        // A part that begins and ends within row groups.
        assert_eq!(
            of(&groups, part(0..5, 9_000, 50_000)),
            [part(0..4, 9_000, 7_300), part(4..5, 0, 42_700)]
        );
        assert!(of(&groups, part(0..0, 0, 0)).is_empty());
        // Bytes count too.
        let heavy = blocks(&[1, 1, 1], |_| 5 << 20, &part(0..3, 0, 3));
        assert_eq!(heavy.len(), 3);
    }

    #[test]
    fn rows_are_located_in_their_groups() {
        assert_eq!(locate(&[10, 10, 10], 10..30), (1..3, 0, 20));
        assert_eq!(locate(&[10, 10, 10], 5..12), (0..2, 5, 7));
        assert_eq!(locate(&[10], 0..0), (0..0, 0, 0));
    }
}

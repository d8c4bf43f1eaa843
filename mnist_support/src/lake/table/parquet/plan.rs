//! Which rows of which row groups make up a partition.

use std::ops::Range;

/// Splits the rows of a file into `n` non-empty ranges: between row groups if there are enough of
/// them, otherwise within them.
pub(super) fn cut(group_rows: &[usize], n: usize) -> Vec<Range<usize>> {
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
    fn rows_are_located_in_their_groups() {
        assert_eq!(locate(&[10, 10, 10], 10..30), (1..3, 0, 20));
        assert_eq!(locate(&[10, 10, 10], 5..12), (0..2, 5, 7));
        assert_eq!(locate(&[10], 0..0), (0..0, 0, 0));
    }
}

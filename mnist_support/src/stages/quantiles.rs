//! Quantiles of the values of all ranks.

use tch::Tensor;

use crate::{
    Error, Result,
    collective::{Collective, ReduceOp},
};

/// The bits of a number.
const BITS: usize = 64;

/// Checks a `relativeError`.
pub(super) fn check_relative_error(relative_error: f64) -> Result<()> {
    if (0.0..=1.0).contains(&relative_error) {
        return Ok(());
    }
    Err(Error::InvalidSetting {
        setting: "relative_error",
        value: relative_error.to_string(),
        reason: "must be from 0 to 1".to_owned(),
    })
}

/// Returns the values at these probabilities, for each column; `None` for a column without values
/// in any rank. `columns` are this rank's values, none of them NaN, in any order.
///
/// What comes back is exact: with `n` values in all, it is the value of rank `ceil(probability *
/// n)`, which is Spark's definition for a `relativeError` of 0. As in Spark, a probability within
/// `relative_error` of 0 or 1 gives the smallest or the largest value.
///
/// The ranks agree on a quantile bit by bit, from the highest: each counts its values up to a
/// candidate, and the sum of the counts decides. That takes 64 exchanges of a number for each
/// quantile, however many values there are.
pub(super) fn quantiles(
    columns: Vec<Vec<f64>>,
    probabilities: &[f64],
    relative_error: f64,
    collective: &dyn Collective,
) -> Result<Vec<Option<Vec<f64>>>> {
    let keys: Vec<Vec<u64>> = columns.into_iter().map(sorted_keys).collect();
    let own = keys.iter().map(|keys| keys.len() as i64).collect();
    let counts = sum(own, collective)?;
    let rank = |count: i64, probability: f64| {
        if probability <= relative_error {
            return 1;
        }
        if probability >= 1.0 - relative_error {
            return count;
        }
        ((probability * count as f64).ceil() as i64).clamp(1, count.max(1))
    };
    let mut wanted = Vec::new();
    for (keys, count) in keys.iter().zip(&counts) {
        wanted.extend(probabilities.iter().map(|p| (keys, rank(*count, *p))));
    }
    // The quantile is the lowest key that has at least `rank` keys up to it.
    let mut found = vec![0_u64; wanted.len()];
    for bit in (0..BITS).rev() {
        let below = (1_u64 << bit) - 1;
        let own = wanted.iter().zip(&found).map(|((keys, _), found)| {
            let candidate = found | below;
            keys.partition_point(|key| *key <= candidate) as i64
        });
        let counts = sum(own.collect(), collective)?;
        for ((found, (_, rank)), count) in found.iter_mut().zip(&wanted).zip(counts) {
            if count < *rank {
                *found |= 1 << bit;
            }
        }
    }
    let values: Vec<f64> = found.into_iter().map(value).collect();
    let values = values.chunks(probabilities.len().max(1)).zip(counts);
    Ok(values
        .map(|(values, count)| (count > 0).then(|| values.to_vec()))
        .collect())
}

fn sum(own: Vec<i64>, collective: &dyn Collective) -> Result<Vec<i64>> {
    let mut tensor = Tensor::f_from_slice(&own)?;
    collective.all_reduce(&mut tensor, ReduceOp::Sum)?;
    Ok(Vec::try_from(&tensor)?)
}

const SIGN: u64 = 1 << (BITS - 1);

/// Integers in the order of the numbers.
fn sorted_keys(values: Vec<f64>) -> Vec<u64> {
    let key = |value: f64| {
        let bits = value.to_bits();
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    };
    let mut keys: Vec<u64> = values.into_iter().map(key).collect();
    keys.sort_unstable();
    keys
}

fn value(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::collective::thread_group;

    #[test]
    fn the_ranks_find_the_value_of_the_rank_however_the_values_are_dealt_out() {
        let values = [3.5, -1.0, 0.0, -1e300, 7.0, 7.0, 2.0, f64::INFINITY, 1e-300];
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        let probabilities = [0.0, 0.1, 0.25, 0.5, 0.8, 1.0];
        let expected: Vec<f64> = [1, 1, 3, 5, 8, 9]
            .map(|rank: usize| sorted[rank - 1])
            .into();
        for parts in [&[9][..], &[0, 9, 9], &[4, 4, 9]] {
            let results: Vec<_> =
                thread::scope(|scope| {
                    let mut start = 0;
                    let mut running = Vec::new();
                    for (collective, &end) in thread_group(parts.len()).into_iter().zip(parts) {
                        let own = vec![values[start..end].to_vec(), Vec::new()];
                        start = end;
                        running.push(scope.spawn(move || {
                            quantiles(own, &probabilities, 0.0, &collective).unwrap()
                        }));
                    }
                    running
                        .into_iter()
                        .map(|rank| rank.join().unwrap())
                        .collect()
                });
            for result in results {
                assert_eq!(result, [Some(expected.clone()), None]);
            }
        }
    }
}

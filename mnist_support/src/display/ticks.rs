//! Round tick positions for axes.

use crate::text::grouped;

/// Returns about `count` round positions in `[low, high]`, with a spacing of 1, 2 or 5 times a
/// power of ten.
pub(super) fn linear(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return vec![low];
    }
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&step| step >= rough * 0.999)
        .unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Returns 1, 2 and 5 times the powers of ten in `[low, high]`, which must be positive, or the
/// powers alone if that would be more than `count`.
pub(super) fn logarithmic(low: f64, high: f64, count: usize) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let within = |factors: &[f64]| -> Vec<f64> {
        decades
            .clone()
            .flat_map(|decade| {
                factors
                    .iter()
                    .map(move |factor| factor * 10f64.powi(decade))
            })
            .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
            .collect()
    };
    let ticks = within(&[1.0, 2.0, 5.0]);
    if ticks.len() <= count {
        ticks
    } else {
        within(&[1.0])
    }
}

/// Formats a tick without insignificant digits.
pub(super) fn label(tick: f64) -> String {
    if tick == 0.0 {
        return "0".to_owned();
    }
    if tick.abs() >= 1e15 || tick.abs() < 1e-6 {
        return format!("{tick:e}");
    }
    if tick.fract() == 0.0 && tick.abs() >= 1000.0 {
        let sign = if tick < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(tick.abs() as u64));
    }
    let text = format!("{tick:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<f64>) -> Vec<String> {
        ticks.into_iter().map(label).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_within_the_range() {
        assert_eq!(labels(linear(0.0, 2.4, 6)), ["0", "0.5", "1", "1.5", "2"]);
        assert_eq!(
            labels(linear(1.0, 20.0, 10)),
            ["2", "4", "6", "8", "10", "12", "14", "16", "18", "20"]
        );
        assert_eq!(labels(linear(0.031, 0.044, 3)), ["0.035", "0.04"]);
        assert_eq!(labels(linear(3.0, 3.0, 5)), ["3"]);
    }

    #[test]
    fn logarithmic_ticks_are_1_2_and_5_or_the_powers_of_ten_alone() {
        assert_eq!(
            labels(logarithmic(0.02, 2.4, 8)),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
        );
        assert_eq!(
            labels(logarithmic(1e-4, 1.0, 8)),
            ["0.0001", "0.001", "0.01", "0.1", "1"]
        );
    }

    #[test]
    fn large_and_tiny_ticks_stay_readable() {
        assert_eq!(label(-1500.0), "-1,500");
        assert_eq!(label(1e-7), "1e-7");
    }
}

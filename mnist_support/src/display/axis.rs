//! An axis with round ticks, linear or logarithmic.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use super::ticks;

/// Losses that span at least this factor get a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 10.0;

/// A numeric axis. Plotters' own has ticks at a single multiple of each power of ten, which leaves
/// hardly any on a logarithmic axis of less than two decades.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Creates an axis for training steps, from the first to the last.
    pub(super) fn of_steps(first: f64, last: f64) -> Axis {
        // A single step still needs an axis of some length.
        let room = if first < last {
            (last - first) * 0.015
        } else {
            0.5
        };
        let (low, high) = (first - room, last + room);
        Axis {
            low,
            high,
            logarithmic: false,
            ticks: ticks::linear(low, high, 10),
        }
    }

    /// Creates an axis for losses, logarithmic if they span a factor of ten.
    pub(super) fn of_losses(lowest: f64, highest: f64) -> Axis {
        if lowest > 0.0 && highest >= LOGARITHMIC_FROM * lowest {
            let room = (highest / lowest).powf(0.06);
            let (low, high) = (lowest / room, highest * room);
            return Axis {
                low,
                high,
                logarithmic: true,
                ticks: ticks::logarithmic(low, high, 10),
            };
        }
        // Equal losses still need an axis of some length.
        let room = if lowest < highest {
            (highest - lowest) * 0.06
        } else {
            0.5
        };
        let high = highest + room;
        // An axis that comes close to 0 starts there.
        let near_zero = lowest >= 0.0 && lowest < 0.35 * highest;
        let low = if near_zero { 0.0 } else { lowest - room };
        Axis {
            low,
            high,
            logarithmic: false,
            ticks: ticks::linear(low, high, 7),
        }
    }

    fn position(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.log10()
        } else {
            value
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let (low, high) = (self.position(self.low), self.position(self.high));
        let part = (self.position(*value) - low) / (high - low);
        start + (f64::from(end - start) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // No minor grid lines between the ticks.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().copied().map(ticks::label).collect()
    }

    #[test]
    fn losses_over_a_factor_of_ten_stand_on_a_logarithmic_axis() {
        let axis = Axis::of_losses(0.045, 2.3);
        assert_eq!(labels(&axis), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        let place = |loss| axis.map(&loss, (1000, 0));
        assert!((place(0.1) - place(0.2) - (place(0.2) - place(0.4))).abs() <= 1);
        assert_eq!((place(axis.low), place(axis.high)), (1000, 0));
    }

    #[test]
    fn losses_close_together_stand_on_a_linear_axis() {
        let axis = Axis::of_losses(0.3, 2.3);
        assert_eq!(labels(&axis), ["0", "0.5", "1", "1.5", "2"]);
        let place = |loss| axis.map(&loss, (1000, 0));
        assert!((place(0.5) - place(1.0) - (place(1.0) - place(1.5))).abs() <= 1);
        assert!(!Axis::of_losses(0.0, 1.0).logarithmic, "0 has no logarithm");
    }

    #[test]
    fn one_value_still_makes_an_axis() {
        let axis = Axis::of_losses(0.7, 0.7);
        assert_eq!(axis.map(&0.7, (0, 100)), 50);
        let axis = Axis::of_steps(3.0, 3.0);
        assert_eq!(axis.map(&3.0, (0, 100)), 50);
    }
}

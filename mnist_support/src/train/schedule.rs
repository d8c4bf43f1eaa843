//! Learning-rate schedules.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// What the learning rate is multiplied by at each iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LearningRateSchedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// Cosine annealing from the full rate to 0 (`torch.optim.lr_scheduler.CosineAnnealingLR`;
    /// Loshchilov and Hutter, "SGDR", 2017).
    CosineAnnealing,
    /// A linear warm-up over the first part of the iterations, then cosine annealing to 0 (Smith
    /// and Topin, "Super-Convergence", 2018, in its two-phase form).
    OneCycle {
        /// The fraction of the iterations that the warm-up takes, in `[0, 1]`.
        warm_up: f64,
    },
}

impl LearningRateSchedule {
    /// The factor for `iteration`, which counts from 1 to `iterations`.
    pub fn factor(&self, iteration: usize, iterations: usize) -> f64 {
        let cosine = |progress: f64| 0.5 * (1.0 + (PI * progress).cos());
        // The first iteration has the full rate, or the first step of the warm-up. None has 0.
        let done = (iteration - 1) as f64 / iterations.max(1) as f64;
        match *self {
            LearningRateSchedule::Constant => 1.0,
            LearningRateSchedule::CosineAnnealing => cosine(done),
            LearningRateSchedule::OneCycle { warm_up } => {
                let warm_up = warm_up.clamp(0.0, 1.0);
                if done < warm_up {
                    (iteration as f64 / (warm_up * iterations as f64)).min(1.0)
                } else {
                    cosine((done - warm_up) / (1.0 - warm_up))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_annealing_falls_from_one_towards_zero() {
        let factors: Vec<f64> = (1..=100)
            .map(|i| LearningRateSchedule::CosineAnnealing.factor(i, 100))
            .collect();
        assert_eq!(factors[0], 1.0);
        assert!(factors.windows(2).all(|pair| pair[1] < pair[0]));
        assert!((factors[50] - 0.5).abs() < 1e-12);
        assert!(factors[99] > 0.0 && factors[99] < 0.001);
    }

    #[test]
    fn one_cycle_rises_to_one_and_falls() {
        let schedule = LearningRateSchedule::OneCycle { warm_up: 0.2 };
        let factors: Vec<f64> = (1..=100).map(|i| schedule.factor(i, 100)).collect();
        assert!(factors[0] > 0.0 && factors[0] < 0.1);
        assert_eq!(factors[19], 1.0);
        assert!(factors[..20].windows(2).all(|pair| pair[1] > pair[0]));
        assert!(factors[20..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!(factors.iter().all(|factor| *factor > 0.0));
    }
}

//! Early stopping, and which weights to keep.

use tch::Tensor;

/// Tracks the loss: the best so far, its weights, and how long it has not improved.
pub(super) struct BestSoFar {
    patience: Option<usize>,
    min_delta: f64,
    without_improvement: usize,
    /// The last loss that reset the patience.
    improved_to: Option<f64>,
    best: Option<Best>,
}

pub(super) struct Best {
    pub(super) iteration: usize,
    pub(super) loss: f64,
    /// The weights at that iteration, if they are kept.
    pub(super) weights: Option<Tensor>,
}

impl BestSoFar {
    pub(super) fn new(patience: Option<usize>, min_delta: f64) -> Self {
        BestSoFar {
            patience,
            min_delta,
            without_improvement: 0,
            improved_to: None,
            best: None,
        }
    }

    /// Whether `loss` is the lowest so far.
    pub(super) fn is_improved_by(&self, loss: f64) -> bool {
        self.best.as_ref().is_none_or(|best| loss < best.loss)
    }

    /// Records a loss, and `weights` if it is the lowest. Returns whether patience has run out.
    pub(super) fn observe(&mut self, iteration: usize, loss: f64, weights: Option<Tensor>) -> bool {
        if self.is_improved_by(loss) {
            self.best = Some(Best {
                iteration,
                loss,
                weights,
            });
        }
        let enough = |before| loss < before - self.min_delta;
        if self.improved_to.is_none_or(enough) {
            self.improved_to = Some(loss);
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        self.patience
            .is_some_and(|patience| self.without_improvement >= patience)
    }

    /// The lowest loss so far and its weights.
    pub(super) fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// The number of losses in a row without an improvement, and the loss before them.
    pub(super) fn patience_state(&self) -> (usize, Option<f64>) {
        (self.without_improvement, self.improved_to)
    }

    /// Continues from another's state.
    pub(super) fn restore(&mut self, best: Option<Best>, patience: (usize, Option<f64>)) {
        self.improved_to = patience.1.or(best.as_ref().map(|best| best.loss));
        self.best = best;
        self.without_improvement = patience.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(stopping: &mut BestSoFar, iteration: usize, loss: f64) -> bool {
        let weights = stopping.is_improved_by(loss).then(|| Tensor::from(loss));
        stopping.observe(iteration, loss, weights)
    }

    #[test]
    fn it_stops_after_patience_losses_without_a_new_best_and_keeps_the_best() {
        let mut stopping = BestSoFar::new(Some(2), 0.0);
        let stops: Vec<bool> = [5.0, 4.0, 4.5, 3.0, 3.0, 3.1]
            .into_iter()
            .enumerate()
            .map(|(iteration, loss)| observe(&mut stopping, iteration, loss))
            .collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
        let best = stopping.best().unwrap();
        assert_eq!(
            (
                best.iteration,
                best.loss,
                best.weights.as_ref().unwrap().double_value(&[])
            ),
            (3, 3.0, 3.0)
        );
    }

    #[test]
    fn a_loss_that_is_hardly_lower_is_kept_but_does_not_reset_the_patience() {
        let mut stopping = BestSoFar::new(Some(2), 0.5);
        let stops: Vec<bool> = [5.0, 4.4, 4.2, 4.0]
            .into_iter()
            .enumerate()
            .map(|(iteration, loss)| observe(&mut stopping, iteration, loss))
            .collect();
        assert_eq!(stops, [false, false, false, true]);
        assert_eq!(stopping.best().unwrap().loss, 4.0);
    }

    #[test]
    fn without_patience_it_never_stops_and_keeps_the_best_all_the_same() {
        let mut stopping = BestSoFar::new(None, 0.0);
        for (iteration, loss) in [1.0, 2.0, 3.0, 4.0].into_iter().enumerate() {
            assert!(!observe(&mut stopping, iteration, loss));
        }
        assert_eq!(stopping.best().unwrap().iteration, 0);
    }
}

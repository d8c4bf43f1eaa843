//! Early stopping, and which weights to keep.

use tch::Tensor;

/// Tracks the validation loss: the best so far, its weights, and how long it has not improved.
pub(super) struct BestSoFar {
    patience: Option<usize>,
    without_improvement: usize,
    best: Option<Best>,
}

pub(super) struct Best {
    pub(super) iteration: usize,
    pub(super) loss: f64,
    pub(super) weights: Tensor,
}

impl BestSoFar {
    pub(super) fn new(patience: Option<usize>) -> Self {
        BestSoFar {
            patience,
            without_improvement: 0,
            best: None,
        }
    }

    /// Whether `loss` is the lowest so far.
    pub(super) fn is_improved_by(&self, loss: f64) -> bool {
        self.best.as_ref().is_none_or(|best| loss < best.loss)
    }

    /// Records a validation loss, with `weights` if it is the lowest. Returns whether patience has
    /// run out.
    pub(super) fn observe(&mut self, iteration: usize, loss: f64, weights: Option<Tensor>) -> bool {
        match weights {
            Some(weights) => {
                self.best = Some(Best {
                    iteration,
                    loss,
                    weights,
                });
                self.without_improvement = 0;
            }
            None => self.without_improvement += 1,
        }
        self.patience
            .is_some_and(|patience| self.without_improvement >= patience)
    }

    /// The lowest loss so far and its weights.
    pub(super) fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// The number of losses in a row without a new best.
    pub(super) fn without_improvement(&self) -> usize {
        self.without_improvement
    }

    /// Continues from another's state.
    pub(super) fn restore(&mut self, best: Option<Best>, without_improvement: usize) {
        self.best = best;
        self.without_improvement = without_improvement;
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
        let mut stopping = BestSoFar::new(Some(2));
        let stops: Vec<bool> = [5.0, 4.0, 4.5, 3.0, 3.0, 3.1]
            .into_iter()
            .enumerate()
            .map(|(iteration, loss)| observe(&mut stopping, iteration, loss))
            .collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
        let best = stopping.best().unwrap();
        assert_eq!(
            (best.iteration, best.loss, best.weights.double_value(&[])),
            (3, 3.0, 3.0)
        );
    }

    #[test]
    fn without_patience_it_never_stops_and_keeps_the_best_all_the_same() {
        let mut stopping = BestSoFar::new(None);
        for (iteration, loss) in [1.0, 2.0, 3.0, 4.0].into_iter().enumerate() {
            assert!(!observe(&mut stopping, iteration, loss));
        }
        assert_eq!(stopping.best().unwrap().iteration, 0);
    }
}

//! Metrics of rows that several ranks hold: each rank counts its own rows, the counts are
//! all-reduced, and every rank computes the same value from them.

use super::{
    BinaryClassificationEvaluator, BinaryMetric, Metric, MulticlassClassificationEvaluator,
    RegressionMetric, ValidationMetric,
    class_counts::ClassCounts,
    curve::{Scored, area},
    multiclass::log_loss,
    multiclass_metric::Counts,
    regression_sums::RegressionSums,
};

/// Some rows: what is right, what is predicted, and what each row weighs. All slices are as long as
/// `targets`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvaluatedRows<'a> {
    /// Classes, or numbers. Rows whose target is not a class are left out of metrics of classes.
    pub(crate) targets: &'a [f64],
    /// The same, as predicted.
    pub(crate) predictions: &'a [f64],
    /// The probability of the target's class; empty if it is not known.
    pub(crate) target_probabilities: &'a [f64],
    /// The probability of class 1; empty if it is not known.
    pub(crate) scores: &'a [f64],
    pub(crate) weights: &'a [f64],
}

/// How many rows the ranks hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RankRows {
    /// The number of rows of the ranks before this one.
    pub(crate) before: usize,
    /// The number of rows of all ranks.
    pub(crate) all: usize,
}

/// The state of a metric in one rank. The states of all ranks' rows are added up number by number.
pub(crate) trait MetricState {
    /// Counts rows in.
    fn update(&mut self, rows: &EvaluatedRows<'_>);

    /// The state of this rank's rows, as long in every rank.
    fn state(&self) -> &[f64];

    /// Computes the metric from the sum of the ranks' states.
    fn compute(&self, sums: &[f64]) -> f64;
}

impl ValidationMetric {
    /// Starts to compute the metric, which must suit what is predicted, of `classes` classes.
    ///
    /// The state of a metric of classes has three numbers for each class, that of a metric of
    /// numbers has nine. The areas under curves need every row's score in one place: their state
    /// has three numbers for each row of all ranks, of which each rank fills in its own.
    pub(crate) fn start(self, classes: usize, rows: RankRows) -> Box<dyn MetricState> {
        match self {
            ValidationMetric::Classification(metric) => Box::new(ClassState {
                metric,
                defaults: MulticlassClassificationEvaluator::new(),
                sums: vec![0.0; 3 * classes + 1],
            }),
            ValidationMetric::Regression(metric) => Box::new(NumberState {
                metric,
                sums: RegressionSums::around(0.0),
            }),
            ValidationMetric::Binary(metric) => Box::new(ScoreState {
                metric,
                next: rows.before,
                sums: vec![0.0; 3 * rows.all],
            }),
        }
    }
}

/// For each class the weights of its correct predictions, its labels and its predictions, and at
/// the end the log loss.
struct ClassState {
    metric: Metric,
    defaults: MulticlassClassificationEvaluator,
    sums: Vec<f64>,
}

impl MetricState for ClassState {
    fn update(&mut self, rows: &EvaluatedRows<'_>) {
        let last = self.sums.len() - 1;
        let classes = last / 3;
        for (row, (target, weight)) in rows.targets.iter().zip(rows.weights).enumerate() {
            if *target < 0.0 || *target >= classes as f64 {
                continue;
            }
            let (label, prediction) = (*target as usize, rows.predictions[row] as usize);
            self.sums[3 * label + 1] += weight;
            self.sums[3 * prediction + 2] += weight;
            if label == prediction {
                self.sums[3 * label] += weight;
            }
            if let Some(probability) = rows.target_probabilities.get(row) {
                self.sums[last] += weight * log_loss(*probability, self.defaults.eps);
            }
        }
    }

    fn state(&self) -> &[f64] {
        &self.sums
    }

    fn compute(&self, sums: &[f64]) -> f64 {
        let classes = sums.chunks_exact(3).map(|class| ClassCounts {
            true_positives: class[0],
            labels: class[1],
            predictions: class[2],
        });
        let counts = Counts {
            classes: classes.collect(),
            of_label: ClassCounts::default(),
            log_loss: sums.last().copied().unwrap_or_default(),
        };
        counts.value(self.metric, self.defaults.beta)
    }
}

struct NumberState {
    metric: RegressionMetric,
    sums: RegressionSums,
}

impl MetricState for NumberState {
    fn update(&mut self, rows: &EvaluatedRows<'_>) {
        let pairs = rows.targets.iter().zip(rows.predictions);
        for ((target, prediction), weight) in pairs.zip(rows.weights) {
            self.sums.add(*target, *prediction, *weight);
        }
    }

    fn state(&self) -> &[f64] {
        &self.sums.sums
    }

    fn compute(&self, sums: &[f64]) -> f64 {
        let mut all = RegressionSums::around(0.0);
        all.sums.copy_from_slice(sums);
        all.value(self.metric, false)
    }
}

/// For each row of all ranks the score, 1 more than the label, and the weight; zeros for other
/// ranks' rows.
struct ScoreState {
    metric: BinaryMetric,
    /// The place of the next row.
    next: usize,
    sums: Vec<f64>,
}

impl MetricState for ScoreState {
    fn update(&mut self, rows: &EvaluatedRows<'_>) {
        let scores = rows.scores.iter().zip(rows.targets);
        for ((score, target), weight) in scores.zip(rows.weights) {
            if *target == 0.0 || *target == 1.0 {
                let place = 3 * self.next;
                self.sums[place..place + 3].copy_from_slice(&[*score, 1.0 + target, *weight]);
            }
            self.next += 1;
        }
    }

    fn state(&self) -> &[f64] {
        &self.sums
    }

    fn compute(&self, sums: &[f64]) -> f64 {
        let rows = sums.chunks_exact(3).filter(|row| row[1] > 0.0);
        let rows = rows.map(|row| Scored {
            score: row[0],
            positive: row[1] > 1.0,
            weight: row[2],
        });
        let num_bins = BinaryClassificationEvaluator::new().num_bins;
        area(self.metric, rows.collect(), num_bins)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use polars::{df, prelude::*};
    use tch::Tensor;

    use super::*;
    use crate::collective::{Collective, ReduceOp, thread_group};

    const TARGETS: [f64; 9] = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0];
    const SCORES: [f64; 9] = [0.1, 0.9, 0.4, 0.6, 0.6, 0.3, 0.8, 0.2, 0.2];
    const WEIGHTS: [f64; 9] = [1.0, 2.0, 1.0, 0.5, 1.0, 3.0, 1.0, 0.25, 1.0];
    /// The rows of three ranks, one of which has none.
    const SHARDS: [(usize, usize); 3] = [(0, 4), (4, 4), (4, 9)];

    fn predictions() -> Vec<f64> {
        SCORES.map(|score| f64::from(u8::from(score > 0.5))).into()
    }

    /// Computes a metric on three ranks, in batches of two rows.
    fn distributed(metric: impl Into<ValidationMetric>) -> Vec<f64> {
        let metric = metric.into();
        let rank = |collective: &dyn Collective| {
            let (from, to) = SHARDS[collective.rank()];
            let all = TARGETS.len();
            let mut state = metric.start(2, RankRows { before: from, all });
            for batch in (from..to).step_by(2) {
                let rows = batch..(batch + 2).min(to);
                let of_target = |row: usize| match TARGETS[row] {
                    1.0 => SCORES[row],
                    _ => 1.0 - SCORES[row],
                };
                state.update(&EvaluatedRows {
                    targets: &TARGETS[rows.clone()],
                    predictions: &predictions()[rows.clone()],
                    target_probabilities: &rows.clone().map(of_target).collect::<Vec<_>>(),
                    scores: &SCORES[rows.clone()],
                    weights: &WEIGHTS[rows],
                });
            }
            let mut sums = Tensor::from_slice(state.state());
            collective.all_reduce(&mut sums, ReduceOp::Sum).unwrap();
            state.compute(&Vec::<f64>::try_from(sums).unwrap())
        };
        thread::scope(|scope| {
            let ranks = thread_group(SHARDS.len()).into_iter();
            let ranks: Vec<_> = ranks
                .map(|collective| scope.spawn(move || rank(&collective)))
                .collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    fn whole() -> DataFrame {
        let probabilities = SCORES.map(|score| Some(Series::from_iter([1.0 - score, score])));
        let probabilities: ListChunked = probabilities.into_iter().collect();
        df!(
            "label" => TARGETS, "prediction" => predictions(), "rawPrediction" => SCORES,
            "probability" => probabilities.into_series(), "weight" => WEIGHTS,
        )
        .unwrap()
    }

    fn assert_same(metric: impl Into<ValidationMetric> + Copy, expected: f64) {
        for found in distributed(metric) {
            let name = metric.into();
            assert!(
                (found - expected).abs() < 1e-12,
                "{name}: {found}, {expected}"
            );
        }
    }

    #[test]
    fn three_ranks_compute_what_an_evaluator_computes_from_all_rows() {
        let whole = whole();
        for metric in Metric::ALL {
            if !metric.is_by_label() {
                let evaluator = MulticlassClassificationEvaluator::new().metric_name(metric);
                let expected = evaluator.weight_col("weight").evaluate(&whole);
                assert_same(metric, expected.unwrap());
            }
        }
        for metric in [BinaryMetric::AreaUnderROC, BinaryMetric::AreaUnderPR] {
            let evaluator = BinaryClassificationEvaluator::new().metric_name(metric);
            let expected = evaluator.weight_col("weight").evaluate(&whole);
            assert_same(metric, expected.unwrap());
        }
        for metric in RegressionMetric::ALL {
            let evaluator = super::super::RegressionEvaluator::new().metric_name(metric);
            let expected = evaluator.weight_col("weight").evaluate(&whole);
            assert_same(metric, expected.unwrap());
        }
    }

    #[test]
    fn rows_whose_target_is_no_class_are_left_out() {
        let rows = EvaluatedRows {
            targets: &[0.0, -100.0, 1.0],
            predictions: &[0.0, 1.0, 1.0],
            target_probabilities: &[],
            scores: &[0.3, 0.2, 0.9],
            weights: &[1.0; 3],
        };
        let ranks = RankRows { before: 0, all: 3 };
        for metric in [
            ValidationMetric::from(Metric::Accuracy),
            BinaryMetric::AreaUnderROC.into(),
        ] {
            let mut state = metric.start(2, ranks);
            state.update(&rows);
            assert_eq!(state.compute(state.state()), 1.0);
        }
    }
}

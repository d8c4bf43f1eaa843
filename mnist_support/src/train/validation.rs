//! The metrics of the validation rows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Loss, Target, TrainingSettings, data::Batch, loss::Prediction};
use crate::{
    Network, Result,
    collective::{Collective, ReduceOp},
    evaluate::{EvaluatedRows, MetricState, Predicted, RankRows, ValidationMetric},
};

/// The value of a metric over the validation rows of all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// The metric.
    pub metric: ValidationMetric,
    /// Its value; NaN if it has no finite one for these rows.
    #[serde(deserialize_with = "nan_if_null")]
    pub value: f64,
}

/// The metrics of the validation rows after one iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// The iteration, from 1.
    pub iteration: usize,
    /// The metrics' values, in the order in which they were asked for.
    pub values: Vec<MetricValue>,
}

impl fmt::Display for MetricPoint {
    /// Writes the values after their names, such as "accuracy 0.9812  f1 0.9809".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, MetricValue { metric, value }) in self.values.iter().enumerate() {
            let space = if index == 0 { "" } else { "  " };
            write!(f, "{space}{metric} {value:.4}")?;
        }
        Ok(())
    }
}

/// The target of a row that metrics leave out, which is no class.
const IGNORED: f64 = -1.0;

/// JSON has no NaN: it is written as null.
fn nan_if_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// What metrics have to know about what a network predicts that is trained with a loss.
pub(super) fn predicted(loss: &Loss, network: &Network) -> Predicted {
    let outputs = network.output_shape().iter().product();
    match loss.prediction(outputs) {
        Prediction::Class => Predicted::Classes(outputs as usize),
        Prediction::BinaryClass | Prediction::Labels => Predicted::Classes(2),
        Prediction::Number | Prediction::Numbers => Predicted::Numbers,
    }
}

/// The metrics that a fit computes at each validation.
pub(super) struct ValidationMetrics<'a> {
    loss: &'a Loss,
    metrics: Vec<ValidationMetric>,
    predicted: Predicted,
    rows: RankRows,
}

impl<'a> ValidationMetrics<'a> {
    /// Every rank calls it with the number of its validation rows.
    pub(super) fn new(
        network: &Network,
        settings: &'a TrainingSettings,
        collective: &dyn Collective,
        rows: usize,
    ) -> Result<Self> {
        let metrics = settings.computed_metrics();
        let outputs = network.output_shape().iter().product();
        let gathers = |metric: &ValidationMetric| matches!(metric, ValidationMetric::Binary(_));
        let mut of_ranks = vec![0_i64; collective.world_size()];
        if metrics.iter().any(gathers) {
            let values = match settings.loss.prediction(outputs) {
                Prediction::Labels => outputs,
                Prediction::Class
                | Prediction::BinaryClass
                | Prediction::Number
                | Prediction::Numbers => 1,
            };
            of_ranks[collective.rank()] = rows as i64 * values;
            let mut sums = Tensor::f_from_slice(&of_ranks)?;
            collective.all_reduce(&mut sums, ReduceOp::Sum)?;
            of_ranks = Vec::try_from(sums)?;
        }
        Ok(ValidationMetrics {
            loss: &settings.loss,
            metrics,
            predicted: predicted(&settings.loss, network),
            rows: RankRows {
                before: of_ranks[..collective.rank()].iter().sum::<i64>() as usize,
                all: of_ranks.iter().sum::<i64>() as usize,
            },
        })
    }

    /// Starts a validation.
    pub(super) fn start(&self) -> Running<'_> {
        let classes = match self.predicted {
            Predicted::Classes(classes) => classes,
            Predicted::Numbers => 0,
        };
        let states = self.metrics.iter();
        Running {
            of: self,
            states: states
                .map(|metric| metric.start(classes, self.rows))
                .collect(),
        }
    }
}

/// The metrics of a validation in one rank.
pub(super) struct Running<'a> {
    of: &'a ValidationMetrics<'a>,
    states: Vec<Box<dyn MetricState>>,
}

impl Running<'_> {
    /// Counts a batch in.
    pub(super) fn update(&mut self, outputs: &Tensor, batch: &Batch) -> Result<()> {
        if self.states.is_empty() {
            return Ok(());
        }
        let loss = self.of.loss;
        let outputs = outputs.f_to_kind(Kind::Double)?;
        let mut targets = batch.targets.f_to_kind(Kind::Double)?;
        if let Target::Class {
            ignore_index: Some(ignored),
            ..
        } = loss.target(outputs.size()[1])
        {
            targets = targets.f_masked_fill(&batch.targets.f_eq(ignored)?, IGNORED)?;
        }
        let (mut target_probabilities, mut scores) = (Vec::new(), Vec::new());
        if let (Predicted::Classes(_), Some(probabilities)) =
            (self.of.predicted, loss.probabilities(&outputs)?)
        {
            let (of_target, of_one) = probabilities_of(&probabilities, &targets)?;
            target_probabilities = numbers(&of_target)?;
            scores = numbers(&of_one)?;
        }
        let width = targets.numel() as i64 / targets.size()[0].max(1);
        let weights = match &batch.weights {
            None => vec![1.0; targets.numel()],
            Some(weights) => numbers(&weights.f_repeat_interleave_self_int(width, 0, None)?)?,
        };
        let rows = EvaluatedRows {
            targets: &numbers(&targets)?,
            predictions: &numbers(&loss.predict(&outputs)?)?,
            target_probabilities: &target_probabilities,
            scores: &scores,
            weights: &weights,
        };
        self.states.iter_mut().for_each(|state| state.update(&rows));
        Ok(())
    }

    /// The numbers that are to be added up over the ranks.
    pub(super) fn state(&self) -> Vec<f64> {
        let states = self.states.iter().flat_map(|state| state.state());
        states.copied().collect()
    }

    /// Computes the metrics from the sums of the ranks' states.
    pub(super) fn compute(&self, sums: &[f64]) -> Vec<MetricValue> {
        let mut from = 0;
        let states = self.of.metrics.iter().zip(&self.states);
        let values = states.map(|(metric, state)| {
            let to = from + state.state().len();
            let value = state.compute(&sums[from..to]);
            from = to;
            MetricValue {
                metric: *metric,
                value: if value.is_finite() { value } else { f64::NAN },
            }
        });
        values.collect()
    }
}

/// Returns the number that is lowest for the best weights: the validation loss, or what is
/// monitored in its place.
pub(super) fn score(monitor: Option<ValidationMetric>, loss: f64, metrics: &[MetricValue]) -> f64 {
    let Some(monitor) = monitor else {
        return loss;
    };
    let monitored = metrics.iter().find(|value| value.metric == monitor);
    match monitored.map(|monitored| monitored.value) {
        Some(value) if value.is_finite() && monitor.is_larger_better() => -value,
        Some(value) if value.is_finite() => value,
        // Any value is better than none.
        Some(_) | None => f64::MAX,
    }
}

/// Returns the probability of each target, and that of class 1, from the probabilities of the
/// classes, `[rows, classes]` for targets `[rows]`, or of labels that are 0 or 1, of the targets'
/// shape.
fn probabilities_of(probabilities: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    if targets.dim() > 1 || probabilities.size()[1] == 1 {
        let ones = probabilities.f_reshape(targets.size())?;
        let zeros = ones.f_neg()?.f_add_scalar(1.0)?;
        return Ok((ones.f_where_self(&targets.f_gt(0.5)?, &zeros)?, ones));
    }
    let last = probabilities.size()[1] - 1;
    // Ignored targets are not classes.
    let index = targets.f_clamp(0.0, last as f64)?.f_to_kind(Kind::Int64)?;
    let of_target = probabilities.f_gather(1, &index.f_unsqueeze(1)?, false)?;
    Ok((of_target, probabilities.f_select(1, 1)?))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    Ok(Vec::try_from(tensor.f_reshape([-1])?)?)
}

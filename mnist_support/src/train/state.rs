//! The state of a fit between two iterations: all that a checkpoint has to hold.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{
    LossPoint, MetricPoint, TrainingSettings,
    flat::FlatParameters,
    optimizer::OptimizerState,
    schedule::ScheduleState,
    stopping::{Best, BestSoFar},
};
use crate::{Network, Result};

/// The state of a fit, the same in every rank.
///
/// Nothing random is in it: the rows of a mini-batch and the dropout masks depend only on the seed
/// and the iteration number.
pub(super) struct State {
    /// The number of completed iterations.
    pub(super) iteration: usize,
    /// The parameters and the buffers.
    pub(super) parameters: FlatParameters,
    pub(super) optimizer: OptimizerState,
    pub(super) schedule: ScheduleState,
    pub(super) best: BestSoFar,
    pub(super) history: Vec<LossPoint>,
    pub(super) metrics: Vec<MetricPoint>,
    pub(super) stopped_early: bool,
    /// The time spent in iterations, over all attempts.
    pub(super) seconds: f64,
}

/// The part of a [`State`] that is not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scalars {
    pub(super) iteration: usize,
    optimizer_steps: i32,
    #[serde(default)]
    schedule: ScheduleState,
    best: Option<(usize, f64)>,
    /// Whether the best weights are kept.
    #[serde(default = "kept_before")]
    keeps_best: bool,
    without_improvement: usize,
    #[serde(default)]
    improved_to: Option<f64>,
    history: Vec<LossPoint>,
    #[serde(default)]
    metrics: Vec<MetricPoint>,
    stopped_early: bool,
    seconds: f64,
}

/// Checkpoints were always written with the best weights before they said so.
fn kept_before() -> bool {
    true
}

impl State {
    /// The state before the first iteration.
    pub(super) fn start(
        network: &Network,
        settings: &TrainingSettings,
        device: Device,
    ) -> Result<Self> {
        let tensors = match &settings.initial_weights {
            None => network.initial_state(settings.seed)?,
            Some(weights) => weights.read(network)?,
        };
        let frozen = settings.frozen(network)?;
        let mut parameters = FlatParameters::new(network, &tensors, &frozen, device)?;
        Ok(State {
            iteration: 0,
            optimizer: settings.optimizer.start(parameters.flat_mut())?,
            schedule: ScheduleState::default(),
            parameters,
            best: BestSoFar::new(settings.early_stop_patience, settings.min_delta),
            history: Vec::new(),
            metrics: Vec::new(),
            stopped_early: false,
            seconds: 0.0,
        })
    }

    /// Whether no iterations are left.
    pub(super) fn is_done(&self, iterations: usize) -> bool {
        self.stopped_early || self.iteration >= iterations
    }

    /// Returns the scalars, and the tensors by name.
    pub(super) fn state_dict(&self) -> Result<(Scalars, Vec<(String, Tensor)>)> {
        let mut tensors = vec![("parameters".to_owned(), self.parameters.snapshot()?)];
        for (index, tensor) in self.optimizer.state_dict().into_iter().enumerate() {
            tensors.push((format!("optimizer.{index}"), tensor));
        }
        let best = self.best.best();
        let weights = best.and_then(|best| best.weights.as_ref());
        if let Some(weights) = weights {
            tensors.push(("best".to_owned(), weights.shallow_clone()));
        }
        let (without_improvement, improved_to) = self.best.patience_state();
        let scalars = Scalars {
            iteration: self.iteration,
            optimizer_steps: self.optimizer.steps(),
            schedule: self.schedule.clone(),
            best: best.map(|best| (best.iteration, best.loss)),
            keeps_best: weights.is_some(),
            without_improvement,
            improved_to,
            history: self.history.clone(),
            metrics: self.metrics.clone(),
            stopped_early: self.stopped_early,
            seconds: self.seconds,
        };
        Ok((scalars, tensors))
    }

    /// Loads the state that [`state_dict`](Self::state_dict) returned. `take` returns a tensor by
    /// name, and checks that it matches the given one.
    pub(super) fn load_state_dict(
        &mut self,
        scalars: Scalars,
        take: impl Fn(&str, &Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let all = self.parameters.snapshot()?;
        self.parameters.restore(&take("parameters", &all)?)?;
        let own = self.optimizer.state_dict();
        let optimizer = own.iter().enumerate();
        let optimizer = optimizer
            .map(|(index, own)| take(&format!("optimizer.{index}"), own))
            .collect::<Result<Vec<_>>>()?;
        self.optimizer
            .load_state_dict(scalars.optimizer_steps, &optimizer)?;
        let best = match scalars.best {
            None => None,
            Some((iteration, loss)) => Some(Best {
                iteration,
                loss,
                weights: match scalars.keeps_best {
                    true => Some(take("best", &all)?),
                    false => None,
                },
            }),
        };
        let patience = (scalars.without_improvement, scalars.improved_to);
        self.best.restore(best, patience);
        self.schedule = scalars.schedule;
        self.iteration = scalars.iteration;
        self.history = scalars.history;
        self.metrics = scalars.metrics;
        self.stopped_early = scalars.stopped_early;
        self.seconds = scalars.seconds;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_from_before_schedules_had_a_state_is_read() {
        let json = r#"{"iteration":3,"optimizer_steps":3,"best":[2,0.5],"without_improvement":1,
            "history":[],"stopped_early":false,"seconds":1.5}"#;
        let scalars: Scalars = serde_json::from_str(json).unwrap();
        assert_eq!(scalars.schedule, ScheduleState::default());
        assert_eq!((scalars.iteration, scalars.optimizer_steps), (3, 3));
    }
}

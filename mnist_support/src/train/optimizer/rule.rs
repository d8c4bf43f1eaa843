//! The traits that make up an optimiser, and what rules share.

use tch::Tensor;

use crate::Result;

/// The settings of an optimiser.
pub(super) trait OptimizerConfig {
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) names the first setting that is
    /// outside its range.
    fn validate(&self) -> Result<()>;

    /// Creates the rule with its state for `parameters`, a flat vector.
    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>>;
}

/// An optimiser's step, and the state that it keeps between steps.
pub(super) trait UpdateRule {
    /// Takes step number `step`, which counts from 1: updates `parameters` with `gradient`, both
    /// flat. The caller has disabled gradients.
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()>;

    /// The state that the rule keeps between steps, beside their number: vectors of floats. A
    /// number is a vector of length 1. Checkpoints save them in this order.
    fn state(&self) -> Vec<&Tensor>;
}

/// An optimiser at work: its rule, and the number of steps that it has taken.
pub(crate) struct OptimizerState {
    rule: Box<dyn UpdateRule>,
    steps: i32,
}

impl OptimizerState {
    pub(super) fn new(rule: Box<dyn UpdateRule>) -> Self {
        OptimizerState { rule, steps: 0 }
    }

    /// Updates `parameters` with `gradient`, both flat. The caller has disabled gradients.
    pub(crate) fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        self.rule
            .step(self.steps, parameters, gradient, learning_rate)
    }

    /// The number of steps taken.
    pub(crate) fn steps(&self) -> i32 {
        self.steps
    }

    /// The rule's state, vectors of floats. Shares its memory.
    pub(crate) fn state_dict(&self) -> Vec<Tensor> {
        let state = self.rule.state();
        state.into_iter().map(Tensor::shallow_clone).collect()
    }

    /// Copies the state of an optimiser with the same rule, to continue from there.
    pub(crate) fn load_state_dict(&mut self, steps: i32, state: &[Tensor]) -> Result<()> {
        self.steps = steps;
        for (own, saved) in self.rule.state().into_iter().zip(state) {
            own.shallow_clone().f_copy_(saved)?;
        }
        Ok(())
    }
}

/// Returns the gradient with weight decay as an L2 penalty.
pub(super) fn with_weight_decay(
    gradient: &Tensor,
    parameters: &Tensor,
    weight_decay: f64,
) -> Result<Tensor> {
    if weight_decay == 0.0 {
        return Ok(gradient.shallow_clone());
    }
    Ok(gradient.f_add(&parameters.f_mul_scalar(weight_decay)?)?)
}

/// As [`with_weight_decay`], or applies the decay to the parameters themselves if it is
/// `decoupled`.
pub(super) fn apply_weight_decay(
    gradient: &Tensor,
    parameters: &mut Tensor,
    weight_decay: f64,
    learning_rate: f64,
    decoupled: bool,
) -> Result<Tensor> {
    if !decoupled {
        return with_weight_decay(gradient, parameters, weight_decay);
    }
    if weight_decay != 0.0 {
        let _ = parameters.f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
    }
    Ok(gradient.shallow_clone())
}

/// Moves the running average of the squares of `values`:
/// `mean_square = decay * mean_square + (1 - decay) * values²`.
pub(super) fn update_mean_square(
    mean_square: &mut Tensor,
    values: &Tensor,
    decay: f64,
) -> Result<()> {
    let _ = mean_square.f_mul_scalar_(decay)?;
    let _ = mean_square.f_addcmul_(&values.f_mul_scalar(1.0 - decay)?, values)?;
    Ok(())
}

/// Adds `factor * numerator / denominator` to `parameters`.
pub(super) fn add_ratio(
    parameters: &mut Tensor,
    factor: f64,
    numerator: &Tensor,
    denominator: &Tensor,
) -> Result<()> {
    let _ = parameters.f_addcdiv_(&numerator.f_mul_scalar(factor)?, denominator)?;
    Ok(())
}

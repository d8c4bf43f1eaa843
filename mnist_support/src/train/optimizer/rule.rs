//! What an optimiser is made of.

use tch::Tensor;

use crate::{Error, Result};

/// The settings of an optimiser.
pub(super) trait OptimizerConfig {
    /// # Errors
    /// [`Error::InvalidSetting`] names the first setting that is outside its range.
    fn validate(&self) -> Result<()>;

    /// Starts the optimiser for parameters like `parameters`, a flat vector.
    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>>;
}

/// A started optimiser.
pub(crate) trait UpdateRule {
    /// Moves `parameters` against `gradient`, both flat. The caller has switched gradients off.
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()>;

    /// How many steps were made, for rules that depend on it; else 0.
    fn steps(&self) -> i32;

    /// What the rule remembers from step to step, shaped like the parameters, sharing its memory.
    fn state_dict(&self) -> Vec<Tensor>;

    /// Goes on where another of the same rule left off, with copies of its state.
    fn load_state_dict(&mut self, steps: i32, state: &[Tensor]) -> Result<()>;
}

/// Makes sure that a setting is in `[0, 1)`.
pub(super) fn check_fraction(setting: &'static str, value: f64) -> Result<()> {
    check(
        setting,
        value,
        (0.0..1.0).contains(&value),
        "must be in [0, 1)",
    )
}

/// Makes sure that a setting is a number from 0 on.
pub(super) fn check_not_negative(setting: &'static str, value: f64) -> Result<()> {
    check(
        setting,
        value,
        value >= 0.0 && value.is_finite(),
        "must be 0 or more",
    )
}

pub(super) fn check(setting: &'static str, value: f64, holds: bool, reason: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::InvalidSetting {
        setting,
        value: value.to_string(),
        reason: reason.to_owned(),
    })
}

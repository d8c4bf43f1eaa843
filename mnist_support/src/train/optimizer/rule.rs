//! The traits that make up an optimiser.

use tch::Tensor;

use crate::{Error, Result};

/// The settings of an optimiser.
pub(super) trait OptimizerConfig {
    /// # Errors
    /// [`Error::InvalidSetting`] names the first setting that is outside its range.
    fn validate(&self) -> Result<()>;

    /// Creates the optimiser's state for `parameters`, a flat vector.
    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>>;
}

/// An optimiser's state, and its step.
pub(crate) trait UpdateRule {
    /// Updates `parameters` with `gradient`, both flat. The caller has disabled gradients.
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()>;

    /// The number of steps taken, for rules that depend on it; otherwise 0.
    fn steps(&self) -> i32;

    /// The state that the rule keeps between steps, shaped like the parameters. Shares its memory.
    fn state_dict(&self) -> Vec<Tensor>;

    /// Copies the state of an optimiser with the same rule, to continue from there.
    fn load_state_dict(&mut self, steps: i32, state: &[Tensor]) -> Result<()>;
}

/// Checks that a setting is in `[0, 1)`.
pub(super) fn check_fraction(setting: &'static str, value: f64) -> Result<()> {
    check(
        setting,
        value,
        (0.0..1.0).contains(&value),
        "must be in [0, 1)",
    )
}

/// Checks that a setting is a number of at least 0.
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

//! Checks that settings are in their range.

use crate::{Error, Result};

/// Checks that a setting is in `[0, 1)`.
pub(super) fn check_fraction(setting: &'static str, value: f64) -> Result<()> {
    check(
        setting,
        value,
        (0.0..1.0).contains(&value),
        "must be in [0, 1)",
    )
}

/// Checks that the decay rates of Adam and its kin are in `[0, 1)`.
pub(super) fn check_betas(betas: (f64, f64)) -> Result<()> {
    check_fraction("betas", betas.0)?;
    check_fraction("betas", betas.1)
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

/// Checks that a setting is a number above 0.
pub(super) fn check_positive(setting: &'static str, value: f64) -> Result<()> {
    check(
        setting,
        value,
        value > 0.0 && value.is_finite(),
        "must be above 0 and finite",
    )
}

/// Checks that a setting is in `(0, 1]`.
pub(super) fn check_factor(setting: &'static str, value: f64) -> Result<()> {
    let holds = value > 0.0 && value <= 1.0;
    check(setting, value, holds, "must be in (0, 1]")
}

/// Checks that a number of iterations is at least 1.
pub(super) fn check_at_least_1(setting: &'static str, value: usize) -> Result<()> {
    check(setting, value, value >= 1, "must be at least 1")
}

/// For serde, which leaves a setting out at its default.
pub(super) fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// For serde, which leaves a setting out at its default.
pub(super) fn is_one(value: &usize) -> bool {
    *value == 1
}

/// Checks what is special to one setting.
pub(super) fn check(
    setting: &'static str,
    value: impl ToString,
    holds: bool,
    reason: &str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::InvalidSetting {
        setting,
        value: value.to_string(),
        reason: reason.to_owned(),
    })
}

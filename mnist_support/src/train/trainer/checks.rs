//! What a fit checks about the rows, the losses and the weights of all ranks.

use tch::{Kind, Tensor};

use crate::{
    Error, Result,
    collective::{Collective, ReduceOp},
    error::{CollectiveError, TrainingError},
    train::{TrainingData, TrainingSettings},
};

/// Returns the loss, or an error if it is not finite.
pub(super) fn finite(loss: f64, iteration: usize) -> Result<f64> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::Training(TrainingError::Diverged { iteration, loss }))
    }
}

/// Checks the numbers of training rows, of validation rows and of rows in one iteration over all
/// ranks.
pub(super) fn check_rows(
    rows: [usize; 3],
    data: &TrainingData,
    settings: &TrainingSettings,
) -> Result<()> {
    let [training, validation, _] = rows;
    let indicator = data.says_what_is_held_out();
    let invalid = |setting, value: String, reason: &str| {
        Err(Error::InvalidSetting {
            setting,
            value,
            reason: reason.to_owned(),
        })
    };
    const INDICATOR: &str = "validation_indicator_col";
    match (training, validation) {
        (0, _) if indicator => invalid(INDICATOR, "true".to_owned(), "holds out all rows"),
        (0, 0) => Err(Error::ShapeMismatch {
            what: "the training rows of all partitions together".to_owned(),
            found: vec![0],
            expected: "at least one; a stage that skips invalid rows may have left out all"
                .to_owned(),
        }),
        (_, 0) if indicator => invalid(INDICATOR, "false".to_owned(), "holds out no row"),
        (_, 0) if settings.validation_fraction == 0.0 => match settings.computed_metrics()[..] {
            [] => Ok(()),
            [metric, ..] => invalid(
                "metrics",
                metric.to_string(),
                "needs validation rows: set validation_fraction or validation_indicator_col",
            ),
        },
        (_, 0) => invalid(
            "validation_fraction",
            settings.validation_fraction.to_string(),
            "is less than one row: raise it, or set it to 0",
        ),
        _ => Ok(()),
    }
}

/// Checks that neither the training rows nor the validation rows of all ranks weigh 0.
pub(super) fn check_weights(weights: [f64; 2], rows: [usize; 3]) -> Result<()> {
    for (kind, weight, rows) in [
        ("training", weights[0], rows[0]),
        ("validation", weights[1], rows[1]),
    ] {
        if weight == 0.0 && rows > 0 {
            return Err(Error::InvalidSetting {
                setting: "weight_col",
                value: "0".to_owned(),
                reason: format!("is the weight of all {rows} {kind} rows: some must count"),
            });
        }
    }
    Ok(())
}

/// Checks that all ranks hold the same bits, as the design promises.
pub(super) fn check_identical(parameters: &Tensor, collective: &dyn Collective) -> Result<()> {
    let bits = parameters.f_detach()?.f_view_dtype(Kind::Int)?;
    let (mut lowest, mut highest) = (bits.f_detach_copy()?, bits.f_detach_copy()?);
    collective.all_reduce(&mut lowest, ReduceOp::Min)?;
    collective.all_reduce(&mut highest, ReduceOp::Max)?;
    if lowest != highest {
        return Err(Error::Collective(CollectiveError::WeightsDiffer {
            world_size: collective.world_size(),
        }));
    }
    Ok(())
}

//! The trait that makes up a loss, and what losses share.

use tch::{Kind, Reduction, Tensor};

use crate::{Error, Layer, Result, data::TargetValues};

/// What a row's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A class from 0 to `classes - 1`: a tensor `[rows]` of kind `Int64`.
    Class {
        /// The number of classes.
        classes: i64,
        /// A label that is not a class, whose rows count nothing.
        ignore_index: Option<i64>,
    },
    /// `width` numbers: a tensor `[rows, width]` of kind `Float`.
    Numbers {
        /// The number of values for each row.
        width: i64,
        /// Which numbers they can be.
        values: TargetValues,
    },
}

/// What a network predicts for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prediction {
    /// A class.
    Class,
    /// One of two classes, from a single output.
    BinaryClass,
    /// A number.
    Number,
    /// Several numbers.
    Numbers,
    /// Several labels that are 0 or 1.
    Labels,
}

/// The sum of the rows' losses, and of their weights.
pub(crate) struct WeightedSum {
    /// A scalar with a gradient.
    pub(crate) loss: Tensor,
    pub(crate) weight: f64,
}

/// A loss.
pub(super) trait Criterion {
    /// # Errors
    /// [`Error::InvalidSetting`] names the first setting that is outside its range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// What a row's target is, for a network with this many outputs: a number for each, unless the
    /// loss says otherwise.
    fn target(&self, outputs: i64) -> Target {
        Target::Numbers {
            width: outputs,
            values: self.values(),
        }
    }

    /// Which numbers a target can be.
    fn values(&self) -> TargetValues {
        TargetValues::Finite
    }

    /// Checks the shape of the network's output for one row.
    fn validate_output(&self, _shape: &[i64]) -> Result<()> {
        Ok(())
    }

    /// What is probably a mistake if `last` is the network's last layer.
    fn warning(&self, _last: &Layer) -> Option<&'static str> {
        None
    }

    /// Returns the sum of the rows' losses and weights.
    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum>;

    /// What a network trained with this loss predicts.
    fn prediction(&self, outputs: i64) -> Prediction {
        match outputs {
            1 => Prediction::Number,
            _ => Prediction::Numbers,
        }
    }

    /// Returns the predictions, in the unit of the target.
    fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(outputs.shallow_clone())
    }

    /// Returns the probabilities of the classes or labels, if the loss knows any.
    fn probabilities(&self, _outputs: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// Returns the sum over the rows of the mean of a row's `losses`, each times its row's weight.
/// `losses` computes one loss for each output, reduced as it is told.
pub(super) fn sum_of_means(
    losses: impl Fn(Reduction) -> Result<Tensor>,
    shape: &[i64],
    weights: Option<&Tensor>,
) -> Result<WeightedSum> {
    let (rows, width) = (shape[0], shape[1..].iter().product::<i64>());
    let sum = match weights {
        None => losses(Reduction::Sum)?,
        Some(weights) => {
            let rows = losses(Reduction::None)?.f_reshape([rows, width])?;
            rows.f_sum_dim_intlist(1, false, None)?.f_dot(weights)?
        }
    };
    Ok(WeightedSum {
        loss: if width > 1 {
            sum.f_div_scalar(width as f64)?
        } else {
            sum
        },
        weight: total_weight(weights, rows)?,
    })
}

/// The weight of a batch.
pub(super) fn total_weight(weights: Option<&Tensor>, rows: i64) -> Result<f64> {
    Ok(match weights {
        None => rows as f64,
        Some(weights) => weights.f_sum(Kind::Double)?.f_double_value(&[])?,
    })
}

/// Checks that the output is one score for each class.
pub(super) fn one_score_for_each_class(shape: &[i64]) -> Result<()> {
    match shape {
        [_] => Ok(()),
        shape => Err(Error::ShapeMismatch {
            what: "the network's output".to_owned(),
            found: shape.to_vec(),
            expected: "[classes], one score for each class,".to_owned(),
        }),
    }
}

/// Checks that weights are numbers of at least 0, and not all 0.
pub(super) fn check_weights(setting: &'static str, weights: Option<&[f64]>) -> Result<()> {
    let Some(weights) = weights else {
        return Ok(());
    };
    let valid = |weight: &f64| *weight >= 0.0 && weight.is_finite();
    if weights.iter().all(valid) && weights.iter().any(|weight| *weight > 0.0) {
        return Ok(());
    }
    Err(Error::InvalidSetting {
        setting,
        value: format!("{weights:?}"),
        reason: "must be finite numbers of 0 or more, and not all 0".to_owned(),
    })
}

/// Checks that there are as many weights as outputs.
pub(super) fn check_weight_count(
    setting: &'static str,
    weights: Option<&[f64]>,
    outputs: i64,
) -> Result<()> {
    match weights {
        Some(weights) if weights.len() as i64 != outputs => Err(Error::InvalidSetting {
            setting,
            value: format!("{weights:?}"),
            reason: format!(
                "has {} values, and the network has {outputs} outputs: give one for each",
                weights.len()
            ),
        }),
        _ => Ok(()),
    }
}

/// Copies weights to a tensor beside `like`.
pub(super) fn weight_tensor(weights: Option<&[f64]>, like: &Tensor) -> Result<Option<Tensor>> {
    weights
        .map(|weights| {
            let weights = Tensor::f_from_slice(weights)?;
            Ok(weights.f_to_device(like.device())?.f_to_kind(like.kind())?)
        })
        .transpose()
}

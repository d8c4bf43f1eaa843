//! What is checked before any row is read.

use super::TorchEstimator;
use crate::{
    Error, Result,
    stages::Label,
    train::{Prediction, Target},
};

impl TorchEstimator {
    /// Checks that the label's columns are what the loss needs.
    pub(super) fn validate_label(&self) -> Result<()> {
        let invalid = |reason: &str| {
            Err(Error::InvalidSetting {
                setting: "label_col",
                value: format!("{:?}", self.label_col),
                reason: reason.to_owned(),
            })
        };
        let target = self.settings.loss.target(self.outputs());
        match (&self.label_col, target) {
            (Label::Column(_), _) => Ok(()),
            (Label::Columns(_) | Label::Features, Target::Class { .. }) => {
                invalid("must be one column of classes for this loss")
            }
            (Label::Columns(columns), Target::Numbers { width, .. }) => {
                if columns.len() as i64 == width {
                    return Ok(());
                }
                let outputs = format!("must name {width}, one for each output of the network");
                invalid(&outputs)
            }
            (Label::Features, Target::Numbers { width, .. }) => {
                let features: i64 = self.network.input_shape().iter().product();
                if features == width {
                    return Ok(());
                }
                let outputs = format!(
                    "gives {features} targets, and the network has {width} outputs: an \
                     autoencoder has as many outputs as inputs"
                );
                invalid(&outputs)
            }
        }
    }

    /// Checks the output columns, and the columns that exclude each other.
    pub(super) fn validate_columns(&self) -> Result<()> {
        let invalid = |setting, value: &str, reason: String| {
            Err(Error::InvalidSetting {
                setting,
                value: value.to_owned(),
                reason,
            })
        };
        let inputs = [Some(&self.features_col), self.weight_col.as_ref()];
        let mut taken: Vec<&String> = inputs.into_iter().flatten().collect();
        taken.extend(&self.validation_indicator_col);
        taken.extend(self.label_col.columns());
        for (setting, name) in [
            ("prediction_col", Some(&self.prediction_col)),
            ("probability_col", self.probability_col.as_ref()),
            ("raw_prediction_col", self.raw_prediction_col.as_ref()),
        ] {
            let Some(name) = name else { continue };
            if taken.contains(&name) {
                let reason = "is another column of the estimator: choose a new name".to_owned();
                return invalid(setting, name, reason);
            }
            taken.push(name);
        }
        if let Some(name) = &self.validation_indicator_col
            && self.settings.validation_fraction > 0.0
        {
            let fraction = self.settings.validation_fraction;
            let reason =
                format!("and validation_fraction is {fraction}: hold out rows by one of the two");
            return invalid("validation_indicator_col", name, reason);
        }
        Ok(())
    }

    /// Checks that the network's outputs are what the loss needs, and give the columns asked for.
    pub(in crate::stages) fn validate_outputs(&self) -> Result<()> {
        self.settings.loss.validate_for(&self.network)?;
        let has_probabilities = match self.settings.loss.prediction(self.outputs()) {
            Prediction::Class | Prediction::BinaryClass | Prediction::Labels => true,
            Prediction::Number | Prediction::Numbers => false,
        };
        match &self.probability_col {
            Some(name) if !has_probabilities => Err(Error::InvalidSetting {
                setting: "probability_col",
                value: name.clone(),
                reason: "the loss gives numbers, which have no probabilities: leave it out"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

//! The losses that training minimises, by `torch.nn`'s names and with its settings.
//!
//! A loss is one file: its settings, which implement [`Criterion`]. In this file it has a `mod`
//! line, a variant, a constructor and a line in [`Loss::criterion`].

mod bce_with_logits;
mod criterion;
mod cross_entropy;
mod huber;
mod kl_div;
mod l1;
mod mse;
mod nll;
mod poisson_nll;
mod smooth_l1;

use serde::{Deserialize, Deserializer, Serialize};
use tch::Tensor;

use crate::{Network, Result};

pub use bce_with_logits::BceWithLogits;
use criterion::Criterion;
pub use criterion::Target;
pub(crate) use criterion::{Prediction, WeightedSum};
pub use cross_entropy::CrossEntropy;
pub use huber::Huber;
pub use kl_div::KlDiv;
pub use l1::L1;
pub use mse::Mse;
pub use nll::Nll;
pub use poisson_nll::PoissonNll;
pub use smooth_l1::SmoothL1;

/// A loss, by PyTorch's names and with its defaults. The loss decides what a row's target is: a
/// class, numbers, or several labels that are 0 or 1.
///
/// The loss of an iteration is the weighted mean over the rows of all ranks' mini-batches. The loss
/// of a row with several outputs is the mean over these outputs, as in PyTorch, except for
/// [`KlDiv`], which is their sum.
///
/// ```
/// use mnist_support::train::{CrossEntropy, Loss};
///
/// let rare_class_counts_tenfold = Loss::CrossEntropy(CrossEntropy {
///     weight: Some(vec![1.0, 10.0]),
///     ..Default::default()
/// });
/// assert_ne!(rare_class_counts_tenfold, Loss::cross_entropy());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// `torch.nn.CrossEntropyLoss`: one of several classes, from raw scores (logits).
    CrossEntropy(CrossEntropy),
    /// `torch.nn.NLLLoss`: one of several classes, from log-probabilities, for networks that end in
    /// `LogSoftmax`.
    Nll(Nll),
    /// `torch.nn.MSELoss`: the squared error of numbers.
    Mse(Mse),
    /// `torch.nn.L1Loss`: the absolute error of numbers.
    L1(L1),
    /// `torch.nn.SmoothL1Loss`: squared near 0, absolute further away.
    SmoothL1(SmoothL1),
    /// `torch.nn.HuberLoss`: squared near 0, absolute further away.
    Huber(Huber),
    /// `torch.nn.BCEWithLogitsLoss`: labels that are 0 or 1, from raw scores (logits).
    BceWithLogits(BceWithLogits),
    /// `torch.nn.KLDivLoss`: a distribution, from log-probabilities.
    KlDiv(KlDiv),
    /// `torch.nn.PoissonNLLLoss`: counts.
    PoissonNll(PoissonNll),
}

impl Default for Loss {
    /// Cross-entropy with PyTorch's defaults.
    fn default() -> Self {
        Loss::cross_entropy()
    }
}

impl Loss {
    /// `torch.nn.CrossEntropyLoss` with its defaults.
    pub fn cross_entropy() -> Self {
        Loss::CrossEntropy(CrossEntropy::default())
    }

    /// `torch.nn.NLLLoss` with its defaults.
    pub fn nll() -> Self {
        Loss::Nll(Nll::default())
    }

    /// `torch.nn.MSELoss`.
    pub fn mse() -> Self {
        Loss::Mse(Mse::default())
    }

    /// `torch.nn.L1Loss`.
    pub fn l1() -> Self {
        Loss::L1(L1::default())
    }

    /// `torch.nn.SmoothL1Loss` with its defaults.
    pub fn smooth_l1() -> Self {
        Loss::SmoothL1(SmoothL1::default())
    }

    /// `torch.nn.HuberLoss` with its defaults.
    pub fn huber() -> Self {
        Loss::Huber(Huber::default())
    }

    /// `torch.nn.BCEWithLogitsLoss` with its defaults.
    pub fn bce_with_logits() -> Self {
        Loss::BceWithLogits(BceWithLogits::default())
    }

    /// `torch.nn.KLDivLoss` with its defaults.
    pub fn kl_div() -> Self {
        Loss::KlDiv(KlDiv::default())
    }

    /// `torch.nn.PoissonNLLLoss` with its defaults.
    pub fn poisson_nll() -> Self {
        Loss::PoissonNll(PoissonNll::default())
    }

    fn criterion(&self) -> &dyn Criterion {
        match self {
            Loss::CrossEntropy(loss) => loss,
            Loss::Nll(loss) => loss,
            Loss::Mse(loss) => loss,
            Loss::L1(loss) => loss,
            Loss::SmoothL1(loss) => loss,
            Loss::Huber(loss) => loss,
            Loss::BceWithLogits(loss) => loss,
            Loss::KlDiv(loss) => loss,
            Loss::PoissonNll(loss) => loss,
        }
    }

    /// What a row's target is, for a network with this many outputs for a row.
    pub fn target(&self, outputs: i64) -> Target {
        self.criterion().target(outputs)
    }

    /// Checks the settings alone.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) names the first setting that is
    /// outside its range.
    pub(crate) fn validate(&self) -> Result<()> {
        self.criterion().validate()
    }

    /// Checks the settings and that the network's output is what the loss needs.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) for an output of another shape.
    pub(crate) fn validate_for(&self, network: &Network) -> Result<()> {
        self.validate()?;
        self.criterion().validate_output(&network.output_shape())
    }

    /// What is probably a mistake about the network's last layer, as a sentence.
    pub(crate) fn warning(&self, network: &Network) -> Option<&'static str> {
        self.criterion().warning(network.output_layer()?)
    }

    /// Returns the sum of the rows' losses and of their weights, for outputs and targets of
    /// [`target`](Self::target)'s shape. Without `weights`, every row weighs 1.
    ///
    /// A sum rather than a mean, so that every row counts the same when ranks have batches of
    /// different sizes.
    pub(crate) fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        self.criterion().sum(outputs, targets, weights)
    }

    /// What a network trained with this loss predicts.
    pub(crate) fn prediction(&self, outputs: i64) -> Prediction {
        self.criterion().prediction(outputs)
    }

    /// Returns the predictions for a batch of outputs `[rows, outputs]`, in the unit of the target:
    /// classes `[rows]` of kind `Int64`, or values `[rows, outputs]` of kind `Float`.
    pub(crate) fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        self.criterion().predict(outputs)
    }

    /// Returns the probability of each class or label, `[rows, outputs]`; `None` for a loss that
    /// knows none.
    pub(crate) fn probabilities(&self, outputs: &Tensor) -> Result<Option<Tensor>> {
        self.criterion().probabilities(outputs)
    }

    /// Deserialises a loss, also from what was written before losses had settings of their own.
    pub(super) fn deserialize_saved<'de, D: Deserializer<'de>>(from: D) -> Result<Loss, D::Error> {
        #[derive(Deserialize)]
        enum Before {
            NegativeLogLikelihood,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Saved {
            Before(Before),
            Loss(Loss),
        }
        Ok(match Saved::deserialize(from)? {
            Saved::Before(Before::NegativeLogLikelihood) => Loss::nll(),
            Saved::Loss(loss) => loss,
        })
    }
}

#[cfg(test)]
mod tests;

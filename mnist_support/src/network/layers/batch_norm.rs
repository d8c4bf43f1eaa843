//! What the batch normalisations of vectors and images have in common.

use tch::{TchError, Tensor};

use super::Mode;
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::at_least_one;
use crate::network::state::{Role, StateTensor};

/// The settings of a batch normalisation that have defaults in PyTorch, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormConfig {
    /// Added to the variance, to avoid division by zero: 1e-5.
    pub eps: f64,
    /// The weight of each mini-batch in the running statistics: 0.1. `None` averages over all
    /// iterations.
    pub momentum: Option<f64>,
    /// Whether to learn a weight and a bias for each channel: true.
    pub affine: bool,
    /// Whether to track running statistics: true. Otherwise evaluation uses the batch statistics
    /// too, and the output for a row depends on the other rows.
    pub track_running_stats: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self {
            eps: 1e-5,
            momentum: Some(0.1),
            affine: true,
            track_running_stats: true,
        }
    }
}

/// A batch normalisation, whatever the shape of its input.
pub(super) struct BatchNorm {
    pub(super) num_features: i64,
    pub(super) config: BatchNormConfig,
}

impl BatchNorm {
    /// Checks the settings, for an input with this number of channels.
    pub(super) fn check(&self, channels: i64) -> Result<(), String> {
        at_least_one(&[("num_features", self.num_features)])?;
        let (eps, features) = (self.config.eps, self.num_features);
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(format!("eps is {eps}, it must be above 0"));
        }
        if let Some(momentum) = self.config.momentum
            && !(0.0..=1.0).contains(&momentum)
        {
            return Err(format!("momentum is {momentum}, it must be from 0 to 1"));
        }
        if channels != features {
            return Err(format!(
                "num_features is {features}, but the input has {channels} channels: \
                 set num_features to {channels}"
            ));
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Vec<StateTensor> {
        let features = [self.num_features];
        let parameters = [
            StateTensor::constant("weight", &features, Role::Parameter, 1.0),
            StateTensor::constant("bias", &features, Role::Parameter, 0.0),
        ];
        let buffers = [
            StateTensor::constant("running_mean", &features, Role::Statistic, 0.0),
            StateTensor::constant("running_var", &features, Role::Statistic, 1.0),
            StateTensor::constant("num_batches_tracked", &[], Role::Counter, 0.0),
        ];
        let parameters = parameters.into_iter().filter(|_| self.config.affine);
        let buffers = buffers
            .into_iter()
            .filter(|_| self.config.track_running_stats);
        parameters.chain(buffers).collect()
    }

    pub(super) fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (affine, buffers) = state.split_at(if self.config.affine { 2 } else { 0 });
        let training = matches!(mode, Mode::Training(_));
        let by_batch = training || buffers.is_empty();
        if by_batch && input.numel() as i64 == self.num_features {
            return Err(TchError::Shape(
                "one value for each channel has no variance: use larger mini-batches".to_owned(),
            ));
        }
        let momentum = match buffers.get(2) {
            Some(batches) if training => self.count(batches)?,
            Some(_) | None => 0.0,
        };
        let (weight, bias) = (affine.first(), affine.get(1));
        let (mean, variance) = (buffers.first(), buffers.get(1));
        input.f_batch_norm(
            weight,
            bias,
            mean,
            variance,
            by_batch,
            momentum,
            self.config.eps,
            true,
        )
    }

    /// Adds the normalisation by the running statistics to an ONNX graph.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
    ) -> Result<String, String> {
        let (affine, buffers) = state.split_at(if self.config.affine { 2 } else { 0 });
        let [mean, variance, ..] = buffers else {
            return Err("ONNX has it with running statistics alone".to_owned());
        };
        let plain = [1.0, 0.0].map(|value| mean.full_like(value));
        let affine = if affine.is_empty() { &plain } else { affine };
        let all = [&affine[0], &affine[1], mean, variance].map(Tensor::shallow_clone);
        let state = graph.state(&all)?;
        let mut inputs = vec![input];
        inputs.extend(state.iter().map(String::as_str));
        let epsilon = Attribute::Float(self.config.eps);
        Ok(graph.node("BatchNormalization", &inputs, &[("epsilon", epsilon)]))
    }

    pub(super) fn repr(&self) -> String {
        format!(
            "{}, eps={}, momentum={}, affine={}, track_running_stats={}",
            self.num_features,
            python_float(self.config.eps),
            self.config.momentum.map_or("None".to_owned(), python_float),
            python_bool(self.config.affine),
            python_bool(self.config.track_running_stats),
        )
    }

    /// Counts an iteration. Returns the weight of its mini-batch in the running statistics.
    fn count(&self, batches: &Tensor) -> Result<f64, TchError> {
        let _ = batches.shallow_clone().f_add_scalar_(1)?;
        match self.config.momentum {
            Some(momentum) => Ok(momentum),
            None => Ok(1.0 / batches.f_double_value(&[])?),
        }
    }
}

/// Formats a number as Python does: 1e-05.
pub(super) fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

pub(super) fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

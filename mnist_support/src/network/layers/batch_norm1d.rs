//! Batch normalisation of vectors.

use tch::{TchError, Tensor};

use super::{
    BatchNorm1d, Definition, Layer, Mode,
    batch_norm::{BatchNorm, BatchNormConfig},
};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

/// The settings of [`Layer::BatchNorm1d`].
pub type BatchNorm1dConfig = BatchNormConfig;

impl Layer {
    /// A [`Layer::BatchNorm1d`] for rows with `num_features` features, or with `num_features`
    /// channels of a length.
    pub fn batch_norm1d(num_features: i64, config: BatchNorm1dConfig) -> Self {
        let BatchNorm1dConfig {
            eps,
            momentum,
            affine,
            track_running_stats,
        } = config;
        Self::BatchNorm1d {
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
        }
    }
}

impl BatchNorm1d {
    fn norm(&self) -> BatchNorm {
        BatchNorm {
            num_features: self.num_features,
            config: BatchNormConfig {
                eps: self.eps,
                momentum: self.momentum,
                affine: self.affine,
                track_running_stats: self.track_running_stats,
            },
        }
    }
}

impl Definition for BatchNorm1d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let ([channels] | [channels, _]) = input else {
            return Err("it needs [features], or [channels, length]".to_owned());
        };
        self.norm().check(*channels)?;
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        self.norm().state()
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        self.norm().forward(state, input, mode)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        self.norm().onnx(graph, state, input)
    }

    fn extra_repr(&self) -> String {
        self.norm().repr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropoutMasks, Network};

    #[test]
    fn one_row_has_no_variance_and_images_are_refused() {
        let layer = Layer::batch_norm1d(2, BatchNorm1dConfig::default());
        let network = Network::new(&[2], vec![layer.clone()]).unwrap();
        let state = network.initialize(0);
        let row = Tensor::from_slice(&[1.0_f32, 2.0]).view([1, 2]);
        let mut masks = DropoutMasks::new(0, 1, 0);
        let error = network.forward(&state, &row, Some(&mut masks)).unwrap_err();
        assert!(
            error.to_string().contains("use larger mini-batches"),
            "{error}"
        );
        let error = Network::new(&[2, 3, 3], vec![layer]).unwrap_err();
        assert!(error.to_string().contains("it needs [features]"), "{error}");
    }
}

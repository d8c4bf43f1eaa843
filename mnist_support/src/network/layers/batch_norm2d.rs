//! Batch normalisation of images.

use tch::{TchError, Tensor};

use super::{
    BatchNorm2d, Definition, Layer, Mode,
    batch_norm::{BatchNorm, BatchNormConfig},
};
use crate::network::onnx::OnnxGraph;
use crate::network::shape::image;
use crate::network::state::StateTensor;

/// The settings of [`Layer::BatchNorm2d`].
pub type BatchNorm2dConfig = BatchNormConfig;

impl Layer {
    /// A [`Layer::BatchNorm2d`] for images with `num_features` channels.
    ///
    /// With several ranks, each rank normalises with its own mini-batch, and the running statistics
    /// of the ranks are averaged, weighted by their rows. See [`train`](crate::train::train).
    ///
    /// ```
    /// use mnist_support::network::{BatchNorm2dConfig, Conv2dConfig, Layer, Network};
    ///
    /// let network = Network::new(&[1, 28, 28], vec![
    ///     Layer::conv2d(1, 8, 3, Conv2dConfig { padding: 1.into(), ..Default::default() }),
    ///     Layer::batch_norm2d(8, BatchNorm2dConfig::default()),
    ///     Layer::ReLU,
    /// ])?;
    /// assert_eq!(network.parameter_names()[2..], ["1.weight", "1.bias"]);
    /// assert_eq!(
    ///     network.state_names()[4..],
    ///     ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    /// );
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    pub fn batch_norm2d(num_features: i64, config: BatchNorm2dConfig) -> Self {
        let BatchNorm2dConfig {
            eps,
            momentum,
            affine,
            track_running_stats,
        } = config;
        Self::BatchNorm2d {
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
        }
    }
}

impl BatchNorm2d {
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

impl Definition for BatchNorm2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let [channels, ..] = image(input)?;
        self.norm().check(channels)?;
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
    use crate::network::layers::tests::{assert_close, fixture};
    use crate::network::{DropoutMasks, Network};
    use tch::{Device, Kind};

    fn cases() -> [(&'static str, BatchNorm2dConfig); 4] {
        let default = BatchNorm2dConfig::default();
        let other = BatchNorm2dConfig {
            eps: 0.1,
            momentum: Some(0.3),
            affine: false,
            ..default
        };
        let cumulative = BatchNorm2dConfig {
            momentum: None,
            ..default
        };
        let untracked = BatchNorm2dConfig {
            track_running_stats: false,
            ..default
        };
        [
            ("default", default),
            ("other", other),
            ("cumulative", cumulative),
            ("untracked", untracked),
        ]
    }

    #[test]
    fn outputs_gradients_and_running_statistics_are_those_of_pytorch() {
        let fixture = fixture("pytorch_batch_norm2d.safetensors");
        for (case, config) in cases() {
            let expected = |name: &str| &fixture[&format!("{case}.{name}")];
            let network = Network::new(&[2, 3, 2], vec![Layer::batch_norm2d(2, config)]).unwrap();
            let mut state = network.initialize(1);
            if config.affine {
                for (tensor, name) in state.iter_mut().zip(["weight", "bias"]) {
                    *tensor = expected(name).copy().set_requires_grad(true);
                }
            }
            for step in 0..3 {
                for tensor in state.iter_mut().filter(|tensor| tensor.requires_grad()) {
                    tensor.zero_grad();
                }
                let input = fixture["input"].get(step).set_requires_grad(true);
                let mut masks = DropoutMasks::new(1, 2, 3);
                let output = network.forward(&state, &input, Some(&mut masks)).unwrap();
                (&output * &fixture["weights"]).sum(None).backward();
                if step == 2 {
                    assert_close(&output, expected("output"));
                    assert_close(&input.grad(), expected("gradient.input"));
                }
            }
            for (name, tensor) in network.state_names().iter().zip(&state) {
                let name = name.trim_start_matches("0.");
                if tensor.requires_grad() {
                    assert_close(&tensor.grad(), expected(&format!("gradient.{name}")));
                } else {
                    assert_close(tensor, expected(name));
                }
            }
            let output = network.forward(&state, &fixture["input"].get(0), None);
            assert_close(&output.unwrap(), expected("evaluation"));
        }
    }

    #[test]
    fn evaluation_changes_no_buffer_and_treats_each_row_independently() {
        let layer = Layer::batch_norm2d(2, BatchNorm2dConfig::default());
        let network = Network::new(&[2, 3, 2], vec![layer]).unwrap();
        let state = network.initialize(1);
        let rows = Tensor::randn([4, 2, 3, 2], (Kind::Float, Device::Cpu));
        let together = network.forward(&state, &rows, None).unwrap();
        let alone = network.forward(&state, &rows.narrow(0, 2, 1), None);
        assert_eq!(together.narrow(0, 2, 1), alone.unwrap());
        assert_eq!(state, network.initialize(1));
    }

    #[test]
    fn a_single_value_for_each_channel_is_refused_in_training() {
        let layer = Layer::batch_norm2d(3, BatchNorm2dConfig::default());
        let network = Network::new(&[3, 1, 1], vec![layer]).unwrap();
        let state = network.initialize(1);
        let row = Tensor::ones([1, 3, 1, 1], (Kind::Float, Device::Cpu));
        let mut masks = DropoutMasks::new(1, 2, 3);
        let error = network.forward(&state, &row, Some(&mut masks)).unwrap_err();
        assert!(error.to_string().contains("larger mini-batches"), "{error}");
        assert!(network.forward(&state, &row, None).is_ok());
    }

    #[test]
    fn invalid_settings_and_inputs_are_refused() {
        let with = |eps, momentum| BatchNorm2dConfig {
            eps,
            momentum,
            ..Default::default()
        };
        let default = BatchNorm2dConfig::default();
        for (input, features, config, expected) in [
            (vec![2, 3, 2], 0, default, "num_features is 0,"),
            (vec![2, 3, 2], 2, with(0.0, None), "eps is 0,"),
            (vec![2, 3, 2], 2, with(f64::NAN, None), "eps is NaN,"),
            (vec![2, 3, 2], 2, with(0.1, Some(1.5)), "momentum is 1.5,"),
            (vec![2, 3, 2], 3, default, "set num_features to 2"),
            (vec![12], 2, default, "[channels, height, width]"),
        ] {
            let layer = Layer::batch_norm2d(features, config);
            let error = Network::new(&input, vec![layer]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn it_prints_as_in_pytorch_and_each_setting_is_in_the_json() {
        let default = Layer::batch_norm2d(16, BatchNorm2dConfig::default());
        let expected =
            "BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)";
        assert_eq!(default.to_string(), expected);
        for (_, config) in cases() {
            let layer = Layer::batch_norm2d(16, config);
            let json = serde_json::to_string(&layer).unwrap();
            assert_eq!(serde_json::from_str::<Layer>(&json).unwrap(), layer);
            for setting in ["eps", "momentum", "affine", "track_running_stats"] {
                let mut short: serde_json::Value = serde_json::from_str(&json).unwrap();
                short.as_object_mut().unwrap().remove(setting).unwrap();
                let error = serde_json::from_value::<Layer>(short).unwrap_err();
                assert!(error.to_string().contains(setting), "{error}");
            }
        }
    }
}

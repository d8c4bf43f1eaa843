//! Dropout of whole channels.

use tch::{TchError, Tensor};

use super::{Definition, Dropout2d, Layer, Mode};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::Dropout2d`].
    ///
    /// The network of SparkTorch's example on MNIST:
    ///
    /// ```
    /// use mnist_support::network::{Conv2dConfig, Layer, Network};
    ///
    /// let network = Network::new(&[1, 28, 28], vec![
    ///     Layer::conv2d(1, 16, 5, Conv2dConfig::default()),
    ///     Layer::ReLU,
    ///     Layer::conv2d(16, 32, 3, Conv2dConfig::default()),
    ///     Layer::max_pool2d(2),
    ///     Layer::dropout2d(0.25),
    ///     Layer::Flatten,
    ///     Layer::linear(3872, 10),
    /// ])?;
    /// assert_eq!(network.output_shape(), [10]);
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    pub fn dropout2d(p: f64) -> Self {
        Self::Dropout2d { p }
    }
}

impl Definition for Dropout2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let p = self.p;
        if !(0.0..1.0).contains(&p) {
            return Err(format!("p is {p}, it must be at least 0 and below 1"));
        }
        if input.len() < 2 {
            return Err("it needs channels of images: put it before a Flatten".to_owned());
        }
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(
        &self,
        _: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        match mode {
            Mode::Training(Some(masks)) if self.p > 0.0 => {
                // One value for each channel of each row.
                let size = input.size();
                let mut channels = vec![1; size.len()];
                channels[..2].copy_from_slice(&size[..2]);
                let like = input.f_new_empty(&channels, (input.f_kind()?, input.device()))?;
                input.f_mul(&masks.draw(&like, self.p)?)
            }
            Mode::Training(None) => input.f_feature_dropout(self.p, true),
            Mode::Training(Some(_)) | Mode::Evaluation => Ok(input.shallow_clone()),
        }
    }

    fn onnx(
        &self,
        _: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(input.to_owned())
    }

    fn extra_repr(&self) -> String {
        format!("p={}", self.p)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::{DropoutMasks, Network};

    #[test]
    fn whole_channels_are_zero_or_scaled_and_the_mean_stays() {
        let network = Network::new(&[50, 4, 4], vec![Layer::dropout2d(0.25)]).unwrap();
        let images = Tensor::ones([40, 50, 4, 4], (Kind::Float, Device::Cpu));
        let draw = || network.forward(&[], &images, Some(&mut DropoutMasks::new(1, 2, 3)));
        let output = draw().unwrap();
        assert_eq!(output, draw().unwrap());
        let channels = output.view([2000, 16]);
        let (least, most) = (channels.amin([1], false), channels.amax([1], false));
        assert_eq!(least, most, "a channel has one value");
        let kept = Vec::<f32>::try_from(most).unwrap();
        assert!(
            kept.iter()
                .all(|&value| value == 0.0 || value == 1.0 / 0.75)
        );
        let mean = output.mean(Kind::Double).double_value(&[]);
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert_eq!(network.forward(&[], &images, None).unwrap(), images);
    }
}

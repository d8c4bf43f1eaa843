//! Predictions for many rows, a batch at a time.

use tch::{Kind, Tensor};

use super::forward::Dropout;
use super::layer::Layer;
use super::sequential::Network;
use crate::{Error, Result};

impl Network {
    /// The network's output for many rows, `batch_size` at a time so that memory stays small,
    /// without a graph and without dropout. The rows are taken to the parameters' device; the
    /// output stays there. A few hundred rows at a time are fastest on a CPU: larger batches leave
    /// its caches.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a batch size below 1, and those of [`Network::forward`].
    pub fn outputs(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        batch_size: i64,
    ) -> Result<Tensor> {
        if batch_size < 1 {
            return Err(Error::InvalidSetting {
                setting: "batch_size",
                value: batch_size.to_string(),
                reason: "must be at least 1".to_string(),
            });
        }
        let _no_grad = tch::no_grad_guard();
        let size = if features.defined() {
            features.size()
        } else {
            Vec::new()
        };
        let rows = size.first().copied().unwrap_or_default();
        let mut batches = Vec::new();
        let mut start = 0;
        // Also with no row at all there is one batch, for its shape.
        while start < rows || batches.is_empty() {
            let length = batch_size.min(rows - start);
            let mut batch = if length == rows {
                features.shallow_clone()
            } else {
                features.f_narrow(0, start, length)?
            };
            if let Some(parameter) = parameters.first() {
                batch = batch.f_to_device(parameter.device())?;
            }
            batches.push(self.run(parameters, &batch, Dropout::Off)?);
            start += batch_size;
        }
        Ok(Tensor::f_cat(&batches, 0)?)
    }

    /// The probability of each class, of shape [rows, classes]. Logits go through a softmax; the
    /// output of a network that ends in LogSoftmax or Softmax is taken for what it is.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the network's output is not one row of classes, and those of
    /// [`Network::outputs`].
    pub fn predict_proba(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        batch_size: i64,
    ) -> Result<Tensor> {
        let outputs = self.class_outputs(parameters, features, batch_size)?;
        let _no_grad = tch::no_grad_guard();
        Ok(match self.layers().last() {
            Some(Layer::Softmax) => outputs,
            Some(Layer::LogSoftmax) => outputs.f_exp()?,
            _ => outputs.f_softmax(1, None)?,
        })
    }

    /// The most probable class of each row.
    ///
    /// ```
    /// use mnist_support::network::CnnConfig;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let network = CnnConfig::default().network()?;
    /// let images = Tensor::zeros([1000, 784], (Kind::Float, Device::Cpu));
    /// let classes = network.predict(&network.initialize(1), &images, 256)?;
    /// assert_eq!(classes.len(), 1000);
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Network::predict_proba`].
    pub fn predict(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        batch_size: i64,
    ) -> Result<Vec<i64>> {
        let outputs = self.class_outputs(parameters, features, batch_size)?;
        let classes = outputs.f_argmax(1, false)?.f_to_kind(Kind::Int64)?;
        Ok(Vec::<i64>::try_from(&classes)?)
    }

    fn class_outputs(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        batch_size: i64,
    ) -> Result<Tensor> {
        let shape = self.output_shape();
        if shape.len() != 1 {
            return Err(Error::ShapeMismatch {
                what: "the network's output for one row".to_string(),
                found: shape,
                expected: "[classes]".to_string(),
            });
        }
        self.outputs(parameters, features, batch_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::CnnConfig;
    use tch::Device;

    fn images(rows: i64) -> Tensor {
        Tensor::rand([rows, 784], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn predictions_do_not_depend_on_the_batch_size() {
        let network = CnnConfig::default().network().unwrap();
        let (parameters, images) = (network.initialize(3), images(23));
        let whole = network.outputs(&parameters, &images, 100).unwrap();
        for batch_size in [1, 7, 23] {
            let parts = network.outputs(&parameters, &images, batch_size).unwrap();
            assert!(parts.allclose(&whole, 1e-5, 1e-6, false));
        }
        let classes = network.predict(&parameters, &images, 7).unwrap();
        let expected = Vec::<i64>::try_from(whole.argmax(1, false)).unwrap();
        assert_eq!(classes, expected);
    }

    #[test]
    fn probabilities_are_the_same_whatever_the_last_layer_is() {
        let rows = Tensor::rand([9, 5], (Kind::Float, Device::Cpu));
        let linear = Layer::linear(5, 3);
        let logits = Network::new(&[5], vec![linear.clone()]).unwrap();
        let parameters = logits.initialize(1);
        let expected = logits.predict_proba(&parameters, &rows, 4).unwrap();
        let sums = expected.sum_dim_intlist(1, false, None);
        assert!(sums.allclose(&sums.ones_like(), 1e-5, 1e-6, false));
        for last in [Layer::LogSoftmax, Layer::Softmax] {
            let network = Network::new(&[5], vec![linear.clone(), last]).unwrap();
            let probabilities = network.predict_proba(&parameters, &rows, 4).unwrap();
            assert!(probabilities.allclose(&expected, 1e-5, 1e-6, false));
        }
    }

    #[test]
    fn no_graph_is_built() {
        let network = CnnConfig::default().network().unwrap();
        let parameters: Vec<_> = network
            .initialize(3)
            .into_iter()
            .map(|tensor| tensor.set_requires_grad(true))
            .collect();
        assert!(
            !network
                .outputs(&parameters, &images(4), 2)
                .unwrap()
                .requires_grad()
        );
        assert!(
            !network
                .predict_proba(&parameters, &images(4), 2)
                .unwrap()
                .requires_grad()
        );
    }

    #[test]
    fn no_rows_give_no_predictions() {
        let network = CnnConfig::default().network().unwrap();
        assert!(
            network
                .predict(&network.initialize(3), &images(0), 10)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_batch_size_below_one_and_an_output_that_is_no_class_are_refused() {
        let network = CnnConfig::default().network().unwrap();
        for batch_size in [0, -1] {
            match network.predict(&network.initialize(3), &images(2), batch_size) {
                Err(Error::InvalidSetting {
                    setting: "batch_size",
                    ..
                }) => {}
                other => panic!("{other:?}"),
            }
        }
        let image = Network::new(&[1, 28, 28], vec![Layer::ReLU]).unwrap();
        let error = image.predict(&[], &images(2), 1).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}

//! Predictions for many rows, one batch at a time.

use tch::{Device, Tensor};

use super::data::Network;
use super::layers::{Layer, Mode};
use crate::{Error, Result, threads::run_all};

/// The batch size for predictions. A small batch stays in a CPU's caches: with the original CNN, no
/// batch size was faster than 250. A GPU needs large batches.
pub(crate) fn prediction_batch_size(device: Device) -> usize {
    match device {
        Device::Cpu => 250,
        _ => 10_000,
    }
}

impl Network {
    /// Runs the network on many rows, without a graph and without dropout. Batches of rows are
    /// moved to the parameters' device one at a time, to save memory, and the output stays there.
    /// On a CPU, the rows are divided among as many threads as libtorch may use
    /// ([`tch::get_num_threads`]).
    ///
    /// # Errors
    /// Same as [`Network::forward`].
    pub fn outputs(&self, parameters: &[Tensor], features: &Tensor) -> Result<Tensor> {
        self.outputs_then(parameters, features, Ok)
    }

    /// Runs the network and `then` on each batch, and concatenates the results. `then` runs on the
    /// thread that ran the batch. A single large operation at the end would wake libtorch's thread
    /// pool, whose threads then spin for a while and took a sixth of the CPU time from the next
    /// call.
    fn outputs_then(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        then: impl Fn(Tensor) -> Result<Tensor> + Sync,
    ) -> Result<Tensor> {
        let device = parameters.first().map_or(Device::Cpu, Tensor::device);
        let rows = match features.defined().then(|| features.size()) {
            Some(size) => size.first().copied().unwrap_or_default(),
            None => 0,
        };
        let batch = self.max_rows_of(prediction_batch_size(device)) as i64;
        let threads = match device {
            Device::Cpu => i64::from(tch::get_num_threads()),
            _ => 1,
        };
        let threads = threads.min((rows + batch - 1) / batch);
        if threads <= 1 {
            return self.outputs_on_this_thread(parameters, features, batch, then);
        }
        let then = &then;
        let parts = (0..threads).map(|thread| {
            let (first, end) = (rows * thread / threads, rows * (thread + 1) / threads);
            let rows = features.f_narrow(0, first, end - first)?;
            let parameters: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
            Ok(move || {
                tch::set_num_threads(1);
                self.outputs_on_this_thread(&parameters, &rows, batch, then)
            })
        });
        let outputs = run_all(parts.collect::<Result<Vec<_>>>()?)
            .into_iter()
            .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_cat(&outputs, 0)?)
    }

    fn outputs_on_this_thread(
        &self,
        parameters: &[Tensor],
        features: &Tensor,
        batch: i64,
        then: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let size = if features.defined() {
            features.size()
        } else {
            Vec::new()
        };
        let rows = size.first().copied().unwrap_or_default();
        let mut batches = Vec::new();
        let mut start = 0;
        // Even without rows, run one empty batch to get its shape.
        while start < rows || batches.is_empty() {
            let length = batch.min(rows - start);
            let mut batch_rows = if length == rows {
                features.shallow_clone()
            } else {
                features.f_narrow(0, start, length)?
            };
            if let Some(parameter) = parameters.first() {
                batch_rows = batch_rows.f_to_device(parameter.device())?;
            }
            batches.push(then(self.run(
                parameters,
                &batch_rows,
                &mut Mode::Evaluation,
            )?)?);
            start += batch;
        }
        Ok(Tensor::f_cat(&batches, 0)?)
    }

    /// Predicts the probability of each class, of shape [rows, classes]. Logits go through a
    /// softmax. The output of a network that ends in LogSoftmax or Softmax is already normalised.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the output is not one row of classes, and the errors of
    /// [`Network::outputs`].
    pub fn predict_proba(&self, parameters: &[Tensor], features: &Tensor) -> Result<Tensor> {
        self.check_classes()?;
        self.outputs_then(parameters, features, |outputs| {
            Ok(match self.output_layer() {
                Some(Layer::Softmax) => outputs,
                Some(Layer::LogSoftmax) => outputs.f_exp()?,
                _ => outputs.f_softmax(1, None)?,
            })
        })
    }

    /// Predicts the most probable class of each row, the argmax of the output.
    ///
    /// ```
    /// use mnist_support::network::CnnConfig;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let network = CnnConfig::default().network()?;
    /// let images = Tensor::zeros([1000, 784], (Kind::Float, Device::Cpu));
    /// let classes = network.predict(&network.initialize(1), &images)?;
    /// assert_eq!(classes.len(), 1000);
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    ///
    /// # Errors
    /// Same as [`Network::predict_proba`].
    pub fn predict(&self, parameters: &[Tensor], features: &Tensor) -> Result<Vec<i64>> {
        self.check_classes()?;
        let classes = self.outputs_then(parameters, features, |outputs| {
            Ok(outputs.f_argmax(1, false)?)
        })?;
        Ok(Vec::<i64>::try_from(&classes)?)
    }

    fn check_classes(&self) -> Result<()> {
        let shape = self.output_shape();
        if shape.len() != 1 {
            return Err(Error::ShapeMismatch {
                what: "the network's output for one row".to_owned(),
                found: shape,
                expected: "[classes]".to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tch::Kind;

    use super::*;
    use crate::network::CnnConfig;

    fn images(rows: i64) -> Tensor {
        Tensor::rand([rows, 784], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn predictions_do_not_depend_on_the_batch_size() {
        let network = CnnConfig::default().network().unwrap();
        let (parameters, images) = (network.initialize(3), images(23));
        let outputs = |batch| {
            network
                .outputs_on_this_thread(&parameters, &images, batch, Ok)
                .unwrap()
        };
        let whole = outputs(100);
        for batch in [1, 7, 23] {
            assert!(outputs(batch).allclose(&whole, 1e-5, 1e-6, false));
        }
        let classes = network.predict(&parameters, &images).unwrap();
        let expected = Vec::<i64>::try_from(whole.argmax(1, false)).unwrap();
        assert_eq!(classes, expected);
    }

    #[test]
    fn predictions_of_several_threads_are_in_order() {
        let network = CnnConfig::default().network().unwrap();
        let (parameters, images) = (network.initialize(3), images(1111));
        let outputs = |threads| {
            let (network, images) = (network.clone(), images.shallow_clone());
            let parameters: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
            thread::spawn(move || {
                tch::set_num_threads(threads);
                network.outputs(&parameters, &images).unwrap()
            })
            .join()
            .unwrap()
        };
        let (one, three) = (outputs(1), outputs(3));
        assert_eq!(three.size(), [1111, 10]);
        assert!(three.allclose(&one, 1e-5, 1e-6, false));
    }

    #[test]
    fn an_error_on_a_thread_is_returned() {
        let network = CnnConfig::default().network().unwrap();
        let too_narrow = Tensor::zeros([1000, 783], (Kind::Float, Device::Cpu));
        let error = thread::spawn(move || {
            tch::set_num_threads(2);
            network
                .predict(&network.initialize(3), &too_narrow)
                .unwrap_err()
        })
        .join()
        .unwrap();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }

    #[test]
    fn probabilities_are_the_same_whatever_the_last_layer_is() {
        let rows = Tensor::rand([9, 5], (Kind::Float, Device::Cpu));
        let linear = Layer::linear(5, 3);
        let logits = Network::new(&[5], vec![linear.clone()]).unwrap();
        let parameters = logits.initialize(1);
        let expected = logits.predict_proba(&parameters, &rows).unwrap();
        let sums = expected.sum_dim_intlist(1, false, None);
        assert!(sums.allclose(&sums.ones_like(), 1e-5, 1e-6, false));
        for last in [Layer::LogSoftmax, Layer::Softmax] {
            let network = Network::new(&[5], vec![linear.clone(), last]).unwrap();
            let probabilities = network.predict_proba(&parameters, &rows).unwrap();
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
                .outputs(&parameters, &images(4))
                .unwrap()
                .requires_grad()
        );
        assert!(
            !network
                .predict_proba(&parameters, &images(4))
                .unwrap()
                .requires_grad()
        );
    }

    #[test]
    fn no_rows_give_no_predictions() {
        let network = CnnConfig::default().network().unwrap();
        assert!(
            network
                .predict(&network.initialize(3), &images(0))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn an_output_that_is_not_a_row_of_classes_is_refused() {
        let image = Network::new(&[1, 28, 28], vec![Layer::ReLU]).unwrap();
        let error = image.predict(&[], &images(2)).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}

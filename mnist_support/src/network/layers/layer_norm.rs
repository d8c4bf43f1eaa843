//! Layer normalisation.

use tch::{Device, Kind, TchError, Tensor};

use super::{Definition, Layer, LayerNorm, Mode, batch_norm::python_float};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::at_least_one;
use crate::network::state::{Role, StateTensor};

impl Layer {
    /// A [`Layer::LayerNorm`] over the last dimensions of the input, with PyTorch's defaults: eps
    /// 1e-5, and a weight and a bias for each element.
    pub fn layer_norm(normalized_shape: impl Into<Vec<i64>>) -> Self {
        Self::LayerNorm {
            normalized_shape: normalized_shape.into(),
            eps: 1e-5,
            elementwise_affine: true,
        }
    }
}

impl Definition for LayerNorm {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let shape = &self.normalized_shape;
        for &size in shape {
            at_least_one(&[("normalized_shape", size)])?;
        }
        if shape.is_empty() || !input.ends_with(shape) {
            return Err(format!(
                "normalized_shape is {shape:?}, but the input ends in {:?}",
                &input[input.len().saturating_sub(shape.len().max(1))..]
            ));
        }
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        let parameters = [("weight", 1.0), ("bias", 0.0)].into_iter();
        parameters
            .filter(|_| self.elementwise_affine)
            .map(|(name, value)| {
                StateTensor::constant(name, &self.normalized_shape, Role::Parameter, value)
            })
            .collect()
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let shape = self.normalized_shape.as_slice();
        input.f_layer_norm(shape, state.first(), state.get(1), self.eps, true)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let size: i64 = self.normalized_shape.iter().product();
        let own = match state {
            [] => vec![
                Tensor::ones([size], (Kind::Float, Device::Cpu))
                    .view(self.normalized_shape.as_slice()),
            ],
            state => state.iter().map(Tensor::shallow_clone).collect(),
        };
        let state = graph.state(&own)?;
        let mut inputs = vec![input];
        inputs.extend(state.iter().map(String::as_str));
        Ok(graph.node(
            "LayerNormalization",
            &inputs,
            &[
                (
                    "axis",
                    Attribute::Int(-(self.normalized_shape.len() as i64)),
                ),
                ("epsilon", Attribute::Float(self.eps)),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        let affine = if self.elementwise_affine {
            "True"
        } else {
            "False"
        };
        format!(
            "{:?}, eps={}, elementwise_affine={affine}",
            self.normalized_shape,
            python_float(self.eps)
        )
    }
}

//! Group normalisation.

use tch::{Device, Kind, TchError, Tensor};

use super::{Definition, GroupNorm, Layer, Mode, batch_norm::python_float};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::at_least_one;
use crate::network::state::{Role, StateTensor};

impl Layer {
    /// A [`Layer::GroupNorm`] with PyTorch's defaults: eps 1e-5, and a weight and a bias for each
    /// channel.
    pub fn group_norm(num_groups: i64, num_channels: i64) -> Self {
        Self::GroupNorm {
            num_groups,
            num_channels,
            eps: 1e-5,
            affine: true,
        }
    }
}

impl Definition for GroupNorm {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let (groups, channels) = (self.num_groups, self.num_channels);
        at_least_one(&[("num_groups", groups), ("num_channels", channels)])?;
        if channels % groups != 0 {
            return Err(format!(
                "num_channels is {channels}, which {groups} groups can't share equally"
            ));
        }
        match input.first() {
            Some(&found) if found == channels => Ok(input.to_vec()),
            found => {
                let found = found.copied().unwrap_or_default();
                Err(format!(
                    "num_channels is {channels}, but the input has {found} channels: \
                     set num_channels to {found}"
                ))
            }
        }
    }

    fn state(&self) -> Vec<StateTensor> {
        let parameters = [("weight", 1.0), ("bias", 0.0)].into_iter();
        parameters
            .filter(|_| self.affine)
            .map(|(name, value)| {
                StateTensor::constant(name, &[self.num_channels], Role::Parameter, value)
            })
            .collect()
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        input.f_group_norm(self.num_groups, state.first(), state.get(1), self.eps, true)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let own = match state {
            [] => [1.0, 0.0]
                .map(|value| Tensor::full([self.num_channels], value, (Kind::Float, Device::Cpu)))
                .into(),
            state => state.iter().map(Tensor::shallow_clone).collect::<Vec<_>>(),
        };
        let state = graph.state(&own)?;
        Ok(graph.node(
            "GroupNormalization",
            &[input, &state[0], &state[1]],
            &[
                ("num_groups", Attribute::Int(self.num_groups)),
                ("epsilon", Attribute::Float(self.eps)),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        let affine = if self.affine { "True" } else { "False" };
        format!(
            "{}, {}, eps={}, affine={affine}",
            self.num_groups,
            self.num_channels,
            python_float(self.eps)
        )
    }
}

//! The Gaussian error linear unit.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::{Definition, GELU, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::state::StateTensor;

/// How GELU computes the normal distribution, with PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GeluApproximate {
    /// Exact, with the error function. The default.
    #[default]
    None,
    /// Approximated with a hyperbolic tangent, as in GPT-2.
    Tanh,
}

impl Layer {
    /// A [`Layer::GELU`] without approximation, PyTorch's default.
    pub fn gelu() -> Self {
        Self::GELU {
            approximate: GeluApproximate::None,
        }
    }
}

impl Definition for GELU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_gelu(self.approximate.name())
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node(
            "Gelu",
            &[input],
            &[("approximate", Attribute::Text(self.approximate.name()))],
        ))
    }

    fn extra_repr(&self) -> String {
        format!("approximate='{}'", self.approximate.name())
    }
}

impl GeluApproximate {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tanh => "tanh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::network::layers::tests::{assert_close, fixture};

    #[test]
    fn outputs_and_gradients_are_those_of_pytorch() {
        let expected = fixture("pytorch_gelu.safetensors");
        for approximate in [GeluApproximate::None, GeluApproximate::Tanh] {
            let input = expected["input"].view([1, -1]).set_requires_grad(true);
            let network = Network::new(&[41], vec![Layer::GELU { approximate }]).unwrap();
            let output = network.forward(&[], &input, None).unwrap();
            output.sum(None).backward();
            let expected = |what: &str| &expected[&format!("{}.{what}", approximate.name())];
            assert_close(&output.view(-1), expected("output"));
            assert_close(&input.grad().view(-1), expected("gradient"));
        }
    }

    #[test]
    fn it_prints_as_in_pytorch() {
        let tanh = Layer::GELU {
            approximate: GeluApproximate::Tanh,
        };
        assert_eq!(tanh.to_string(), "GELU(approximate='tanh')");
        assert_eq!(Layer::gelu().to_string(), "GELU(approximate='none')");
    }
}

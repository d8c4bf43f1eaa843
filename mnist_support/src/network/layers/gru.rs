//! Gated recurrent units.

use tch::{TchError, Tensor};

use super::{
    Definition, GRU, Layer, Mode,
    recurrent::{Cell, Recurrent, RecurrentConfig},
};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::GRU`] on inputs of shape [steps, features], PyTorch's `batch_first`.
    pub fn gru(input_size: i64, hidden_size: i64, config: RecurrentConfig) -> Self {
        let RecurrentConfig {
            num_layers,
            bidirectional,
            output,
        } = config;
        Self::GRU {
            input_size,
            hidden_size,
            num_layers,
            bidirectional,
            output,
        }
    }
}

impl GRU {
    fn recurrent(&self) -> Recurrent {
        Recurrent {
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            gates: 3,
            config: RecurrentConfig {
                num_layers: self.num_layers,
                bidirectional: self.bidirectional,
                output: self.output,
            },
        }
    }
}

impl Definition for GRU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        self.recurrent().output_shape(input)
    }

    fn state(&self) -> Vec<StateTensor> {
        self.recurrent().state()
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let recurrent = self.recurrent();
        let zeros = recurrent.zeros(input)?;
        let parameters: Vec<&Tensor> = state.iter().collect();
        let (all, last) = input.f_gru(
            &zeros,
            &parameters,
            true,
            self.num_layers,
            0.0,
            false,
            self.bidirectional,
            true,
        )?;
        recurrent.output(all, &last)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        self.recurrent().onnx(graph, state, input, Cell::Gru)
    }

    fn extra_repr(&self) -> String {
        self.recurrent().repr()
    }
}

//! Long short-term memory.

use tch::{TchError, Tensor};

use super::{
    Definition, LSTM, Layer, Mode,
    recurrent::{Cell, Recurrent, RecurrentConfig},
};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::LSTM`] on inputs of shape [steps, features], PyTorch's `batch_first`.
    pub fn lstm(input_size: i64, hidden_size: i64, config: RecurrentConfig) -> Self {
        let RecurrentConfig {
            num_layers,
            bidirectional,
            output,
        } = config;
        Self::LSTM {
            input_size,
            hidden_size,
            num_layers,
            bidirectional,
            output,
        }
    }
}

impl LSTM {
    fn recurrent(&self) -> Recurrent {
        Recurrent {
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            gates: 4,
            config: RecurrentConfig {
                num_layers: self.num_layers,
                bidirectional: self.bidirectional,
                output: self.output,
            },
        }
    }
}

impl Definition for LSTM {
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
        let before = [&zeros, &zeros];
        let parameters: Vec<&Tensor> = state.iter().collect();
        let (all, last, _) = input.f_lstm(
            &before,
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
        self.recurrent().onnx(graph, state, input, Cell::Lstm)
    }

    fn extra_repr(&self) -> String {
        self.recurrent().repr()
    }
}

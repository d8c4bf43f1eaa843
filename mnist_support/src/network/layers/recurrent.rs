//! What LSTM and GRU have in common.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::at_least_one;
use crate::network::state::{Init, Role, StateTensor};

/// What a recurrent layer passes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecurrentOutput {
    /// The last hidden state, a vector. In both directions: that after the last step, and
    /// that after the first, one after the other.
    #[default]
    Last,
    /// The hidden states after all steps, a vector each.
    All,
}

/// The settings of a recurrent layer that have defaults, which are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurrentConfig {
    /// The number of layers, each on the outputs of the one before: 1.
    pub num_layers: i64,
    /// Whether there is another pass from the end to the start: false.
    pub bidirectional: bool,
    /// What is passed on: the last state.
    pub output: RecurrentOutput,
}

impl Default for RecurrentConfig {
    fn default() -> Self {
        Self {
            num_layers: 1,
            bidirectional: false,
            output: RecurrentOutput::Last,
        }
    }
}

/// A recurrent layer with a number of gates.
pub(super) struct Recurrent {
    pub(super) input_size: i64,
    pub(super) hidden_size: i64,
    pub(super) gates: i64,
    pub(super) config: RecurrentConfig,
}

impl Recurrent {
    fn directions(&self) -> i64 {
        1 + i64::from(self.config.bidirectional)
    }

    pub(super) fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        at_least_one(&[
            ("input_size", self.input_size),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.config.num_layers),
        ])?;
        let &[steps, width] = input else {
            return Err("it needs a sequence of shape [steps, features]".to_owned());
        };
        if width != self.input_size {
            return Err(format!(
                "input_size is {}, but the input has {width} features a step: \
                 set input_size to {width}",
                self.input_size
            ));
        }
        let hidden = self.hidden_size.checked_mul(self.directions());
        let hidden = hidden.ok_or("hidden_size is too large")?;
        Ok(match self.config.output {
            RecurrentOutput::Last => vec![hidden],
            RecurrentOutput::All => vec![steps, hidden],
        })
    }

    /// PyTorch draws all of them from U(-1/sqrt(hidden), 1/sqrt(hidden)).
    pub(super) fn state(&self) -> Vec<StateTensor> {
        let (hidden, gates) = (
            self.hidden_size,
            self.gates.saturating_mul(self.hidden_size),
        );
        let bound = 1.0 / (hidden as f32).sqrt();
        let mut state = Vec::new();
        for layer in 0..self.config.num_layers {
            let width = match layer {
                0 => self.input_size,
                _ => hidden.saturating_mul(self.directions()),
            };
            for direction in 0..self.directions() {
                let suffix = if direction == 1 { "_reverse" } else { "" };
                for (name, shape) in [
                    ("weight_ih", vec![gates, width]),
                    ("weight_hh", vec![gates, hidden]),
                    ("bias_ih", vec![gates]),
                    ("bias_hh", vec![gates]),
                ] {
                    state.push(StateTensor {
                        name: format!("{name}_l{layer}{suffix}").into(),
                        shape,
                        role: Role::Parameter,
                        init: Init::Uniform { bound },
                    });
                }
            }
        }
        state
    }

    /// The state before the first step.
    pub(super) fn zeros(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let layers = self.config.num_layers * self.directions();
        let shape = [layers, input.size()[0], self.hidden_size];
        Tensor::f_zeros(shape, (input.f_kind()?, input.device()))
    }

    /// What is passed on, of the hidden states after all steps, and the last ones of each layer.
    pub(super) fn output(&self, all: Tensor, last: &Tensor) -> Result<Tensor, TchError> {
        match self.config.output {
            RecurrentOutput::All => Ok(all),
            RecurrentOutput::Last => {
                let layers = last.size()[0];
                let directions =
                    (layers - self.directions()..layers).map(|layer| last.f_get(layer));
                Tensor::f_cat(&directions.collect::<Result<Vec<_>, _>>()?, 1)
            }
        }
    }

    /// Adds the layers to an ONNX graph.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        cell: Cell,
    ) -> Result<String, String> {
        let [all, last] = cell.onnx(graph, state, input, self.config.bidirectional)?;
        match self.config.output {
            RecurrentOutput::All => Ok(all),
            RecurrentOutput::Last => {
                // The states of the last layer alone, of shape [directions, rows, hidden].
                let range = [-self.directions(), i64::MAX].map(|at| Tensor::from_slice(&[at]));
                let range = graph.state(&range)?;
                let last = graph.node("Slice", &[&last, &range[0], &range[1]], &[]);
                let joined = graph.node("Transpose", &[&last], &perm(&[1, 0, 2]));
                graph
                    .reshape(&joined, &[self.hidden_size * self.directions()])
                    .map_err(|error| error.to_string())
            }
        }
    }

    pub(super) fn repr(&self) -> String {
        let mut text = format!("{}, {}", self.input_size, self.hidden_size);
        if self.config.num_layers != 1 {
            text += &format!(", num_layers={}", self.config.num_layers);
        }
        text += ", batch_first=True";
        if self.config.bidirectional {
            text += ", bidirectional=True";
        }
        text
    }
}

/// The cell of a recurrent layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Cell {
    Lstm,
    Gru,
}

impl Cell {
    fn operator(self) -> &'static str {
        match self {
            Cell::Lstm => "LSTM",
            Cell::Gru => "GRU",
        }
    }

    /// PyTorch's gates in ONNX's order.
    fn gates(self) -> &'static [i64] {
        match self {
            // Input, forget, cell, output in PyTorch; input, output, forget, cell in ONNX.
            Cell::Lstm => &[0, 3, 1, 2],
            // Reset, update, new in PyTorch; update, reset, new in ONNX.
            Cell::Gru => &[1, 0, 2],
        }
    }

    /// Adds layers to an ONNX graph, with PyTorch's weights, on inputs of shape [rows, steps,
    /// features]. The results are the outputs, [rows, steps, directions hidden], and the hidden
    /// states after the last step, [layers directions, rows, hidden].
    pub(in crate::network) fn onnx(
        self,
        graph: &mut OnnxGraph,
        weights: &[Tensor],
        input: &str,
        bidirectional: bool,
    ) -> Result<[String; 2], String> {
        let failed = |error: TchError| error.to_string();
        let (directions, direction) = match bidirectional {
            true => (2, "bidirectional"),
            false => (1, "forward"),
        };
        let hidden = weights.get(1).and_then(|weight| weight.size().pop());
        let hidden = hidden.ok_or("it has no weights")?;
        // ONNX's steps come before the rows.
        let mut value = graph.node("Transpose", &[input], &perm(&[1, 0, 2]));
        let mut last = Vec::new();
        for layer in weights.chunks(4 * directions) {
            let parameters = self.parameters(layer, hidden).map_err(failed)?;
            let state = graph.state(&parameters)?;
            let inputs = [value.as_str(), &state[0], &state[1], &state[2]];
            let mut attributes = vec![
                ("hidden_size", Attribute::Int(hidden)),
                ("direction", Attribute::Text(direction)),
            ];
            if self == Cell::Gru {
                attributes.push(("linear_before_reset", Attribute::Int(1)));
            }
            // Of shape [steps, directions, rows, hidden], and [directions, rows, hidden].
            let [all, states] = graph.both(self.operator(), &inputs, &attributes);
            last.push(states);
            let joined = graph.node("Transpose", &[&all], &perm(&[0, 2, 1, 3]));
            let shape = [0, 0, hidden * directions as i64];
            let shape = graph.state(&[Tensor::from_slice(&shape)])?.remove(0);
            value = graph.node("Reshape", &[&joined, &shape], &[]);
        }
        let all = graph.node("Transpose", &[&value], &perm(&[1, 0, 2]));
        let last: Vec<&str> = last.iter().map(String::as_str).collect();
        let last = graph.node("Concat", &last, &[("axis", Attribute::Int(0))]);
        Ok([all, last])
    }

    /// The weights of a layer's directions as ONNX takes them: for the input, for the state, and
    /// both biases in a row.
    fn parameters(self, layer: &[Tensor], hidden: i64) -> Result<[Tensor; 3], TchError> {
        let ordered = |tensor: &Tensor| {
            let gates = self.gates().iter();
            let parts = gates.map(|gate| tensor.f_narrow(0, gate * hidden, hidden));
            Tensor::f_cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)
        };
        let (mut inputs, mut states, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for own in layer.chunks(4) {
            inputs.push(ordered(&own[0])?);
            states.push(ordered(&own[1])?);
            biases.push(Tensor::f_cat(&[ordered(&own[2])?, ordered(&own[3])?], 0)?);
        }
        Ok([
            Tensor::f_stack(&inputs, 0)?,
            Tensor::f_stack(&states, 0)?,
            Tensor::f_stack(&biases, 0)?,
        ])
    }
}

fn perm(order: &[i64]) -> [(&'static str, Attribute); 1] {
    [("perm", Attribute::Ints(order.to_vec()))]
}

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

    /// Adds the layers to an ONNX graph. `gates` are PyTorch's gates in ONNX's order.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        operator: &str,
        gates: &[i64],
    ) -> Result<String, String> {
        let failed = |error: TchError| error.to_string();
        let directions = self.directions();
        let perm = |order: &[i64]| [("perm", Attribute::Ints(order.to_vec()))];
        // ONNX's steps come before the rows.
        let mut value = graph.node("Transpose", &[input], &perm(&[1, 0, 2]));
        let mut last = String::new();
        let layers: Vec<&[Tensor]> = state.chunks(4 * directions as usize).collect();
        for (index, layer) in layers.iter().enumerate() {
            let (mut weights, mut others, mut biases) = (Vec::new(), Vec::new(), Vec::new());
            for own in layer.chunks(4) {
                let ordered = |tensor: &Tensor| {
                    let parts = gates
                        .iter()
                        .map(|gate| tensor.f_narrow(0, gate * self.hidden_size, self.hidden_size));
                    Tensor::f_cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)
                };
                weights.push(ordered(&own[0]).map_err(failed)?);
                others.push(ordered(&own[1]).map_err(failed)?);
                let both = [
                    ordered(&own[2]).map_err(failed)?,
                    ordered(&own[3]).map_err(failed)?,
                ];
                biases.push(Tensor::f_cat(&both, 0).map_err(failed)?);
            }
            let stacked = [weights, others, biases].map(|parts| Tensor::f_stack(&parts, 0));
            let stacked = stacked
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .map_err(failed)?;
            let state = graph.state(&stacked)?;
            let inputs = [value.as_str(), &state[0], &state[1], &state[2]];
            let direction = if directions == 2 {
                "bidirectional"
            } else {
                "forward"
            };
            let mut attributes = vec![
                ("hidden_size", Attribute::Int(self.hidden_size)),
                ("direction", Attribute::Text(direction)),
            ];
            if operator == "GRU" {
                attributes.push(("linear_before_reset", Attribute::Int(1)));
            }
            if index + 1 == layers.len() && self.config.output == RecurrentOutput::Last {
                // Of shape [directions, rows, hidden].
                last = graph.second(operator, &inputs, &attributes);
                break;
            }
            // Of shape [steps, directions, rows, hidden].
            let all = graph.node(operator, &inputs, &attributes);
            let joined = graph.node("Transpose", &[&all], &perm(&[0, 2, 1, 3]));
            let width = self.hidden_size * directions;
            let shape = Tensor::f_from_slice(&[0, 0, width]).map_err(failed)?;
            let shape = graph.state(&[shape])?.remove(0);
            value = graph.node("Reshape", &[&joined, &shape], &[]);
        }
        match self.config.output {
            RecurrentOutput::All => Ok(graph.node("Transpose", &[&value], &perm(&[1, 0, 2]))),
            RecurrentOutput::Last => {
                let joined = graph.node("Transpose", &[&last], &perm(&[1, 0, 2]));
                graph
                    .reshape(&joined, &[self.hidden_size * directions])
                    .map_err(failed)
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

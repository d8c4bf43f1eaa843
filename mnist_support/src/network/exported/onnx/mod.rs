//! An exported program as an ONNX graph, as far as its operators have a counterpart there.

mod operators;

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::{
    Program,
    compile::Place,
    invalid, read,
    schema::{Argument, InputSpec, Model, Name, NamedArgument, Node, Size, Symbolic},
    tensors,
};
use crate::{
    Result,
    network::onnx::{Attribute, OnnxGraph},
};

/// A value of the program.
#[derive(Clone)]
enum Value {
    /// A result in the ONNX graph.
    Name(String),
    /// A weight or a constant.
    Tensor(String),
    /// A number that depends on that of the rows.
    Number,
    /// Zeros: the state before the first step of a recurrent layer.
    Zeros,
}

/// The values so far, by their names in the program.
struct Values<'a> {
    model: &'a Model,
    named: HashMap<&'a str, Value>,
    /// The weights and constants.
    tensors: HashMap<&'a str, Tensor>,
}

impl Program {
    /// Adds the program, in evaluation, to an ONNX graph. `state` holds the tensors that
    /// [`Program::state`] lists. Returns the name of the output.
    pub(in crate::network) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        rows: String,
    ) -> Result<String> {
        let model = read::model(&self.source.archive)?;
        let mut values = Values {
            model: &model,
            named: HashMap::new(),
            tensors: HashMap::new(),
        };
        let input = match self.source.input.kind {
            Kind::Float => rows,
            // 7 is ONNX's number of 64-bit integers.
            _ => graph.node("Cast", &[&rows], &[("to", Attribute::Int(7))]),
        };
        self.inputs(&model, &mut values, state, input)?;
        for node in &model.graph_module.graph.nodes {
            let place = Place::new(node);
            let results = convert(node, &values, graph);
            let results = results.map_err(|reason| invalid(place.to_string(), reason))?;
            for (output, value) in node.outputs.iter().zip(results) {
                if let Argument::AsTensor(Name { name })
                | Argument::AsSymInt(Symbolic::AsName(name))
                | Argument::AsSymFloat(Symbolic::AsName(name)) = output
                {
                    values.named.insert(name, value);
                }
            }
        }
        let output = read::output_name(&model)?;
        match values.named.get(output) {
            Some(Value::Name(name)) if self.source.output.flat => {
                let shaped = graph.reshape(name, &[1]);
                Ok(shaped?)
            }
            Some(Value::Name(name)) => Ok(name.clone()),
            _ => Err(invalid("the output", "it does not depend on the input")),
        }
    }

    /// Takes over the weights, the constants and the rows.
    fn inputs<'a>(
        &self,
        model: &'a Model,
        values: &mut Values<'a>,
        state: &[Tensor],
        rows: String,
    ) -> Result<()> {
        let weights = tensors::files(&self.source.archive, "weights")?;
        let constants = tensors::files(&self.source.archive, "constants")?;
        let path = |name: &str| weights.config.get(name).map(|file| &file.path_name);
        let own = |name: &str| {
            let mut all = self.source.state.iter().zip(state);
            let same =
                |other: &str| other == name || (path(other).is_some() && path(other) == path(name));
            all.find(|((other, _), _)| same(other))
                .map(|(_, tensor)| tensor.shallow_clone())
        };
        for spec in &model.graph_module.signature.input_specs {
            let (argument, tensor) = match spec {
                InputSpec::Parameter {
                    arg,
                    parameter_name: name,
                }
                | InputSpec::Buffer {
                    arg,
                    buffer_name: name,
                    persistent: true,
                } => {
                    let tensor = own(name).ok_or_else(|| invalid(name, "it has no weights"))?;
                    (&arg.name, tensor)
                }
                InputSpec::Buffer {
                    arg,
                    buffer_name: name,
                    persistent: false,
                }
                | InputSpec::TensorConstant {
                    arg,
                    tensor_constant_name: name,
                } => (
                    &arg.name,
                    tensors::read(&self.source.archive, "constants", &constants, name)?,
                ),
                InputSpec::UserInput {
                    arg: Argument::AsTensor(tensor),
                } => {
                    values.named.insert(&tensor.name, Value::Name(rows.clone()));
                    continue;
                }
                InputSpec::UserInput { .. } | InputSpec::ConstantInput(_) | InputSpec::Other(_) => {
                    continue;
                }
            };
            values
                .named
                .insert(argument, Value::Tensor(argument.clone()));
            values.tensors.insert(argument, tensor);
        }
        Ok(())
    }
}

/// Adds an operator, and returns its results. One whose result nobody needs in evaluation has none.
fn convert(
    node: &Node,
    values: &Values<'_>,
    graph: &mut OnnxGraph,
) -> std::result::Result<Vec<Value>, String> {
    // Python's own operators compute sizes.
    if node.target.starts_with("_operator.") {
        return Ok(vec![Value::Number]);
    }
    let operator = node
        .target
        .strip_prefix("torch.ops.aten.")
        .ok_or_else(lacking)?;
    let name = operator.split('.').next().unwrap_or(operator);
    let of = Arguments { node, values };
    let name = name.trim_end_matches('_');
    let result = match name {
        "sym_size" => return Ok(vec![Value::Number]),
        "zeros" => return Ok(vec![Value::Zeros]),
        "lstm" | "gru" => {
            let results = of.recurrent(graph, name)?.into_iter();
            return Ok(results.map(Value::Name).collect());
        }
        // The counter of a normalisation.
        "add" if of.is_counter() => return Ok(Vec::new()),
        _ => match of.activation(graph, name) {
            Some(result) => result,
            None => of.layer(graph, name).unwrap_or_else(|| Err(lacking())),
        },
    };
    result.map(|name| vec![Value::Name(name)])
}

/// Why an operator is not converted.
fn lacking() -> String {
    "ONNX has no counterpart that is written here".to_owned()
}

/// The arguments of an operator.
struct Arguments<'a> {
    node: &'a Node,
    values: &'a Values<'a>,
}

type Converted = std::result::Result<String, String>;

/// The operators, by their names in PyTorch. `None` for one that is not there.
impl Arguments<'_> {
    /// An operator that takes one value after the other.
    fn activation(&self, graph: &mut OnnxGraph, name: &str) -> Option<Converted> {
        let axis = || [("axis", Attribute::Int(self.int("dim").unwrap_or(1)))];
        let float = |attribute, name: &str, default| {
            let value = self.float(name).unwrap_or(default);
            [(attribute, Attribute::Float(value))]
        };
        Some(match name {
            // In evaluation they change nothing.
            "dropout" | "feature_dropout" | "alpha_dropout" | "contiguous" | "clone" | "detach"
            | "lift_fresh_copy" | "alias" => self.value(graph, 0),
            "relu" => self.unary(graph, "Relu", &[]),
            "sigmoid" => self.unary(graph, "Sigmoid", &[]),
            "tanh" => self.unary(graph, "Tanh", &[]),
            "hardswish" => self.unary(graph, "HardSwish", &[]),
            "neg" => self.unary(graph, "Neg", &[]),
            "exp" => self.unary(graph, "Exp", &[]),
            "sqrt" => self.unary(graph, "Sqrt", &[]),
            "silu" => self.silu(graph),
            "gelu" => {
                let tanh = self.text("approximate") == Some("tanh");
                let how = if tanh { "tanh" } else { "none" };
                self.unary(graph, "Gelu", &[("approximate", Attribute::Text(how))])
            }
            "leaky_relu" => {
                let slope = float("alpha", "negative_slope", 0.01);
                self.unary(graph, "LeakyRelu", &slope)
            }
            "elu" => self.unary(graph, "Elu", &float("alpha", "alpha", 1.0)),
            "softmax" => self.unary(graph, "Softmax", &axis()),
            "log_softmax" => self.unary(graph, "LogSoftmax", &axis()),
            _ => return None,
        })
    }

    /// An operator that has weights or several inputs, or moves values.
    fn layer(&self, graph: &mut OnnxGraph, name: &str) -> Option<Converted> {
        Some(match name {
            "add" | "sub" | "mul" | "div" => self.arithmetic(graph, name),
            "matmul" | "bmm" => self.binary(graph, "MatMul"),
            "linear" => self.linear(graph),
            "conv1d" | "conv2d" => self.convolution(graph),
            "batch_norm" => self.batch_norm(graph),
            "layer_norm" => self.layer_norm(graph),
            "embedding" => self.binary(graph, "Gather"),
            "max_pool2d" => self.pooling(graph, "MaxPool"),
            "avg_pool2d" => self.pooling(graph, "AveragePool"),
            "adaptive_avg_pool2d" if self.ints("output_size")? == [1, 1] => {
                self.unary(graph, "GlobalAveragePool", &[])
            }
            "mean" => self.mean(graph),
            "cat" => self.concatenation(graph),
            "transpose" => self.transpose(graph),
            "permute" => self.permutation(graph),
            "view" | "reshape" | "flatten" | "unflatten" | "squeeze" | "unsqueeze" => {
                self.reshape(graph)
            }
            "select" => self.select(graph),
            "slice" => self.slice(graph),
            "scaled_dot_product_attention" => self.attention(graph),
            _ => return None,
        })
    }
}

impl Arguments<'_> {
    fn get(&self, name: &str) -> Option<&Argument> {
        let named = |argument: &&NamedArgument| argument.name == name;
        self.node
            .inputs
            .iter()
            .find(named)
            .map(|argument| &argument.arg)
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Argument::AsInt(value) => Some(*value),
            _ => None,
        }
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.get(name)? {
            Argument::AsInts(values) => Some(values.clone()),
            Argument::AsInt(value) => Some(vec![*value]),
            _ => None,
        }
    }

    fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Argument::AsFloat(value) => Some(value.0),
            Argument::AsInt(value) => Some(*value as f64),
            _ => None,
        }
    }

    fn truth(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Argument::AsBool(true)))
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Argument::AsString(text) => Some(text),
            _ => None,
        }
    }

    /// The weight or constant that an argument is.
    fn tensor(&self, name: &str) -> Option<Tensor> {
        match self.get(name)? {
            Argument::AsTensor(tensor) => self
                .values
                .tensors
                .get(tensor.name.as_str())
                .map(Tensor::shallow_clone),
            _ => None,
        }
    }

    fn named(&self, graph: &mut OnnxGraph, name: &str) -> std::result::Result<String, String> {
        match self.values.named.get(name) {
            Some(Value::Name(name)) => Ok(name.clone()),
            Some(Value::Tensor(own)) => {
                let tensor = &self.values.tensors[own.as_str()];
                Ok(graph.state(&[tensor.shallow_clone()])?.remove(0))
            }
            Some(Value::Number | Value::Zeros) | None => Err(format!(
                "ONNX has no counterpart of its argument {name:?} that is written here"
            )),
        }
    }

    /// The value of the argument at this place, a tensor or a number.
    fn value(&self, graph: &mut OnnxGraph, place: usize) -> std::result::Result<String, String> {
        let argument = self
            .node
            .inputs
            .get(place)
            .ok_or("it has too few arguments")?;
        match &argument.arg {
            Argument::AsTensor(tensor) => self.named(graph, &tensor.name),
            Argument::AsInt(value) => number(graph, *value as f64),
            Argument::AsFloat(value) => number(graph, value.0),
            _ => Err(format!(
                "ONNX has no counterpart of its argument {}",
                argument.name
            )),
        }
    }

    fn list(&self, graph: &mut OnnxGraph) -> std::result::Result<Vec<String>, String> {
        match self.get("tensors") {
            Some(Argument::AsTensors(tensors)) => {
                let names = tensors.iter().map(|tensor| self.named(graph, &tensor.name));
                names.collect()
            }
            _ => Err("it has no list of tensors".to_owned()),
        }
    }

    /// Whether it counts the iterations in a buffer.
    fn is_counter(&self) -> bool {
        let integers = self
            .tensor("self")
            .is_some_and(|tensor| tensor.kind() == Kind::Int64);
        integers && self.node.target.ends_with("add_.Tensor")
    }

    /// The sizes of the tensor of this name.
    fn sizes(&self, tensor: &str) -> Option<&[Size]> {
        let values = &self.values.model.graph_module.graph.tensor_values;
        values.get(tensor).map(|meta| meta.sizes.as_slice())
    }

    /// The sizes of the result.
    fn output_sizes(&self) -> Option<&[Size]> {
        match self.node.outputs.first()? {
            Argument::AsTensor(output) => self.sizes(&output.name),
            _ => None,
        }
    }

    /// The sizes of the tensor that an argument is.
    fn argument_sizes(&self, name: &str) -> Option<&[Size]> {
        match self.get(name)? {
            Argument::AsTensor(tensor) => self.sizes(&tensor.name),
            _ => None,
        }
    }
}

fn number(graph: &mut OnnxGraph, value: f64) -> std::result::Result<String, String> {
    Ok(graph.state(&[Tensor::from(value as f32)])?.remove(0))
}

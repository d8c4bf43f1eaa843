//! An exported program as an ONNX graph, as far as its operators have a counterpart there.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::{
    Program,
    compile::Place,
    invalid, read,
    schema::{Argument, InputSpec, Model, NamedArgument, Node, Size, Symbolic},
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
    /// The number of rows.
    Rows,
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
            let value = convert(node, &values, graph);
            let value = value.map_err(|reason| invalid(place.to_string(), reason))?;
            if let (Some(value), Some(Argument::AsTensor(output))) = (&value, node.outputs.first())
            {
                values.named.insert(&output.name, value.clone());
            }
            if let (Some(value), Some(Argument::AsSymInt(Symbolic::AsName(name)))) =
                (&value, node.outputs.first())
            {
                values.named.insert(name, value.clone());
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

/// Adds an operator. `None` is one whose result nobody needs in evaluation.
fn convert(
    node: &Node,
    values: &Values<'_>,
    graph: &mut OnnxGraph,
) -> std::result::Result<Option<Value>, String> {
    let lacking = || "ONNX has no counterpart that is written here".to_owned();
    let operator = node
        .target
        .strip_prefix("torch.ops.aten.")
        .ok_or_else(lacking)?;
    let name = operator.split('.').next().unwrap_or(operator);
    let of = Arguments { node, values };
    let text = |graph: &mut OnnxGraph, kind: &str, attributes: &[(&str, Attribute)]| {
        let input = of.value(graph, 0)?;
        Ok(graph.node(kind, &[&input], attributes))
    };
    let axis = |graph: &mut OnnxGraph, kind: &str| {
        let axis = [("axis", Attribute::Int(of.int("dim").unwrap_or(1)))];
        text(graph, kind, &axis)
    };
    let result: std::result::Result<String, String> = match name.trim_end_matches('_') {
        "sym_size" if of.int("dim") == Some(0) => return Ok(Some(Value::Rows)),
        "dropout" | "feature_dropout" | "alpha_dropout" | "contiguous" | "clone" | "detach"
        | "lift_fresh_copy" | "alias" => of.value(graph, 0),
        // The counter of a normalisation.
        "add" if of.is_counter() => return Ok(None),
        "relu" => text(graph, "Relu", &[]),
        "sigmoid" => text(graph, "Sigmoid", &[]),
        "tanh" => text(graph, "Tanh", &[]),
        "hardswish" => text(graph, "HardSwish", &[]),
        "neg" => text(graph, "Neg", &[]),
        "exp" => text(graph, "Exp", &[]),
        "sqrt" => text(graph, "Sqrt", &[]),
        "silu" => {
            let input = of.value(graph, 0)?;
            let sigmoid = graph.node("Sigmoid", &[&input], &[]);
            Ok(graph.node("Mul", &[&input, &sigmoid], &[]))
        }
        "gelu" => {
            let tanh = of.text("approximate") == Some("tanh");
            let how = if tanh { "tanh" } else { "none" };
            text(graph, "Gelu", &[("approximate", Attribute::Text(how))])
        }
        "leaky_relu" => {
            let slope = of.float("negative_slope").unwrap_or(0.01);
            text(graph, "LeakyRelu", &[("alpha", Attribute::Float(slope))])
        }
        "elu" => {
            let alpha = of.float("alpha").unwrap_or(1.0);
            text(graph, "Elu", &[("alpha", Attribute::Float(alpha))])
        }
        "softmax" => axis(graph, "Softmax"),
        "log_softmax" => axis(graph, "LogSoftmax"),
        "add" | "sub" | "mul" | "div" => of.arithmetic(graph, name.trim_end_matches('_')),
        "matmul" | "bmm" => {
            let both = [of.value(graph, 0)?, of.value(graph, 1)?];
            Ok(graph.node("MatMul", &[&both[0], &both[1]], &[]))
        }
        "linear" => of.linear(graph),
        "conv1d" | "conv2d" => of.convolution(graph),
        "batch_norm" => of.batch_norm(graph),
        "layer_norm" => of.layer_norm(graph),
        "embedding" => {
            let both = [of.value(graph, 0)?, of.value(graph, 1)?];
            Ok(graph.node("Gather", &[&both[0], &both[1]], &[]))
        }
        "max_pool2d" => of.pooling(graph, "MaxPool"),
        "avg_pool2d" => of.pooling(graph, "AveragePool"),
        "adaptive_avg_pool2d" if of.ints("output_size").is_some_and(|size| size == [1, 1]) => {
            text(graph, "GlobalAveragePool", &[])
        }
        "mean" => {
            let dims = of.ints("dim").ok_or_else(lacking)?;
            let axes = graph.state(&[Tensor::from_slice(&dims)])?.remove(0);
            let keep = i64::from(of.truth("keepdim"));
            let input = of.value(graph, 0)?;
            Ok(graph.node(
                "ReduceMean",
                &[&input, &axes],
                &[("keepdims", Attribute::Int(keep))],
            ))
        }
        "cat" => {
            let inputs = of.list(graph)?;
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let axis = Attribute::Int(of.int("dim").unwrap_or(0));
            Ok(graph.node("Concat", &inputs, &[("axis", axis)]))
        }
        "transpose" => of.transpose(graph),
        "permute" => {
            let order = of.ints("dims").ok_or_else(lacking)?;
            let rank = order.len() as i64;
            let order = order.into_iter().map(|dim| dim.rem_euclid(rank)).collect();
            text(graph, "Transpose", &[("perm", Attribute::Ints(order))])
        }
        "view" | "reshape" | "flatten" | "unflatten" | "squeeze" | "unsqueeze" => of.reshape(graph),
        _ => Err(lacking()),
    };
    result.map(|name| Some(Value::Name(name)))
}

/// The arguments of an operator.
struct Arguments<'a> {
    node: &'a Node,
    values: &'a Values<'a>,
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
            Some(Value::Rows) | None => Err(format!("ONNX lacks the value {name:?}")),
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

    /// The sizes of the result, of which the first is the number of rows.
    fn output_shape(&self) -> Option<Vec<i64>> {
        let Argument::AsTensor(output) = self.node.outputs.first()? else {
            return None;
        };
        let meta = self
            .values
            .model
            .graph_module
            .graph
            .tensor_values
            .get(&output.name)?;
        let (Size::AsExpr(_), shape) = meta.sizes.split_first()? else {
            return None;
        };
        let shape = shape.iter().map(|size| match size {
            Size::AsInt(size) => Some(*size),
            Size::AsExpr(_) => None,
        });
        shape.collect()
    }

    fn reshape(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let shape = self.output_shape();
        let shape = shape.ok_or("ONNX gets it where the rows come first alone")?;
        let input = self.value(graph, 0)?;
        // -1 is what is left: the rows, which may be elsewhere in the input.
        let shape: Vec<i64> = [-1].into_iter().chain(shape).collect();
        let shape = graph.state(&[Tensor::from_slice(&shape)])?.remove(0);
        Ok(graph.node("Reshape", &[&input, &shape], &[]))
    }

    fn transpose(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let rank = match self.node.outputs.first() {
            Some(Argument::AsTensor(output)) => {
                let values = &self.values.model.graph_module.graph.tensor_values;
                values.get(&output.name).map(|meta| meta.sizes.len() as i64)
            }
            _ => None,
        };
        let rank = rank.ok_or("its result has no shape")?;
        let dim = |name: &str| {
            self.int(name)
                .map(|dim| dim.rem_euclid(rank.max(1)) as usize)
        };
        let (Some(one), Some(other)) = (dim("dim0"), dim("dim1")) else {
            return Err("its dimensions are not known".to_owned());
        };
        let mut order: Vec<i64> = (0..rank).collect();
        order.swap(one, other);
        let input = self.value(graph, 0)?;
        Ok(graph.node("Transpose", &[&input], &[("perm", Attribute::Ints(order))]))
    }

    fn arithmetic(&self, graph: &mut OnnxGraph, name: &str) -> std::result::Result<String, String> {
        if self.float("alpha").is_some_and(|alpha| alpha != 1.0)
            || self.get("rounding_mode").is_some()
        {
            return Err("ONNX has no counterpart of its settings".to_owned());
        }
        let kind = match name {
            "add" => "Add",
            "sub" => "Sub",
            "mul" => "Mul",
            _ => "Div",
        };
        let both = [self.value(graph, 0)?, self.value(graph, 1)?];
        Ok(graph.node(kind, &[&both[0], &both[1]], &[]))
    }

    fn linear(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let weight = self.tensor("weight").ok_or("its weight is computed")?;
        let weight = graph.state(&[weight.tr()])?.remove(0);
        let input = self.value(graph, 0)?;
        let product = graph.node("MatMul", &[&input, &weight], &[]);
        match self.tensor("bias") {
            None => Ok(product),
            Some(bias) => {
                let bias = graph.state(&[bias])?.remove(0);
                Ok(graph.node("Add", &[&product, &bias], &[]))
            }
        }
    }

    fn convolution(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let weight = self.tensor("weight").ok_or("its weight is computed")?;
        let dimensions = weight.dim() - 2;
        if self.text("padding").is_some() {
            return Err("ONNX gets it with a padding in numbers alone".to_owned());
        }
        let sizes = |name: &str, default: i64| {
            let sizes = self.ints(name).unwrap_or_else(|| vec![default]);
            if sizes.len() == 1 {
                vec![sizes[0]; dimensions]
            } else {
                sizes
            }
        };
        let padding = sizes("padding", 0);
        let mut inputs = vec![self.value(graph, 0)?];
        inputs.extend(graph.state(&[weight])?);
        if let Some(bias) = self.tensor("bias") {
            inputs.extend(graph.state(&[bias])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(graph.node(
            "Conv",
            &inputs,
            &[
                ("strides", Attribute::Ints(sizes("stride", 1))),
                ("pads", Attribute::Ints([padding.clone(), padding].concat())),
                ("dilations", Attribute::Ints(sizes("dilation", 1))),
                ("group", Attribute::Int(self.int("groups").unwrap_or(1))),
            ],
        ))
    }

    fn batch_norm(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let (Some(mean), Some(variance)) =
            (self.tensor("running_mean"), self.tensor("running_var"))
        else {
            return Err("ONNX has it with running statistics alone".to_owned());
        };
        let or =
            |name: &str, value: f64| self.tensor(name).unwrap_or_else(|| mean.full_like(value));
        let state = [
            or("weight", 1.0),
            or("bias", 0.0),
            mean.shallow_clone(),
            variance,
        ];
        let mut inputs = vec![self.value(graph, 0)?];
        inputs.extend(graph.state(&state)?);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let epsilon = Attribute::Float(self.float("eps").unwrap_or(1e-5));
        Ok(graph.node("BatchNormalization", &inputs, &[("epsilon", epsilon)]))
    }

    fn layer_norm(&self, graph: &mut OnnxGraph) -> std::result::Result<String, String> {
        let shape = self
            .ints("normalized_shape")
            .ok_or("its shape is not known")?;
        let ones = || Tensor::ones(&shape, (Kind::Float, tch::Device::Cpu));
        let mut state = vec![self.tensor("weight").unwrap_or_else(ones)];
        state.extend(self.tensor("bias"));
        let mut inputs = vec![self.value(graph, 0)?];
        inputs.extend(graph.state(&state)?);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(graph.node(
            "LayerNormalization",
            &inputs,
            &[
                ("axis", Attribute::Int(-(shape.len() as i64))),
                (
                    "epsilon",
                    Attribute::Float(self.float("eps").unwrap_or(1e-5)),
                ),
            ],
        ))
    }

    fn pooling(&self, graph: &mut OnnxGraph, kind: &str) -> std::result::Result<String, String> {
        let kernel = self.ints("kernel_size").ok_or("its kernel is not known")?;
        let both = |sizes: Vec<i64>| {
            if sizes.len() == 1 {
                vec![sizes[0]; 2]
            } else {
                sizes
            }
        };
        let stride = self.ints("stride").filter(|stride| !stride.is_empty());
        let padding = both(self.ints("padding").unwrap_or_else(|| vec![0]));
        let dilated = self
            .ints("dilation")
            .is_some_and(|sizes| sizes.iter().any(|&size| size != 1));
        let padded_mean = kind == "AveragePool" && padding.iter().any(|&size| size != 0);
        if dilated || padded_mean || self.truth("ceil_mode") {
            return Err("ONNX has no counterpart of its settings".to_owned());
        }
        let input = self.value(graph, 0)?;
        Ok(graph.node(
            kind,
            &[&input],
            &[
                ("kernel_shape", Attribute::Ints(both(kernel.clone()))),
                ("strides", Attribute::Ints(both(stride.unwrap_or(kernel)))),
                ("pads", Attribute::Ints([padding.clone(), padding].concat())),
            ],
        ))
    }
}

fn number(graph: &mut OnnxGraph, value: f64) -> std::result::Result<String, String> {
    Ok(graph.state(&[Tensor::from(value as f32)])?.remove(0))
}

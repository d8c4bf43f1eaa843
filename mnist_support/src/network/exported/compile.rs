//! From the nodes of an exported graph to calls of libtorch's operators.

use std::{collections::HashMap, fmt, path::Path};

use super::{
    invalid,
    native::{Graph, Outputs, Value},
    schema::{Argument, Node, OptionalTensor, Symbolic},
    tensors::scalar_type,
};
use crate::Result;

/// Operators with an underscore before their name that exported programs have. The others are
/// internal to PyTorch, and some don't check what they are given.
const INTERNAL: [&str; 22] = [
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "_assert_async",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "_batch_norm_no_update",
    "_batch_norm_with_update",
    "_log_softmax",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_prelu_kernel",
    "_reshape_alias",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_shape_as_tensor",
    "_softmax",
    "_to_copy",
    "_trilinear",
    "_unsafe_view",
    "_weight_norm",
    "_weight_norm_interface",
];

/// Operators that read files, or memory that is not theirs to read.
const REFUSED: [&str; 7] = [
    "from_file",
    "resize",
    "resize_",
    "resize_as",
    "resize_as_",
    "set",
    "set_",
];

/// Where an operator stands in the user's Python.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    target: String,
    line: Option<String>,
}

impl Place {
    pub(super) fn new(node: &Node) -> Self {
        let trace = node.metadata.get("stack_trace");
        Place {
            target: node.target.clone(),
            line: trace.and_then(|trace| own_line(trace)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator {}", self.target)?;
        match &self.line {
            Some(line) => write!(f, " ({line})"),
            None => Ok(()),
        }
    }
}

/// The last line of a stack trace that is not PyTorch's own: `model.py, line 12: return f(x)`.
fn own_line(trace: &str) -> Option<String> {
    let mut lines = trace.lines().peekable();
    let (mut own, mut any) = (None, None);
    while let Some(line) = lines.next() {
        let Some((path, rest)) = line
            .trim()
            .strip_prefix("File \"")
            .and_then(|rest| rest.split_once("\", line "))
        else {
            continue;
        };
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let file = Path::new(path).file_name()?.to_string_lossy();
        let code = lines.next_if(|line| !line.trim_start().starts_with("File \""));
        let code = code
            .map(|code| format!(": {}", code.trim()))
            .unwrap_or_default();
        let place = format!("{file}, line {number}{code}");
        if !path.contains("/torch/") && !path.starts_with('<') {
            own = Some(place.clone());
        }
        any = Some(place);
    }
    own.or(any)
}

/// The slots in which a program keeps its values.
pub(super) struct Slots<'a> {
    names: HashMap<&'a str, usize>,
    count: usize,
}

impl<'a> Slots<'a> {
    /// The slots of the inputs, from 0 on. Names may share one.
    pub(super) fn new(inputs: HashMap<&'a str, usize>, count: usize) -> Self {
        Slots {
            names: inputs,
            count,
        }
    }

    pub(super) fn of(&self, name: &str) -> Result<usize, String> {
        let slot = self.names.get(name).copied();
        slot.ok_or_else(|| format!("the value {name:?} is used before it is computed"))
    }

    fn add(&mut self, name: &'a str) -> Result<usize, String> {
        if self.names.insert(name, self.count).is_some() {
            return Err(format!("the value {name:?} is computed twice"));
        }
        self.count += 1;
        Ok(self.count - 1)
    }
}

/// Adds the calls of `nodes` to a graph. Returns the graph and the place of each call.
pub(super) fn compile<'a>(nodes: &'a [Node], slots: &mut Slots<'a>) -> Result<(Graph, Vec<Place>)> {
    let inputs = slots.count;
    let results: usize = nodes.iter().map(|node| results(node).len()).sum();
    let mut graph =
        Graph::new(inputs + results, inputs).map_err(|reason| invalid("the graph", reason))?;
    let mut places = Vec::with_capacity(nodes.len());
    for node in nodes {
        let place = Place::new(node);
        add(&mut graph, node, slots).map_err(|reason| invalid(place.to_string(), reason))?;
        places.push(place);
    }
    Ok((graph, places))
}

fn add<'a>(graph: &mut Graph, node: &'a Node, slots: &mut Slots<'a>) -> Result<(), String> {
    let (name, overload) = operator(&node.target)?;
    let arguments = node.inputs.iter().map(|input| {
        let value = value(&input.arg, slots);
        let value = value.map_err(|reason| format!("the argument {}: {reason}", input.name));
        Ok((input.name.as_str(), value?))
    });
    let arguments = arguments.collect::<Result<Vec<_>, String>>()?;
    let outputs = match node.outputs.as_slice() {
        [Argument::AsTensors(list)] => {
            let slots = list.iter().map(|tensor| slots.add(&tensor.name));
            Outputs::List(slots.collect::<Result<_, _>>()?)
        }
        _ => {
            let results = results(node).into_iter();
            let slots = results.map(|name| name.map(|name| slots.add(name)).transpose());
            Outputs::Values(slots.collect::<Result<_, _>>()?)
        }
    };
    graph.add(&name, &overload, &arguments, &outputs)
}

/// The names of the values that an argument is made of.
pub(super) fn names(argument: &Argument) -> Vec<&str> {
    fn symbolic<T>(number: &Symbolic<T>) -> Option<&str> {
        match number {
            Symbolic::AsName(name) => Some(name),
            Symbolic::AsValue(_) => None,
        }
    }
    fn optional(tensor: &OptionalTensor) -> Option<&str> {
        match tensor {
            OptionalTensor::AsTensor(tensor) => Some(&tensor.name),
            OptionalTensor::AsNone(_) => None,
        }
    }
    match argument {
        Argument::AsTensor(tensor) => vec![&tensor.name],
        Argument::AsTensors(tensors) => tensors.iter().map(|tensor| tensor.name.as_str()).collect(),
        Argument::AsOptionalTensor(tensor) => optional(tensor).into_iter().collect(),
        Argument::AsOptionalTensors(tensors) => tensors.iter().filter_map(optional).collect(),
        Argument::AsSymInt(number) => symbolic(number).into_iter().collect(),
        Argument::AsSymInts(numbers) => numbers.iter().filter_map(symbolic).collect(),
        Argument::AsSymFloat(number) => symbolic(number).into_iter().collect(),
        Argument::AsSymFloats(numbers) => numbers.iter().filter_map(symbolic).collect(),
        Argument::AsSymBool(truth) => symbolic(truth).into_iter().collect(),
        Argument::AsSymBools(truths) => truths.iter().filter_map(symbolic).collect(),
        _ => Vec::new(),
    }
}

/// The names of a node's results; `None` for one that is not a value here.
fn results(node: &Node) -> Vec<Option<&str>> {
    let mut results = Vec::new();
    for output in &node.outputs {
        match output {
            Argument::AsTensor(tensor) => results.push(Some(tensor.name.as_str())),
            Argument::AsTensors(tensors) => {
                results.extend(tensors.iter().map(|tensor| Some(tensor.name.as_str())));
            }
            Argument::AsOptionalTensor(OptionalTensor::AsTensor(tensor)) => {
                results.push(Some(tensor.name.as_str()));
            }
            Argument::AsSymInt(Symbolic::AsName(name))
            | Argument::AsSymFloat(Symbolic::AsName(name))
            | Argument::AsSymBool(Symbolic::AsName(name)) => results.push(Some(name)),
            _ => results.push(None),
        }
    }
    results
}

/// The name and the overload of the operator that a node calls.
fn operator(target: &str) -> Result<(String, String), String> {
    if let Some(operator) = target.strip_prefix("torch.ops.aten.") {
        let (name, overload) = operator.split_once('.').unwrap_or((operator, "default"));
        let internal = name.starts_with('_') && !INTERNAL.contains(&name);
        if internal || REFUSED.contains(&name) {
            return Err("it is not among the operators that may run here".to_owned());
        }
        let overload = if overload == "default" { "" } else { overload };
        return Ok((format!("aten::{name}"), overload.to_owned()));
    }
    if let Some(name) = target.strip_prefix("torch.ops.higher_order.") {
        return Err(format!(
            "control flow and other operators on functions, such as {name}, can't run here: \
             write the module without them"
        ));
    }
    if target.starts_with("torch.ops.") {
        return Err(
            "it is a custom operator, whose code is not in the file: use PyTorch's own operators"
                .to_owned(),
        );
    }
    Ok((target.to_owned(), String::new()))
}

fn value(argument: &Argument, slots: &Slots<'_>) -> Result<Value, String> {
    let list = |values: Vec<Value>| Ok(Value::List(values));
    match argument {
        Argument::AsNone(_) => Ok(Value::None),
        Argument::AsTensor(tensor) => slot(slots, &tensor.name),
        Argument::AsTensors(tensors) => {
            let values = tensors.iter().map(|tensor| slot(slots, &tensor.name));
            list(values.collect::<Result<_, _>>()?)
        }
        Argument::AsOptionalTensor(tensor) => optional(tensor, slots),
        Argument::AsOptionalTensors(tensors) => {
            let values = tensors.iter().map(|tensor| optional(tensor, slots));
            list(values.collect::<Result<_, _>>()?)
        }
        Argument::AsInt(value) => Ok(Value::Int(*value)),
        Argument::AsInts(values) => list(values.iter().map(|&value| Value::Int(value)).collect()),
        Argument::AsFloat(value) => Ok(Value::Float(value.0)),
        Argument::AsFloats(values) => {
            list(values.iter().map(|value| Value::Float(value.0)).collect())
        }
        Argument::AsBool(value) => Ok(Value::Bool(*value)),
        Argument::AsBools(values) => list(values.iter().map(|&value| Value::Bool(value)).collect()),
        Argument::AsString(text) => Ok(Value::Text(text.clone())),
        Argument::AsStrings(texts) => list(texts.iter().cloned().map(Value::Text).collect()),
        Argument::AsSymInt(number) => symbolic(number, slots, |&value| Value::Int(value)),
        Argument::AsSymInts(numbers) => symbolics(numbers, slots, |&value| Value::Int(value)),
        Argument::AsSymFloat(number) => symbolic(number, slots, |value| Value::Float(value.0)),
        Argument::AsSymFloats(numbers) => symbolics(numbers, slots, |value| Value::Float(value.0)),
        Argument::AsSymBool(truth) => symbolic(truth, slots, |&value| Value::Bool(value)),
        Argument::AsSymBools(truths) => symbolics(truths, slots, |&value| Value::Bool(value)),
        Argument::AsScalarType(dtype) => match scalar_type(*dtype) {
            Some(dtype) => Ok(Value::Int(dtype)),
            None => Err(format!("the type with the number {dtype} is not supported")),
        },
        // The format counts the formats from 1, libtorch from 0, and in another order.
        Argument::AsMemoryFormat(format @ 1..=4) => {
            Ok(Value::Int([0, 2, 3, 1][*format as usize - 1]))
        }
        // Strided: the format's 7, and libtorch's 0.
        Argument::AsLayout(7) => Ok(Value::Int(0)),
        Argument::AsMemoryFormat(_) | Argument::AsLayout(_) => {
            Err("sparse tensors are not supported".to_owned())
        }
        Argument::AsDevice(_) => Ok(Value::Device),
        Argument::Other(kinds) => {
            let kinds: Vec<&str> = kinds.keys().map(String::as_str).collect();
            Err(format!(
                "a value of the kind {} is not supported",
                kinds.join(", ")
            ))
        }
    }
}

fn slot(slots: &Slots<'_>, name: &str) -> Result<Value, String> {
    Ok(Value::Slot(slots.of(name)?))
}

fn optional(tensor: &OptionalTensor, slots: &Slots<'_>) -> Result<Value, String> {
    match tensor {
        OptionalTensor::AsTensor(tensor) => slot(slots, &tensor.name),
        OptionalTensor::AsNone(_) => Ok(Value::None),
    }
}

fn symbolic<T>(
    number: &Symbolic<T>,
    slots: &Slots<'_>,
    known: impl Fn(&T) -> Value,
) -> Result<Value, String> {
    match number {
        Symbolic::AsName(name) => slot(slots, name),
        Symbolic::AsValue(value) => Ok(known(value)),
    }
}

fn symbolics<T>(
    numbers: &[Symbolic<T>],
    slots: &Slots<'_>,
    known: impl Fn(&T) -> Value,
) -> Result<Value, String> {
    let values = numbers.iter();
    let values = values.map(|number| symbolic(number, slots, &known));
    Ok(Value::List(values.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_last_line_of_the_users_own() {
        let trace = "File \"/home/ada/model.py\", line 7, in forward\n    return self.lin(x)\n  \
                     File \"/lib/torch/nn/modules/linear.py\", line 134, in forward\n    return F.linear(x)";
        assert_eq!(
            own_line(trace).unwrap(),
            "model.py, line 7: return self.lin(x)"
        );
        let trace = "File \"/lib/torch/nn/modules/linear.py\", line 134, in forward\n    return F.linear(x)";
        assert_eq!(
            own_line(trace).unwrap(),
            "linear.py, line 134: return F.linear(x)"
        );
        assert_eq!(
            own_line("File \"a.py\", line 3, in f\n  File \"b.py\", line 4, in g").unwrap(),
            "b.py, line 4"
        );
        assert_eq!(own_line("no trace"), None);
    }

    #[test]
    fn operators_that_are_not_pytorchs_own_are_refused() {
        let refusal = |target: &str| operator(target).unwrap_err();
        assert!(refusal("torch.ops.higher_order.cond").contains("such as cond"));
        assert!(refusal("torch.ops.mylib.fast_gelu.default").contains("custom operator"));
        for target in [
            "torch.ops.aten.from_file.default",
            "torch.ops.aten._index_put_impl_.default",
        ] {
            assert!(
                refusal(target).contains("not among the operators"),
                "{target}"
            );
        }
        let (name, overload) = operator("torch.ops.aten.add_.Tensor").unwrap();
        assert_eq!((name.as_str(), overload.as_str()), ("aten::add_", "Tensor"));
    }
}

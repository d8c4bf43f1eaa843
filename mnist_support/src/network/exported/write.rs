//! Writing a trained program back to a `.pt2` file.

use std::collections::HashSet;

use serde_json::Value;
use tch::Tensor;

use super::{
    Program,
    compile::names,
    invalid,
    read::{self, MODEL},
    schema::{Argument, Model, OutputSpec},
    tensors,
};
use crate::Result;

impl Program {
    /// The program with these weights as a `.pt2` file, in training or in evaluation mode.
    /// `weights` holds the tensors that [`Program::state`] lists.
    pub(in crate::network) fn to_pt2(&self, weights: &[Tensor], train: bool) -> Result<Vec<u8>> {
        let mut archive = self.source.archive.clone();
        let files = tensors::files(&archive, "weights")?;
        for ((name, _), tensor) in self.source.state.iter().zip(weights) {
            let file = files
                .config
                .get(name)
                .ok_or_else(|| invalid(name, "it has no weights"))?;
            let bytes = tensors::encode(file, tensor).map_err(|reason| invalid(name, reason))?;
            archive.put(tensors::path("weights", file), bytes);
        }
        if !train {
            let counts = counts(&read::model(&archive)?);
            let refused = |error: serde_json::Error| invalid(MODEL, error.to_string());
            let mut model: Value = serde_json::from_slice(archive.get(MODEL)?).map_err(refused)?;
            evaluate(&mut model, &counts);
            archive.put(MODEL, serde_json::to_vec(&model).map_err(refused)?);
        }
        archive.write()
    }
}

/// The results of the operators that count iterations in a buffer, if nothing reads them.
fn counts(model: &Model) -> Vec<String> {
    let module = &model.graph_module;
    let inputs = module.graph.nodes.iter().flat_map(|node| &node.inputs);
    let outputs = module.signature.output_specs.iter();
    let mut read: HashSet<&str> = inputs.flat_map(|input| names(&input.arg)).collect();
    read.extend(outputs.flat_map(|output| match output {
        OutputSpec::UserOutput { arg } => names(arg),
        OutputSpec::BufferMutation { arg, .. } => vec![arg.name.as_str()],
        OutputSpec::Other(_) => Vec::new(),
    }));
    let counts = module
        .graph
        .nodes
        .iter()
        .filter_map(|node| match node.outputs.as_slice() {
            [Argument::AsTensor(count)]
                if node.target == "torch.ops.aten.add_.Tensor"
                    && matches!(
                        node.inputs.get(1).map(|input| &input.arg),
                        Some(Argument::AsInt(_))
                    )
                    && !read.contains(count.name.as_str()) =>
            {
                Some(count.name.clone())
            }
            _ => None,
        });
    counts.collect()
}

/// Sets the operators of a graph to evaluation, as a module's `eval()` does before its export, and
/// removes those that count iterations.
fn evaluate(model: &mut Value, counts: &[String]) {
    let Some(graph) = model.pointer_mut("/graph_module/graph") else {
        return;
    };
    if let Some(nodes) = graph.get_mut("nodes").and_then(Value::as_array_mut) {
        nodes.retain(|node| {
            let result = node
                .pointer("/outputs/0/as_tensor/name")
                .and_then(Value::as_str);
            !result.is_some_and(|result| counts.iter().any(|count| count == result))
        });
        nodes.iter_mut().for_each(set_mode);
    }
    if let Some(values) = graph
        .get_mut("tensor_values")
        .and_then(Value::as_object_mut)
    {
        values.retain(|name, _| !counts.contains(name));
    }
}

fn set_mode(node: &mut Value) {
    let Some(inputs) = node.get_mut("inputs").and_then(Value::as_array_mut) else {
        return;
    };
    let by_batch = inputs
        .iter()
        .any(|input| input["name"] == "running_mean" && input.pointer("/arg/as_none").is_some());
    for input in inputs {
        let name = input["name"].as_str().unwrap_or_default().to_owned();
        match (name.as_str(), input.get_mut("arg")) {
            ("train" | "training" | "use_input_stats", Some(argument))
                if !by_batch && argument.get("as_bool").is_some() =>
            {
                argument["as_bool"] = Value::Bool(false);
            }
            ("dropout_p", Some(argument)) if argument.get("as_float").is_some() => {
                argument["as_float"] = Value::from(0.0);
            }
            _ => {}
        }
    }
}

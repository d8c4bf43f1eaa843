//! The modules of an exported program, for the table that a network prints.

use super::{
    Program,
    schema::{Argument, Model, Node, Size, TensorMeta},
};
use crate::network::state::{Role, StateTensor};

/// A line of the table.
pub(in crate::network) struct Row {
    /// The module's path: `stem.0`.
    pub(in crate::network) path: String,
    /// The module's class, or the operator outside of any: `Conv2d`, `aten.add.Tensor`.
    pub(in crate::network) class: String,
    /// The shape of one row of the output, if that is known.
    pub(in crate::network) shape: Vec<i64>,
    /// The number of parameters.
    pub(in crate::network) parameters: i64,
}

impl Program {
    pub(in crate::network) fn rows(&self) -> &[Row] {
        &self.source.rows
    }
}

/// One line for each module that calls operators, and for each operator outside of a module.
pub(super) fn rows(model: &Model, state: &[(String, StateTensor)]) -> Vec<Row> {
    let graph = &model.graph_module.graph;
    let mut rows: Vec<Row> = Vec::new();
    let mut counted = vec![false; state.len()];
    for node in &graph.nodes {
        let Some(Argument::AsTensor(output)) = node.outputs.first() else {
            continue;
        };
        let shape = graph
            .tensor_values
            .get(&output.name)
            .map(shape)
            .unwrap_or_default();
        let (path, class) = module(node);
        match rows.last_mut() {
            Some(last) if last.path == path && last.class == class && !path.is_empty() => {
                last.shape = shape;
            }
            _ => {
                let parameters = count(&path, state, &mut counted);
                rows.push(Row {
                    path,
                    class,
                    shape,
                    parameters,
                });
            }
        }
    }
    // Parameters of modules without operators of their own, such as an attention's projection.
    let left = state
        .iter()
        .zip(&counted)
        .filter(|((_, tensor), counted)| tensor.role == Role::Parameter && !**counted);
    let left: i64 = left
        .map(|((_, tensor), _)| tensor.shape.iter().product::<i64>())
        .sum();
    if left > 0 {
        rows.push(Row {
            path: String::new(),
            class: "(other parameters)".to_owned(),
            shape: Vec::new(),
            parameters: left,
        });
    }
    rows
}

/// The path and class of the module that calls an operator.
fn module(node: &Node) -> (String, String) {
    let operator = node.target.trim_start_matches("torch.ops.").to_owned();
    let stack = node
        .metadata
        .get("nn_module_stack")
        .map(String::as_str)
        .unwrap_or_default();
    let innermost = stack.rsplit(';').next().unwrap_or_default();
    let mut parts = innermost.splitn(3, ',').skip(1);
    match (parts.next(), parts.next()) {
        (Some(path), Some(class)) if !path.is_empty() => (
            path.to_owned(),
            class.rsplit('.').next().unwrap_or(class).to_owned(),
        ),
        _ => (String::new(), operator),
    }
}

fn shape(meta: &TensorMeta) -> Vec<i64> {
    let sizes = meta.sizes.iter().skip(1);
    sizes
        .map(|size| match size {
            Size::AsInt(size) => *size,
            Size::AsExpr(_) => -1,
        })
        .collect()
}

/// The parameters below a module that no line before has counted.
fn count(path: &str, state: &[(String, StateTensor)], counted: &mut [bool]) -> i64 {
    let mut sum = 0;
    for ((name, tensor), counted) in state.iter().zip(counted) {
        let own = name
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'));
        if own && !path.is_empty() && !*counted && tensor.role == Role::Parameter {
            *counted = true;
            sum += tensor.shape.iter().product::<i64>();
        }
    }
    sum
}

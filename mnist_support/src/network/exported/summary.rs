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
    for node in &graph.nodes {
        let Some(Argument::AsTensor(output)) = node.outputs.first() else {
            continue;
        };
        let shape = graph.tensor_values.get(&output.name).map(shape);
        let shape = shape.unwrap_or_default();
        let (path, class) = module(node);
        match rows.last_mut() {
            Some(last) if last.path == path && !path.is_empty() => last.shape = shape,
            _ => rows.push(Row {
                path,
                class,
                shape,
                parameters: 0,
            }),
        }
    }
    let mut others = 0;
    for (name, tensor) in state {
        if tensor.role == Role::Parameter {
            let count: i64 = tensor.shape.iter().product();
            match owner(&mut rows, name) {
                Some(row) => row.parameters += count,
                None => others += count,
            }
        }
    }
    if others > 0 {
        rows.push(Row {
            path: String::new(),
            class: "(other parameters)".to_owned(),
            shape: Vec::new(),
            parameters: others,
        });
    }
    rows
}

/// The first line of the innermost module that a parameter belongs to.
fn owner<'a>(rows: &'a mut [Row], parameter: &str) -> Option<&'a mut Row> {
    let below = |row: &Row| {
        let rest = parameter.strip_prefix(&row.path);
        !row.path.is_empty() && rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let depth = rows
        .iter()
        .filter(|row| below(row))
        .map(|row| row.path.len())
        .max()?;
    rows.iter_mut()
        .find(|row| row.path.len() == depth && below(row))
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

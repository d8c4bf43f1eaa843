//! Reading a `.pt2` file: its signature, state and weights.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tch::Kind;

use super::{
    Input, Output, Program, Source,
    archive::Archive,
    compile::{Slots, compile},
    invalid,
    native::{Change, Graph},
    schema::{
        Argument, InputSpec, MAJOR_VERSION, Model, Node, OutputSpec, Size, TensorMeta, Versions,
    },
    summary, tensors, to_safetensors,
};
use crate::{
    Result,
    network::{
        layers::Layer,
        shape::elements,
        state::{Init, Role, StateTensor},
    },
};

pub(super) const MODEL: &str = "models/model.json";

/// How to export a module, for errors that ask to do it again.
const DYNAMIC: &str = "torch.export.export(module.train(), (x,), \
                       dynamic_shapes=({0: torch.export.Dim(\"batch\")},))";

const EVALUATION: &str = "the network was exported in evaluation mode: dropout is gone, and \
                          normalisations don't learn; call module.train() before \
                          torch.export.export";

const NOT_PERSISTENT: &str = "training changes this buffer, which is not persistent: register it \
                              with persistent=True";

impl Program {
    /// Reads a `.pt2` file.
    pub(in crate::network) fn from_pt2(bytes: &[u8]) -> Result<Self> {
        let mut archive = Archive::read(bytes)?;
        let source = Source::read(archive.clone())?;
        let files = tensors::files(&archive, "weights")?;
        let mut weights = Vec::with_capacity(source.state.len());
        for (name, expected) in &source.state {
            let tensor = tensors::read(&archive, "weights", &files, name)?;
            let (shape, kind) = (tensor.size(), tensor.f_kind()?);
            if shape != expected.shape || kind != expected.role.kind() {
                let reason = format!(
                    "its weights have the shape {shape:?}, where the graph needs {:?}",
                    expected.shape
                );
                return Err(invalid(name, reason));
            }
            weights.push(tensor);
        }
        archive.remove(is_weight);
        let weights = to_safetensors(&source.state, &weights)?;
        let source = Source { archive, ..source };
        Ok(Program {
            source: Arc::new(source),
            weights: Some(weights.into()),
        })
    }
}

/// Whether a file of the archive holds the values of a weight.
fn is_weight(path: &str) -> bool {
    let values = path.strip_prefix("data/weights/");
    values.is_some_and(|name| name != "model_weights_config.json")
}

/// The inputs of the graph, in the order of their slots.
struct Inputs<'a> {
    slots: HashMap<&'a str, usize>,
    /// The parameters and persistent buffers: their names in PyTorch and in the graph.
    state: Vec<(&'a str, &'a str, StateKind)>,
    /// The tensors that never change: their names in PyTorch.
    constants: Vec<&'a str>,
    rows: &'a str,
}

/// What a tensor of the state is in PyTorch.
#[derive(Clone, Copy, PartialEq)]
enum StateKind {
    Parameter,
    Buffer,
}

impl Source {
    /// Reads an archive, whose weights may be missing.
    pub(super) fn read(archive: Archive) -> Result<Self> {
        let model = model(&archive)?;
        let graph = &model.graph_module.graph;
        let weights = tensors::files(&archive, "weights")?;
        let constants = tensors::files(&archive, "constants")?;
        let paths: BTreeMap<&str, &str> = weights
            .config
            .iter()
            .map(|(name, file)| (name.as_str(), file.path_name.as_str()))
            .collect();
        let inputs = inputs(&model, &paths)?;
        let values = &graph.tensor_values;
        let input = input(&model, values, inputs.rows)?;
        let (output_name, output) = output(&model, values, inputs.rows)?;
        let count = inputs.state.len() + inputs.constants.len() + 1;
        let mut slots = Slots::new(inputs.slots, count);
        let (mut native, places) = compile(&graph.nodes, &mut slots)?;
        let first_constant = inputs.state.len();
        for (slot, name) in (first_constant..).zip(&inputs.constants) {
            let constant = tensors::read(&archive, "constants", &constants, name)?;
            let set = native.constant(slot, &constant);
            set.map_err(|reason| invalid(*name, reason))?;
        }
        let whole = |reason: String| invalid("the graph", reason);
        let result = slots.of(output_name).map_err(whole)?;
        let mutations = mutations(&model, &slots, &inputs.state)?;
        native.finish(result, &mutations).map_err(whole)?;
        let mut warnings = Vec::new();
        let state = state(&native, values, &inputs.state, &mut warnings)?;
        if let (0, 1..) = native.modes() {
            warnings.push(EVALUATION.to_owned());
        }
        for (slot, name) in (first_constant..).zip(&inputs.constants) {
            if native.treatment(slot).change == Change::Other && is_buffer(&model, name) {
                return Err(invalid(*name, NOT_PERSISTENT));
            }
        }
        Ok(Source {
            activation: activation(graph.nodes.as_slice(), output_name),
            rows: summary::rows(&model, &state),
            graph: native,
            largest: largest(&graph.nodes, values),
            places,
            input,
            output,
            state,
            warnings,
            archive,
        })
    }
}

/// The index of the operator with the largest result, and its bytes for each row: at least those,
/// as sizes that depend on the number of rows count once.
fn largest(nodes: &[Node], values: &BTreeMap<String, TensorMeta>) -> Option<(usize, u64)> {
    /// Results that are views: they repeat values without storing them again.
    const VIEWS: [&str; 3] = ["expand", "expand_as", "broadcast_to"];
    let of = |node: &Node| {
        let name = node.target.strip_prefix("torch.ops.aten.")?;
        let name = name.split('.').next()?;
        let Some(Argument::AsTensor(output)) = node.outputs.first() else {
            return None;
        };
        let meta = values
            .get(&output.name)
            .filter(|_| !VIEWS.contains(&name))?;
        let width = meta
            .kind()
            .map_or(1, |kind| kind.elt_size_in_bytes() as u64);
        let known = meta.sizes.iter().map(|size| match size {
            Size::AsInt(size) => u64::try_from(*size).unwrap_or(0),
            Size::AsExpr(_) => 1,
        });
        Some(known.fold(width, u64::saturating_mul))
    };
    let bytes = nodes.iter().enumerate();
    bytes
        .filter_map(|(index, node)| Some((index, of(node)?)))
        .max_by_key(|(_, bytes)| *bytes)
}

/// Reads the graph, if its version is one that this crate knows.
pub(super) fn model(archive: &Archive) -> Result<Model> {
    let json = archive.get(MODEL)?;
    let refused = |error: serde_json::Error| invalid(MODEL, error.to_string());
    let versions: Versions = serde_json::from_slice(json).map_err(refused)?;
    let version = &versions.schema_version;
    if version.major != MAJOR_VERSION {
        let reason = format!(
            "it was written by torch {} in version {}.{} of the format, and this crate reads \
             version {MAJOR_VERSION}: export the module with the torch that this crate runs on",
            versions.torch_version, version.major, version.minor
        );
        return Err(invalid(MODEL, reason));
    }
    if archive.contains("byteorder") && archive.get("byteorder")? != b"little" {
        return Err(invalid("byteorder", "its weights are big-endian"));
    }
    serde_json::from_slice(json).map_err(refused)
}

/// The inputs of a graph by what they are, each with the name of its argument.
#[derive(Default)]
struct Sorted<'a> {
    state: Vec<(&'a str, &'a str, StateKind)>,
    constants: Vec<(&'a str, &'a str)>,
    rows: Vec<&'a str>,
}

impl<'a> Sorted<'a> {
    fn add(&mut self, spec: &'a InputSpec) -> Result<()> {
        match spec {
            InputSpec::Parameter {
                arg,
                parameter_name: name,
            } => self.state.push((name, &arg.name, StateKind::Parameter)),
            InputSpec::Buffer {
                arg,
                buffer_name: name,
                persistent: true,
            } => self.state.push((name, &arg.name, StateKind::Buffer)),
            InputSpec::Buffer {
                arg,
                buffer_name: name,
                persistent: false,
            }
            | InputSpec::TensorConstant {
                arg,
                tensor_constant_name: name,
            } => self.constants.push((name, &arg.name)),
            InputSpec::UserInput {
                arg: Argument::AsTensor(tensor),
            } => self.rows.push(&tensor.name),
            InputSpec::UserInput { .. } => {
                let reason = "forward takes something else than a tensor";
                return Err(invalid("the input", reason));
            }
            InputSpec::ConstantInput(_) => {}
            InputSpec::Other(kinds) => {
                let kinds: Vec<&str> = kinds.keys().map(String::as_str).collect();
                let reason = format!("inputs of the kind {} are not supported", kinds.join(", "));
                return Err(invalid("the graph", reason));
            }
        }
        Ok(())
    }
}

/// Sorts the inputs of the graph. Parameters that share their memory are one.
fn inputs<'a>(model: &'a Model, paths: &BTreeMap<&'a str, &'a str>) -> Result<Inputs<'a>> {
    let mut sorted = Sorted::default();
    let mut specs = model.graph_module.signature.input_specs.iter();
    specs.try_for_each(|spec| sorted.add(spec))?;
    let Sorted {
        state,
        constants,
        rows,
    } = sorted;
    let [rows] = rows.as_slice() else {
        let reason = format!(
            "forward takes {} tensors ({}), and a network here takes one: export a module whose \
             forward(x) takes them out of one tensor of features",
            rows.len(),
            rows.join(", ")
        );
        return Err(invalid("the input", reason));
    };
    let mut slots = HashMap::new();
    let mut unique: Vec<(&str, &str, StateKind)> = Vec::new();
    for (name, argument, kind) in state {
        let path = paths.get(name);
        let shared = unique
            .iter()
            .position(|(other, ..)| path.is_some() && paths.get(other) == path);
        let slot = shared.unwrap_or(unique.len());
        if shared.is_none() {
            unique.push((name, argument, kind));
        }
        insert(&mut slots, argument, slot)?;
    }
    for (index, (_, argument)) in constants.iter().enumerate() {
        insert(&mut slots, argument, unique.len() + index)?;
    }
    insert(&mut slots, rows, unique.len() + constants.len())?;
    Ok(Inputs {
        slots,
        state: unique,
        constants: constants.into_iter().map(|(name, _)| name).collect(),
        rows,
    })
}

fn insert<'a>(slots: &mut HashMap<&'a str, usize>, name: &'a str, slot: usize) -> Result<()> {
    match slots.insert(name, slot) {
        None => Ok(()),
        Some(_) => Err(invalid("the graph", format!("it has two inputs {name:?}"))),
    }
}

fn is_buffer(model: &Model, name: &str) -> bool {
    let specs = &model.graph_module.signature.input_specs;
    specs
        .iter()
        .any(|spec| matches!(spec, InputSpec::Buffer { buffer_name, .. } if buffer_name == name))
}

fn meta<'a>(values: &'a BTreeMap<String, TensorMeta>, name: &str) -> Result<&'a TensorMeta> {
    let meta = values.get(name);
    meta.ok_or_else(|| {
        invalid(
            "the graph",
            format!("it does not describe the value {name:?}"),
        )
    })
}

fn input(model: &Model, values: &BTreeMap<String, TensorMeta>, rows: &str) -> Result<Input> {
    let meta = meta(values, rows)?;
    let refused = |reason: String| invalid("the input", reason);
    let kind = meta.kind().map_err(refused)?;
    if !matches!(kind, Kind::Float | Kind::Int64 | Kind::Int) {
        let reason = format!(
            "it is {}, and features are torch.float32 or torch.int64: export with an example of \
             one of them",
            tensors::dtype_name(kind)
        );
        return Err(refused(reason));
    }
    let Some((Size::AsExpr(batch), shape)) = meta.sizes.split_first() else {
        let size = match meta.sizes.first() {
            Some(Size::AsInt(size)) => format!("its batch size is fixed to {size}"),
            _ => "it has no dimension for the batch".to_owned(),
        };
        return Err(refused(format!("{size}: export it with {DYNAMIC}")));
    };
    let mut known = Vec::with_capacity(shape.len());
    for (index, size) in shape.iter().enumerate() {
        match size {
            Size::AsInt(size) if *size >= 1 => known.push(*size),
            Size::AsInt(size) => {
                return Err(refused(format!("its dimension {} is {size}", index + 1)));
            }
            Size::AsExpr(_) => {
                return Err(refused(format!(
                    "its dimension {} is dynamic, and only the batch may be: export it with {DYNAMIC}",
                    index + 1
                )));
            }
        }
    }
    if known.is_empty() {
        return Err(refused(
            "it is one number for each row: take rows of shape [1]".to_owned(),
        ));
    }
    elements(&known).map_err(refused)?;
    let symbol = batch.expr_str.split('\'').nth(1).unwrap_or(&batch.expr_str);
    let range = model.range_constraints.get(symbol);
    Ok(Input {
        shape: known,
        kind,
        max_rows: range.and_then(|range| range.max_val),
    })
}

/// The name of the value that the graph returns.
fn output_tensor(model: &Model) -> Result<&str> {
    let refused = |reason: String| invalid("the output", reason);
    let mut outputs = Vec::new();
    for spec in &model.graph_module.signature.output_specs {
        match spec {
            OutputSpec::UserOutput {
                arg: Argument::AsTensor(tensor),
            } => outputs.push(tensor.name.as_str()),
            OutputSpec::UserOutput { .. } => {
                return Err(refused(
                    "forward returns something else than a tensor".to_owned(),
                ));
            }
            OutputSpec::BufferMutation { .. } => {}
            OutputSpec::Other(kinds) => {
                let kinds: Vec<&str> = kinds.keys().map(String::as_str).collect();
                return Err(refused(format!(
                    "outputs of the kind {} are not supported",
                    kinds.join(", ")
                )));
            }
        }
    }
    let [name] = outputs.as_slice() else {
        return Err(refused(format!(
            "forward returns {} tensors, and a network here returns one: export a module that \
             returns what the loss takes",
            outputs.len()
        )));
    };
    Ok(name)
}

fn output<'a>(
    model: &'a Model,
    values: &BTreeMap<String, TensorMeta>,
    rows: &str,
) -> Result<(&'a str, Output)> {
    let refused = |reason: String| invalid("the output", reason);
    let name = output_tensor(model)?;
    let described = meta(values, name)?;
    let kind = described.kind().map_err(refused)?;
    if kind != Kind::Float {
        return Err(refused(format!(
            "it is {}, and losses take torch.float32",
            tensors::dtype_name(kind)
        )));
    }
    let batch = match (described.sizes.first(), meta(values, rows)?.sizes.first()) {
        (Some(Size::AsExpr(own)), Some(Size::AsExpr(batch))) => own.expr_str == batch.expr_str,
        _ => false,
    };
    let shape: Option<Vec<i64>> = described
        .sizes
        .iter()
        .skip(1)
        .map(|size| match size {
            Size::AsInt(size) if *size >= 1 => Some(*size),
            _ => None,
        })
        .collect();
    let (true, Some(shape)) = (batch, shape) else {
        return Err(refused(
            "it does not have one row for each row of the input".to_owned(),
        ));
    };
    elements(&shape).map_err(refused)?;
    let flat = shape.is_empty();
    Ok((
        name,
        Output {
            shape: if flat { vec![1] } else { shape },
            flat,
        },
    ))
}

/// The name of the value that a program returns, which has been read before.
pub(super) fn output_name(model: &Model) -> Result<&str> {
    let outputs = model.graph_module.signature.output_specs.iter();
    let mut names = outputs.filter_map(|spec| match spec {
        OutputSpec::UserOutput {
            arg: Argument::AsTensor(tensor),
        } => Some(tensor.name.as_str()),
        _ => None,
    });
    names
        .next()
        .ok_or_else(|| invalid("the output", "there is none"))
}

/// The values that training copies to buffers at the end: pairs of slots.
fn mutations(
    model: &Model,
    slots: &Slots<'_>,
    state: &[(&str, &str, StateKind)],
) -> Result<Vec<(usize, usize)>> {
    let mut mutations = Vec::new();
    for spec in &model.graph_module.signature.output_specs {
        if let OutputSpec::BufferMutation { arg, buffer_name } = spec {
            let source = slots
                .of(&arg.name)
                .map_err(|reason| invalid("the graph", reason))?;
            let target = state.iter().position(|(name, ..)| name == buffer_name);
            let target = target.ok_or_else(|| invalid(buffer_name, NOT_PERSISTENT))?;
            mutations.push((source, target));
        }
    }
    Ok(mutations)
}

/// The tensors that training knows, with their roles.
fn state(
    graph: &Graph,
    values: &BTreeMap<String, TensorMeta>,
    names: &[(&str, &str, StateKind)],
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, StateTensor)>> {
    let mut state = Vec::with_capacity(names.len());
    for (slot, (name, argument, of)) in names.iter().enumerate() {
        let refused = |reason: String| invalid(*name, reason);
        let meta = meta(values, argument)?;
        let kind = meta.kind().map_err(refused)?;
        let shape = meta
            .shape()
            .ok_or_else(|| refused("its size depends on the batch".to_owned()))?;
        elements(&shape).map_err(refused)?;
        let treatment = graph.treatment(slot);
        let role = match (of, treatment.change) {
            (StateKind::Parameter, _) if kind != Kind::Float => {
                let kind = tensors::dtype_name(kind);
                let reason = format!(
                    "it is {kind}, and parameters are trained in torch.float32: call module.float() before the export"
                );
                return Err(refused(reason));
            }
            (StateKind::Parameter, Change::None) if treatment.used => Role::Parameter,
            (StateKind::Parameter, Change::None) => {
                warnings.push(format!(
                    "the network does not use the parameter {name:?}: it stays as it is"
                ));
                Role::Constant(kind)
            }
            (StateKind::Parameter, _) => {
                return Err(refused(
                    "forward changes it: only buffers may be changed".to_owned(),
                ));
            }
            (StateKind::Buffer, Change::None) => Role::Constant(kind),
            (StateKind::Buffer, _) if kind == Kind::Float => Role::Statistic,
            (StateKind::Buffer, Change::Counted) if kind == Kind::Int64 => Role::Counter,
            (StateKind::Buffer, _) => {
                let reason = format!(
                    "training changes this buffer of {}, which can't be averaged over the ranks",
                    tensors::dtype_name(kind)
                );
                return Err(refused(reason));
            }
        };
        crate::tensor_file::dtype(kind)?;
        state.push((
            (*name).to_owned(),
            StateTensor {
                name: (*name).to_owned().into(),
                shape,
                role,
                init: Init::Constant(0.0),
            },
        ));
    }
    Ok(state)
}

/// The layer that the operator of the output is, if it is one that makes probabilities.
fn activation(nodes: &[Node], output: &str) -> Option<Layer> {
    let makes_output = |node: &&Node| {
        node.outputs
            .iter()
            .any(|result| matches!(result, Argument::AsTensor(tensor) if tensor.name == output))
    };
    let node = nodes.iter().rev().find(makes_output)?;
    match node
        .target
        .strip_prefix("torch.ops.aten.")?
        .split('.')
        .next()?
    {
        "log_softmax" | "_log_softmax" => Some(Layer::LogSoftmax),
        "softmax" | "_softmax" => Some(Layer::Softmax),
        "sigmoid" => Some(Layer::Sigmoid),
        _ => None,
    }
}

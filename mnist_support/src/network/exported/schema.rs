//! The JSON in which PyTorch serialises exported programs, as far as it is needed here.
//!
//! Source: `torch/_export/serde/schema.py` of PyTorch 2.13, version 8.20 of the format.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

/// The version of the format that this crate reads. PyTorch raises the other part of the number
/// with every addition, this one when older readers would misread.
pub(super) const MAJOR_VERSION: i64 = 8;

/// `models/model.json`.
#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) graph_module: GraphModule,
    #[serde(default)]
    pub(super) range_constraints: BTreeMap<String, RangeConstraint>,
}

/// What is read of `models/model.json` before the rest.
#[derive(Deserialize)]
pub(super) struct Versions {
    pub(super) schema_version: SchemaVersion,
    #[serde(default)]
    pub(super) torch_version: String,
}

#[derive(Deserialize)]
pub(super) struct SchemaVersion {
    pub(super) major: i64,
    pub(super) minor: i64,
}

#[derive(Deserialize)]
pub(super) struct RangeConstraint {
    pub(super) max_val: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct GraphModule {
    pub(super) graph: Graph,
    pub(super) signature: Signature,
}

#[derive(Deserialize)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) tensor_values: BTreeMap<String, TensorMeta>,
}

#[derive(Deserialize)]
pub(super) struct Node {
    pub(super) target: String,
    pub(super) inputs: Vec<NamedArgument>,
    pub(super) outputs: Vec<Argument>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct NamedArgument {
    pub(super) name: String,
    pub(super) arg: Argument,
}

/// An argument or a result of an operator.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Argument {
    AsNone(#[allow(dead_code)] bool),
    AsTensor(Name),
    AsTensors(Vec<Name>),
    AsOptionalTensor(OptionalTensor),
    AsOptionalTensors(Vec<OptionalTensor>),
    AsInt(i64),
    AsInts(Vec<i64>),
    AsFloat(Float),
    AsFloats(Vec<Float>),
    AsBool(bool),
    AsBools(Vec<bool>),
    AsString(String),
    AsStrings(Vec<String>),
    AsSymInt(Symbolic<i64>),
    AsSymInts(Vec<Symbolic<i64>>),
    AsSymFloat(Symbolic<Float>),
    AsSymFloats(Vec<Symbolic<Float>>),
    AsSymBool(Symbolic<bool>),
    AsSymBools(Vec<Symbolic<bool>>),
    AsScalarType(i64),
    AsMemoryFormat(i64),
    AsLayout(i64),
    AsDevice(de::IgnoredAny),
    /// Kinds that no operator here takes: graphs, operators, objects.
    #[serde(untagged)]
    Other(BTreeMap<String, de::IgnoredAny>),
}

#[derive(Deserialize)]
pub(super) struct Name {
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptionalTensor {
    AsTensor(Name),
    AsNone(#[allow(dead_code)] bool),
}

/// A number that is known, or the name of one that is computed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Symbolic<T> {
    AsName(String),
    #[serde(alias = "as_int", alias = "as_float", alias = "as_bool")]
    AsValue(T),
}

/// A float, which JSON cannot always hold: infinities are text.
#[derive(Clone, Copy)]
pub(super) struct Float(pub(super) f64);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Float(value)),
            Written::Text(text) => match text.as_str() {
                "Infinity" => Ok(Float(f64::INFINITY)),
                "-Infinity" => Ok(Float(f64::NEG_INFINITY)),
                "NaN" => Ok(Float(f64::NAN)),
                other => Err(de::Error::custom(format!("{other:?} is no number"))),
            },
        }
    }
}

/// The type and shape of a tensor.
#[derive(Deserialize)]
pub(super) struct TensorMeta {
    pub(super) dtype: i64,
    pub(super) sizes: Vec<Size>,
    pub(super) strides: Vec<Size>,
    pub(super) storage_offset: Size,
    pub(super) layout: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Size {
    AsInt(i64),
    AsExpr(Expression),
}

#[derive(Deserialize)]
pub(super) struct Expression {
    pub(super) expr_str: String,
}

#[derive(Deserialize)]
pub(super) struct Signature {
    pub(super) input_specs: Vec<InputSpec>,
    pub(super) output_specs: Vec<OutputSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InputSpec {
    UserInput {
        arg: Argument,
    },
    Parameter {
        arg: Name,
        parameter_name: String,
    },
    Buffer {
        arg: Name,
        buffer_name: String,
        persistent: bool,
    },
    TensorConstant {
        arg: Name,
        tensor_constant_name: String,
    },
    /// An argument of `forward` that was no tensor. The graph has its value.
    ConstantInput(de::IgnoredAny),
    #[serde(untagged)]
    Other(BTreeMap<String, de::IgnoredAny>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputSpec {
    UserOutput {
        arg: Argument,
    },
    BufferMutation {
        arg: Name,
        buffer_name: String,
    },
    #[serde(untagged)]
    Other(BTreeMap<String, de::IgnoredAny>),
}

/// `data/weights/model_weights_config.json`, and the same for constants.
#[derive(Deserialize)]
pub(super) struct TensorFiles {
    pub(super) config: BTreeMap<String, TensorFile>,
}

#[derive(Deserialize)]
pub(super) struct TensorFile {
    pub(super) path_name: String,
    pub(super) use_pickle: bool,
    pub(super) tensor_meta: Option<TensorMeta>,
}

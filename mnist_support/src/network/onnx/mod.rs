//! Networks as ONNX files, which onnxruntime and others run.

mod proto;

use prost::Message;
use tch::{Device, Kind, TchError, Tensor};

use self::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{
    data::{Body, Network},
    layers::Layer,
};
use crate::{Error, Result, error::NetworkError};

/// The version of ONNX's operators: the first with GELU and GroupNormalization as PyTorch has them.
const OPSET: i64 = 21;
/// The version of the file format that comes with it.
const IR_VERSION: i64 = 10;

/// ONNX's numbers for types.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// What the outputs of a network mean, for the file's own outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnnxOutput {
    /// Scores of classes: `probability`, and as `prediction` the class with the highest.
    Classes,
    /// The score of the second of two classes, which become the same two outputs.
    BinaryClass,
    /// Scores of labels: `probability`, and as `prediction` those that are likelier than not.
    Labels,
    /// The outputs, or their exponentials, are the `prediction`.
    Values { exponential: bool },
}

impl Network {
    /// Writes the network to an ONNX file. Its input, `features`, has the shape [rows, width]; a
    /// scaling by feature comes first.
    ///
    /// # Errors
    /// [`NetworkError::InvalidLayer`] names a layer without a counterpart in ONNX, and
    /// [`NetworkError::InvalidProgram`] an operator of an exported program, with its line.
    pub(crate) fn to_onnx(
        &self,
        parameters: &[Tensor],
        scaling: Option<(&[f32], &[f32])>,
        output: OnnxOutput,
    ) -> Result<Vec<u8>> {
        self.check_parameters(parameters)?;
        let mut graph = OnnxGraph::default();
        let mut value = "features".to_owned();
        if let Some((scale, offset)) = scaling {
            for (operator, values) in [("Mul", scale), ("Add", offset)] {
                let values = graph.tensor(&Tensor::f_from_slice(values)?)?;
                value = graph.node(operator, &[&value, &values], &[]);
            }
        }
        if let [_, _, ..] = self.input_shape() {
            value = graph.reshape(&value, self.input_shape())?;
        }
        value = match &self.body {
            Body::Layers(layers) => {
                let shape = self.input_shape();
                add_layers(&mut graph, layers.layers(), parameters, value, shape)?
            }
            Body::Program(program) => program.onnx(&mut graph, parameters, value)?,
        };
        let last = self.output_layer();
        let results = graph.results(output, &value, last, &self.output_shape())?;
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "mnist_support".to_owned(),
            graph: Some(GraphProto {
                node: graph.nodes,
                name: "network".to_owned(),
                initializer: graph.tensors,
                input: vec![info("features", FLOAT, &[self.input_width()])],
                output: results,
            }),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
        };
        Ok(model.encode_to_vec())
    }
}

/// Adds layers, one after the other. Returns the name of the result.
fn add_layers(
    graph: &mut OnnxGraph,
    layers: &[Layer],
    mut state: &[Tensor],
    mut value: String,
    input_shape: &[i64],
) -> Result<String> {
    let mut shape = input_shape.to_vec();
    for (index, layer) in layers.iter().enumerate() {
        let (own, others) = state.split_at(layer.state().len());
        state = others;
        let refused = |reason| {
            Error::Network(NetworkError::InvalidLayer {
                layer: index,
                kind: layer.kind(),
                input_shape: shape.clone(),
                reason,
            })
        };
        value = layer.onnx(graph, own, &value, &shape).map_err(refused)?;
        shape = layer.output_shape(&shape).map_err(refused)?;
    }
    Ok(value)
}

/// The description of an input or output, whose first dimension are the rows.
fn info(name: &str, kind: i32, shape: &[i64]) -> ValueInfoProto {
    let rows = DimensionProto {
        dim_value: None,
        dim_param: Some("rows".to_owned()),
    };
    let sizes = shape.iter().map(|&size| DimensionProto {
        dim_value: Some(size),
        dim_param: None,
    });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: kind,
                shape: Some(TensorShapeProto {
                    dim: [rows].into_iter().chain(sizes).collect(),
                }),
            }),
        }),
    }
}

/// An attribute of an operator.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Text(&'static str),
}

/// A graph that layers add operators to.
#[derive(Default)]
pub(super) struct OnnxGraph {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    names: usize,
}

impl OnnxGraph {
    /// Adds what the outputs of a network mean, and returns the descriptions of the results.
    fn results(
        &mut self,
        output: OnnxOutput,
        value: &str,
        last: Option<&Layer>,
        shape: &[i64],
    ) -> Result<Vec<ValueInfoProto>> {
        let first = [("axis", Attribute::Int(1))];
        let by_class = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
        Ok(match output {
            OnnxOutput::Values { exponential } => {
                let operator = if exponential { "Exp" } else { "Identity" };
                self.named(operator, &[value], &[], "prediction");
                vec![info("prediction", FLOAT, shape)]
            }
            OnnxOutput::Classes => {
                // The argmax of the scores, like the pipeline's: equal probabilities may be
                // rounded.
                match last {
                    Some(Layer::Softmax) => self.named("Identity", &[value], &[], "probability"),
                    Some(Layer::LogSoftmax) => self.named("Exp", &[value], &[], "probability"),
                    _ => self.named("Softmax", &[value], &first, "probability"),
                }
                self.named("ArgMax", &[value], &by_class, "prediction");
                vec![
                    info("probability", FLOAT, shape),
                    info("prediction", INT64, &[]),
                ]
            }
            OnnxOutput::BinaryClass => {
                let negative = self.node("Neg", &[value], &[]);
                let scores = self.node("Concat", &[&negative, value], &first);
                self.named("Sigmoid", &[&scores], &[], "probability");
                self.named("ArgMax", &[&scores], &by_class, "prediction");
                vec![
                    info("probability", FLOAT, &[2]),
                    info("prediction", INT64, &[]),
                ]
            }
            OnnxOutput::Labels => {
                self.named("Sigmoid", &[value], &[], "probability");
                let zero = self.tensor(&Tensor::f_from_slice(&[0.0_f32])?)?;
                let above = self.node("Greater", &[value, &zero], &[]);
                let kind = [("to", Attribute::Int(INT64.into()))];
                self.named("Cast", &[&above], &kind, "prediction");
                vec![
                    info("probability", FLOAT, shape),
                    info("prediction", INT64, shape),
                ]
            }
        })
    }

    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}_{}", self.names)
    }

    /// Adds an operator with one result, and returns the result's name. An input without a name is
    /// left out.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let name = self.name(operator);
        self.named(operator, inputs, attributes, &name);
        name
    }

    fn named(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        output: &str,
    ) {
        self.outputs(operator, inputs, attributes, vec![output.to_owned()]);
    }

    /// Adds an operator with two results, and returns their names.
    pub(super) fn both(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> [String; 2] {
        let outputs = [self.name(operator), self.name(operator)];
        self.outputs(operator, inputs, attributes, outputs.to_vec());
        outputs
    }

    fn outputs(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        output: Vec<String>,
    ) {
        let attributes = attributes.iter().map(|(name, value)| {
            let mut attribute = AttributeProto {
                name: (*name).to_owned(),
                ..Default::default()
            };
            attribute.r#type = match value {
                Attribute::Float(value) => {
                    attribute.f = *value as f32;
                    1
                }
                Attribute::Int(value) => {
                    attribute.i = *value;
                    2
                }
                Attribute::Text(text) => {
                    attribute.s = text.as_bytes().to_vec();
                    3
                }
                Attribute::Ints(values) => {
                    attribute.ints.clone_from(values);
                    7
                }
            };
            attribute
        });
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output,
            op_type: operator.to_owned(),
            attribute: attributes.collect(),
        });
    }

    /// Adds a constant of floats or of 64-bit integers, and returns its name.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Result<String, TchError> {
        let tensor = tensor
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_contiguous()?;
        let (data_type, width) = match tensor.f_kind()? {
            Kind::Int64 => (INT64, 8),
            _ => (FLOAT, 4),
        };
        let mut raw_data = vec![0; tensor.numel() * width];
        tensor.f_copy_data_u8(&mut raw_data, tensor.numel())?;
        let name = self.name("tensor");
        self.tensors.push(TensorProto {
            dims: tensor.size(),
            data_type,
            name: name.clone(),
            raw_data,
        });
        Ok(name)
    }

    /// Adds constants.
    pub(super) fn state(&mut self, state: &[Tensor]) -> Result<Vec<String>, String> {
        let names = state.iter().map(|tensor| self.tensor(tensor));
        names
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    /// Gives each row this shape.
    pub(super) fn reshape(&mut self, value: &str, shape: &[i64]) -> Result<String, TchError> {
        // 0 is the size that is there already.
        let shape: Vec<i64> = [0].iter().chain(shape).copied().collect();
        let shape = self.tensor(&Tensor::f_from_slice(&shape)?)?;
        Ok(self.node("Reshape", &[value, &shape], &[]))
    }

    /// Adds the layers within a layer.
    pub(super) fn nested(
        &mut self,
        name: &str,
        layers: &[Layer],
        state: &[Tensor],
        value: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        let added = add_layers(self, layers, state, value.to_owned(), shape);
        added.map_err(|error| format!("in its {name}, {error}"))
    }
}

//! Operators of PyTorch as operators of ONNX.

use tch::{Kind, Tensor};

use super::{Arguments, Value, lacking, number};
use crate::network::{
    exported::schema::{Argument, Name, Size},
    layers::Cell,
    onnx::{Attribute, OnnxGraph},
};

impl Arguments<'_> {
    pub(super) fn unary(
        &self,
        graph: &mut OnnxGraph,
        kind: &str,
        attributes: &[(&str, Attribute)],
    ) -> Result<String, String> {
        let input = self.value(graph, 0)?;
        Ok(graph.node(kind, &[&input], attributes))
    }

    pub(super) fn binary(&self, graph: &mut OnnxGraph, kind: &str) -> Result<String, String> {
        let both = [self.value(graph, 0)?, self.value(graph, 1)?];
        Ok(graph.node(kind, &[&both[0], &both[1]], &[]))
    }

    pub(super) fn silu(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let input = self.value(graph, 0)?;
        let sigmoid = graph.node("Sigmoid", &[&input], &[]);
        Ok(graph.node("Mul", &[&input, &sigmoid], &[]))
    }

    pub(super) fn mean(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let dims = self.ints("dim").ok_or_else(lacking)?;
        let axes = graph.state(&[Tensor::from_slice(&dims)])?.remove(0);
        let keep = Attribute::Int(i64::from(self.truth("keepdim")));
        let input = self.value(graph, 0)?;
        Ok(graph.node("ReduceMean", &[&input, &axes], &[("keepdims", keep)]))
    }

    pub(super) fn concatenation(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let inputs = self.list(graph)?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let axis = Attribute::Int(self.int("dim").unwrap_or(0));
        Ok(graph.node("Concat", &inputs, &[("axis", axis)]))
    }

    pub(super) fn permutation(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let order = self.ints("dims").ok_or_else(lacking)?;
        let rank = order.len() as i64;
        let order = order.into_iter().map(|dim| dim.rem_euclid(rank)).collect();
        self.unary(graph, "Transpose", &[("perm", Attribute::Ints(order))])
    }

    /// Every operator that gives the values another shape.
    pub(super) fn reshape(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let sizes = self.output_sizes().ok_or("its result has no shape")?;
        // -1 is the size that the others leave.
        let shape: Vec<i64> = sizes
            .iter()
            .map(|size| match size {
                Size::AsInt(size) => *size,
                Size::AsExpr(_) => -1,
            })
            .collect();
        if shape.iter().filter(|size| **size < 0).count() > 1 {
            return Err("two of its sizes depend on the rows, ONNX gets it with one".to_owned());
        }
        let input = self.value(graph, 0)?;
        let shape = graph.state(&[Tensor::from_slice(&shape)])?.remove(0);
        // 0 is a size of 0, not the one that is there.
        let zero = [("allowzero", Attribute::Int(1))];
        let empty = sizes.iter().any(|size| matches!(size, Size::AsInt(0)));
        Ok(graph.node(
            "Reshape",
            &[&input, &shape],
            if empty { &zero } else { &[] },
        ))
    }

    pub(super) fn transpose(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let rank = self.output_sizes().ok_or("its result has no shape")?.len() as i64;
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

    pub(super) fn arithmetic(&self, graph: &mut OnnxGraph, name: &str) -> Result<String, String> {
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

    pub(super) fn linear(&self, graph: &mut OnnxGraph) -> Result<String, String> {
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

    pub(super) fn convolution(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let weight = self.tensor("weight").ok_or("its weight is computed")?;
        let dimensions = weight.dim() - 2;
        let sizes = |name: &str, default: i64| {
            let sizes = self.ints(name).unwrap_or_else(|| vec![default]);
            if sizes.len() == 1 {
                vec![sizes[0]; dimensions]
            } else {
                sizes
            }
        };
        let dilation = sizes("dilation", 1);
        let padding = match self.text("padding") {
            Some("same") => {
                let kernel = weight.size().into_iter().skip(2);
                let zeros: Vec<i64> = kernel
                    .zip(&dilation)
                    .map(|(side, step)| side.saturating_sub(1).saturating_mul(*step))
                    .collect();
                let before = zeros.iter().map(|all| all / 2);
                before
                    .chain(zeros.iter().map(|all| all - all / 2))
                    .collect()
            }
            Some(_) => vec![0; 2 * dimensions],
            None => sizes("padding", 0).repeat(2),
        };
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
                ("pads", Attribute::Ints(padding)),
                ("dilations", Attribute::Ints(dilation)),
                ("group", Attribute::Int(self.int("groups").unwrap_or(1))),
            ],
        ))
    }

    pub(super) fn batch_norm(&self, graph: &mut OnnxGraph) -> Result<String, String> {
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

    pub(super) fn layer_norm(&self, graph: &mut OnnxGraph) -> Result<String, String> {
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

    pub(super) fn pooling(&self, graph: &mut OnnxGraph, kind: &str) -> Result<String, String> {
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

    /// One entry along a dimension.
    pub(super) fn select(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let (Some(dim), Some(index)) = (self.int("dim"), self.int("index")) else {
            return Err("ONNX gets it with an index in numbers alone".to_owned());
        };
        let input = self.value(graph, 0)?;
        // A number rather than a list: the dimension goes.
        let index = graph.state(&[Tensor::from(index)])?.remove(0);
        Ok(graph.node(
            "Gather",
            &[&input, &index],
            &[("axis", Attribute::Int(dim))],
        ))
    }

    /// A range along a dimension.
    pub(super) fn slice(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let bound = |name: &str, default: i64| match self.get(name) {
            None | Some(Argument::AsNone(_)) => Ok(default),
            Some(Argument::AsInt(value)) => Ok(*value),
            Some(_) => Err("ONNX gets it with a range in numbers alone".to_owned()),
        };
        let (start, end) = (bound("start", 0)?, bound("end", i64::MAX)?);
        let (dim, step) = (bound("dim", 0)?, bound("step", 1)?);
        let input = self.value(graph, 0)?;
        if (start, end, step) == (0, i64::MAX, 1) {
            return Ok(input);
        }
        let range = [start, end, dim, step].map(|value| Tensor::from_slice(&[value]));
        let range = graph.state(&range)?;
        let inputs = [&input, &range[0], &range[1], &range[2], &range[3]];
        Ok(graph.node("Slice", &inputs.map(String::as_str), &[]))
    }

    /// softmax(query key^T scale + mask) value.
    pub(super) fn attention(&self, graph: &mut OnnxGraph) -> Result<String, String> {
        let known = |name: &str, from_end: usize| {
            let sizes = self.argument_sizes(name)?;
            match sizes.get(sizes.len().checked_sub(from_end)?)? {
                Size::AsInt(size) => Some(*size),
                Size::AsExpr(_) => None,
            }
        };
        let has_mask = !matches!(self.get("attn_mask"), None | Some(Argument::AsNone(_)));
        if has_mask || self.truth("enable_gqa") {
            return Err("ONNX gets it without attn_mask and enable_gqa alone".to_owned());
        }
        let rank = self
            .argument_sizes("key")
            .ok_or("its key has no shape")?
            .len();
        let width = known("query", 1).ok_or("the width of its query is not known")?;
        let scale = self.float("scale").unwrap_or(1.0 / (width as f64).sqrt());
        let [query, key, value] = [0, 1, 2].map(|place| self.value(graph, place));
        let (query, key, value) = (query?, key?, value?);
        let mut order: Vec<i64> = (0..rank as i64).collect();
        if rank < 2 {
            return Err("its key is no matrix".to_owned());
        }
        order.swap(rank - 2, rank - 1);
        let key = graph.node("Transpose", &[&key], &[("perm", Attribute::Ints(order))]);
        let scores = graph.node("MatMul", &[&query, &key], &[]);
        let scale = number(graph, scale)?;
        let mut scores = graph.node("Mul", &[&scores, &scale], &[]);
        if self.truth("is_causal") {
            let (Some(rows), Some(columns)) = (known("query", 2), known("key", 2)) else {
                return Err("ONNX gets it with is_causal for steps of a known number".to_owned());
            };
            let options = (Kind::Float, tch::Device::Cpu);
            let mask = Tensor::full([rows, columns], f64::NEG_INFINITY, options).triu(1);
            let mask = graph.state(&[mask])?.remove(0);
            scores = graph.node("Add", &[&scores, &mask], &[]);
        }
        let weights = graph.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        Ok(graph.node("MatMul", &[&weights, &value], &[]))
    }

    /// The outputs of an LSTM or a GRU, and the hidden states after the last step.
    pub(super) fn recurrent(
        &self,
        graph: &mut OnnxGraph,
        name: &str,
    ) -> Result<[String; 2], String> {
        let (initial, weights) = match (self.get("hx"), self.get("params")) {
            (Some(Argument::AsTensors(initial)), Some(Argument::AsTensors(weights))) => {
                (initial.iter().collect(), weights)
            }
            (Some(Argument::AsTensor(initial)), Some(Argument::AsTensors(weights))) => {
                (vec![initial], weights)
            }
            _ => return Err("ONNX gets it for batches of equal length alone".to_owned()),
        };
        let zeros = |name: &Name| matches!(self.values.named.get(&*name.name), Some(Value::Zeros));
        let rows_first = self.truth("batch_first") && self.truth("has_biases");
        if !rows_first || !initial.into_iter().all(zeros) {
            let needed = "batch_first, biases and no initial state";
            return Err(format!("ONNX gets it with {needed} alone"));
        }
        let tensor = |weight: &Name| self.values.tensors.get(&*weight.name);
        let weights: Option<Vec<Tensor>> = weights
            .iter()
            .map(|weight| tensor(weight).map(Tensor::shallow_clone))
            .collect();
        let weights = weights.ok_or("its weights are computed")?;
        let cell = if name == "lstm" {
            Cell::Lstm
        } else {
            Cell::Gru
        };
        let input = self.value(graph, 0)?;
        cell.onnx(graph, &weights, &input, self.truth("bidirectional"))
    }
}

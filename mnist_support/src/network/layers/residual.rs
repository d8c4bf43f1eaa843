//! A shortcut around layers.

use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Residual};
use crate::network::onnx::OnnxGraph;
use crate::network::sequential;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::Residual`]: the input is added to what the layers make of it, whose shape must be
    /// the same.
    pub fn residual(layers: impl Into<Vec<Layer>>) -> Self {
        Self::Residual {
            layers: layers.into(),
            shortcut: Vec::new(),
        }
    }

    /// A [`Layer::Residual`] with layers on the shortcut, too, such as the convolution with which a
    /// ResNet changes the shape.
    pub fn residual_with_shortcut(
        layers: impl Into<Vec<Layer>>,
        shortcut: impl Into<Vec<Layer>>,
    ) -> Self {
        Self::Residual {
            layers: layers.into(),
            shortcut: shortcut.into(),
        }
    }
}

impl Definition for Residual {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let output = sequential::output_shape("layers", &self.layers, input)?;
        let added = match self.shortcut.as_slice() {
            [] => input.to_vec(),
            shortcut => sequential::output_shape("shortcut", shortcut, input)?,
        };
        if output != added {
            return Err(format!(
                "its layers make {output:?} of it, and the shortcut {added:?}: \
                 their sum needs the same shape"
            ));
        }
        Ok(output)
    }

    fn state(&self) -> Vec<StateTensor> {
        let mut state = sequential::nested_state("layers", &self.layers);
        state.extend(sequential::nested_state("shortcut", &self.shortcut));
        state
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (own, shortcut) = state.split_at(sequential::state_count(&self.layers));
        let output = sequential::run("layers", &self.layers, own, input, mode)?;
        let added = sequential::run("shortcut", &self.shortcut, shortcut, input, mode)?;
        output.f_add(&added)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        let (own, others) = state.split_at(sequential::state_count(&self.layers));
        let output = graph.nested("layers", &self.layers, own, input, shape)?;
        let added = graph.nested("shortcut", &self.shortcut, others, input, shape)?;
        Ok(graph.node("Add", &[&output, &added], &[]))
    }

    fn extra_repr(&self) -> String {
        let shortcut = match self.shortcut.len() {
            0 => String::new(),
            count => format!(", {count} on the shortcut"),
        };
        format!("{} layers{shortcut}", self.layers.len())
    }

    fn nested(&self) -> Vec<(String, Vec<Layer>)> {
        vec![
            ("layers".to_owned(), self.layers.clone()),
            ("shortcut".to_owned(), self.shortcut.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, network::Conv2dConfig};

    fn conv(inputs: i64, outputs: i64) -> Layer {
        let config = Conv2dConfig {
            padding: 1.into(),
            ..Default::default()
        };
        Layer::conv2d(inputs, outputs, 3, config)
    }

    fn refusal(layer: Layer) -> String {
        let network = Network::new(&[4, 6, 6], vec![Layer::ReLU, layer]);
        network.unwrap_err().to_string()
    }

    #[test]
    fn a_shortcut_of_another_shape_shows_both() {
        assert_eq!(
            refusal(Layer::residual(vec![conv(4, 8)])),
            "layer 1 (Residual) on an input of shape [4, 6, 6]: its layers make [8, 6, 6] of it, \
             and the shortcut [4, 6, 6]: their sum needs the same shape"
        );
        let projected = Layer::residual_with_shortcut(vec![conv(4, 8)], vec![conv(4, 8)]);
        assert!(Network::new(&[4, 6, 6], vec![projected]).is_ok());
    }

    #[test]
    fn a_layer_within_that_does_not_fit_is_named() {
        assert_eq!(
            refusal(Layer::residual(vec![conv(4, 4), conv(3, 4)])),
            "layer 1 (Residual) on an input of shape [4, 6, 6]: in its layers, layer 1 (Conv2d) on \
             an input of shape [4, 6, 6]: in_channels is 3, but the input has 4 channels"
        );
    }

    #[test]
    fn no_layers_are_refused() {
        assert!(refusal(Layer::residual(Vec::new())).contains("the list of layers is empty"));
    }
}

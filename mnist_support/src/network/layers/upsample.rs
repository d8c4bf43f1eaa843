//! Larger images.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Upsample};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::{at_least_one, image};
use crate::network::state::StateTensor;

/// Where the new pixels of [`Layer::Upsample`] come from, with PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpsampleMode {
    /// From the nearest pixel. The default.
    #[default]
    Nearest,
    /// Between the four nearest pixels, in proportion to their distance.
    Bilinear,
}

impl Layer {
    /// A [`Layer::Upsample`] that multiplies height and width by a whole number.
    pub fn upsample(scale_factor: i64, mode: UpsampleMode) -> Self {
        Self::Upsample { scale_factor, mode }
    }
}

impl Definition for Upsample {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        at_least_one(&[("scale_factor", self.scale_factor)])?;
        let [channels, height, width] = image(input)?;
        let scaled = |length: i64| {
            let scaled = length.checked_mul(self.scale_factor);
            scaled.ok_or_else(|| format!("scale_factor {} is too large", self.scale_factor))
        };
        Ok(vec![channels, scaled(height)?, scaled(width)?])
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        let size = input.size();
        let size = [size[2] * self.scale_factor, size[3] * self.scale_factor];
        match self.mode {
            UpsampleMode::Nearest => input.f_upsample_nearest2d(size, None, None),
            UpsampleMode::Bilinear => input.f_upsample_bilinear2d(size, false, None, None),
        }
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let scale = self.scale_factor as f32;
        let scales = Tensor::from_slice(&[1.0, 1.0, scale, scale]);
        let scales = graph.state(&[scales])?.remove(0);
        let (mode, places) = match self.mode {
            UpsampleMode::Nearest => ("nearest", "asymmetric"),
            UpsampleMode::Bilinear => ("linear", "half_pixel"),
        };
        Ok(graph.node(
            "Resize",
            &[input, "", &scales],
            &[
                ("mode", Attribute::Text(mode)),
                ("coordinate_transformation_mode", Attribute::Text(places)),
                ("nearest_mode", Attribute::Text("floor")),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        let mode = match self.mode {
            UpsampleMode::Nearest => "nearest",
            UpsampleMode::Bilinear => "bilinear",
        };
        format!("scale_factor={:?}, mode='{mode}'", self.scale_factor as f64)
    }
}

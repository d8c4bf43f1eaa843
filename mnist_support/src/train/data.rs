//! A rank's rows as tensors.

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// A factor and an offset for each feature: `value * scale + offset`.
#[derive(Debug)]
pub struct Scaling {
    scale: Tensor,
    offset: Tensor,
}

impl Scaling {
    /// Creates a scaling with one value of `scale` and `offset` for each feature.
    pub fn new(scale: &[f32], offset: &[f32]) -> Result<Self> {
        if scale.len() != offset.len() {
            return Err(Error::ShapeMismatch {
                what: "the offset of a scaling".to_owned(),
                found: vec![offset.len() as i64],
                expected: format!("[{}], as its scale has,", scale.len()),
            });
        }
        Ok(Scaling {
            scale: Tensor::f_from_slice(scale)?,
            offset: Tensor::f_from_slice(offset)?,
        })
    }

    /// Returns the same scaling on `device`.
    pub(crate) fn to_device(&self, device: Device) -> Result<Scaling> {
        Ok(Scaling {
            scale: self.scale.f_to_device(device)?,
            offset: self.offset.f_to_device(device)?,
        })
    }
}

/// The rows that one rank trains on.
///
/// Features keep the kind that they were read with (`u8` pixels take a quarter of the memory of
/// floats). Each mini-batch is scaled on its way into the network.
#[derive(Debug)]
pub struct TrainingData {
    features: Tensor,
    labels: Tensor,
    scaling: Option<Scaling>,
}

impl TrainingData {
    /// Creates training data from `features`, `[rows, width]` of kind `Uint8` or `Float`, and
    /// `labels`, `[rows]` of kind `Int64`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the shapes of the features, the labels and the scaling do not
    /// match.
    pub fn new(features: Tensor, labels: Tensor, scaling: Option<Scaling>) -> Result<Self> {
        let shape = features.size();
        if shape.len() != 2 {
            return Err(Error::ShapeMismatch {
                what: "the feature tensor".to_owned(),
                found: shape,
                expected: "[rows, width]".to_owned(),
            });
        }
        if labels.size() != [shape[0]] {
            return Err(Error::ShapeMismatch {
                what: "the label tensor".to_owned(),
                found: labels.size(),
                expected: format!("[{}], a label for each row,", shape[0]),
            });
        }
        if let Some(scaling) = &scaling
            && scaling.scale.size() != [shape[1]]
        {
            return Err(Error::ShapeMismatch {
                what: "the scaling".to_owned(),
                found: scaling.scale.size(),
                expected: format!("[{}], a factor for each feature,", shape[1]),
            });
        }
        Ok(TrainingData {
            features,
            labels,
            scaling,
        })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.features.size()[0] as usize
    }

    /// Returns the same rows on `device`.
    pub(super) fn to_device(&self, device: Device) -> Result<TrainingData> {
        Ok(TrainingData {
            features: self.features.f_to_device(device)?,
            labels: self.labels.f_to_device(device)?,
            scaling: match &self.scaling {
                None => None,
                Some(scaling) => Some(scaling.to_device(device)?),
            },
        })
    }

    /// Returns the scaled features and the labels of some rows.
    pub(super) fn select(&self, rows: &[i64]) -> Result<(Tensor, Tensor)> {
        let rows = Tensor::f_from_slice(rows)?.f_to_device(self.features.device())?;
        let features = self.features.f_index_select(0, &rows)?;
        Ok((
            self.scaled(&features)?,
            self.labels.f_index_select(0, &rows)?,
        ))
    }

    /// Returns `rows` consecutive rows from `start`, moved to `device` and scaled there, without
    /// labels. The scaling must be on that device.
    pub(crate) fn scaled_rows(&self, start: usize, rows: usize, device: Device) -> Result<Tensor> {
        let features = self.features.f_narrow(0, start as i64, rows as i64)?;
        self.scaled(&features.f_to_device(device)?)
    }

    fn scaled(&self, features: &Tensor) -> Result<Tensor> {
        let features = features.f_to_kind(Kind::Float)?;
        Ok(match &self.scaling {
            None => features,
            // One pass over the batch: offset + features * scale.
            Some(scaling) => scaling.offset.f_addcmul(&features, &scaling.scale)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_rows_are_scaled_feature_by_feature() {
        let features = Tensor::from_slice(&[0_u8, 10, 128, 20, 255, 30]).view([3, 2]);
        let scaling = Scaling::new(&[1.0 / 255.0, 0.0], &[0.0, 0.5]).unwrap();
        let data =
            TrainingData::new(features, Tensor::from_slice(&[7_i64, 8, 9]), Some(scaling)).unwrap();
        let (features, labels) = data.select(&[2, 0]).unwrap();
        assert_eq!(
            Vec::<f32>::try_from(features.reshape([-1])).unwrap(),
            [1.0, 0.5, 0.0, 0.5]
        );
        assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [9, 7]);
    }

    #[test]
    fn shapes_that_do_not_belong_together_are_errors() {
        let features = || Tensor::zeros([3, 2], (Kind::Uint8, Device::Cpu));
        let labels = |rows| Tensor::zeros([rows], (Kind::Int64, Device::Cpu));
        for result in [
            TrainingData::new(features(), labels(4), None),
            TrainingData::new(features().view([6]), labels(6), None),
            TrainingData::new(
                features(),
                labels(3),
                Some(Scaling::new(&[1.0], &[0.0]).unwrap()),
            ),
        ] {
            assert!(matches!(result, Err(Error::ShapeMismatch { .. })));
        }
        assert!(matches!(
            Scaling::new(&[1.0, 2.0], &[0.0]),
            Err(Error::ShapeMismatch { .. })
        ));
    }
}

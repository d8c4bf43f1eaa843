//! A rank's rows as tensors.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::{
    TrainingSettings,
    sampler::{split, split_by},
};
use crate::{
    Error, Result,
    data::{BlockMatrix, BlockRows, BlockStream, Matrix, MemoryBudget},
    lake::BLOCK_ROWS,
};

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

    fn shallow_clone(&self) -> Scaling {
        Scaling {
            scale: self.scale.shallow_clone(),
            offset: self.offset.shallow_clone(),
        }
    }

    /// Returns the same scaling on `device`.
    pub(crate) fn to_device(&self, device: Device) -> Result<Scaling> {
        Ok(Scaling {
            scale: self.scale.f_to_device(device)?,
            offset: self.offset.f_to_device(device)?,
        })
    }
}

/// What the rows of a [`TrainingData`] are trained to give.
#[derive(Debug)]
pub enum Targets {
    /// A target for each row: classes `[rows]` of kind `Int64`, or numbers `[rows, width]` of kind
    /// `Float`, as the [`Loss`](super::Loss) needs.
    Given(Tensor),
    /// The row's own features, scaled as the network gets them, for an autoencoder.
    Features,
}

impl From<Tensor> for Targets {
    fn from(targets: Tensor) -> Self {
        Targets::Given(targets)
    }
}

/// The rows that one rank trains on.
///
/// Features keep the kind that they were read with (`u8` pixels take a quarter of the memory of
/// floats). Each mini-batch is scaled on its way into the network.
#[derive(Debug)]
pub struct TrainingData {
    features: Rows,
    targets: Targets,
    weights: Option<Tensor>,
    validation: Option<Vec<bool>>,
    /// The numbers of the parts of the table that the rows are from, and how many are of each, if
    /// the rank may get other parts.
    parts: Option<Vec<(usize, usize)>>,
    /// Rows of another table, to validate with.
    other: Option<Box<TrainingData>>,
    scaling: Option<Scaling>,
    /// What features may take of memory that are read whenever they are needed.
    budget: MemoryBudget,
    device: Device,
}

/// The features of rows, `[rows, width]`.
#[derive(Debug)]
enum Rows {
    Tensor(Tensor),
    /// As a table has them: a tensor would be a second copy.
    Matrix(Arc<Matrix>),
    /// In blocks that a thread reads ahead.
    Stream(BlockStream),
}

impl Rows {
    fn size(&self) -> Vec<i64> {
        match self {
            Rows::Tensor(tensor) => tensor.size(),
            Rows::Matrix(features) => vec![features.rows() as i64, features.width() as i64],
            Rows::Stream(stream) => {
                let matrix = stream.matrix();
                vec![matrix.rows() as i64, matrix.width() as i64]
            }
        }
    }

    /// The bytes of a row in memory.
    fn row_size(&self) -> usize {
        match self {
            Rows::Tensor(tensor) => tensor.size()[1] as usize * tensor.kind().elt_size_in_bytes(),
            Rows::Matrix(features) => features.width() * features.kind().size(),
            Rows::Stream(stream) => stream.matrix().row_size(),
        }
    }

    /// The blocks of features that are read whenever they are needed.
    fn blocks(&self) -> Option<&BlockMatrix> {
        match self {
            Rows::Tensor(_) => None,
            Rows::Matrix(features) => features.blocks(),
            Rows::Stream(stream) => Some(stream.matrix()),
        }
    }

    fn to_tensor(&self) -> Result<Tensor> {
        match self {
            Rows::Tensor(tensor) => Ok(tensor.shallow_clone()),
            Rows::Matrix(features) => features.to_features()?.to_tensor(),
            Rows::Stream(stream) => stream.matrix().to_features()?.to_tensor(),
        }
    }

    /// The same rows on `device`: a matrix stays one on the CPU. Of blocks, `capacity` bytes are
    /// kept in memory, and mini-batches are moved to the device.
    fn to_device(&self, device: Device, capacity: u64) -> Result<Rows> {
        if let Some(blocks) = self.blocks() {
            return Ok(Rows::Stream(BlockStream::start(blocks, capacity)?));
        }
        match self {
            Rows::Matrix(features) if device == Device::Cpu => Ok(Rows::Matrix(features.clone())),
            rows => Ok(Rows::Tensor(rows.to_tensor()?.f_to_device(device)?)),
        }
    }

    /// Some rows, and their indices as a tensor on the same device.
    fn select(&self, rows: &[i64]) -> Result<(Tensor, Tensor)> {
        let indices = Tensor::f_from_slice(rows)?;
        match self {
            Rows::Tensor(tensor) => {
                let indices = indices.f_to_device(tensor.device())?;
                Ok((tensor.f_index_select(0, &indices)?, indices))
            }
            Rows::Matrix(features) => {
                let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
                Ok((features.select(&rows)?.to_tensor()?, indices))
            }
            Rows::Stream(stream) => {
                let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
                Ok((stream.matrix().select(&rows)?.to_tensor()?, indices))
            }
        }
    }

    /// `rows` consecutive rows from `start`.
    fn slice(&self, start: usize, rows: usize) -> Result<Tensor> {
        match self {
            Rows::Tensor(tensor) => Ok(tensor.f_narrow(0, start as i64, rows as i64)?),
            Rows::Matrix(features) => {
                features.with_rows(start..start + rows, |rows| rows.to_tensor())
            }
            Rows::Stream(stream) => {
                let rows: Vec<usize> = (start..start + rows).collect();
                stream.matrix().select(&rows)?.to_tensor()
            }
        }
    }
}

/// A mini-batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// `[rows, width]`, scaled.
    pub(super) features: Tensor,
    pub(super) targets: Tensor,
    /// `[rows]`, if the rows do not all weigh 1.
    pub(super) weights: Option<Tensor>,
}

impl TrainingData {
    /// Creates training data from `features`, `[rows, width]` of kind `Uint8` or `Float`, and the
    /// rows' `targets`: a tensor, or [`Targets::Features`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the shapes of the features, the targets and the scaling do not
    /// match.
    pub fn new(
        features: Tensor,
        targets: impl Into<Targets>,
        scaling: Option<Scaling>,
    ) -> Result<Self> {
        Self::of_rows(Rows::Tensor(features), targets.into(), scaling)
    }

    /// Like [`new`](Self::new), from a matrix, which is not copied.
    pub(crate) fn of_matrix(
        features: Arc<Matrix>,
        targets: Targets,
        scaling: Option<Scaling>,
    ) -> Result<Self> {
        Self::of_rows(Rows::Matrix(features), targets, scaling)
    }

    fn of_rows(features: Rows, targets: Targets, scaling: Option<Scaling>) -> Result<Self> {
        let shape = features.size();
        if shape.len() != 2 {
            return Err(Error::ShapeMismatch {
                what: "the feature tensor".to_owned(),
                found: shape,
                expected: "[rows, width]".to_owned(),
            });
        }
        if let Targets::Given(targets) = &targets {
            let size = targets.size();
            if size.first() != Some(&shape[0]) || size.len() > 2 {
                return Err(Error::ShapeMismatch {
                    what: "the label tensor".to_owned(),
                    found: size,
                    expected: format!("[{}], a label for each row,", shape[0]),
                });
            }
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
            targets,
            weights: None,
            validation: None,
            parts: None,
            other: None,
            scaling,
            budget: MemoryBudget::unlimited(),
            device: Device::Cpu,
        })
    }

    /// Sets the rows' weights, `[rows]` of kind `Float`, none of which is negative. Default: 1.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is a weight for each row.
    pub fn weights(mut self, weights: Tensor) -> Result<Self> {
        self.check_rows("the weight tensor", weights.size())?;
        self.weights = Some(weights);
        Ok(self)
    }

    /// Sets which rows are held out for validation, in place of a fraction of the rows.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is a value for each row.
    pub fn validation_indicator(mut self, validation: Vec<bool>) -> Result<Self> {
        self.check_rows("the validation indicator", vec![validation.len() as i64])?;
        self.validation = Some(validation);
        Ok(self)
    }

    /// Adds rows that are held out for validation, in place of a part of these rows. Their scaling
    /// is that of these rows.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for rows of another width.
    pub fn with_validation(self, validation: TrainingData) -> Result<Self> {
        let expected = self.features.size()[1];
        let found = validation.features.size();
        if found[1] != expected {
            return Err(Error::ShapeMismatch {
                what: "the feature tensor to validate with".to_owned(),
                found,
                expected: format!("[rows, {expected}]"),
            });
        }
        let scaling = self.scaling.as_ref().map(Scaling::shallow_clone);
        Ok(self.validated_with(TrainingData {
            scaling,
            ..validation
        }))
    }

    /// Sets which parts of the table the rows are from: their numbers, and how many rows are of
    /// each. A fraction of the rows is then held out part by part, so that whoever gets a part
    /// holds out the same.
    pub(crate) fn parts(self, parts: Option<Vec<(usize, usize)>>) -> Self {
        TrainingData { parts, ..self }
    }

    /// Like [`with_validation`](Self::with_validation), with rows that have a scaling of their own.
    pub(crate) fn validated_with(self, validation: TrainingData) -> Self {
        TrainingData {
            other: Some(Box::new(validation)),
            ..self
        }
    }

    /// Sets what features may take of memory that are read whenever they are needed.
    pub(crate) fn memory_budget(self, budget: &MemoryBudget) -> Self {
        TrainingData {
            budget: budget.clone(),
            ..self
        }
    }

    fn check_rows(&self, what: &str, found: Vec<i64>) -> Result<()> {
        let rows = self.rows() as i64;
        if found == [rows] {
            return Ok(());
        }
        Err(Error::ShapeMismatch {
            what: what.to_owned(),
            found,
            expected: format!("[{rows}], a value for each row,"),
        })
    }

    /// The number of rows, without those of another table to validate with.
    pub fn rows(&self) -> usize {
        self.features.size()[0] as usize
    }

    /// Whether it is known row by row which are held out.
    pub(super) fn says_what_is_held_out(&self) -> bool {
        self.validation.is_some() || self.other.is_some()
    }

    /// Splits the rows into those to train on and those to validate with. The latter are rows of
    /// [`validation`](Self::validation).
    pub(super) fn split(&self, settings: &TrainingSettings, rank: usize) -> (Vec<i64>, Vec<i64>) {
        let rows = self.rows();
        match (&self.other, &self.validation) {
            (Some(other), _) => {
                let all = |rows: usize| (0..rows as i64).collect();
                (all(rows), all(other.rows()))
            }
            (None, Some(held_out)) => split_by(held_out),
            (None, None) => {
                let rank = [(rank, rows)];
                let parts = self.parts.as_deref().unwrap_or(&rank);
                let (mut training, mut validation) = (Vec::with_capacity(rows), Vec::new());
                let mut start = 0;
                for (part, rows) in parts {
                    let held_out = match self.parts {
                        Some(_) => settings.validation_rows_of_part(*part, *rows),
                        None => settings.validation_rows(*rows),
                    };
                    let (own, held_out) = split(settings.seed, *part, *rows, held_out);
                    training.extend(own.iter().map(|row| start + row));
                    validation.extend(held_out.iter().map(|row| start + row));
                    start += *rows as i64;
                }
                if !settings.shuffle.is_rows() {
                    // They are read in the order of the table.
                    training.sort_unstable();
                    validation.sort_unstable();
                }
                (training, validation)
            }
        }
    }

    /// Returns the data that have the rows to validate with, if not these, or a copy if these will
    /// not stay, and changes their indices accordingly. Features that are read whenever they are
    /// needed are read once, in memory as long as `budget` has bytes for them, or in a file. A copy
    /// is within the budget of these rows.
    pub(super) fn validation(
        &self,
        rows: &mut Vec<i64>,
        budget: &MemoryBudget,
    ) -> Result<Option<TrainingData>> {
        let source = self.other.as_deref().unwrap_or(self);
        let wanted = || rows.iter().map(|row| *row as usize).collect::<Vec<usize>>();
        let features = match &source.features {
            Rows::Matrix(features) if features.blocks().is_none() && self.is_dealt_anew() => {
                features.select_all(&wanted(), &source.budget)?
            }
            features => match features.blocks() {
                Some(blocks) => blocks.gather(&wanted(), budget)?,
                None => {
                    let own = |other: &TrainingData| other.to_device(other.device, 0);
                    return self.other.as_deref().map(own).transpose();
                }
            },
        };
        let indices = Tensor::f_from_slice(rows)?;
        let some = |tensor: &Tensor| tensor.f_index_select(0, &indices);
        *rows = (0..rows.len() as i64).collect();
        Ok(Some(TrainingData {
            features: Rows::Matrix(Arc::new(features)),
            targets: match &source.targets {
                Targets::Given(targets) => Targets::Given(some(targets)?),
                Targets::Features => Targets::Features,
            },
            weights: source.weights.as_ref().map(some).transpose()?,
            validation: None,
            parts: None,
            other: None,
            scaling: source.scaling.as_ref().map(Scaling::shallow_clone),
            budget: budget.clone(),
            device: source.device,
        }))
    }

    /// Frees the memory of the features, which are not needed any more.
    pub(super) fn drop_features(&mut self) -> Result<()> {
        let width = self.features.size()[1];
        let none = Tensor::f_zeros([0, width], (Kind::Uint8, Device::Cpu))?;
        self.features = Rows::Tensor(none);
        Ok(())
    }

    /// Whether it is known which parts of the table the rows are from.
    pub(super) fn has_parts(&self) -> bool {
        self.parts.is_some()
    }

    /// Whether the rank may get others in place of the rows to validate with.
    fn is_dealt_anew(&self) -> bool {
        self.has_parts() && self.other.is_none()
    }

    /// The first rows of the blocks, and the number of rows.
    pub(super) fn block_starts(&self) -> Vec<usize> {
        match self.features.blocks() {
            Some(blocks) => blocks.starts().to_vec(),
            None => {
                let rows = self.rows();
                let starts = (0..rows).step_by(BLOCK_ROWS);
                starts.chain([rows]).collect()
            }
        }
    }

    /// Whether the features are read whenever they are needed.
    pub(super) fn is_streamed(&self) -> bool {
        self.features.blocks().is_some()
    }

    /// The bytes of a row of features in memory.
    pub(super) fn row_size(&self) -> usize {
        self.features.row_size()
    }

    /// What features may take of memory that are read whenever they are needed.
    pub(super) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Returns the same rows on `device`. Of features that are read whenever they are needed,
    /// `capacity` bytes are kept in memory.
    pub(super) fn to_device(&self, device: Device, capacity: u64) -> Result<TrainingData> {
        let moved = |tensor: &Tensor| tensor.f_to_device(device);
        Ok(TrainingData {
            features: self.features.to_device(device, capacity)?,
            targets: match &self.targets {
                Targets::Given(targets) => Targets::Given(moved(targets)?),
                Targets::Features => Targets::Features,
            },
            weights: self.weights.as_ref().map(moved).transpose()?,
            validation: self.validation.clone(),
            parts: self.parts.clone(),
            other: None,
            scaling: match &self.scaling {
                None => None,
                Some(scaling) => Some(scaling.to_device(device)?),
            },
            budget: self.budget.clone(),
            device,
        })
    }

    /// Returns a batch of some rows.
    pub(super) fn select(&self, rows: &[i64]) -> Result<Batch> {
        let (features, rows) = self.features.select(rows)?;
        self.batch(&features, &rows)
    }

    /// Returns a batch of rows that a sampler has drawn.
    pub(super) fn draw(&self, runs: &[BlockRows]) -> Result<Batch> {
        let rows = runs.iter().flat_map(|run| run.rows.iter().copied());
        let rows: Vec<i64> = rows.collect();
        let Rows::Stream(stream) = &self.features else {
            return self.select(&rows);
        };
        let features = stream.draw(runs)?.to_tensor()?.f_to_device(self.device)?;
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(self.device)?;
        self.batch(&features, &rows)
    }

    /// The batch of some features and the indices of their rows.
    fn batch(&self, features: &Tensor, rows: &Tensor) -> Result<Batch> {
        let features = self.scaled(features)?;
        Ok(Batch {
            targets: match &self.targets {
                Targets::Given(targets) => targets.f_index_select(0, rows)?,
                Targets::Features => features.shallow_clone(),
            },
            weights: match &self.weights {
                None => None,
                Some(weights) => Some(weights.f_index_select(0, rows)?),
            },
            features,
        })
    }

    /// Returns the total weight of some rows to validate with.
    pub(super) fn validation_weight_of(&self, rows: &[i64]) -> Result<f64> {
        self.other.as_deref().unwrap_or(self).weight_of(rows)
    }

    /// Returns the total weight of some rows.
    pub(super) fn weight_of(&self, rows: &[i64]) -> Result<f64> {
        match &self.weights {
            None => Ok(rows.len() as f64),
            Some(weights) => {
                let rows = Tensor::f_from_slice(rows)?.f_to_device(weights.device())?;
                let weights = weights.f_index_select(0, &rows)?;
                Ok(weights.f_sum(Kind::Double)?.f_double_value(&[])?)
            }
        }
    }

    /// Returns `rows` consecutive rows from `start`, moved to `device` and scaled there, without
    /// targets. The scaling must be on that device.
    pub(crate) fn scaled_rows(&self, start: usize, rows: usize, device: Device) -> Result<Tensor> {
        let features = self.features.slice(start, rows)?;
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
        let weights = Tensor::from_slice(&[1.0_f32, 0.0, 0.5]);
        let data = data.weights(weights).unwrap();
        let batch = data.select(&[2, 0]).unwrap();
        assert_eq!(
            Vec::<f32>::try_from(batch.features.reshape([-1])).unwrap(),
            [1.0, 0.5, 0.0, 0.5]
        );
        assert_eq!(Vec::<i64>::try_from(batch.targets).unwrap(), [9, 7]);
        let weights = Vec::<f32>::try_from(batch.weights.unwrap()).unwrap();
        assert_eq!(weights, [0.5, 1.0]);
    }

    #[test]
    fn the_targets_of_an_autoencoder_are_its_scaled_features() {
        let features = Tensor::from_slice(&[0_u8, 10, 255, 30]).view([2, 2]);
        let scaling = Scaling::new(&[1.0 / 255.0, 0.1], &[0.0, 0.0]).unwrap();
        let data = TrainingData::new(features, Targets::Features, Some(scaling)).unwrap();
        let batch = data.select(&[1]).unwrap();
        assert_eq!(batch.targets, batch.features);
        assert_eq!(batch.targets.double_value(&[0, 0]), 1.0);
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
        let data = || TrainingData::new(features(), labels(3), None).unwrap();
        assert!(data().weights(Tensor::from_slice(&[1.0_f32])).is_err());
        assert!(data().validation_indicator(vec![true; 4]).is_err());
        assert!(matches!(
            Scaling::new(&[1.0, 2.0], &[0.0]),
            Err(Error::ShapeMismatch { .. })
        ));
    }
}

//! One rank's rows as tensors.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use tch::Tensor;

use super::TorchEstimator;
use crate::{
    Error, Network, Result,
    data::{
        FeaturesView, Kind, Matrix, classes_from_frame, indicator_from_frame, targets_from_frame,
        tensor_from_array, weights_from_frame,
    },
    stages::table::{Origin, Table, Vector},
    train::{Scaling, Target, Targets, TrainingData},
};

impl TorchEstimator {
    /// Returns the targets of the rows.
    fn targets(&self, table: &Table) -> Result<Targets> {
        let rows = table.rows();
        let columns = self.label_col.columns();
        Ok(match (self.settings.loss.target(self.outputs()), columns) {
            (Target::Numbers { .. }, []) => Targets::Features,
            (Target::Numbers { width, values }, columns) => {
                let width = width as usize;
                let array = match table.added_vector(columns) {
                    Some(vector) => table.vector_targets(vector, columns, width, values)?,
                    None => targets_from_frame(table.frame(), columns, width, values, rows)?,
                };
                Targets::Given(tensor_from_array(&array)?)
            }
            (
                Target::Class {
                    classes,
                    ignore_index,
                },
                columns,
            ) => {
                let column = columns.first().expect("a class has a column");
                let labels =
                    classes_from_frame(table.frame(), column, classes, ignore_index, rows)?;
                Targets::Given(Tensor::f_from_slice(&labels.to_vec())?)
            }
        })
    }

    /// Returns one rank's rows as tensors, scaled in the same place as those of `other`.
    pub(super) fn training_data(
        &self,
        table: &Table,
        other: Option<&Table>,
    ) -> Result<TrainingData> {
        let needed = self.network.input_width() as usize;
        let vector = table.vector(&self.features_col)?.widened_if_empty(needed);
        check_width(
            &self.network,
            vector.features.width(),
            &self.features_col,
            table,
        )?;
        let targets = self.targets(table)?;
        let other = other
            .map(|other| other.vector(&self.features_col))
            .transpose()?;
        let in_f64 = other.is_some_and(|other| is_scaled_in_f64(&other));
        let (features, scaling) = network_input(&vector, &self.features_col, table, in_f64)?;
        let parts = if self.deals_parts() {
            table.parts()
        } else {
            None
        };
        let mut data = TrainingData::of_matrix(features, targets, scaling)?.parts(parts);
        if let Some(name) = &self.weight_col {
            let weights = weights_from_frame(table.frame(), name, table.rows())?;
            data = data.weights(Tensor::f_from_slice(&weights)?)?;
        }
        if let Some(name) = &self.validation_indicator_col {
            let indicator = indicator_from_frame(table.frame(), name, table.rows())?;
            data = data.validation_indicator(indicator)?;
        }
        Ok(data)
    }
}

/// Whether the values of a vector column are scaled before they become 32 bits wide.
fn is_scaled_in_f64(vector: &Vector) -> bool {
    vector.features.is_f64()
}

/// Returns a vector column as a network takes it, and the scaling that is left to do. The matrix is
/// the column's own if it can be.
///
/// Values that 32 bits may not hold are scaled here, or if `now`. Others are scaled batch by batch,
/// so that pixels stay bytes.
pub(in crate::stages) fn network_input(
    vector: &Vector,
    column: &str,
    table: &Table,
    now: bool,
) -> Result<(Arc<Matrix>, Option<Scaling>)> {
    if now || is_scaled_in_f64(vector) {
        let (column, origin) = (column.to_owned(), table.origin().clone());
        let check = move |values: &Array2<f32>, first: usize| {
            check_row_values(values.view(), first, &column, &origin)
        };
        let values = vector.map_f32(table.budget(), check)?;
        return Ok((Arc::new(values), None));
    }
    let features = checked(&vector.features, column, table)?;
    let scaling = vector.scaling.as_ref().map(|affine| {
        let (scale, offset) = affine.to_f32();
        Scaling::new(&scale, &offset)
    });
    Ok((features, scaling.transpose()?))
}

/// Returns the features, once they are checked, or those of blocks of a table, which are checked
/// whenever they are read: a pass through the table only for this would cost too much.
fn checked(features: &Arc<Matrix>, column: &str, table: &Table) -> Result<Arc<Matrix>> {
    if features.kind() != Kind::F32 {
        return Ok(features.clone());
    }
    let check = |block: FeaturesView<'_>, first, column: &str, origin: &Origin| match block {
        FeaturesView::F32(values) => check_row_values(values, first, column, origin),
        FeaturesView::U8(_) | FeaturesView::F64(_) => Ok(()),
    };
    let origin = table.origin();
    let Some(blocks) = features.blocks() else {
        features.for_each_block(|block, first| check(block, first, column, origin))?;
        return Ok(features.clone());
    };
    let (column, origin) = (column.to_owned(), origin.clone());
    let blocks = blocks.map(Kind::F32, move |block, first| {
        check((&block).into(), first, &column, &origin)?;
        Ok(block)
    });
    Ok(Arc::new(Matrix::Blocks(blocks)))
}

/// Checks that a network can take the values: NaN, as a VectorAssembler may keep it, would turn
/// every weight into NaN. `first` rows come before these.
fn check_row_values(
    values: ArrayView2<'_, f32>,
    first: usize,
    column: &str,
    origin: &Origin,
) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, _), value)) => {
            let expected = "a finite number that fits into 32 bits";
            Err(origin.rows().invalid(first + row, column, value, expected))
        }
    }
}

/// Checks that a row of a vector column fills the network's input.
pub(in crate::stages) fn check_width(
    network: &Network,
    width: usize,
    column: &str,
    table: &Table,
) -> Result<()> {
    let needed: i64 = network.input_shape().iter().product();
    if width as i64 == needed {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        what: format!("a row of the vector column {column:?} of {}", table.name()),
        found: vec![width as i64],
        expected: format!(
            "{needed} features, for the network's input of {:?},",
            network.input_shape()
        ),
    })
}

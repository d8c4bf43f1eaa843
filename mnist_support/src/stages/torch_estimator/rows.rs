//! One rank's rows as tensors.

use tch::Tensor;

use super::TorchEstimator;
use crate::{
    Error, Network, Result,
    data::{
        classes_from_frame, indicator_from_frame, targets_from_frame, tensor_from_array,
        weights_from_frame,
    },
    stages::table::Table,
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

    /// Returns one rank's rows as tensors.
    pub(super) fn training_data(&self, table: &Table) -> Result<TrainingData> {
        let vector = table.vector(&self.features_col)?;
        check_width(
            &self.network,
            vector.features.width(),
            &self.features_col,
            table,
        )?;
        let targets = self.targets(table)?;
        let scaling = vector
            .scaling
            .map(|(scale, offset)| Scaling::new(&scale, &offset))
            .transpose()?;
        let mut data = TrainingData::new(vector.features.to_tensor()?, targets, scaling)?;
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

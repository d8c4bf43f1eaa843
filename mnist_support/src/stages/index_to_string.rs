//! Indices as the words that they stand for.

use std::collections::BTreeMap;

use polars::prelude::{DataType, NamedFrom, Series};
use serde::{Deserialize, Serialize};

use super::{
    FitContext, Label, StageModel,
    columns::{conversions, vector_setters},
    stage::{PipelineStage, Transformer},
    table::Table,
};
use crate::{Error, Result, collective::Collective, data::column, error::TableError};

/// Turns a column of indices into the words that they stand for, like SparkML's `IndexToString`.
///
/// The words are the `labels`, or those of the [`StringIndexer`](super::StringIndexer) of the same
/// pipeline that made the column. For the predictions of a network, they are those of its label.
///
/// ```
/// use mnist_support::prelude::*;
///
/// let frame = df!("x" => [-2.0, -1.0, 1.0, 2.0], "answer" => ["no", "no", "yes", "yes"])?;
/// let network = Network::new(&[1], vec![Layer::linear(1, 2)])?;
/// let model = Pipeline::new()
///     .stage(StringIndexer::new().input_col("answer").output_col("label"))
///     .stage(VectorAssembler::new().input_cols(["x"]))
///     .stage(TorchEstimator::new(network).iterations(200).learning_rate(0.1).partitions(1))
///     .stage(IndexToString::new().input_col("prediction").output_col("predictedAnswer"))
///     .fit(&frame)?;
/// let predicted = model.transform(df!("x" => [5.0, -5.0])?)?;
/// let expected = Column::new("predictedAnswer".into(), ["yes", "no"]);
/// assert_eq!(predicted.column("predictedAnswer")?, &expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexToString {
    input_col: String,
    output_col: String,
    labels: Vec<String>,
}

impl Default for IndexToString {
    fn default() -> Self {
        IndexToString {
            input_col: "prediction".to_owned(),
            output_col: "originalCategory".to_owned(),
            labels: Vec::new(),
        }
    }
}

impl IndexToString {
    /// Creates a stage from `prediction` to `originalCategory`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The words, in the order of their indices. Default: those of the
    /// [`StringIndexer`](super::StringIndexer) that made the column.
    pub fn labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }
}

vector_setters!(IndexToString, "prediction", "originalCategory");
conversions!(IndexToString);

/// What the indices of columns stand for, as far as the fitted stages of a pipeline know.
#[derive(Debug, Default)]
pub(crate) struct Labels(BTreeMap<String, Vec<String>>);

impl Labels {
    /// Adds what a fitted stage knows: a StringIndexer its labels, a network those of its label.
    pub(crate) fn add(&mut self, fitted: &StageModel) {
        match fitted {
            StageModel::StringIndexer(model) => self.0.extend(model.columns_with_labels()),
            StageModel::Torch(model) => {
                let estimator = model.estimator();
                if let Label::Column(label) = &estimator.label_col
                    && let Some(labels) = self.0.get(label)
                {
                    let labels = labels.clone();
                    self.0.insert(estimator.prediction_col.clone(), labels);
                }
            }
            _ => {}
        }
    }

    pub(super) fn of(&self, column: &str) -> Option<&Vec<String>> {
        self.0.get(column)
    }
}

impl PipelineStage for IndexToString {
    fn kind(&self) -> &'static str {
        "IndexToString"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn learns(&self) -> bool {
        false
    }

    /// Looks up the labels.
    fn fit_shard(
        &self,
        _table: &Table,
        _collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel> {
        let mut stage = self.clone();
        if stage.labels.is_empty() {
            let labels = context.labels.and_then(|labels| labels.of(&self.input_col));
            stage.labels = labels.ok_or_else(|| self.no_labels())?.clone();
        }
        Ok(stage.into())
    }
}

impl IndexToString {
    fn no_labels(&self) -> Error {
        Error::InvalidSetting {
            setting: "labels",
            value: "[]".to_owned(),
            reason: format!(
                "must be given to IndexToString, as no StringIndexer before it has made the column \
                 {:?}",
                self.input_col
            ),
        }
    }
}

impl Transformer for IndexToString {
    fn stage(&self) -> &dyn PipelineStage {
        self
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        if self.labels.is_empty() {
            return Err(self.no_labels());
        }
        let rows = table.rows();
        let about = || TableError::about(table.name());
        let series = column(table.frame(), &self.input_col, rows)?;
        if !series.dtype().is_primitive_numeric() {
            return Err(Error::Table(TableError::ColumnType {
                table: table.name().to_owned(),
                column: self.input_col.clone(),
                found: series.dtype().to_string(),
                expected: "a column of indices".to_owned(),
            }));
        }
        let indices = series.cast(&DataType::Float64).map_err(about())?;
        let last = self.labels.len() - 1;
        let word = |(row, index): (usize, Option<f64>)| {
            let Some(index) = index else {
                return Err(rows.missing(row, &self.input_col));
            };
            if index.fract() == 0.0 && (0.0..=last as f64).contains(&index) {
                return Ok(self.labels[index as usize].as_str());
            }
            let expected = format!("the index of a label, from 0 to {last}");
            Err(rows.invalid(row, &self.input_col, index, &expected))
        };
        let indices = indices.f64().map_err(about())?.iter().enumerate();
        let words = indices.map(word).collect::<Result<Vec<_>>>()?;
        let words = Series::new(self.output_col.as_str().into(), words);
        table.set_column(words)
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::stages::testing::transform;

    #[test]
    fn indices_become_the_labels_and_others_are_errors() {
        let stage = IndexToString::new().labels(["no", "yes"]);
        let frame = df!("prediction" => [1_i64, 0]).unwrap();
        let words = transform(stage.clone(), &frame).unwrap();
        let expected = Series::new("originalCategory".into(), ["yes", "no"]);
        let found = words.column("originalCategory").unwrap();
        assert_eq!(found.as_materialized_series(), &expected);
        for index in [2.0, -1.0, 0.5] {
            let frame = df!("prediction" => [0.0, index]).unwrap();
            let error = transform(stage.clone(), &frame).unwrap_err();
            assert!(
                matches!(error, Error::Table(TableError::InvalidValue { row: 2, .. })),
                "{error}"
            );
        }
        let error = transform(IndexToString::new(), &frame).unwrap_err();
        assert!(error.to_string().contains("StringIndexer"), "{error}");
    }
}

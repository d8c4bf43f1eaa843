//! Categories as vectors of one 1.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{
    FitContext, HandleInvalid, StageModel,
    columns::{check_columns, check_count, column_setters, conversions, names, no_rows},
    index_to_string::Labels,
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::{Features, numeric_or_null},
    error::TableError,
};

/// The most categories of a column: Spark's are 32 bits wide, too.
const MOST: usize = i32::MAX as usize;

/// Turns indices of categories into vectors with a 1 in the place of the category, like SparkML's
/// `OneHotEncoder`. The last category is the vector of zeros, unless `drop_last` is false.
///
/// The number of categories is that of the [`StringIndexer`](super::StringIndexer) of the same
/// pipeline that made the column, otherwise it is one more than the highest index in all
/// partitions.
///
/// ```
/// use mnist_support::ml::{Fit, OneHotEncoder, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("size" => [0, 2, 1])?;
/// let encoder = OneHotEncoder::new().input_col("size").output_col("sizes").fit(&frame)?;
/// let encoded = encoder.transform(&frame)?;
/// let row = encoded.column("sizes")?.list()?.get_as_series(0).unwrap();
/// assert_eq!(row, Series::new("sizes".into(), [1_u8, 0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHotEncoder {
    input_cols: Vec<String>,
    output_cols: Vec<String>,
    drop_last: bool,
    handle_invalid: HandleInvalid,
}

impl Default for OneHotEncoder {
    fn default() -> Self {
        OneHotEncoder {
            input_cols: Vec::new(),
            output_cols: Vec::new(),
            drop_last: true,
            handle_invalid: HandleInvalid::Error,
        }
    }
}

impl OneHotEncoder {
    /// Creates an encoder of no columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the last category has no place of its own. Default: true.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// What becomes of indices that were not there when the encoder was fitted, and of nulls:
    /// [`HandleInvalid::Keep`] makes them one more category, the last. Like SparkML's, this stage
    /// does not know [`HandleInvalid::Skip`]. Default: [`HandleInvalid::Error`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    /// Returns the indices of a column; `None` for null, and for what is no index if `keep`.
    fn indices(&self, table: &Table, name: &str, keep: bool) -> Result<Vec<Option<usize>>> {
        let rows = table.rows();
        let series = numeric_or_null(table.frame(), name, rows)?;
        let values = series.f64().map_err(TableError::about(table.name()))?;
        let index = |(row, value): (usize, Option<f64>)| match value {
            Some(value) if value >= 0.0 && value.fract() == 0.0 && value < f64::from(i32::MAX) => {
                Ok(Some(value as usize))
            }
            Some(_) if keep => Ok(None),
            Some(value) => Err(rows.invalid(row, name, value, "the index of a category, from 0")),
            None => Ok(None),
        };
        values.iter().enumerate().map(index).collect()
    }

    fn learn(
        &self,
        table: &Table,
        collective: &dyn Collective,
        labels: Option<&Labels>,
    ) -> Result<OneHotEncoderModel> {
        let mut own = Vec::new();
        for name in &self.input_cols {
            // The indices are checked even where the labels are known.
            let indices = self.indices(table, name, false)?;
            let highest = indices.iter().flatten().max();
            let highest = highest.map_or(0.0, |index| *index as f64 + 1.0);
            own.push(match labels.and_then(|labels| labels.of(name)) {
                Some(labels) => labels.len() as f64,
                None => highest,
            });
        }
        let sizes = all_reduce_f64(&own, ReduceOp::Max, collective)?;
        if let Some(column) = sizes.iter().position(|size| *size == 0.0) {
            return Err(no_rows(&self.input_cols[column], table.name()));
        }
        Ok(OneHotEncoderModel {
            encoder: self.clone(),
            category_sizes: sizes.into_iter().map(|size| size as usize).collect(),
        })
    }
}

column_setters!(OneHotEncoder);
conversions!(OneHotEncoder, OneHotEncoderModel);

impl PipelineStage for OneHotEncoder {
    fn kind(&self) -> &'static str {
        "OneHotEncoder"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        names(&self.output_cols)
    }

    fn validate(&self) -> Result<()> {
        if self.handle_invalid == HandleInvalid::Skip {
            return Err(Error::InvalidSetting {
                setting: "handle_invalid",
                value: "skip".to_owned(),
                reason: "must be error or keep for a OneHotEncoder".to_owned(),
            });
        }
        check_columns(&self.input_cols, &self.output_cols)
    }

    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.learn(table, collective, context.labels)?.into())
    }
}

/// A fitted [`OneHotEncoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneHotEncoderModel {
    encoder: OneHotEncoder,
    category_sizes: Vec<usize>,
}

impl OneHotEncoderModel {
    /// The number of categories of each column, without that of invalid ones.
    pub fn category_sizes(&self) -> &[usize] {
        &self.category_sizes
    }

    fn encode(&self, table: &Table, name: &str, categories: usize) -> Result<Array2<u8>> {
        let keep = self.encoder.handle_invalid == HandleInvalid::Keep;
        let places = categories + usize::from(keep) - usize::from(self.encoder.drop_last);
        let indices = self.encoder.indices(table, name, keep)?;
        let rows = indices.len();
        let mut encoded = Vec::new();
        let size = rows.saturating_mul(places);
        encoded
            .try_reserve_exact(size)
            .map_err(TableError::about(table.name()))?;
        encoded.resize(size, 0_u8);
        for (row, index) in indices.into_iter().enumerate() {
            let place = match index {
                Some(index) if index < categories => index,
                _ if keep => categories,
                None => return Err(table.rows().missing(row, name)),
                Some(index) => {
                    let expected = format!(
                        "the index of a category, from 0 to {}; see handle_invalid",
                        categories - 1
                    );
                    return Err(table.rows().invalid(row, name, index, &expected));
                }
            };
            if place < places {
                encoded[row * places + place] = 1;
            }
        }
        Ok(Array2::from_shape_vec((rows, places), encoded).expect("each row has its places"))
    }
}

impl Transformer for OneHotEncoderModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.encoder
    }

    fn check(&self) -> Result<()> {
        let sizes = &self.category_sizes;
        let columns = self.encoder.input_cols.len();
        check_count("category_sizes", sizes.len(), columns, "column")?;
        match sizes.iter().find(|size| !(1..=MOST).contains(*size)) {
            None => Ok(()),
            Some(size) => Err(Error::InvalidSetting {
                setting: "category_sizes",
                value: size.to_string(),
                reason: format!("must be from 1 to {MOST}"),
            }),
        }
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let columns = self
            .encoder
            .input_cols
            .iter()
            .zip(&self.encoder.output_cols);
        for ((input, output), categories) in columns.zip(&self.category_sizes) {
            let encoded = self.encode(table, input, *categories)?;
            table.set_vector(output, Vector::new(Features::U8(encoded)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::stages::testing::{fit, fit_ranks, rows, transform};

    fn encoder() -> OneHotEncoder {
        OneHotEncoder::new().input_col("size").output_col("sizes")
    }

    #[test]
    fn the_last_category_is_the_vector_of_zeros_unless_it_is_kept() {
        let frame = df!("size" => [0, 2, 1, 0]).unwrap();
        let encoded = transform(fit(&encoder(), &frame), &frame).unwrap();
        assert_eq!(
            rows(&encoded, "sizes"),
            [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
        );
        let encoded = transform(fit(&encoder().drop_last(false), &frame), &frame).unwrap();
        assert_eq!(rows(&encoded, "sizes")[1], [0.0, 0.0, 1.0]);
    }

    #[test]
    fn an_unknown_category_is_an_error_that_names_the_row_or_one_more_category() {
        let frame = df!("size" => [0, 1]).unwrap();
        let other = df!("size" => [Some(1), Some(5), None]).unwrap();
        let error = transform(fit(&encoder(), &frame), &other).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::InvalidValue { row: 2, .. })),
            "{error}"
        );
        let keeping = encoder()
            .handle_invalid(HandleInvalid::Keep)
            .drop_last(false);
        let encoded = transform(fit(&keeping, &frame), &other).unwrap();
        assert_eq!(
            rows(&encoded, "sizes"),
            [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
        );
        let skipping = encoder().handle_invalid(HandleInvalid::Skip);
        let error = fit_ranks(&skipping, &frame, &[2]).remove(0).unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
    }
}

//! Numbers the words of columns.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

use polars::prelude::{NamedFromOwned, PlHashMap, Series, StringChunked};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    FitContext, HandleInvalid, StageModel,
    columns::{check_columns, check_count, column_setters, conversions, names},
    stage::{PipelineStage, Transformer},
    strings::strings,
    table::Table,
};
use crate::{
    Result,
    collective::{Collective, all_gather_json},
};

/// The rows that one core takes at a time.
const PIECE_ROWS: usize = 16 << 10;
/// The label that stands for all words that were not there when a [`StringIndexer`] that keeps them
/// was fitted, as in SparkML.
const UNKNOWN: &str = "__unknown";

/// Numbers the words of columns from 0, like SparkML's `StringIndexer`: by default the most
/// frequent word is 0. Numbers and booleans count as the text that Spark casts them to.
///
/// The indices are `Float64`, as in SparkML, and can be a network's label. What the network
/// predicts becomes words again by an [`IndexToString`](super::IndexToString).
///
/// ```
/// use mnist_support::ml::{Fit, StringIndexer, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("species" => ["setosa", "virginica", "setosa"])?;
/// let indexer = StringIndexer::new().input_col("species").output_col("label").fit(&frame)?;
/// assert_eq!(indexer.labels(), ["setosa", "virginica"]);
/// let indexed = indexer.transform(&frame)?;
/// assert_eq!(indexed.column("label")?, &Column::new("label".into(), [0.0, 1.0, 0.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nulls and NaN are not counted. Words that all partitions together have, each once, have to fit
/// into the memory of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StringIndexer {
    input_cols: Vec<String>,
    output_cols: Vec<String>,
    string_order_type: StringOrderType,
    handle_invalid: HandleInvalid,
}

/// How a [`StringIndexer`] orders the words: SparkML's `stringOrderType`. Words of the same
/// frequency are in alphabetical order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StringOrderType {
    /// The most frequent first.
    #[default]
    FrequencyDesc,
    /// The rarest first.
    FrequencyAsc,
    /// From Z to A.
    AlphabetDesc,
    /// From A to Z.
    AlphabetAsc,
}

impl StringIndexer {
    /// Creates an indexer of no columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// The order of the words. Default: [`StringOrderType::FrequencyDesc`].
    pub fn string_order_type(mut self, order: StringOrderType) -> Self {
        self.string_order_type = order;
        self
    }

    /// What becomes of null, of NaN, and of words that were not there when the indexer was fitted.
    /// [`HandleInvalid::Keep`] gives all of them one more index after the others. Default:
    /// [`HandleInvalid::Error`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    /// Counts the words of all ranks.
    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<StringIndexerModel> {
        let count = |name: &String| -> Result<BTreeMap<String, u64>> {
            let words = strings(table.frame(), name, table.rows())?;
            let pieces = pieces(&words);
            let counted: Vec<PlHashMap<&str, u64>> = pieces.par_iter().map(count_words).collect();
            let mut counts: PlHashMap<&str, u64> = PlHashMap::default();
            for (word, count) in counted.into_iter().flatten() {
                *counts.entry(word).or_default() += count;
            }
            let owned = counts.into_iter();
            Ok(owned
                .map(|(word, count)| (word.to_owned(), count))
                .collect())
        };
        let own = self
            .input_cols
            .iter()
            .map(count)
            .collect::<Result<Vec<_>>>()?;
        let mut all: Vec<BTreeMap<String, u64>> = vec![BTreeMap::new(); own.len()];
        for rank in all_gather_json(&own, collective)? {
            for (all, own) in all.iter_mut().zip(rank) {
                for (word, count) in own {
                    *all.entry(word).or_default() += count;
                }
            }
        }
        let labels = all.into_iter();
        Ok(StringIndexerModel {
            indexer: self.clone(),
            labels: labels
                .map(|counts| self.string_order_type.sort(counts))
                .collect(),
        })
    }
}

/// The words in pieces of [`PIECE_ROWS`], of which each core takes some.
fn pieces(words: &StringChunked) -> Vec<StringChunked> {
    let starts = (0..words.len()).step_by(PIECE_ROWS);
    let piece = |start| words.slice(start as i64, PIECE_ROWS);
    starts.map(piece).collect()
}

fn count_words(words: &StringChunked) -> PlHashMap<&str, u64> {
    let mut counts = PlHashMap::default();
    for word in words.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

impl StringOrderType {
    fn sort(self, counts: BTreeMap<String, u64>) -> Vec<String> {
        let mut words: Vec<(String, u64)> = counts.into_iter().collect();
        let by_frequency = matches!(
            self,
            StringOrderType::FrequencyDesc | StringOrderType::FrequencyAsc
        );
        // Spark sorts words of the same frequency as Java's strings, and by the alphabet as bytes,
        // which is the order that they are in.
        if by_frequency {
            words.sort_by(|(a, _), (b, _)| java_order(a, b));
        }
        match self {
            StringOrderType::FrequencyDesc => words.sort_by_key(|(_, count)| Reverse(*count)),
            StringOrderType::FrequencyAsc => words.sort_by_key(|(_, count)| *count),
            StringOrderType::AlphabetDesc => words.reverse(),
            StringOrderType::AlphabetAsc => {}
        }
        words.into_iter().map(|(word, _)| word).collect()
    }
}

/// The order of Java's strings.
fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

column_setters!(StringIndexer);
conversions!(StringIndexer, StringIndexerModel);

impl PipelineStage for StringIndexer {
    fn kind(&self) -> &'static str {
        "StringIndexer"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        names(&self.output_cols)
    }

    fn validate(&self) -> Result<()> {
        check_columns(&self.input_cols, &self.output_cols)
    }

    fn leaves_rows_out(&self) -> bool {
        self.handle_invalid == HandleInvalid::Skip
    }

    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        _context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.learn(table, collective)?.into())
    }
}

/// The indices of the words of a column.
struct Indices {
    /// An index for each row, or anything for one that is to be left out.
    values: Vec<f64>,
    left_out: Vec<usize>,
}

/// A fitted [`StringIndexer`].
///
/// As in SparkML, it leaves a table without one of its columns as it is, so that a pipeline whose
/// label is text predicts rows that have no label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StringIndexerModel {
    indexer: StringIndexer,
    labels: Vec<Vec<String>>,
}

impl StringIndexerModel {
    /// The words of the first column, in the order of their indices.
    pub fn labels(&self) -> &[String] {
        self.labels.first().map_or(&[], Vec::as_slice)
    }

    /// The words of each column, in the order of their indices.
    pub fn labels_array(&self) -> &[Vec<String>] {
        &self.labels
    }

    /// What else to do with invalid values; see [`StringIndexer::handle_invalid`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.indexer.handle_invalid = handle_invalid;
        self
    }

    /// The columns that it adds, and what their indices stand for: the labels that were learnt, and
    /// one more if it keeps words that it doesn't know.
    pub(super) fn columns_with_labels(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let keep = self.indexer.handle_invalid == HandleInvalid::Keep;
        let columns = self.indexer.output_cols.iter().zip(&self.labels);
        columns.map(move |(column, labels)| {
            let mut labels = labels.clone();
            if keep {
                labels.push(UNKNOWN.to_owned());
            }
            (column.clone(), labels)
        })
    }

    /// Returns the index of each word of a column.
    fn indices(&self, table: &Table, name: &str, labels: &[String]) -> Result<Indices> {
        let places = labels.iter().enumerate();
        let places: PlHashMap<&str, f64> = places
            .map(|(index, label)| (label.as_str(), index as f64))
            .collect();
        let words = strings(table.frame(), name, table.rows())?;
        let handle_invalid = self.indexer.handle_invalid;
        let invalid = |row, word: Option<&str>, left_out: &mut Vec<usize>| match handle_invalid {
            HandleInvalid::Keep => Ok(labels.len() as f64),
            HandleInvalid::Skip => {
                left_out.push(row);
                Ok(f64::NAN)
            }
            HandleInvalid::Error => Err(match word {
                None => table.rows().missing(row, name),
                Some(word) => table.rows().invalid(
                    row,
                    name,
                    word,
                    "a label that was there when the StringIndexer was fitted; see \
                     handle_invalid",
                ),
            }),
        };
        let mut values = vec![0.0; words.len()];
        let pieces = values.par_chunks_mut(PIECE_ROWS).zip(pieces(&words));
        let left_out = pieces.enumerate().map(|(piece, (values, words))| {
            let mut left_out = Vec::new();
            for (row, (value, word)) in values.iter_mut().zip(words.iter()).enumerate() {
                *value = match word.and_then(|word| places.get(word)) {
                    Some(index) => *index,
                    None => invalid(piece * PIECE_ROWS + row, word, &mut left_out)?,
                };
            }
            Ok(left_out)
        });
        // The error of the first row that has one.
        let left_out: Vec<Result<Vec<usize>>> = left_out.collect();
        let left_out: Vec<Vec<usize>> = left_out.into_iter().collect::<Result<_>>()?;
        Ok(Indices {
            values,
            left_out: left_out.concat(),
        })
    }
}

impl Transformer for StringIndexerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.indexer
    }

    /// None that it needs.
    fn input_cols(&self) -> Vec<&str> {
        Vec::new()
    }

    fn check(&self) -> Result<()> {
        let columns = self.indexer.input_cols.len();
        check_count("labels", self.labels.len(), columns, "column")
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let StringIndexer {
            input_cols,
            output_cols,
            ..
        } = &self.indexer;
        let mut added = Vec::new();
        for ((input, output), labels) in input_cols.iter().zip(output_cols).zip(&self.labels) {
            if table.frame().column(input).is_ok() {
                added.push((output, self.indices(table, input, labels)?));
            }
        }
        let mut keep = vec![true; table.height()];
        for (output, Indices { values, left_out }) in added {
            table.set_column(Series::from_vec(output.as_str().into(), values))?;
            for row in left_out {
                keep[row] = false;
            }
        }
        table.keep(&keep)
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::{
        Error,
        error::TableError,
        stages::testing::{fit, fit_ranks, table, transform},
    };

    fn indexer() -> StringIndexer {
        StringIndexer::new().input_col("word").output_col("index")
    }

    fn words() -> DataFrame {
        df!("word" => [Some("b"), None, Some("c"), Some("b"), Some("a")], "row" => [1, 2, 3, 4, 5])
            .unwrap()
    }

    #[test]
    fn words_are_ordered_by_frequency_and_ties_by_the_alphabet() {
        for (order, expected) in [
            (StringOrderType::FrequencyDesc, ["b", "a", "c"]),
            (StringOrderType::FrequencyAsc, ["a", "c", "b"]),
            (StringOrderType::AlphabetDesc, ["c", "b", "a"]),
            (StringOrderType::AlphabetAsc, ["a", "b", "c"]),
        ] {
            let model = fit(&indexer().string_order_type(order), &words());
            assert_eq!(model.labels(), expected);
        }
    }

    #[test]
    fn words_beyond_the_basic_plane_are_ordered_as_spark_orders_them() {
        let frame = df!("word" => ["\u{1F600}", "\u{FFFD}"]).unwrap();
        for (order, expected) in [
            (StringOrderType::FrequencyDesc, ["\u{1F600}", "\u{FFFD}"]),
            (StringOrderType::AlphabetAsc, ["\u{FFFD}", "\u{1F600}"]),
        ] {
            let model = fit(&indexer().string_order_type(order), &frame);
            assert_eq!(model.labels(), expected);
        }
    }

    #[test]
    fn numbers_and_booleans_are_the_text_that_spark_casts_them_to() {
        for (column, expected) in [
            (
                Column::new("word".into(), [1.0, f64::NAN, 1e7, 1.0]),
                vec!["1.0", "1.0E7"],
            ),
            (
                Column::new("word".into(), [7_i64, -3, 7, 7]),
                vec!["7", "-3"],
            ),
            (
                Column::new("word".into(), [true, false, true, true]),
                vec!["true", "false"],
            ),
        ] {
            let frame = DataFrame::new(4, vec![column]).unwrap();
            assert_eq!(fit(&indexer(), &frame).labels(), expected);
        }
    }

    #[test]
    fn an_unknown_word_is_an_error_that_names_the_row_or_left_out_or_kept() {
        let model = fit(&indexer(), &words());
        let frame = df!("word" => ["a", "x", "b"], "row" => [1, 2, 3]).unwrap();
        let error = transform(model.clone(), &frame).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::InvalidValue { row: 2, value, .. }) if value == "x"),
            "{error}"
        );
        let error = transform(model.clone(), &words()).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::MissingValue { row: 2, .. })),
            "{error}"
        );
        let skipping = model.clone().handle_invalid(HandleInvalid::Skip);
        let kept = transform(skipping, &frame).unwrap();
        assert_eq!(
            kept.column("row").unwrap(),
            &Column::new("row".into(), [1, 3])
        );
        let keeping = model.handle_invalid(HandleInvalid::Keep);
        let indexed = transform(keeping, &frame).unwrap();
        let expected = Column::new("index".into(), [1.0, 3.0, 0.0]);
        assert_eq!(indexed.column("index").unwrap(), &expected);
    }

    #[test]
    fn after_rows_are_left_out_errors_still_name_the_row_of_the_table() {
        let skipping = indexer().handle_invalid(HandleInvalid::Skip);
        let model = fit(&skipping, &words());
        let mut table = table(&words(), 100);
        StageModel::from(model).apply(&mut table).unwrap();
        assert_eq!(table.height(), 4);
        // What was the third of the rows that follow 100 others is the second that is left.
        assert_eq!(table.rows().locate(1), ("rows.csv".to_owned(), 103));
        table.keep(&[false, false, true, true]).unwrap();
        assert_eq!(table.rows().locate(0).1, 104);
    }

    #[test]
    fn a_table_without_the_column_is_left_as_it_is() {
        let model = fit(&indexer(), &words());
        let frame = df!("row" => [1]).unwrap();
        assert_eq!(transform(model, &frame).unwrap(), frame);
    }

    #[test]
    fn as_many_columns_are_added_as_are_read() {
        for stage in [
            StringIndexer::new(),
            StringIndexer::new()
                .input_cols(["word", "row"])
                .output_col("index"),
            StringIndexer::new().input_col("word").output_col("word"),
        ] {
            let error = fit_ranks(&stage, &words(), &[5]).remove(0).unwrap_err();
            assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
        }
    }
}

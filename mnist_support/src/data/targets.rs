//! The targets and the weights of a table's rows, as numbers.

use std::fmt;

use ndarray::Array2;
use polars::prelude::*;

use super::{
    columns::{TableRows, numeric_column},
    lists::{is_list, lists_from_frame},
};
use crate::{Error, Result, error::TableError};

/// The numbers that a loss takes as targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetValues {
    /// Any finite number.
    Finite,
    /// Numbers that are 0 or more, such as counts.
    NotNegative,
    /// Numbers from 0 to 1.
    Probabilities,
    /// 0 or 1.
    Binary,
}

impl TargetValues {
    fn contain(self, value: f32) -> bool {
        match self {
            TargetValues::Finite => value.is_finite(),
            TargetValues::NotNegative => value >= 0.0 && value.is_finite(),
            TargetValues::Probabilities => (0.0..=1.0).contains(&value),
            TargetValues::Binary => value == 0.0 || value == 1.0,
        }
    }
}

impl fmt::Display for TargetValues {
    /// Completes the sentence "the value is not ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetValues::Finite => "a finite number",
            TargetValues::NotNegative => "a finite number of 0 or more, which the loss needs",
            TargetValues::Probabilities => "a number from 0 to 1, which the loss needs",
            TargetValues::Binary => "0 or 1, which the loss needs",
        })
    }
}

/// Returns the targets in `columns`, `[rows, width]`: the values of one list column, or those of
/// one or more number columns side by side.
///
/// # Errors
/// - [`TableError::ColumnNotFound`], [`TableError::ColumnType`] and [`TableError::MissingValue`],
///   as for labels.
/// - [`TableError::InvalidValue`] for the first value that is not among `values`, and for the first
///   list that does not have `width` values.
/// - [`Error::ShapeMismatch`] if there are more or fewer than `width` number columns.
pub(crate) fn targets_from_frame(
    frame: &DataFrame,
    columns: &[String],
    width: usize,
    values: TargetValues,
    rows: TableRows<'_>,
) -> Result<Array2<f32>> {
    if let [name] = columns
        && is_list(frame, name)
    {
        let targets = list_values(frame, name, width, rows)?;
        return check_targets(targets, columns, values, rows);
    }
    if columns.len() != width {
        return Err(Error::ShapeMismatch {
            what: format!("the target of a row of {}", rows.table),
            found: vec![columns.len() as i64],
            expected: format!(
                "{width} values, one for each output of the network, in a list column or in as \
                 many columns,"
            ),
        });
    }
    let mut targets = Array2::zeros((frame.height(), width));
    for (name, mut target) in columns.iter().zip(targets.columns_mut()) {
        let numbers = as_f32(numeric_column(frame, name, rows)?, rows)?;
        for (place, number) in target.iter_mut().zip(numbers.into_no_null_iter()) {
            *place = number;
        }
    }
    check_targets(targets, columns, values, rows)
}

/// Returns the weights in a column, one for each row.
///
/// # Errors
/// As [`targets_from_frame`]; a weight is a finite number of 0 or more.
pub(crate) fn weights_from_frame(
    frame: &DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<Vec<f32>> {
    let weights = as_f32(numeric_column(frame, name, rows)?, rows)?;
    let weights: Vec<f32> = weights.into_no_null_iter().collect();
    let wrong = |weight: &f32| !TargetValues::NotNegative.contain(*weight);
    match weights.iter().position(wrong) {
        None => Ok(weights),
        Some(row) => Err(rows.invalid(
            row,
            name,
            weights[row],
            "a weight, which is a finite number of 0 or more",
        )),
    }
}

/// Returns which rows a boolean column marks. Numbers count as booleans if they are 0 or 1.
///
/// # Errors
/// As [`targets_from_frame`].
pub(crate) fn indicator_from_frame(
    frame: &DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<Vec<bool>> {
    let columns = [name.to_owned()];
    let marks = targets_from_frame(frame, &columns, 1, TargetValues::Binary, rows)?;
    Ok(marks.into_iter().map(|mark| mark == 1.0).collect())
}

fn as_f32(series: &Series, rows: TableRows<'_>) -> Result<Float32Chunked> {
    let about = || TableError::about(rows.table);
    let numbers = series.cast(&DataType::Float32).map_err(about())?;
    Ok(numbers.f32().map_err(about())?.clone())
}

/// Returns the values of a list column whose lists all have `width` values.
fn list_values(
    frame: &DataFrame,
    name: &str,
    width: usize,
    rows: TableRows<'_>,
) -> Result<Array2<f32>> {
    let reason = ", one value for each output of the network";
    let lists = lists_from_frame(frame, name, Some(width), reason, rows)?;
    let values = lists.values.into_iter().map(|value| value as f32).collect();
    let shape = (frame.height(), width);
    Array2::from_shape_vec(shape, values).map_err(TableError::about(rows.table))
}

/// Returns the targets if all are among `values`.
pub(crate) fn check_targets(
    targets: Array2<f32>,
    columns: &[String],
    values: TargetValues,
    rows: TableRows<'_>,
) -> Result<Array2<f32>> {
    let wrong = targets
        .indexed_iter()
        .find(|(_, target)| !values.contain(**target));
    match wrong {
        None => Ok(targets),
        Some(((row, index), target)) => {
            // A list column is one column.
            let name = columns.get(index).or(columns.first());
            let name = name.map_or("", String::as_str);
            let expected = values.to_string();
            Err(rows.invalid(row, name, target, &expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use polars::df;

    use super::*;

    fn targets(frame: &DataFrame, columns: &[&str], values: TargetValues) -> Result<Array2<f32>> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let rows = TableRows::after(100, "train.csv");
        targets_from_frame(frame, &columns, 2, values, rows)
    }

    fn lists<const N: usize>(lists: [Option<&[f64]>; N]) -> DataFrame {
        let lists = lists.map(|list| list.map(|values| Series::from_iter(values.iter().copied())));
        let lists: ListChunked = lists.into_iter().collect();
        df!("y" => lists.into_series()).unwrap()
    }

    #[test]
    fn a_list_column_and_as_many_number_columns_are_the_same_targets() {
        let list = lists([Some(&[1.0, 2.5]), Some(&[-3.0, 0.0])]);
        let side_by_side = df!("a" => [1_i32, -3], "b" => [2.5_f64, 0.0]).unwrap();
        let expected = arr2(&[[1.0, 2.5], [-3.0, 0.0]]);
        let finite = TargetValues::Finite;
        assert_eq!(targets(&list, &["y"], finite).unwrap(), expected);
        assert_eq!(
            targets(&side_by_side, &["a", "b"], finite).unwrap(),
            expected
        );
    }

    #[test]
    fn the_first_value_that_does_not_suit_the_loss_is_named_with_its_row_and_column() {
        let frame = df!("a" => [0.0, 1.0, 0.5], "b" => [1.0, 2.0, 0.0]).unwrap();
        let error = targets(&frame, &["a", "b"], TargetValues::Binary).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"train.csv, row 102, column "b": "2" is not 0 or 1, which the loss needs"#
        );
        let list = lists([Some(&[0.0, 1.0]), Some(&[0.3, -0.1])]);
        for values in [TargetValues::Probabilities, TargetValues::NotNegative] {
            let error = targets(&list, &["y"], values).unwrap_err().to_string();
            assert!(error.contains(r#"row 102, column "y": "-0.1""#), "{error}");
        }
        let nan = df!("a" => [f64::NAN], "b" => [0.0]).unwrap();
        assert!(targets(&nan, &["a", "b"], TargetValues::Finite).is_err());
    }

    #[test]
    fn lists_that_are_empty_missing_or_of_another_length_are_named_with_their_row() {
        for (list, expected) in [
            (
                Some(&[][..]),
                r#"row 102, column "y": "a list of 0" is not a list of 2"#,
            ),
            (Some(&[1.0, 2.0, 3.0][..]), r#""a list of 3""#),
            (None, r#"row 102, column "y": the value is missing"#),
        ] {
            let frame = lists([Some(&[1.0, 2.0]), list]);
            let error = targets(&frame, &["y"], TargetValues::Finite).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn text_and_too_few_columns_are_refused() {
        let frame = df!("a" => ["x"], "b" => [1.0]).unwrap();
        let error = targets(&frame, &["a", "b"], TargetValues::Finite).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "a"),
            "{error}"
        );
        let error = targets(&frame, &["b"], TargetValues::Finite).unwrap_err();
        assert!(error.to_string().contains("2 values"), "{error}");
    }

    #[test]
    fn weights_are_finite_and_not_negative() {
        let weights = |values: [f64; 2]| {
            let frame = df!("w" => values).unwrap();
            weights_from_frame(&frame, "w", "train.csv".into())
        };
        assert_eq!(weights([0.0, 2.5]).unwrap(), [0.0, 2.5]);
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let error = weights([1.0, wrong]).unwrap_err().to_string();
            assert!(
                error.contains("row 2, column \"w\"") && error.contains("a weight"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_indicator_may_be_boolean_or_zero_and_one() {
        let frame = df!("v" => [true, false], "n" => [0, 1], "wrong" => [0, 2]).unwrap();
        let indicator = |name| indicator_from_frame(&frame, name, "train.csv".into());
        assert_eq!(indicator("v").unwrap(), [true, false]);
        assert_eq!(indicator("n").unwrap(), [false, true]);
        assert!(indicator("wrong").is_err());
    }
}

//! The labels of a table.

use ndarray::Array1;
use polars::prelude::*;

use super::columns::{TableRows, numeric_column};
use crate::{Error, Result, error::TableError};

/// Returns the labels in `column`, one for each row: integers from 0 to `classes - 1`. `table`
/// names the frame in errors. Pass a name, or a [`TableRows`] if the frame is a part of a table.
///
/// The column may have any numeric type, as a CSV reader infers it, as long as its values are
/// integers.
///
/// # Errors
/// - [`TableError::ColumnNotFound`] if the frame does not have the column.
/// - [`TableError::ColumnType`] if it is neither numeric nor boolean.
/// - [`TableError::MissingValue`] for the first null.
/// - [`TableError::LabelOutOfRange`] for the first value that is not a class, including fractions
///   and NaN.
/// - [`Error::InvalidSetting`] if `classes` is below 1.
///
/// ```
/// use mnist_support::data::labels_from_frame;
/// use polars::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let frame = df!("label" => [5u8, 0, 9])?;
/// let labels = labels_from_frame(&frame, "label", 10, "train.csv")?;
/// assert_eq!(labels, ndarray::arr1(&[5, 0, 9]));
/// # Ok(())
/// # }
/// ```
pub fn labels_from_frame<'a>(
    frame: &DataFrame,
    column: &str,
    classes: i64,
    table: impl Into<TableRows<'a>>,
) -> Result<Array1<i64>> {
    classes_from_frame(frame, column, classes, None, table.into())
}

/// Like [`labels_from_frame`], but also accepts the label `ignored`.
pub(crate) fn classes_from_frame(
    frame: &DataFrame,
    column: &str,
    classes: i64,
    ignored: Option<i64>,
    rows: TableRows<'_>,
) -> Result<Array1<i64>> {
    let table = rows.table;
    if classes < 1 {
        return Err(Error::InvalidSetting {
            setting: "classes",
            value: classes.to_string(),
            reason: "must be at least 1".to_owned(),
        });
    }
    // f64 holds every possible class exactly, and every other value precisely enough to reject it.
    let values = numeric_column(frame, column, rows)?
        .cast(&DataType::Float64)
        .map_err(TableError::about(table))?;
    let values = values.f64().map_err(TableError::about(table))?;
    let mut labels = Vec::with_capacity(values.len());
    for label in values.into_no_null_iter() {
        let is_class = label >= 0.0 && label < classes as f64 && label.fract() == 0.0;
        if !is_class && ignored.is_none_or(|ignored| label != ignored as f64) {
            let (table, row) = rows.locate(labels.len());
            return Err(Error::Table(TableError::LabelOutOfRange {
                table,
                row,
                column: column.to_owned(),
                label,
                last_class: classes - 1,
            }));
        }
        labels.push(label as i64);
    }
    Ok(Array1::from_vec(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(values: impl IntoColumnOf) -> Result<Array1<i64>> {
        let column = values.into_column_of("label");
        labels_from_frame(
            &DataFrame::new(column.len(), vec![column]).unwrap(),
            "label",
            10,
            "train.csv",
        )
    }

    trait IntoColumnOf {
        fn into_column_of(self, name: &str) -> Column;
    }

    impl<T, const N: usize> IntoColumnOf for [T; N]
    where
        Series: NamedFrom<Vec<T>, [T]>,
    {
        fn into_column_of(self, name: &str) -> Column {
            Series::new(name.into(), Vec::from(self)).into_column()
        }
    }

    #[test]
    fn labels_of_any_numeric_type_become_i64() {
        let expected = ndarray::arr1(&[0, 9, 3]);
        assert_eq!(labels_of([0u8, 9, 3]).unwrap(), expected);
        assert_eq!(labels_of([0i64, 9, 3]).unwrap(), expected);
        assert_eq!(labels_of([0.0f64, 9.0, 3.0]).unwrap(), expected);
        assert_eq!(
            labels_of([false, true]).unwrap(),
            ndarray::arr1(&[0, 1]),
            "two classes as booleans"
        );
    }

    #[test]
    fn a_label_outside_the_classes_is_named_with_its_row() {
        let error = labels_of([3i64, 9, 10]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"train.csv, row 3, column "label": label 10 is not a class from 0 to 9"#
        );
        let error = labels_of([-1i64, 9]).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::LabelOutOfRange { row: 1, label, .. }) if label == -1.0),
            "{error}"
        );
    }

    #[test]
    fn an_ignored_label_is_accepted_and_no_other_outside_the_classes() {
        let labels = |values: [i64; 2]| {
            let frame = df!("label" => values).unwrap();
            classes_from_frame(&frame, "label", 10, Some(-100), "train.csv".into())
        };
        assert_eq!(labels([-100, 9]).unwrap(), ndarray::arr1(&[-100, 9]));
        assert!(labels([-100, -1]).is_err());
    }

    #[test]
    fn a_fraction_or_nan_is_not_a_class() {
        for value in [2.5, f64::NAN, f64::INFINITY] {
            let error = labels_of([1.0, value]).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Table(TableError::LabelOutOfRange { row: 2, .. })
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_table_without_the_label_says_what_it_has() {
        let frame = df!("pixel1" => [1u8]).unwrap();
        let error = labels_from_frame(&frame, "label", 10, "test.csv").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnNotFound { table, column, .. }) if table == "test.csv" && column == "label"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_label_is_named_with_its_row() {
        let error = labels_of([Some(1i64), None, Some(2)]).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::MissingValue { row: 2, .. })),
            "{error}"
        );
    }

    #[test]
    fn labels_of_text_are_refused() {
        let error = labels_of(["one", "seven"]).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::ColumnType { .. })),
            "{error}"
        );
    }

    #[test]
    fn no_classes_are_refused() {
        let frame = df!("label" => [0u8]).unwrap();
        let error = labels_from_frame(&frame, "label", 0, "t").unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidSetting {
                    setting: "classes",
                    ..
                }
            ),
            "{error}"
        );
    }
}

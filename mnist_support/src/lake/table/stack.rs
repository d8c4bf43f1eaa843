//! Concatenates the rows of pieces of a table.

use polars::prelude::{DataFrame, DataType};

use crate::{Error, Result, error::TableError};

/// Concatenates rows. Each column becomes contiguous, and has the type that holds the values of all
/// frames. `None` without a frame.
pub(crate) fn stack(
    frames: impl IntoIterator<Item = DataFrame>,
    table: &str,
) -> Result<Option<DataFrame>> {
    let mut frames = frames.into_iter();
    let Some(mut whole) = frames.next() else {
        return Ok(None);
    };
    for frame in frames {
        append(&mut whole, frame, table)?;
    }
    whole.rechunk_mut_par();
    Ok(Some(whole))
}

/// Appends the rows of `more`, which has the same columns. Where the types of numbers differ, a
/// column gets the type that holds both.
///
/// # Errors
/// [`TableError::ColumnType`] for columns of which only one is a number; [`TableError::Failed`] for
/// other columns.
pub(crate) fn append(whole: &mut DataFrame, mut more: DataFrame, table: &str) -> Result<()> {
    for index in 0..whole.width().min(more.width()) {
        let own = whole.columns()[index].dtype();
        let other = more.columns()[index].dtype();
        if own == other {
            continue;
        }
        let Some(both) = number_type(own, other) else {
            return Err(Error::Table(TableError::ColumnType {
                table: table.to_owned(),
                column: whole.columns()[index].name().to_string(),
                found: format!("{own} in one file and {other} in another"),
                expected: "one type in all files".to_owned(),
            }));
        };
        for side in [&mut *whole, &mut more] {
            side.try_apply_at_idx(index, |column| column.cast(&both))
                .map_err(TableError::about(table))?;
        }
    }
    whole
        .vstack_mut_owned(more)
        .map_err(TableError::about(table))?;
    Ok(())
}

/// The type of numbers that holds those of both types.
fn number_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let both = |is: fn(&DataType) -> bool| is(left) && is(right);
    if both(DataType::is_integer) {
        Some(DataType::Int64)
    } else {
        both(DataType::is_primitive_numeric).then_some(DataType::Float64)
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    #[test]
    fn numbers_of_different_types_get_one_that_holds_both() {
        let frames = [
            df!("n" => [1_u8], "x" => [1_i64]).unwrap(),
            df!("n" => [300_i16], "x" => [0.5_f32]).unwrap(),
        ];
        let whole = stack(frames, "table").unwrap().unwrap();
        assert_eq!(whole, df!("n" => [1_i64, 300], "x" => [1.0, 0.5]).unwrap());
    }

    #[test]
    fn text_and_numbers_in_one_column_are_refused_by_its_name() {
        let frames = [df!("n" => [1]).unwrap(), df!("n" => ["one"]).unwrap()];
        let error = stack(frames, "table").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "n"),
            "{error}"
        );
    }
}

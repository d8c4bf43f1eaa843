//! Times that cannot be shown.

use polars::prelude::*;

use crate::{Error, Result, error::TableError};

/// Days from 1970, about 260,000 years. chrono, by which polars shows dates and times, has none
/// much further away, and polars panics at them.
const MOST_DAYS: i64 = 95_000_000;

const MILLISECONDS_A_DAY: i64 = 86_400_000;

/// Refuses dates and times that polars cannot show, also within lists and structs: a cell of a
/// notebook that shows them would panic.
///
/// # Errors
/// [`TableError::Failed`], which names the column and quotes the value.
pub(super) fn check_times(frame: &DataFrame, table: &str) -> Result<()> {
    let columns = frame.columns().iter();
    columns
        .filter(|column| has_times(column.dtype()))
        .try_for_each(|column| {
            let name = column.name().as_str();
            let check = check(column.as_materialized_series());
            match check.map_err(TableError::about(table))? {
                None => Ok(()),
                Some(value) => Err(too_far(name, &value, table)),
            }
        })
}

fn has_times(dtype: &DataType) -> bool {
    match dtype {
        DataType::Date | DataType::Datetime(..) => true,
        DataType::List(inner) => has_times(inner),
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.dtype())),
        _ => false,
    }
}

/// The first time that cannot be shown.
fn check(series: &Series) -> PolarsResult<Option<String>> {
    let (least, most, unit) = match series.dtype() {
        DataType::Date => (-MOST_DAYS, MOST_DAYS, "days"),
        DataType::Datetime(TimeUnit::Milliseconds, _) => {
            let most = MOST_DAYS * MILLISECONDS_A_DAY;
            (-most, most, "ms")
        }
        DataType::Datetime(TimeUnit::Microseconds, _) => {
            let most = MOST_DAYS * MILLISECONDS_A_DAY * 1000;
            (-most, most, "µs")
        }
        DataType::List(_) => return check(&series.list()?.get_inner()),
        DataType::Struct(_) => {
            for field in series.struct_()?.fields_as_series() {
                if let Some(value) = check(&field)? {
                    return Ok(Some(value));
                }
            }
            return Ok(None);
        }
        _ => return Ok(None),
    };
    let values = series.to_physical_repr().cast(&DataType::Int64)?;
    let outside = |value: &i64| !(least..=most).contains(value);
    let value = values.i64()?.iter().flatten().find(outside);
    Ok(value.map(|value| format!("{value} {unit}")))
}

fn too_far(column: &str, value: &str, table: &str) -> Error {
    TableError::failed(
        table,
        format!(
            "column {column:?} has a time of {value} since 1970, which no calendar here has: \
             filter such rows out, or leave the column out with `drop`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[i64], dtype: &DataType) -> Series {
        let series = Series::new("t".into(), values);
        match dtype {
            DataType::Date => series.cast(&DataType::Int32).unwrap().into_date(),
            _ => series.cast(dtype).unwrap(),
        }
    }

    fn message(series: Series) -> Option<String> {
        let frame = DataFrame::new(series.len(), vec![series.into()]).unwrap();
        let checked = check_times(&frame, "x.parquet");
        if checked.is_ok() {
            // It can be shown.
            assert!(!frame.to_string().is_empty());
        }
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn the_times_that_pass_can_be_shown_and_others_are_quoted() {
        let ms = MOST_DAYS * MILLISECONDS_A_DAY;
        let datetime = |unit| DataType::Datetime(unit, None);
        for (dtype, most, outside) in [
            (DataType::Date, MOST_DAYS, i64::from(i32::MAX)),
            (datetime(TimeUnit::Milliseconds), ms, i64::MAX),
            (datetime(TimeUnit::Microseconds), ms * 1000, i64::MIN),
        ] {
            assert_eq!(message(column(&[0, most, -most], &dtype)), None);
            let text = message(column(&[0, most, outside], &dtype)).unwrap();
            assert!(
                text.contains(&outside.to_string()) && text.contains("\"t\""),
                "{text}"
            );
        }
        let ns = datetime(TimeUnit::Nanoseconds);
        assert_eq!(message(column(&[i64::MIN + 1, i64::MAX], &ns)), None);
        // polars makes nulls of times of day that there are not.
        let midnight = Series::new("t".into(), [0, 24 * 3_600_000_000_000_i64]).into_time();
        assert_eq!(message(midnight), None);
    }

    #[test]
    fn times_within_lists_and_structs_are_checked() {
        let dates = column(&[0, i64::from(i32::MAX)], &DataType::Date);
        assert!(message(dates.implode().unwrap().into_series()).is_some());
        let fields = [dates.clone()];
        let within = StructChunked::from_series("t".into(), 2, fields.iter()).unwrap();
        assert!(message(within.into_series()).is_some());
        assert!(message(dates.head(Some(1)).implode().unwrap().into_series()).is_none());
    }
}

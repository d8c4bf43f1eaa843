//! Columns that grow by the fields of rows.

use polars::prelude::{
    ArrowDataType, BooleanChunked, ChunkedArray, Float32Type, Float64Type, Int32Type, Int64Type,
    IntoSeries, PlSmallStr, PolarsNumericType, Series, StringChunked, TimeUnit, UInt8Type,
};
use polars_arrow::array::{BooleanArray, MutableBinaryViewArray, Utf8ViewArray};
use polars_arrow::bitmap::{Bitmap, MutableBitmap};

use super::dialect::Dialect;
use super::records::Field;
use super::split::Rows;
use super::values::{date, datetime, trim};
use crate::lake::table::ColumnType;

/// The values of a column so far.
pub(super) struct Builder {
    /// The column's place in a row.
    slot: usize,
    values: Typed,
    /// The rows whose value is null and stands for nothing.
    nulls: Vec<usize>,
}

enum Typed {
    /// The number of values, which are all null.
    Null(usize),
    Boolean(MutableBitmap),
    UInt8(Vec<u8>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Date(Vec<i32>),
    Datetime(Vec<i64>),
    String(MutableBinaryViewArray<str>),
}

/// A row of a batch and its field, which is none of the column's type.
type Misfit<'a> = (usize, Field<'a>);

impl Builder {
    /// A column without values, whose place in a row is `slot`.
    pub(super) fn new(dtype: ColumnType, slot: usize) -> Builder {
        let values = match dtype {
            ColumnType::Null => Typed::Null(0),
            ColumnType::Boolean => Typed::Boolean(MutableBitmap::new()),
            ColumnType::UInt8 => Typed::UInt8(Vec::new()),
            ColumnType::Int64 => Typed::Int64(Vec::new()),
            ColumnType::Float32 => Typed::Float32(Vec::new()),
            ColumnType::Float64 => Typed::Float64(Vec::new()),
            ColumnType::Date => Typed::Date(Vec::new()),
            ColumnType::Datetime => Typed::Datetime(Vec::new()),
            ColumnType::String => Typed::String(MutableBinaryViewArray::new()),
        };
        Builder {
            slot,
            values,
            nulls: Vec::new(),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Typed::String(_))
    }

    /// Makes room for as many values.
    pub(super) fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Typed::Null(_) => {}
            Typed::Boolean(values) => values.reserve(rows),
            Typed::UInt8(values) => values.reserve(rows),
            Typed::Int64(values) | Typed::Datetime(values) => values.reserve(rows),
            Typed::Float32(values) => values.reserve(rows),
            Typed::Float64(values) => values.reserve(rows),
            Typed::Date(values) => values.reserve(rows),
            Typed::String(values) => values.reserve(rows),
        }
    }

    /// Appends the fields of the column. `text` is what they stand in, if it is UTF-8.
    pub(super) fn extend<'a>(
        &mut self,
        rows: &Rows<'a>,
        dialect: &Dialect,
        text: Option<&str>,
    ) -> Result<(), Misfit<'a>> {
        let words = &dialect.values;
        let fields = Fields {
            rows,
            slot: self.slot,
            dialect,
        };
        let nulls = &mut self.nulls;
        match &mut self.values {
            Typed::Null(count) => fields.each(|text| {
                *count += 1;
                words.is_null(text)
            }),
            Typed::Boolean(values) => fields.push(nulls, values, |text| words.boolean(text)),
            Typed::UInt8(values) => fields.push(nulls, values, |text| {
                u8::try_from(words.integer(text)?).ok()
            }),
            Typed::Int64(values) => fields.push(nulls, values, |text| words.integer(text)),
            Typed::Float32(values) => {
                fields.push(nulls, values, |text| Some(words.float(text)? as f32))
            }
            Typed::Float64(values) => fields.push(nulls, values, |text| words.float(text)),
            Typed::Date(values) => fields.push(nulls, values, date),
            Typed::Datetime(values) => fields.push(nulls, values, datetime),
            Typed::String(values) => fields.push_texts(nulls, values, text),
        }
    }

    /// The column.
    pub(super) fn finish(self, name: &str) -> Series {
        let Builder { values, nulls, .. } = self;
        let name = PlSmallStr::from_str(name);
        match values {
            Typed::Null(count) => Series::full_null(name, count, &ColumnType::Null.into()),
            Typed::Boolean(values) => {
                let validity = validity(&nulls, values.len());
                let array = BooleanArray::new(ArrowDataType::Boolean, values.freeze(), validity);
                BooleanChunked::with_chunk(name, array).into_series()
            }
            Typed::UInt8(values) => numbers::<UInt8Type>(name, values, &nulls).into_series(),
            Typed::Int64(values) => numbers::<Int64Type>(name, values, &nulls).into_series(),
            Typed::Float32(values) => numbers::<Float32Type>(name, values, &nulls).into_series(),
            Typed::Float64(values) => numbers::<Float64Type>(name, values, &nulls).into_series(),
            Typed::Date(values) => {
                let days = numbers::<Int32Type>(name, values, &nulls);
                days.into_date().into_series()
            }
            Typed::Datetime(values) => {
                let micros = numbers::<Int64Type>(name, values, &nulls);
                let times = micros.into_datetime(TimeUnit::Microseconds, None);
                times.into_series()
            }
            Typed::String(values) => {
                let validity = validity(&nulls, values.len());
                let array = Utf8ViewArray::from(values).with_validity(validity);
                StringChunked::with_chunk(name, array).into_series()
            }
        }
    }
}

fn numbers<T: PolarsNumericType>(
    name: PlSmallStr,
    values: Vec<T::Native>,
    nulls: &[usize],
) -> ChunkedArray<T> {
    let validity = validity(nulls, values.len());
    ChunkedArray::from_vec_validity(name, values, validity)
}

fn validity(nulls: &[usize], length: usize) -> Option<Bitmap> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = MutableBitmap::from_len_set(length);
    for row in nulls {
        valid.set(*row, false);
    }
    Some(valid.freeze())
}

/// The fields of a column.
struct Fields<'r, 'a> {
    rows: &'r Rows<'a>,
    slot: usize,
    dialect: &'r Dialect,
}

/// A growing list of values.
trait Push<T> {
    fn length(&self) -> usize;
    fn push_value(&mut self, value: T);
}

impl<T> Push<T> for Vec<T> {
    #[inline]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline]
    fn push_value(&mut self, value: T) {
        self.push(value);
    }
}

impl Push<bool> for MutableBitmap {
    #[inline]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline]
    fn push_value(&mut self, value: bool) {
        self.push(value);
    }
}

impl<'a> Fields<'_, 'a> {
    /// Calls `each` with every field, without spaces around it, until it says that it is none of
    /// the column's type.
    #[inline]
    fn each(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Misfit<'a>> {
        for (row, field) in self.rows.column(self.slot).enumerate() {
            let fits = match field.plain() {
                Some(text) => each(trim(text)),
                None => each(trim(&field.text(&self.dialect.syntax))),
            };
            if !fits {
                return Err((row, field));
            }
        }
        Ok(())
    }

    /// Appends what `value` makes of the fields.
    #[inline]
    fn push<T: Default>(
        &self,
        nulls: &mut Vec<usize>,
        values: &mut impl Push<T>,
        value: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(), Misfit<'a>> {
        self.each(|text| {
            let value = match value(text) {
                Some(value) => value,
                None if self.dialect.values.is_null(text) => {
                    nulls.push(values.length());
                    T::default()
                }
                None => return false,
            };
            values.push_value(value);
            true
        })
    }

    /// Appends the fields as they stand in the file.
    fn push_texts(
        &self,
        nulls: &mut Vec<usize>,
        values: &mut MutableBinaryViewArray<str>,
        text: Option<&str>,
    ) -> Result<(), Misfit<'a>> {
        // A part of a text that has been checked need not be checked again.
        let checked = |part: &[u8]| {
            let whole = text?;
            let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
            whole.get(start..start + part.len())
        };
        for (row, field) in self.rows.column(self.slot).enumerate() {
            let own;
            let bytes = match field.plain() {
                Some(bytes) => bytes,
                None => {
                    own = field.text(&self.dialect.syntax);
                    &*own
                }
            };
            if self.dialect.values.is_null_text(bytes) {
                nulls.push(values.len());
                values.push_value_ignore_validity("");
                continue;
            }
            let known = field.plain().and_then(checked);
            match known.or_else(|| std::str::from_utf8(bytes).ok()) {
                Some(text) => values.push_value_ignore_validity(text),
                None => return Err((row, field)),
            }
        }
        Ok(())
    }
}

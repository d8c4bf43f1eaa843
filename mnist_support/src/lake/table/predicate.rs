//! Which rows are wanted: comparisons of columns with constants.

use std::fmt;
use std::str::FromStr;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, error::TableError};

/// Comparisons of columns with constants, all of which must hold: `year >= 2025 AND city = 'Bern'`.
///
/// It is parsed from the text of an SQL condition: `=`, `<>`, `<`, `<=`, `>`, `>=`, `IS NULL`,
/// `IS NOT NULL` and `AND`. Constants are numbers, `TRUE`, `FALSE`, or text in single quotes. A
/// column whose name has other characters than letters, digits and `_` stands in backticks. As in
/// SQL, no comparison with a null holds.
///
/// ```
/// use mnist_support::lake::Predicate;
///
/// let predicate: Predicate = "label < 5 and `pen type` <> 'blue'".parse()?;
/// assert_eq!(predicate.columns(), ["label", "pen type"]);
/// assert_eq!(predicate.to_string(), "label < 5 AND `pen type` <> 'blue'");
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Predicate {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) column: String,
    pub(super) test: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Compare(Comparison, Constant),
    IsNull,
    IsNotNull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Integer(i64),
    Number(f64),
    Text(String),
    Boolean(bool),
}

impl Predicate {
    /// The columns that are compared, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for condition in &self.conditions {
            if !columns.contains(&condition.column.as_str()) {
                columns.push(&condition.column);
            }
        }
        columns
    }

    /// The conditions, all of which must hold.
    pub(super) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Those of the conditions that are on some of the columns; `None` if there are none.
    pub(super) fn on(mut self, is_wanted: impl Fn(&str) -> bool) -> Option<Predicate> {
        self.conditions
            .retain(|condition| is_wanted(&condition.column));
        (!self.conditions.is_empty()).then_some(self)
    }

    /// The same conditions on columns of other names.
    pub(super) fn with_names(mut self, renamed: impl Fn(&str) -> String) -> Predicate {
        for condition in &mut self.conditions {
            condition.column = renamed(&condition.column);
        }
        self
    }

    /// Both conditions together.
    pub(super) fn and(mut self, other: Predicate) -> Predicate {
        self.conditions.extend(other.conditions);
        self
    }

    /// Returns which rows of a frame fulfil all conditions. `table` names it in errors.
    ///
    /// # Errors
    /// [`TableError::ColumnType`] for a column that cannot be compared with its constant.
    pub(super) fn mask(&self, frame: &DataFrame, table: &str) -> Result<BooleanChunked> {
        let mut mask = BooleanChunked::full("mask".into(), true, frame.height());
        for condition in &self.conditions {
            let column = frame
                .column(&condition.column)
                .map_err(TableError::about(table))?;
            let series = column.as_materialized_series();
            let holds = condition.test.mask(series).ok_or_else(|| {
                Error::Table(TableError::ColumnType {
                    table: table.to_owned(),
                    column: condition.column.clone(),
                    found: series.dtype().to_string(),
                    expected: format!("for {condition}, a column of {}", condition.test.kind()),
                })
            })?;
            mask = &mask & &holds;
        }
        // A comparison with a null is null, which is not true.
        Ok(mask.iter().map(|holds| holds == Some(true)).collect())
    }
}

impl Test {
    fn kind(&self) -> &'static str {
        match self {
            Test::Compare(_, Constant::Integer(_) | Constant::Number(_)) => "numbers",
            Test::Compare(_, Constant::Text(_)) => "text",
            Test::Compare(_, Constant::Boolean(_)) => "booleans",
            Test::IsNull | Test::IsNotNull => "any type",
        }
    }

    /// Returns where the test holds, or `None` for a column of another type.
    fn mask(&self, series: &Series) -> Option<BooleanChunked> {
        let (comparison, constant) = match self {
            Test::IsNull => return Some(series.is_null()),
            Test::IsNotNull => return Some(series.is_not_null()),
            Test::Compare(comparison, constant) => (*comparison, constant),
        };
        let dtype = series.dtype();
        match constant {
            Constant::Integer(value) if dtype.is_integer() => {
                let series = series.cast(&DataType::Int64).ok()?;
                Some(comparison.apply(series.i64().ok()?, *value))
            }
            Constant::Integer(value) if dtype.is_primitive_numeric() => {
                let series = series.cast(&DataType::Float64).ok()?;
                Some(comparison.apply(series.f64().ok()?, *value as f64))
            }
            Constant::Number(value) if dtype.is_primitive_numeric() => {
                let series = series.cast(&DataType::Float64).ok()?;
                Some(comparison.apply(series.f64().ok()?, *value))
            }
            Constant::Text(value) => {
                let texts = series.str().ok()?.iter();
                let holds = |text: &str| comparison.holds(text.partial_cmp(value.as_str()));
                Some(texts.map(|text| text.map(holds)).collect())
            }
            Constant::Boolean(value) => {
                let flags = series.bool().ok()?.iter();
                let holds = |flag: bool| comparison.holds(flag.partial_cmp(value));
                Some(flags.map(|flag| flag.map(holds)).collect())
            }
            _ => None,
        }
    }
}

impl Comparison {
    fn apply<T>(self, column: &ChunkedArray<T>, value: T::Native) -> BooleanChunked
    where
        T: PolarsNumericType,
        T::Native: PartialOrd,
    {
        let holds = |number: T::Native| self.holds(number.partial_cmp(&value));
        column.iter().map(|number| number.map(holds)).collect()
    }

    /// Whether it holds for values in this order; `None` is that of NaN.
    pub(super) fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self {
            Comparison::Equal => order == Some(Equal),
            Comparison::NotEqual => order != Some(Equal),
            Comparison::Less => order == Some(Less),
            Comparison::LessOrEqual => matches!(order, Some(Less | Equal)),
            Comparison::Greater => order == Some(Greater),
            Comparison::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
        }
    }

    const ALL: [(Comparison, &'static str); 8] = [
        // The longer ones first: the parser takes the first that fits.
        (Comparison::NotEqual, "<>"),
        (Comparison::NotEqual, "!="),
        (Comparison::LessOrEqual, "<="),
        (Comparison::GreaterOrEqual, ">="),
        (Comparison::Equal, "=="),
        (Comparison::Equal, "="),
        (Comparison::Less, "<"),
        (Comparison::Greater, ">"),
    ];

    fn sign(self) -> &'static str {
        match self {
            Comparison::NotEqual => "<>",
            Comparison::LessOrEqual => "<=",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Equal => "=",
            Comparison::Less => "<",
            Comparison::Greater => ">",
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
        formatter.write_str(&conditions.join(" AND "))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(&self.column) {
            formatter.write_str(&self.column)?;
        } else {
            write!(formatter, "`{}`", self.column.replace('`', "``"))?;
        }
        match &self.test {
            Test::IsNull => formatter.write_str(" IS NULL"),
            Test::IsNotNull => formatter.write_str(" IS NOT NULL"),
            Test::Compare(comparison, constant) => {
                write!(formatter, " {} {constant}", comparison.sign())
            }
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Integer(value) => write!(formatter, "{value}"),
            // With a point or an exponent, so that it is read as what it is.
            Constant::Number(value) => write!(formatter, "{value:?}"),
            Constant::Text(value) => write!(formatter, "'{}'", value.replace('\'', "''")),
            Constant::Boolean(value) => {
                write!(formatter, "{}", if *value { "TRUE" } else { "FALSE" })
            }
        }
    }
}

/// Whether a name needs no backticks.
fn is_plain(name: &str) -> bool {
    let letters = |character: char| character.is_alphanumeric() || character == '_';
    let keyword = ["and", "is", "not", "null", "or"].contains(&name.to_lowercase().as_str());
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_numeric())
        && !keyword
        && name.chars().all(letters)
}

impl From<Predicate> for String {
    fn from(predicate: Predicate) -> String {
        predicate.to_string()
    }
}

impl TryFrom<String> for Predicate {
    type Error = Error;

    fn try_from(text: String) -> Result<Predicate> {
        text.parse()
    }
}

impl FromStr for Predicate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Predicate> {
        let refused = |rest: &str, expected: &str| Error::InvalidSetting {
            setting: "filter",
            value: text.to_owned(),
            reason: format!("has {rest:?} where {expected} is needed"),
        };
        let mut conditions = Vec::new();
        let mut rest = text.trim_start();
        loop {
            let (column, after) = name(rest).ok_or_else(|| {
                refused(
                    rest,
                    "a column, in backticks if it isn't letters and digits,",
                )
            })?;
            let (test, after) = test(after).ok_or_else(|| {
                refused(after, "a comparison with a number, a 'text', TRUE or FALSE")
            })?;
            conditions.push(Condition { column, test });
            if after.is_empty() {
                return Ok(Predicate { conditions });
            }
            rest = keyword(after, "and").ok_or_else(|| refused(after, "AND"))?;
        }
    }
}

/// Parses a column's name, and returns what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('`') {
        return quoted_by('`', quoted);
    }
    let end = text
        .find(|character: char| !character.is_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    is_plain(name).then(|| (name.to_owned(), rest.trim_start()))
}

/// Parses text up to a closing quote, which is doubled within it.
fn quoted_by(quote: char, text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(quote)?;
        value.push_str(before);
        match after.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Some((value, after.trim_start())),
        }
    }
}

/// Parses a keyword, in letters of either case, and returns what follows it.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let beginning = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    (beginning.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_start())
}

fn test(text: &str) -> Option<(Test, &str)> {
    if let Some(rest) = keyword(text, "is") {
        return match keyword(rest, "not") {
            Some(rest) => Some((Test::IsNotNull, keyword(rest, "null")?)),
            None => Some((Test::IsNull, keyword(rest, "null")?)),
        };
    }
    let (comparison, rest) = Comparison::ALL
        .iter()
        .find_map(|(comparison, sign)| Some((*comparison, text.strip_prefix(sign)?)))?;
    let (constant, rest) = constant(rest.trim_start())?;
    Some((Test::Compare(comparison, constant), rest))
}

fn constant(text: &str) -> Option<(Constant, &str)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = quoted_by('\'', quoted)?;
        return Some((Constant::Text(value), rest));
    }
    for (word, value) in [("true", true), ("false", false)] {
        if let Some(rest) = keyword(text, word) {
            return Some((Constant::Boolean(value), rest));
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let constant = match number.parse::<i64>() {
        Ok(integer) => Constant::Integer(integer),
        Err(_) => Constant::Number(
            number
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())?,
        ),
    };
    Some((constant, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    fn rows(text: &str) -> Vec<usize> {
        let frame = df!(
            "a" => [Some(1_i64), Some(2), None, Some(4)],
            "b" => [0.5, f64::NAN, 1.5, 2.5],
            "the city" => [Some("Bern"), Some("Zürich"), Some("it's"), None],
            "flag" => [Some(true), Some(false), None, Some(true)],
        )
        .unwrap();
        let predicate: Predicate = text.parse().unwrap();
        let again: Predicate = predicate.to_string().parse().unwrap();
        assert_eq!(again, predicate);
        let mask = predicate.mask(&frame, "t").unwrap();
        let holds = mask.iter().map(|holds| holds == Some(true)).enumerate();
        holds
            .filter_map(|(row, holds)| holds.then_some(row))
            .collect()
    }

    #[test]
    fn comparisons_hold_as_in_sql() {
        assert_eq!(rows("a >= 2"), [1, 3]);
        assert_eq!(rows("a <> 2"), [0, 3]);
        assert_eq!(rows("a > 1.5 and b < 10"), [3]);
        assert_eq!(rows("b = 0.5"), [0]);
        assert_eq!(rows("a IS NULL"), [2]);
        assert_eq!(rows("a is not null AND a != 1"), [1, 3]);
        assert_eq!(rows("`the city` = 'it''s'"), [2]);
        assert_eq!(rows("`the city` < 'C'"), [0]);
        assert_eq!(rows("flag = TRUE AND a<4"), [0]);
        assert_eq!(rows("a = -1e3"), [0_usize; 0]);
    }

    #[test]
    fn what_is_no_condition_is_quoted_with_what_is_needed() {
        for (text, rest) in [
            ("", "a column"),
            ("a", "a comparison"),
            ("a = ", "a comparison"),
            ("a = b", "a comparison"),
            ("a > 1 or b < 2", "AND"),
            ("a > 1 and", "a column"),
            ("`a = 1", "a column"),
            ("a = 'x", "a comparison"),
            ("1 = a", "a column"),
        ] {
            let error = text.parse::<Predicate>().unwrap_err().to_string();
            assert!(error.contains(rest), "{text}: {error}");
        }
        let frame = df!("a" => ["x"]).unwrap();
        let predicate: Predicate = "a > 1".parse().unwrap();
        let error = predicate.mask(&frame, "t").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "a"),
            "{error}"
        );
    }
}

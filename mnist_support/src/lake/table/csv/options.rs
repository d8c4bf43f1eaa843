//! How a CSV file is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dialect::Dialect;
use crate::lake::table::ColumnType;
use crate::{Error, Result};

/// The character encoding of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16. A byte order mark says which byte comes first; without one it is the lower one.
    Utf16,
    /// ISO 8859-1, whose bytes are the first 256 characters of Unicode.
    Latin1,
}

/// How a CSV file is written, as far as it is not to be found out.
///
/// The names are those of pandas' `read_csv`. What is not set is found out from the beginning of
/// the file.
///
/// ```
/// # use mnist_support::lake::{Credentials, Lake};
/// use mnist_support::lake::{ColumnType, CsvOptions};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
///
/// lake.put("prices.csv", "8001;1.234,50\n8002;-\n".into())?;
/// let options = CsvOptions::new()
///     .sep(b';')
///     .names(["zip", "price"])
///     .decimal(b',')
///     .thousands(b'.')
///     .null_values(["-"])
///     .schema([("zip", ColumnType::String)]);
/// let prices = lake.csv_with("prices.csv", &options)?.collect()?;
/// assert_eq!(prices.column("price")?.f64()?.to_vec(), [Some(1234.5), None]);
/// assert_eq!(prices.column("zip")?.str()?.get(0), Some("8001"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sep: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quote: Option<Quote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) escape: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<u8>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) skip_rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) skip_initial_space: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) null_values: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) true_values: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) false_values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decimal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thousands: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<Encoding>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) schema: BTreeMap<String, ColumnType>,
    /// The types that were learnt from other rows than the file's samples: from all of them, or
    /// from other files of a table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) learnt: BTreeMap<String, ColumnType>,
}

/// The character around fields, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Quote {
    None,
    Char(u8),
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl CsvOptions {
    /// Everything is found out.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the separator of fields. Default: the one of comma, semicolon, tab, `|` and space that
    /// divides the first lines evenly. If single spaces don't, any run of spaces and tabs counts as
    /// one separator.
    pub fn sep(mut self, sep: u8) -> Self {
        self.sep = Some(sep);
        self
    }

    /// Sets the quote around fields, in which separators and line breaks are text, and two quotes
    /// are one. Default: `"`.
    pub fn quote(mut self, quote: u8) -> Self {
        self.quote = Some(Quote::Char(quote));
        self
    }

    /// Makes quotes characters like any other.
    pub fn no_quote(mut self) -> Self {
        self.quote = Some(Quote::None);
        self
    }

    /// Sets a character that makes the next one, in a quoted field, a character like any other:
    /// Spark writes `\"` for a quote. Default: none.
    pub fn escape(mut self, escape: u8) -> Self {
        self.escape = Some(escape);
        self
    }

    /// Sets whether the first line names the columns. Default: it does, unless it is all numbers,
    /// or reads like the rows below.
    pub fn header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// Sets the names of the columns, in place of those in the header if there is one. Default
    /// without a header: `column_1`, `column_2` and so on.
    pub fn names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the character that begins a line that is a comment. Default: `#` if the file begins
    /// with lines that do and that are no rows; otherwise none.
    pub fn comment(mut self, comment: u8) -> Self {
        self.comment = Some(comment);
        self
    }

    /// Skips this many lines at the beginning of the file.
    pub fn skip_rows(mut self, lines: usize) -> Self {
        self.skip_rows = lines;
        self
    }

    /// Sets whether spaces after a separator are dropped. Around numbers, dates and booleans they
    /// never matter. Default: whether every separator of the first lines is followed by a space.
    pub fn skip_initial_space(mut self, skip: bool) -> Self {
        self.skip_initial_space = Some(skip);
        self
    }

    /// Sets the words for a missing value, in place of pandas': `NA`, `N/A`, `n/a`, `#N/A`, `<NA>`,
    /// `NULL`, `null`, `NaN`, `nan`, `None` and a few more; and `?` in a column of numbers, dates
    /// or booleans. An empty field is always missing.
    pub fn null_values<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.null_values = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Adds words for true, such as `yes`, to `true`, `True` and `TRUE`.
    pub fn true_values<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.true_values = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds words for false, such as `no`, to `false`, `False` and `FALSE`.
    pub fn false_values<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.false_values = words.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the decimal mark. Default: a comma if the first rows have numbers with one, and none
    /// with a point.
    pub fn decimal(mut self, decimal: u8) -> Self {
        self.decimal = Some(decimal);
        self
    }

    /// Sets the mark between groups of three digits. Default: the one that the numbers of the first
    /// rows show, if it can only be one: `1,234,567`, `1.234,5`, or `"1,234"` between commas.
    pub fn thousands(mut self, thousands: u8) -> Self {
        self.thousands = Some(thousands);
        self
    }

    /// Sets the character encoding. Default: UTF-8, or UTF-16 if the file begins with its byte
    /// order mark.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Sets the types of some columns. A value that is none of its column's type is then an error.
    pub fn schema<S: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = (S, ColumnType)>,
    ) -> Self {
        self.schema = types
            .into_iter()
            .map(|(name, dtype)| (name.into(), dtype))
            .collect();
        self
    }

    /// The same, with what was found for what is not set, so that other files are read alike.
    pub(super) fn like(&self, dialect: &Dialect, header: bool) -> Self {
        let Dialect { syntax, values, .. } = dialect;
        CsvOptions {
            sep: Some(syntax.sep),
            header: Some(header),
            comment: syntax.comment,
            skip_initial_space: Some(syntax.skip_initial_space),
            decimal: Some(values.decimal),
            thousands: values.thousands,
            ..self.clone()
        }
    }

    /// The same, with types that were learnt already.
    pub(in crate::lake::table) fn with_learnt(&self, types: &[(String, ColumnType)]) -> Self {
        CsvOptions {
            learnt: types.iter().cloned().collect(),
            ..self.clone()
        }
    }

    /// The types that were learnt already.
    pub(in crate::lake::table) fn learnt(&self) -> Vec<(String, ColumnType)> {
        let learnt = self.learnt.iter();
        learnt.map(|(name, dtype)| (name.clone(), *dtype)).collect()
    }

    /// Whether types were learnt already.
    pub(in crate::lake::table) fn has_learnt(&self) -> bool {
        !self.learnt.is_empty()
    }

    /// Checks that no two settings contradict each other.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a character that would mean two things, or none of ASCII.
    pub(super) fn validate(&self) -> Result<()> {
        let quote = match self.quote {
            None => Some(b'"'),
            Some(Quote::None) => None,
            Some(Quote::Char(quote)) => Some(quote),
        };
        let characters = [
            ("sep", self.sep),
            ("quote", quote),
            (
                "escape",
                self.escape.filter(|escape| quote != Some(*escape)),
            ),
            ("comment", self.comment),
            ("thousands", self.thousands),
            ("decimal", self.decimal),
        ];
        for (index, (setting, character)) in characters.iter().enumerate() {
            let Some(character) = *character else {
                continue;
            };
            let refused = |reason: String| {
                Err(Error::InvalidSetting {
                    setting,
                    value: format!("{:?}", char::from(character)),
                    reason,
                })
            };
            if !character.is_ascii() || b"\r\n".contains(&character) {
                return refused("is not a character of ASCII within a line".to_owned());
            }
            // A decimal comma between commas is quoted.
            let others = characters[..index].iter();
            if let Some((other, _)) = others
                .filter(|(other, _)| {
                    *other != "sep" || *setting == "quote" || *setting == "comment"
                })
                .find(|(_, other)| *other == Some(character))
            {
                return refused(format!("is also the setting {other}"));
            }
            if matches!(*setting, "decimal" | "thousands") && character.is_ascii_alphanumeric() {
                return refused("cannot stand between digits".to_owned());
            }
        }
        Ok(())
    }
}

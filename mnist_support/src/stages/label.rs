//! Which columns hold the targets of a network.

use serde::{Deserialize, Serialize};

/// The columns that a network is trained to give.
///
/// ```
/// use mnist_support::ml::Label;
///
/// assert_eq!(Label::from("price"), Label::Column("price".to_owned()));
/// assert_eq!(
///     Label::from(["x", "y"]),
///     Label::Columns(vec!["x".to_owned(), "y".to_owned()]),
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// One column: of classes, of numbers, of lists, or a vector column.
    Column(String),
    /// Several columns, with a number each.
    Columns(Vec<String>),
    /// The features themselves: an autoencoder.
    Features,
}

impl From<&str> for Label {
    fn from(column: &str) -> Self {
        Label::Column(column.to_owned())
    }
}

impl From<String> for Label {
    fn from(column: String) -> Self {
        Label::Column(column)
    }
}

impl From<&String> for Label {
    fn from(column: &String) -> Self {
        Label::Column(column.clone())
    }
}

impl<S: Into<String>> From<Vec<S>> for Label {
    fn from(columns: Vec<S>) -> Self {
        Label::Columns(columns.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Label {
    fn from(columns: [S; N]) -> Self {
        Label::from(Vec::from(columns))
    }
}

impl Label {
    /// The names of the columns.
    pub(super) fn columns(&self) -> &[String] {
        match self {
            Label::Column(column) => std::slice::from_ref(column),
            Label::Columns(columns) => columns,
            Label::Features => &[],
        }
    }
}

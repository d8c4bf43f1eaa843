//! Sizes of windows that slide over images and sequences.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A height and a width, such as those of a kernel. One number stands for both.
///
/// ```
/// use mnist_support::network::Size2;
///
/// assert_eq!(Size2::from(3), Size2 { height: 3, width: 3 });
/// assert_eq!(Size2::from([3, 5]).to_string(), "(3, 5)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Size2 {
    pub height: i64,
    pub width: i64,
}

impl Size2 {
    pub(super) fn to_array(self) -> [i64; 2] {
        [self.height, self.width]
    }

    /// The one number that stands for both, if they are equal.
    pub(super) fn square(self) -> Option<i64> {
        (self.height == self.width).then_some(self.height)
    }
}

impl From<i64> for Size2 {
    fn from(side: i64) -> Self {
        Size2::from([side, side])
    }
}

impl From<[i64; 2]> for Size2 {
    fn from([height, width]: [i64; 2]) -> Self {
        Size2 { height, width }
    }
}

impl From<(i64, i64)> for Size2 {
    fn from((height, width): (i64, i64)) -> Self {
        Size2 { height, width }
    }
}

/// As in Python: one number, or a tuple.
impl fmt::Display for Size2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.square() {
            Some(side) => write!(f, "{side}"),
            None => write!(f, "({}, {})", self.height, self.width),
        }
    }
}

/// In JSON: one number, or a list of height and width.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or a list of height and width")]
enum SavedSize2 {
    Square(i64),
    Sides([i64; 2]),
}

impl Serialize for Size2 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.square() {
            Some(side) => SavedSize2::Square(side).serialize(serializer),
            None => SavedSize2::Sides(self.to_array()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Size2 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match SavedSize2::deserialize(deserializer)? {
            SavedSize2::Square(side) => side.into(),
            SavedSize2::Sides(sides) => sides.into(),
        })
    }
}

/// The zero padding of a convolution: as much on each side, or one of PyTorch's words.
///
/// ```
/// use mnist_support::network::{Conv2dConfig, Layer, Network, Padding};
///
/// let padded = |padding| Conv2dConfig { padding, ..Default::default() };
/// for (padding, output) in [
///     (Padding::Same, [8, 28, 28]),
///     (Padding::Valid, [8, 26, 24]),
///     (1.into(), [8, 28, 26]),
///     ([1, 2].into(), [8, 28, 28]),
/// ] {
///     let layer = Layer::conv2d(1, 8, [3, 5], padded(padding));
///     assert_eq!(Network::new(&[1, 28, 28], vec![layer])?.output_shape(), output);
/// }
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<S = Size2> {
    /// As many zeros on both sides.
    Zeros(S),
    /// `"same"`: as many zeros as leave the size as it is. An odd number of them has the larger
    /// half at the end, as in PyTorch.
    Same,
    /// `"valid"`: none.
    Valid,
}

impl<S: From<i64>> Default for Padding<S> {
    fn default() -> Self {
        Padding::Zeros(S::from(0))
    }
}

impl<S: From<i64>> From<i64> for Padding<S> {
    fn from(zeros: i64) -> Self {
        Padding::Zeros(zeros.into())
    }
}

impl From<[i64; 2]> for Padding {
    fn from(zeros: [i64; 2]) -> Self {
        Padding::Zeros(zeros.into())
    }
}

impl From<(i64, i64)> for Padding {
    fn from(zeros: (i64, i64)) -> Self {
        Padding::Zeros(zeros.into())
    }
}

impl From<Size2> for Padding {
    fn from(zeros: Size2) -> Self {
        Padding::Zeros(zeros)
    }
}

/// As in Python: a number, a tuple, or a word in quotes.
impl<S: fmt::Display> fmt::Display for Padding<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Padding::Zeros(zeros) => write!(f, "{zeros}"),
            Padding::Same => f.write_str("'same'"),
            Padding::Valid => f.write_str("'valid'"),
        }
    }
}

/// In JSON: a size, or a word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SavedPadding<S> {
    Zeros(S),
    Word(String),
}

impl<S: Serialize + Copy> Serialize for Padding<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let word = match self {
            Padding::Zeros(zeros) => return zeros.serialize(serializer),
            Padding::Same => "same",
            Padding::Valid => "valid",
        };
        word.serialize(serializer)
    }
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Padding<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "padding is a size, \"same\" or \"valid\"";
        match SavedPadding::deserialize(deserializer).map_err(|_| D::Error::custom(expected))? {
            SavedPadding::Zeros(zeros) => Ok(Padding::Zeros(zeros)),
            SavedPadding::Word(word) if word == "same" => Ok(Padding::Same),
            SavedPadding::Word(word) if word == "valid" => Ok(Padding::Valid),
            SavedPadding::Word(_) => Err(D::Error::custom(expected)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_paddings_are_written_as_pytorch_takes_them() {
        for (padding, json) in [
            (Padding::from(2), "2"),
            (Padding::from([1, 2]), "[1,2]"),
            (Padding::Same, r#""same""#),
            (Padding::Valid, r#""valid""#),
        ] {
            assert_eq!(serde_json::to_string(&padding).unwrap(), json);
            let read: Padding = serde_json::from_str(json).unwrap();
            assert_eq!(read, padding);
        }
        let read: Padding<i64> = serde_json::from_str("3").unwrap();
        assert_eq!(read, Padding::Zeros(3));
        assert_eq!(Padding::<Size2>::from((1, 2)).to_string(), "(1, 2)");
    }

    #[test]
    fn other_words_and_sizes_are_refused() {
        for json in [r#""full""#, "[1,2,3]", "{}"] {
            let error = serde_json::from_str::<Padding>(json).unwrap_err();
            assert!(
                error.to_string().contains("\"same\" or \"valid\""),
                "{error}"
            );
        }
        let error = serde_json::from_str::<Size2>("[1,2,3]").unwrap_err();
        assert!(error.to_string().contains("height and width"), "{error}");
    }
}

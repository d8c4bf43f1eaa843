//! Numbers that JSON has no way to write.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that may be infinite or NaN, which is text in JSON. NaN equals itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f64),
    Text(String),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self.0.is_finite() {
            true => Written::Finite(self.0),
            false => Written::Text(self.0.to_string()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Finite(number) => Ok(Number(number)),
            Written::Text(text) => text.parse().map(Number).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_json() {
        for number in [0.1, -2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&Number(number)).unwrap();
            assert_eq!(
                serde_json::from_str::<Number>(&json).unwrap(),
                Number(number)
            );
        }
    }
}

//! What a field's text means.

use std::borrow::Cow;

use crate::lake::table::ColumnType;

/// pandas' words for a missing value.
const NULLS: [&str; 18] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan",
];
const NULL: &str = "null";
/// A missing value where text would be out of place.
const UNKNOWN: &str = "?";

/// The powers of ten that are exact as `f64`.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The words for values, and the marks in numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    nulls: Vec<Vec<u8>>,
    /// The lengths of the words for null, as bits: to be quick about all others.
    null_lengths: u64,
    /// Whether `?` is null in a column that is not text.
    unknown: bool,
    trues: Vec<Vec<u8>>,
    falses: Vec<Vec<u8>>,
    pub(super) decimal: u8,
    pub(super) thousands: Option<u8>,
}

impl Values {
    pub(super) fn new(
        nulls: Option<&[String]>,
        trues: &[String],
        falses: &[String],
        decimal: u8,
        thousands: Option<u8>,
    ) -> Values {
        let words = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
        let mut null_words: Vec<Vec<u8>> = match nulls {
            Some(nulls) => words(nulls),
            None => NULLS
                .iter()
                .chain([&NULL])
                .map(|word| word.as_bytes().to_vec())
                .collect(),
        };
        null_words.push(Vec::new());
        let bit = |word: &Vec<u8>| 1 << word.len().min(63);
        Values {
            null_lengths: null_words.iter().map(bit).fold(0, |bits, bit| bits | bit),
            unknown: nulls.is_none(),
            nulls: null_words,
            trues: words(trues),
            falses: words(falses),
            decimal,
            thousands,
        }
    }

    /// Whether a field, as it stands in the file, is a word for null.
    #[inline]
    pub(super) fn is_null_text(&self, text: &[u8]) -> bool {
        self.null_lengths & (1 << text.len().min(63)) != 0
            && self.nulls.iter().any(|null| null == text)
    }

    /// Whether a field without spaces around it is null in a column that is not text.
    #[inline]
    pub(super) fn is_null(&self, text: &[u8]) -> bool {
        self.is_null_text(text) || (self.unknown && text == UNKNOWN.as_bytes())
    }

    /// The narrowest type that holds a field.
    pub(super) fn kind(&self, text: &[u8]) -> ColumnType {
        let text = trim(text);
        if self.is_null(text) {
            ColumnType::Null
        } else if let Some(integer) = self.integer(text) {
            match u8::try_from(integer) {
                Ok(_) => ColumnType::UInt8,
                Err(_) => ColumnType::Int64,
            }
        } else if self.float(text).is_some() {
            ColumnType::Float64
        } else if self.boolean(text).is_some() {
            ColumnType::Boolean
        } else if date(text).is_some() {
            ColumnType::Date
        } else if datetime(text).is_some() {
            ColumnType::Datetime
        } else {
            ColumnType::String
        }
    }

    #[inline]
    pub(super) fn boolean(&self, text: &[u8]) -> Option<bool> {
        if text.eq_ignore_ascii_case(b"true") || self.trues.iter().any(|word| word == text) {
            Some(true)
        } else if text.eq_ignore_ascii_case(b"false") || self.falses.iter().any(|word| word == text)
        {
            Some(false)
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn integer(&self, text: &[u8]) -> Option<i64> {
        match self.thousands {
            Some(mark) if text.contains(&mark) => integer(&grouped(text, mark, self.decimal)?),
            _ => integer(text),
        }
    }

    #[inline]
    pub(super) fn float(&self, text: &[u8]) -> Option<f64> {
        match self.thousands {
            Some(mark) if text.contains(&mark) => {
                float(&grouped(text, mark, self.decimal)?, self.decimal)
            }
            _ => float(text, self.decimal),
        }
    }
}

/// Drops spaces around a value.
#[inline]
pub(super) fn trim(text: &[u8]) -> &[u8] {
    match text {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_ascii(),
        _ => text,
    }
}

/// A number without its marks between groups of three digits; `None` for other groups.
fn grouped(text: &[u8], mark: u8, decimal: u8) -> Option<Vec<u8>> {
    let whole = text
        .iter()
        .position(|byte| *byte == decimal || b"eE".contains(byte));
    let (whole, rest) = text.split_at(whole.unwrap_or(text.len()));
    let digits = whole
        .strip_prefix(b"-")
        .or(whole.strip_prefix(b"+"))
        .unwrap_or(whole);
    let mut groups = digits.split(|byte| *byte == mark);
    let first = groups.next()?;
    let fits = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    if !fits || rest.contains(&mark) {
        return None;
    }
    let mut number: Vec<u8> = whole.iter().copied().filter(|byte| *byte != mark).collect();
    number.extend(rest);
    Some(number)
}

#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    if digits.len() > 18 {
        return digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| std::str::from_utf8(text).ok()?.parse().ok())?;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = 10 * value + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// Reads a number, exactly rounded. Infinities are `inf` and `infinity`, as in pandas.
#[inline]
fn float(text: &[u8], decimal: u8) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    // Numbers of few digits, by one exact operation (Clinger).
    let (mut value, mut count, mut scale, mut point) = (0_u64, 0, 0, false);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 && count < 16 {
            value = 10 * value + u64::from(digit);
            count += 1;
            scale += usize::from(point);
        } else if *byte == decimal && !point {
            point = true;
        } else {
            return any_float(text, decimal);
        }
    }
    if count == 0 || value >= 1 << 53 {
        return any_float(text, decimal);
    }
    let value = value as f64 / POWERS[scale];
    Some(if negative { -value } else { value })
}

#[cold]
fn any_float(text: &[u8], decimal: u8) -> Option<f64> {
    let text = if decimal == b'.' {
        Cow::Borrowed(text)
    } else if text.contains(&b'.') {
        return None;
    } else {
        let point = |byte: &u8| if *byte == decimal { b'.' } else { *byte };
        Cow::Owned(text.iter().map(point).collect())
    };
    let value: f64 = std::str::from_utf8(&text).ok()?.parse().ok()?;
    let unsigned = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(&text);
    let word = unsigned.first().is_none_or(u8::is_ascii_alphabetic);
    let infinity =
        unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
    // A number too large is no infinity that somebody wrote.
    (infinity || (!word && value.is_finite())).then_some(value)
}

/// Days since 1970 of an ISO date.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let year = 100 * number(*y1, *y2)? + number(*y3, *y4)?;
    let (month, day) = (number(*m1, *m2)?, number(*d1, *d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March end with the leap day.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let century = year.div_euclid(100);
    let days = 365 * year + year.div_euclid(4) - century + century.div_euclid(4) + day_of_year;
    i32::try_from(days - 719_468).ok()
}

/// Microseconds since 1970 of an ISO date, with or without a time.
pub(super) fn datetime(text: &[u8]) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let (day, time) = text.split_at_checked(10)?;
    let days = i64::from(date(day)?);
    let [b' ' | b'T' | b't', time @ ..] = time else {
        return time.is_empty().then_some(days * 86_400 * SECOND);
    };
    let offset = time.iter().position(|byte| b"Zz+-".contains(byte));
    let (time, offset) = time.split_at(offset.unwrap_or(time.len()));
    let offset = utc_offset(offset)?;
    let (hour, minute, rest) = match time.trim_ascii_end() {
        [h1, h2, b':', m1, m2, rest @ ..] => (number(*h1, *h2)?, number(*m1, *m2)?, rest),
        _ => return None,
    };
    let (second, fraction) = match rest {
        [] => (0, &rest[..0]),
        [b':', s1, s2, fraction @ ..] => (number(*s1, *s2)?, fraction),
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    if let [b'.' | b',', digits @ ..] = fraction {
        if !(1..=9).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for place in 0..6 {
            let digit = digits.get(place).map_or(0, |digit| digit - b'0');
            micros = 10 * micros + i64::from(digit);
        }
    } else if !fraction.is_empty() {
        return None;
    }
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    Some(seconds * SECOND + micros)
}

/// The minutes that a time of day is ahead of UTC.
fn utc_offset(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, number(*h1, *h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => {
            (sign, number(*h1, *h2)?, number(*m1, *m2)?)
        }
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = 60 * hours + minutes;
    Some(if *sign == b'-' { -minutes } else { minutes })
}

fn number(tens: u8, ones: u8) -> Option<i64> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnType::{Boolean, Date, Datetime, Float64, Int64, Null, String, UInt8};

    fn values() -> Values {
        Values::new(None, &[], &[], b'.', None)
    }

    #[test]
    fn a_field_needs_the_narrowest_type_that_holds_it() {
        for (text, expected) in [
            ("0", UInt8),
            ("255", UInt8),
            (" 7\t", UInt8),
            ("007", UInt8),
            ("256", Int64),
            ("-1", Int64),
            ("-9223372036854775808", Int64),
            ("9223372036854775808", Float64),
            ("0.5", Float64),
            (".5", Float64),
            ("5.", Float64),
            ("1e-3", Float64),
            ("-inf", Float64),
            ("TRUE", Boolean),
            ("false", Boolean),
            ("2026-02-28", Date),
            ("2026-02-28 12:30", Datetime),
            ("2026-02-28T12:30:00.5Z", Datetime),
            ("", Null),
            ("  ", Null),
            ("NA", Null),
            ("nan", Null),
            ("?", Null),
            ("x", String),
            ("1 2", String),
            ("0x1F", String),
            ("1,5", String),
            ("1e999", String),
            ("nan5", String),
            (".", String),
            ("-", String),
            ("+-1", String),
            ("2026-02-29", String),
            ("2026-2-3", String),
            ("2026-02-28 25:00", String),
            ("yes", String),
        ] {
            assert_eq!(values().kind(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(values().kind(b"\xff"), String);
    }

    #[test]
    fn marks_and_words_are_settable() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let german = Values::new(
            Some(&words(&["k.A."])),
            &words(&["ja"]),
            &words(&["nein"]),
            b',',
            Some(b'.'),
        );
        assert_eq!(german.float(b"1.234,5"), Some(1234.5));
        assert_eq!(german.float(b"-12,25e1"), Some(-122.5));
        assert_eq!(german.integer(b"1.234.567"), Some(1_234_567));
        assert_eq!(german.kind(b"1.5"), String);
        assert_eq!(german.kind(b"1,2,3"), String);
        assert_eq!(german.kind(b"k.A."), Null);
        assert_eq!(german.kind(b"NA"), String);
        assert_eq!(german.kind(b"?"), String);
        assert_eq!(german.boolean(b"ja"), Some(true));
        assert_eq!(german.boolean(b"nein"), Some(false));
        assert!(values().is_null(b"?") && !values().is_null_text(b"?"));
    }

    #[test]
    fn numbers_are_rounded_as_rust_rounds_them() {
        let mut bits: u64 = 1;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = f64::from_bits(bits);
            let short = (bits >> 40) as f64 / 1000.0;
            for number in [number, short, -short] {
                if number.is_finite() {
                    let text = number.to_string();
                    assert_eq!(float(text.as_bytes(), b'.'), Some(number), "{text}");
                }
            }
        }
    }

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"1969-12-31"), Some(-1));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        assert_eq!(date(b"0001-01-01"), Some(-719_162));
        assert_eq!(datetime(b"1970-01-02"), Some(86_400_000_000));
        assert_eq!(datetime(b"1970-01-01T01:00:00.25+01:00"), Some(250_000));
        assert_eq!(datetime(b"1970-01-01 00:00:01 -0130"), Some(5_401_000_000));
        assert_eq!(datetime(b"1970-01-01 00:00:00.1234567"), Some(123_456));
    }
}

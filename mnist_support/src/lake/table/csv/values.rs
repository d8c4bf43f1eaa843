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
    /// The lengths and the first characters of the words for null, as bits: to be quick about all
    /// others.
    null_lengths: u64,
    null_starts: [u64; 4],
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
        let mut null_starts = [0; 4];
        for first in null_words.iter().filter_map(|word| word.first()) {
            null_starts[usize::from(first >> 6)] |= 1 << (first & 63);
        }
        Values {
            null_starts,
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
        let Some(first) = text.first() else {
            return true;
        };
        let starts = self.null_starts[usize::from(first >> 6)] & (1 << (first & 63));
        starts != 0
            && self.null_lengths & (1 << text.len().min(63)) != 0
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
        match text {
            b"true" => return Some(true),
            b"false" => return Some(false),
            _ => {}
        }
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

/// A number without its sign, and whether that is a minus.
#[inline]
fn unsigned(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = unsigned(text);
    let value = match digits.len() {
        0 => return None,
        length @ 1..=8 => eight_digits(aligned(up_to_eight(digits), length))?,
        length @ 9..=16 => sixteen_digits(aligned_16(up_to_sixteen(digits), length))?,
        _ => {
            let only_digits = digits.iter().all(u8::is_ascii_digit);
            return only_digits.then(|| std::str::from_utf8(text).ok()?.parse().ok())?;
        }
    };
    let value = value as i64;
    Some(if negative { -value } else { value })
}

/// Reads a number, exactly rounded. Infinities are `inf` and `infinity`, as in pandas.
#[inline]
fn float(text: &[u8], decimal: u8) -> Option<f64> {
    let (negative, digits) = unsigned(text);
    // Numbers of few digits, by one exact operation (Clinger).
    let (value, scale) = match digits.len() {
        0 => return None,
        length @ 1..=8 => {
            let word = up_to_eight(digits);
            let point = first_byte(word, decimal).min(length);
            let (whole, count) = if point < length {
                let before = word & ((1 << (8 * point)) - 1);
                (
                    before | ((word >> (8 * point)) >> 8) << (8 * point),
                    length - 1,
                )
            } else {
                (word, length)
            };
            if count == 0 {
                return None;
            }
            (
                eight_digits(aligned(whole, count)),
                count - point.min(count),
            )
        }
        length @ 9..=16 => {
            let word = up_to_sixteen(digits);
            let point = match first_byte(word as u64, decimal) {
                8 => 8 + first_byte((word >> 64) as u64, decimal),
                point => point,
            };
            let point = point.min(length);
            let (whole, count) = if point < length {
                let before = word & ((1 << (8 * point)) - 1);
                (
                    before | ((word >> (8 * point)) >> 8) << (8 * point),
                    length - 1,
                )
            } else {
                (word, length)
            };
            let value = sixteen_digits(aligned_16(whole, count));
            (value, count - point.min(count))
        }
        17..=20 => match by_digits(digits, decimal) {
            Some((value, scale)) => (Some(value), scale),
            None => return any_float(text, decimal),
        },
        _ => return any_float(text, decimal),
    };
    let Some(value) = value.filter(|value| *value < 1 << 53) else {
        return any_float(text, decimal);
    };
    let value = value as f64 / POWERS[scale];
    Some(if negative { -value } else { value })
}

/// The characters of a text of 1 to 8, the first in the lowest byte, and zero bytes after them.
#[inline]
fn up_to_eight(text: &[u8]) -> u64 {
    let length = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        // They overlap in equal bytes.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (length - 4));
    }
    let at = |index: usize| u64::from(text[index]) << (8 * index);
    at(0) | at(length / 2) | at(length - 1)
}

/// The characters of a text of 8 to 16, the first in the lowest byte, and zero bytes after them.
#[inline]
fn up_to_sixteen(text: &[u8]) -> u128 {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            u128::from(first) | u128::from(last) << (8 * (text.len() - 8))
        }
        _ => 0,
    }
}

const ZEROS: u128 = 0x3030_3030_3030_3030_3030_3030_3030_3030;

/// Moves `count` characters, from 1 to 8, to the highest bytes, behind the character 0.
#[inline]
fn aligned(word: u64, count: usize) -> u64 {
    (word << (8 * (8 - count))) | ((ZEROS as u64 >> 8) >> (8 * (count - 1)))
}

/// Moves `count` characters, from 1 to 16, to the highest bytes, behind the character 0.
#[inline]
fn aligned_16(word: u128, count: usize) -> u128 {
    (word << (8 * (16 - count))) | ((ZEROS >> 8) >> (8 * (count - 1)))
}

/// The index of the first byte that is `byte`, or 8.
#[inline]
fn first_byte(word: u64, byte: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let differs = word ^ (ONES * u64::from(byte));
    // Bits above the first may be wrong.
    let zeros = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
    zeros.trailing_zeros() as usize / 8
}

/// The value of eight digits, the first in the lowest byte: pairs are added up, then fours, then
/// eights.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    const TENS: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let above = word.wrapping_add(0x0606_0606_0606_0606);
    if (word & TENS) != ZEROS as u64 || (above & TENS) != ZEROS as u64 {
        return None;
    }
    let ones = word - ZEROS as u64;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[inline]
fn sixteen_digits(word: u128) -> Option<u64> {
    let (high, low) = (
        eight_digits(word as u64)?,
        eight_digits((word >> 64) as u64)?,
    );
    Some(high * 100_000_000 + low)
}

/// The value of up to 19 digits with a decimal mark among them, and how many stand after it.
#[inline]
fn by_digits(digits: &[u8], decimal: u8) -> Option<(u64, usize)> {
    let (mut value, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == decimal && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let scale = point.map_or(0, |point| digits.len() - point - 1);
    (digits.len() <= 19 + usize::from(point.is_some())).then_some((value, scale))
}

#[inline(never)]
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
    let (_, unsigned) = unsigned(&text);
    let word = unsigned.first().is_none_or(u8::is_ascii_alphabetic);
    let infinity =
        unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
    // A number too large is no infinity that somebody wrote.
    (infinity || (!word && value.is_finite())).then_some(value)
}

/// Days since 1970 of an ISO date.
#[inline]
pub(super) fn date(text: &[u8]) -> Option<i32> {
    /// The lengths of the months from 1 on, in a year without a leap day.
    const LENGTHS: [i64; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let text: &[u8; 10] = text.try_into().ok()?;
    if (text[4], text[7]) != (b'-', b'-') {
        return None;
    }
    let [y1, y2, y3, y4, _, m1, m2, _, d1, d2] = *text;
    let digits = eight_digits(u64::from_le_bytes([y1, y2, y3, y4, m1, m2, d1, d2]))? as i64;
    let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
    let leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS.get(month as usize)? + i64::from(leap);
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

    /// What the standard library reads, where it is a number as here.
    fn plain(text: &str, decimal: u8) -> Option<f64> {
        let digits = text.trim_start_matches(['-', '+']);
        let foreign = |character: char| {
            !character.is_ascii_digit() && !matches!(character, 'e' | 'E' | '-' | '+')
        };
        let marks = digits.chars().filter(|mark| foreign(*mark));
        if marks.clone().any(|mark| mark != char::from(decimal)) {
            return None;
        }
        let value: f64 = text.replace(char::from(decimal), ".").parse().ok()?;
        value.is_finite().then_some(value)
    }

    #[test]
    fn every_arrangement_of_digits_and_marks_is_read_as_the_standard_library_does() {
        let mut state: u64 = 7;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let (mut numbers, mut others) = (0, 0);
        for round in 0..400_000 {
            let decimal = [b'.', b','][next(2)];
            let odd = b"-+.,e 0/:x\xc3";
            let mut text: Vec<u8> = (0..next(22)).map(|_| b'0' + next(10) as u8).collect();
            if next(2) == 0 && !text.is_empty() {
                let at = next(text.len());
                text[at] = decimal;
            }
            if next(3) == 0 {
                text.insert(0, b"-+"[next(2)]);
            }
            if round % 2 == 0 && !text.is_empty() {
                let (at, byte) = (next(text.len()), odd[next(odd.len())]);
                text[at] = byte;
            }
            let Ok(shown) = std::str::from_utf8(&text) else {
                assert_eq!((float(&text, decimal), integer(&text)), (None, None));
                continue;
            };
            let ours = float(&text, decimal);
            assert_eq!(ours, plain(shown, decimal), "{shown:?}");
            let sign = |value: f64| value.is_sign_negative();
            assert_eq!(ours.map(sign), plain(shown, decimal).map(sign), "{shown:?}");
            assert_eq!(integer(&text), shown.parse().ok(), "{shown:?}");
            numbers += usize::from(ours.is_some());
            others += usize::from(ours.is_none());
        }
        assert!(numbers > 100_000 && others > 50_000, "{numbers} {others}");
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

//! Finds out how a file is written.

use std::collections::BTreeSet;

use super::options::{CsvOptions, Quote};
use super::records::{End, Field, Syntax, next_line};
use super::values::{Values, trim};
use crate::lake::table::ColumnType;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The separators that are looked for, the less ambiguous first.
const SEPARATORS: [u8; 5] = [b'\t', b';', b'|', b',', b' '];
/// How many records are looked at.
const RECORDS: usize = 500;

/// How a file is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dialect {
    pub(super) syntax: Syntax,
    pub(super) values: Values,
    /// Whether every row ends in a separator.
    pub(super) trailing_sep: bool,
}

/// The dialect of a file, the names of its columns and where its data begins.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) dialect: Dialect,
    pub(super) names: Vec<String>,
    pub(super) data_start: usize,
    /// Whether the first line names the columns.
    pub(super) header: bool,
}

/// The fields of a record.
type Record = Vec<Vec<u8>>;

/// Finds out how a file is written, from its beginning, or from all of it if `whole`. Returns
/// `None` if its first record does not end within these bytes.
///
/// # Errors
/// What is wrong with the file: `Err(None)` if it has no first line.
pub(super) fn find(
    bytes: &[u8],
    whole: bool,
    options: &CsvOptions,
) -> Result<Option<Found>, Option<String>> {
    let mut start = match bytes.starts_with(BYTE_ORDER_MARK) {
        true => BYTE_ORDER_MARK.len(),
        false => 0,
    };
    for _ in 0..options.skip_rows {
        start = next_line(bytes, start);
    }
    let syntax = syntax(bytes, start, whole, options);
    let first = syntax.skip_blank(bytes, start);
    if first >= bytes.len() {
        return if whole { Err(None) } else { Ok(None) };
    }
    let mut fields = Vec::new();
    let second = match syntax.fields(bytes, first, &mut fields) {
        End::At(end) if whole || bytes[end - 1] == b'\n' => end,
        End::OpenQuote if whole => {
            return Err(Some("a quote in its first line does not close".to_owned()));
        }
        _ => return Ok(None),
    };
    let fields = fields.iter();
    let first_line: Record = fields
        .map(|field| field.text(&syntax).into_owned())
        .collect();
    let rows = records(bytes, second, whole, &syntax);
    let (decimal, thousands) = marks(first_line_and(&rows, &first_line), syntax.sep, options);
    let values = Values::new(
        options.null_values.as_deref(),
        &options.true_values,
        &options.false_values,
        decimal,
        thousands,
    );
    let header = options
        .header
        .unwrap_or_else(|| is_header(&first_line, &rows, &values));
    let (mut names, trailing_sep) = match header {
        true => named(&first_line, &rows)?,
        false => numbered(&first_line, &rows),
    };
    if let Some(given) = &options.names {
        names = checked_names(given, names.len())?;
    }
    Ok(Some(Found {
        dialect: Dialect {
            syntax,
            values,
            trailing_sep,
        },
        names: distinct(names),
        data_start: if header { second } else { first },
        header,
    }))
}

/// How records are written: what the options say, and otherwise what suits the first of them.
fn syntax(bytes: &[u8], start: usize, whole: bool, options: &CsvOptions) -> Syntax {
    let mut syntax = Syntax {
        quote: match options.quote {
            None => Some(b'"'),
            Some(Quote::None) => None,
            Some(Quote::Char(quote)) => Some(quote),
        },
        escape: options.escape,
        comment: options.comment,
        skip_initial_space: options.skip_initial_space.unwrap_or_default(),
        ..Syntax::default()
    };
    if options.comment.is_none() {
        syntax.comment = comment(bytes, start, &syntax, options);
    }
    syntax.sep = options
        .sep
        .unwrap_or_else(|| separator(bytes, start, whole, &syntax));
    // As in pandas, a space that is named separates by itself, an empty field from the next.
    if syntax.sep == b' ' && options.sep.is_none() {
        let (rows, exact) = (
            records(bytes, start, whole, &syntax),
            evenness(bytes, start, whole, &syntax),
        );
        syntax.runs = rows.is_empty() || exact.share < 1.0;
    }
    if options.skip_initial_space.is_none() && !syntax.runs {
        syntax.skip_initial_space = padded(&records(bytes, start, whole, &syntax));
    }
    syntax
}

/// The columns that a header names, and whether every row ends in a separator.
fn named(header: &Record, rows: &[Record]) -> Result<(Vec<String>, bool), Option<String>> {
    let mut names = header_names(header)?;
    let trailing_sep = !rows.is_empty() && fit_names(&mut names, header, rows);
    Ok((names, trailing_sep))
}

/// Names for the columns of a file without a header, and whether every row ends in a separator.
fn numbered(first: &Record, rows: &[Record]) -> (Vec<String>, bool) {
    let ends = |row: &Record| row.len() == first.len() && row.last().is_some_and(Vec::is_empty);
    let trailing_sep = first.len() > 1 && ends(first) && rows.len() > 1 && rows.iter().all(ends);
    let columns = first.len() - usize::from(trailing_sep);
    let names = (1..=columns).map(|column| format!("column_{column}"));
    (names.collect(), trailing_sep)
}

/// The names that the options give to so many columns.
fn checked_names(given: &[String], columns: usize) -> Result<Vec<String>, Option<String>> {
    if given.len() != columns {
        let given = given.len();
        return Err(Some(format!(
            "{given} names are given for its {columns} columns"
        )));
    }
    match twice(given) {
        Some(twice) => Err(Some(format!("the name {twice:?} is given to two columns"))),
        None => Ok(given.to_vec()),
    }
}

fn first_line_and<'a>(
    rows: &'a [Record],
    first_line: &'a Record,
) -> impl Iterator<Item = &'a Record> + Clone {
    [first_line].into_iter().chain(rows)
}

/// Splits the first whole records after `start`.
fn records(bytes: &[u8], start: usize, whole: bool, syntax: &Syntax) -> Vec<Record> {
    let (mut records, mut fields, mut at) = (Vec::new(), Vec::new(), start);
    while records.len() < RECORDS {
        at = syntax.skip_blank(bytes, at);
        if at >= bytes.len() {
            break;
        }
        match syntax.fields(bytes, at, &mut fields) {
            End::At(end) if whole || bytes[end - 1] == b'\n' => {
                records.push(
                    fields
                        .iter()
                        .map(|field| field.text(syntax).into_owned())
                        .collect(),
                );
                at = end;
            }
            _ => break,
        }
    }
    records
}

/// `#`, if the file begins with lines that do and are not like the first that does not.
fn comment(bytes: &[u8], start: usize, syntax: &Syntax, options: &CsvOptions) -> Option<u8> {
    let mut at = syntax.skip_blank(bytes, start);
    let (first, mut lines) = (at, 0);
    // #N/A is a word for a missing value.
    while bytes.get(at) == Some(&b'#') && !bytes[at..].starts_with(b"#N") {
        at = next_line(bytes, at);
        lines += 1;
    }
    if lines == 0 || at >= bytes.len() {
        return None;
    }
    if lines > 1 {
        return Some(b'#');
    }
    // A single one may be a header.
    let separators = options.sep.map_or(SEPARATORS.to_vec(), |sep| vec![sep]);
    let mut fields: Vec<Field<'_>> = Vec::new();
    let header = separators.into_iter().any(|sep| {
        let syntax = Syntax {
            sep,
            runs: sep == b' ',
            ..syntax.clone()
        };
        let mut width = |at| {
            syntax.fields(bytes, at, &mut fields);
            fields.len()
        };
        let (above, below) = (width(first), width(at));
        above == below && above > 1
    });
    (!header).then_some(b'#')
}

/// How evenly a separator divides the first records.
struct Evenness {
    /// The most common number of fields.
    width: usize,
    /// The share of the records that have it.
    share: f64,
}

fn evenness(bytes: &[u8], start: usize, whole: bool, syntax: &Syntax) -> Evenness {
    let widths: Vec<usize> = records(bytes, start, whole, syntax)
        .iter()
        .map(|record| {
            let trailing = record.len() > 2 && record.last().is_some_and(Vec::is_empty);
            record.len() - usize::from(trailing)
        })
        .collect();
    let share = |width: usize| {
        let count = widths.iter().filter(|other| **other == width).count();
        count as f64 / widths.len() as f64
    };
    let candidates: BTreeSet<usize> = widths.iter().copied().collect();
    let best = candidates
        .into_iter()
        .map(|width| Evenness {
            width,
            share: share(width),
        })
        .max_by(|left, right| left.share.total_cmp(&right.share));
    best.unwrap_or(Evenness {
        width: 0,
        share: 0.0,
    })
}

/// The separator that divides the first records most evenly into more than one field.
fn separator(bytes: &[u8], start: usize, whole: bool, syntax: &Syntax) -> u8 {
    let mut best = (b',', 0.0);
    for sep in SEPARATORS {
        let syntax = Syntax {
            sep,
            runs: sep == b' ',
            ..syntax.clone()
        };
        let found = evenness(bytes, start, whole, &syntax);
        // Spaces are in many texts.
        let enough = if sep == b' ' { 1.0 } else { 0.5 };
        if found.width > 1 && found.share >= enough && found.share > best.1 {
            best = (sep, found.share);
        }
    }
    best.0
}

/// Whether a space follows every separator.
fn padded(rows: &[Record]) -> bool {
    let mut later = rows.iter().flat_map(|row| row.iter().skip(1)).peekable();
    later.peek().is_some() && later.all(|field| field.first() == Some(&b' '))
}

/// The decimal mark, and the mark between groups of digits if there is one.
fn marks<'a>(
    rows: impl Iterator<Item = &'a Record> + Clone,
    sep: u8,
    options: &CsvOptions,
) -> (u8, Option<u8>) {
    let numbers =
        |decimal: u8, thousands: Option<u8>| Values::new(None, &[], &[], decimal, thousands);
    let fits = |values: &Values, text: &[u8]| values.float(trim(text)).is_some();
    let (point, comma) = (numbers(b'.', None), numbers(b',', None));
    let fields = rows.flatten().filter(|text| {
        text.iter().any(|byte| b".,".contains(byte)) && text.iter().any(u8::is_ascii_digit)
    });
    let (mut points, mut commas) = (0, 0);
    let (mut grouped_commas, mut grouped_points, mut plain_commas) = (0, 0, 0);
    let (with_commas, with_points) = (numbers(b'.', Some(b',')), numbers(b',', Some(b'.')));
    for text in fields {
        let (as_point, as_comma) = (fits(&point, text), fits(&comma, text));
        points += usize::from(as_point);
        commas += usize::from(as_comma);
        if !as_point && fits(&with_commas, text) {
            // 1,234 may be either.
            if as_comma {
                plain_commas += 1;
            } else {
                grouped_commas += 1;
            }
        } else if !as_comma && !as_point && fits(&with_points, text) {
            grouped_points += 1;
        }
    }
    let decimal = options.decimal.unwrap_or_else(|| {
        let odd_commas = commas > plain_commas || grouped_points > 0;
        let separates = sep == b',' && !odd_commas;
        if grouped_commas == 0 && points == 0 && (commas > 0 || grouped_points > 0) && !separates {
            b','
        } else {
            b'.'
        }
    });
    let thousands = options.thousands.or({
        if decimal == b',' {
            (grouped_points > 0).then_some(b'.')
        } else if decimal == b'.' {
            // Between commas, a number with a comma stands in quotes.
            let quoted = sep == b',' && plain_commas > 0 && commas == plain_commas;
            (grouped_commas > 0 || quoted).then_some(b',')
        } else {
            None
        }
    });
    (decimal, thousands.filter(|mark| *mark != decimal))
}

/// Whether the first line names the columns: unless it is all numbers, or has numbers above numbers
/// and reads like a row.
fn is_header(first: &Record, rows: &[Record], values: &Values) -> bool {
    let number = |text: &[u8]| values.kind(text).number().is_some();
    let filled: Vec<&Vec<u8>> = first.iter().filter(|text| !trim(text).is_empty()).collect();
    // Pandas writes no name for the index.
    let unnamed_index = first.first().is_some_and(|name| trim(name).is_empty())
        && !rows.is_empty()
        && rows
            .iter()
            .all(|row| row.first().is_some_and(|index| !trim(index).is_empty()));
    if filled.is_empty() || unnamed_index {
        return true;
    }
    if filled
        .iter()
        .all(|text| number(text) || values.is_null(trim(text)))
    {
        return !filled.iter().any(|text| number(text));
    }
    let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    let kind = |index: usize| {
        let kinds = column(index).map(|text| values.kind(text));
        kinds.fold(ColumnType::Null, ColumnType::join)
    };
    let typed = |text: &[u8]| !matches!(values.kind(text), ColumnType::String | ColumnType::Null);
    let (mut numbers, mut like_a_row) = (BTreeSet::new(), false);
    for (index, text) in first.iter().enumerate() {
        let (own, below) = (values.kind(text), kind(index));
        if own == ColumnType::Null {
            continue;
        }
        if typed(text) {
            if !below.holds(own) || below == ColumnType::String {
                return true;
            }
            // Years and counters are names of columns; fractions, dates and the same number twice
            // are not.
            like_a_row |= own.number().is_none_or(|_| own == ColumnType::Float64);
            like_a_row |= !numbers.insert(trim(text).to_vec());
        } else if below != ColumnType::String {
            return true;
        } else {
            like_a_row |= column(index).any(|other| other == text);
        }
    }
    numbers.is_empty() || (!like_a_row && are_names(&numbers))
}

/// Whether whole numbers can be the names of columns: years, or a counter.
fn are_names(numbers: &BTreeSet<Vec<u8>>) -> bool {
    let parsed = numbers
        .iter()
        .map(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let Some(mut parsed) = parsed.collect::<Option<Vec<i64>>>() else {
        return false;
    };
    parsed.sort_unstable();
    let years = parsed.iter().all(|number| (1800..2200).contains(number));
    let counts = parsed.windows(2).all(|pair| pair[1] == pair[0] + 1);
    years || (counts && parsed.len() > 1)
}

/// The names in a header.
fn header_names(line: &Record) -> Result<Vec<String>, Option<String>> {
    let names = line
        .iter()
        .map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| {
            Some(
                "the header is not UTF-8 text: is the file a CSV? If so, name its encoding with \
                 CsvOptions::encoding"
                    .to_owned(),
            )
        })?;
    if names
        .iter()
        .any(|name| name.contains('\r') && !name.contains('\n'))
    {
        return Err(Some(
            "lines must end in \\n or \\r\\n, not in \\r alone".to_owned(),
        ));
    }
    if names.iter().any(|name| name.contains('\0')) {
        return Err(Some(
            "the header has zero bytes: is the file a CSV? If so, name its encoding with \
             CsvOptions::encoding"
                .to_owned(),
        ));
    }
    Ok(names)
}

/// Fits the names to rows that have another number of fields, and names the columns without one as
/// pandas does. Returns whether rows end in a separator.
fn fit_names(names: &mut Vec<String>, header: &Record, rows: &[Record]) -> bool {
    let width = header.len();
    let ends_empty = |row: &Record| row.last().is_some_and(|last| trim(last).is_empty());
    let all = |longer: usize| rows.iter().all(|row| row.len() == width + longer);
    let mut trailing = false;
    if all(1) && width > 0 {
        if rows.iter().all(ends_empty) {
            trailing = true;
        } else {
            // R writes no name for the names of its rows.
            names.insert(0, String::new());
        }
    } else if width > 1 && ends_empty(header) && all(0) && rows.iter().all(ends_empty) {
        names.pop();
        trailing = true;
    }
    for (index, name) in names.iter_mut().enumerate() {
        if name.is_empty() {
            *name = format!("Unnamed: {index}");
        }
    }
    trailing
}

fn twice(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

/// Gives columns of the same name others, as pandas does: `a`, `a.1`.
fn distinct(names: Vec<String>) -> Vec<String> {
    let all: BTreeSet<String> = names.iter().cloned().collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let name = if name.is_empty() {
                format!("Unnamed: {index}")
            } else {
                name
            };
            let others = (1..).map(|number| format!("{name}.{number}"));
            let chosen = if seen.contains(&name) {
                others
                    .into_iter()
                    .find(|other| !all.contains(other) && !seen.contains(other))
                    .unwrap_or_default()
            } else {
                name
            };
            seen.insert(chosen.clone());
            chosen
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        with(text, CsvOptions::new())
    }

    fn with(text: &str, options: CsvOptions) -> Found {
        find(text.as_bytes(), true, &options).unwrap().unwrap()
    }

    #[test]
    fn the_separator_divides_the_first_lines_evenly() {
        for (text, sep, width) in [
            ("a,b\n1,2\n", b',', 2),
            ("a;b\n1,5;2,5\n3,5;4,5\n", b';', 2),
            ("1,5;2,5;3,5\n1,5;2,5;3,5\n", b';', 3),
            ("a\tb\nx, y\tz, w\n", b'\t', 2),
            ("a|b|c\n1|2|3\n", b'|', 3),
            ("a b c\n1 2 3\n4 5 6\n", b' ', 3),
            ("  1   2\n 10  20\n", b' ', 2),
            ("name\nJohn Smith\nAnn\n", b',', 1),
            ("id,text\n1,\"a;b;c\"\n2,\"d;e\"\n", b',', 2),
            ("a\n1\n2\n", b',', 1),
            ("id,note\n1,hello; world\n2,x\n", b',', 2),
        ] {
            let found = found(text);
            assert_eq!(found.dialect.syntax.sep, sep, "{text:?}");
            assert_eq!(found.names.len(), width, "{text:?}");
        }
        assert!(!found("a b\n1  3\n").dialect.syntax.runs || found("a b\n1  3\n").names.len() == 2);
    }

    #[test]
    fn a_first_line_that_reads_like_a_row_is_one() {
        for text in [
            "0,1,2\n7,8,9\n",
            "5.1,3.5,setosa\n4.9,3.0,setosa\n",
            "1,0,x\n2,1,y\n1,0,x\n",
            "2026-01-01,a\n2026-01-02,b\n",
            "1,1,a\n2,2,b\n",
        ] {
            assert_eq!(found(text).names[0], "column_1", "{text:?}");
            assert_eq!(found(text).data_start, 0);
        }
        for text in [
            "a,b\n1,2\n",
            "country,2019,2020\nChile,1,2\nPeru,3,4\n",
            "a,b\nc,d\n",
            ",0,1\n0,5,6\n",
            "a,1.5\nx,y\n",
        ] {
            assert_ne!(found(text).names[0], "column_1", "{text:?}");
        }
        let given = with("0,1\n7,8\n", CsvOptions::new().header(true));
        assert_eq!(given.names, ["0", "1"]);
        let given = with("7,8\n", CsvOptions::new().header(false).names(["a", "b"]));
        assert_eq!(
            (given.names, given.data_start),
            (vec!["a".into(), "b".into()], 0)
        );
    }

    #[test]
    fn names_are_pandas_names() {
        assert_eq!(found("\u{feff}\"a, b\", c \n1,2\n").names, ["a, b", "c"]);
        assert_eq!(found(",a,a\n0,1,2\n").names, ["Unnamed: 0", "a", "a.1"]);
        assert_eq!(
            found("a,b\n\"r\",1,2\n\"s\",3,4\n").names,
            ["Unnamed: 0", "a", "b"]
        );
        let trailing = found("a,b,\n1,2,\n3,4,\n");
        assert_eq!(trailing.names, ["a", "b"]);
        assert!(trailing.dialect.trailing_sep);
        assert!(found("a,b\n1,2,\n3,4,\n").dialect.trailing_sep);
        assert_eq!(found("a,b,\n1,2,5\n").names, ["a", "b", "Unnamed: 2"]);
    }

    #[test]
    fn marks_in_numbers_are_found_where_they_can_only_be_one() {
        for (text, decimal, thousands) in [
            ("a;b\n1,5;x\n", b',', None),
            ("a;b\n1.5;x\n", b'.', None),
            ("a;b\n1.234,5;x\n", b',', Some(b'.')),
            ("a;b\n1,234.5;x\n", b'.', Some(b',')),
            ("a;b\n1,234,567;x\n", b'.', Some(b',')),
            ("a,b\n\"1,234\",x\n", b'.', Some(b',')),
            ("a,b\n\"1,5\",x\n", b',', None),
            ("a,b\n1.5,x\n", b'.', None),
        ] {
            let values = found(text).dialect.values;
            assert_eq!(
                (values.decimal, values.thousands),
                (decimal, thousands),
                "{text:?}"
            );
        }
    }

    #[test]
    fn comments_and_padding_are_found() {
        let commented = found("# made by hand\n# twice\na,b\n1,2\n");
        assert_eq!(commented.dialect.syntax.comment, Some(b'#'));
        assert_eq!(commented.names, ["a", "b"]);
        assert_eq!(found("#id,a\n1,2\n").names, ["#id", "a"]);
        assert_eq!(found("# by hand\na,b\n1,2\n").names, ["a", "b"]);
        assert!(found("a, b\n1, x\n").dialect.syntax.skip_initial_space);
        assert!(!found("a, b\n1,x\n").dialect.syntax.skip_initial_space);
        let skipped = with("report\n\na,b\n1,2\n", CsvOptions::new().skip_rows(1));
        assert_eq!(skipped.names, ["a", "b"]);
    }

    #[test]
    fn what_is_no_header_says_why() {
        let error = |bytes: &[u8]| find(bytes, true, &CsvOptions::new()).unwrap_err();
        assert_eq!(error(b""), None);
        assert_eq!(error(b"\n\n"), None);
        for (bytes, said) in [
            (&b"a,\xff\n"[..], "UTF-8"),
            (b"a,b\r1,2\r", "\\r alone"),
            (b"a,\"b\n1,2\n", "does not close"),
        ] {
            assert!(error(bytes).unwrap().contains(said));
        }
        let cut = find(b"pixel1,lab", false, &CsvOptions::new()).unwrap();
        assert_eq!(cut, None);
    }
}

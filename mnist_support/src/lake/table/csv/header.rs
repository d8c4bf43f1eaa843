//! The header of a CSV file.

use std::collections::BTreeSet;

use crate::{Error, Result, error::TableError};

use super::lines;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The column names of a CSV file, and where its data begins.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    pub(super) data_start: usize,
}

/// Parses the header from the beginning of a file, or from all of it if `whole`. Returns `None` if
/// it does not end within these bytes.
pub(super) fn read(bytes: &[u8], whole: bool, file: &str) -> Result<Option<Header>> {
    let Some((line, data_start)) = first_line(bytes, whole) else {
        return Ok(None);
    };
    if line.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::Table(TableError::EmptyFile {
            file: file.into(),
            reason: "its first line, which names the columns, is missing".into(),
        }));
    }
    let names = names_in(line).map_err(|reason| TableError::failed(file, reason))?;
    Ok(Some(Header { names, data_start }))
}

/// The first line without its line end, and where the next line begins.
fn first_line(bytes: &[u8], whole: bool) -> Option<(&[u8], usize)> {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let start = bytes.len() - text.len();
    let (line, data_start) = match text.iter().position(|byte| *byte == b'\n') {
        Some(length) => (&text[..length], start + length + 1),
        None if whole => (text, bytes.len()),
        None => return None,
    };
    Some((line.strip_suffix(b"\r").unwrap_or(line), data_start))
}

/// The column names in a line, or why it is not a header.
fn names_in(line: &[u8]) -> Result<Vec<String>, String> {
    if !lines::quotes_close(line) {
        return Err("a name in the header has a line break, which is not supported".into());
    }
    let names = lines::fields(line)
        .iter()
        .map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "the header is not UTF-8 text; is the file a CSV?")?;
    if names.iter().any(|name| name.contains('\r')) {
        return Err("lines must end in \\n or \\r\\n, not in \\r alone".into());
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err("its first line is numbers; a header that names the columns is needed".into());
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("column {} of the header has no name", index + 1));
        }
        if !seen.insert(name) {
            return Err(format!("the header names the column {name:?} twice"));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Result<Vec<String>> {
        read(bytes, true, "test.csv").map(|header| header.unwrap().names)
    }

    #[test]
    fn a_header_names_the_columns() {
        let header = read(b"pixel1,label\r\n1,2\r\n", false, "test.csv")
            .unwrap()
            .unwrap();
        assert_eq!(
            header,
            Header {
                names: vec!["pixel1".into(), "label".into()],
                data_start: 14
            }
        );
        assert_eq!(names(b"\xEF\xBB\xBF\"a, b\",c").unwrap(), ["a, b", "c"]);
        assert_eq!(read(b"pixel1,lab", false, "test.csv").unwrap(), None);
    }

    #[test]
    fn an_invalid_header_says_why() {
        for (bytes, said) in [
            (&b""[..], "missing"),
            (b"\n1,2\n", "missing"),
            (b"0,1,2\n", "numbers"),
            (b"a,a\n", "\"a\" twice"),
            (b"a,,b\n", "column 2"),
            (b"a,\xff\n", "UTF-8"),
            (b"a,b\r1,2\r", "\\r alone"),
            (b"a,\"b\nc\"\n", "line break"),
        ] {
            let message = names(bytes).unwrap_err().to_string();
            assert!(
                message.contains(said) && message.contains("test.csv"),
                "{message}"
            );
        }
    }
}

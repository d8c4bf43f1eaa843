//! Records and fields: lines, except that a line break in quotes is part of a field.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2, memrchr};

/// The characters that make lines into records and fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Syntax {
    pub(super) sep: u8,
    /// Whether any run of spaces and tabs is one separator.
    pub(super) runs: bool,
    pub(super) quote: Option<u8>,
    /// Makes the next character in quotes one like any other.
    pub(super) escape: Option<u8>,
    /// Begins a line that is a comment.
    pub(super) comment: Option<u8>,
    /// Whether spaces after a separator are dropped.
    pub(super) skip_initial_space: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        Syntax {
            sep: b',',
            runs: false,
            quote: Some(b'"'),
            escape: None,
            comment: None,
            skip_initial_space: false,
        }
    }
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// What stands between the separators, or between the quotes.
    bytes: &'a [u8],
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Without quotes, or with quotes and nothing to replace in them.
    Plain,
    /// With quotes in quotes, or characters after them.
    Quoted,
}

impl<'a> Field<'a> {
    /// A field whose text stands in the file as it is.
    #[inline]
    fn plain_of(bytes: &'a [u8]) -> Field<'a> {
        Field::new(bytes, false)
    }

    /// A field of these bytes, in which there are quotes to replace if it is `quoted`.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], quoted: bool) -> Field<'a> {
        let kind = if quoted { Kind::Quoted } else { Kind::Plain };
        Field { bytes, kind }
    }

    /// What [`new`](Self::new) was given.
    pub(super) fn parts(&self) -> (&'a [u8], bool) {
        (self.bytes, self.kind == Kind::Quoted)
    }

    /// The field's text, of a file that is written like this.
    pub(super) fn text(&self, syntax: &Syntax) -> Cow<'a, [u8]> {
        let (Kind::Quoted, Some(quote)) = (self.kind, syntax.quote) else {
            return Cow::Borrowed(self.bytes);
        };
        let escape = syntax.escape;
        let mut text = Vec::with_capacity(self.bytes.len());
        // The opening quote is not among the bytes.
        let (mut rest, mut quoted) = (self.bytes, true);
        while let [byte, after @ ..] = rest {
            rest = after;
            match after {
                [next, after @ ..] if quoted && Some(*byte) == escape && escape != Some(quote) => {
                    text.push(*next);
                    rest = after;
                }
                [next, after @ ..] if quoted && *byte == quote && *next == quote => {
                    text.push(quote);
                    rest = after;
                }
                _ if quoted && *byte == quote => quoted = false,
                _ => text.push(*byte),
            }
        }
        Cow::Owned(text)
    }

    /// The field's text, if it stands in the file as it is.
    #[inline]
    pub(super) fn plain(&self) -> Option<&'a [u8]> {
        (self.kind == Kind::Plain).then_some(self.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// How a record ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// The next record begins here.
    At(usize),
    /// A quote opens and does not close.
    OpenQuote,
}

impl Syntax {
    #[inline]
    fn separates(&self, byte: u8) -> bool {
        byte == self.sep || (self.runs && matches!(byte, b' ' | b'\t'))
    }

    /// Skips blank lines and comments from the start of a line. Returns where the next record
    /// begins.
    #[inline]
    pub(super) fn skip_blank(&self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            match bytes.get(at) {
                Some(b'\n') => at += 1,
                Some(b'\r') if matches!(bytes.get(at + 1), Some(b'\n') | None) => at += 1,
                Some(byte) if Some(*byte) == self.comment => at = next_line(bytes, at),
                Some(b' ' | b'\t') if !b" \t".contains(&self.sep) || self.runs => {
                    // A line of spaces is blank too.
                    let end = bytes[at..].iter().position(|byte| !b" \t\r".contains(byte));
                    match end.map(|end| at + end) {
                        None => return bytes.len(),
                        Some(end) if bytes[end] == b'\n' => at = end + 1,
                        Some(_) => return at,
                    }
                }
                _ => return at,
            }
        }
    }

    /// Splits the record at `at`, which is no blank line, into its fields.
    pub(super) fn fields<'a>(
        &self,
        bytes: &'a [u8],
        mut at: usize,
        fields: &mut Vec<Field<'a>>,
    ) -> End {
        fields.clear();
        if self.runs {
            at = self.skip_run(bytes, at);
        }
        loop {
            if self.skip_initial_space {
                while bytes.get(at) == Some(&b' ') {
                    at += 1;
                }
            }
            let after = match bytes.get(at) {
                Some(byte) if Some(*byte) == self.quote => {
                    match self.quoted(bytes, at + 1, *byte) {
                        Some((field, after)) => {
                            fields.push(field);
                            after
                        }
                        None => return End::OpenQuote,
                    }
                }
                _ => {
                    let end = self.field_end(bytes, at);
                    fields.push(Field::plain_of(&bytes[at..without_return(bytes, at, end)]));
                    end
                }
            };
            at = match bytes.get(after) {
                None => return End::At(after),
                Some(b'\n') => return End::At(after + 1),
                Some(_) if self.runs => self.skip_run(bytes, after),
                Some(_) => after + 1,
            };
            if self.runs && matches!(bytes.get(at), None | Some(b'\r' | b'\n')) {
                // Spaces at the end of a line separate nothing.
                return End::At(next_line(bytes, at));
            }
        }
    }

    /// Where a field without quotes that begins at `at` ends.
    #[inline]
    fn field_end(&self, bytes: &[u8], at: usize) -> usize {
        if self.runs {
            let mut rest = bytes[at..].iter();
            let end = rest.position(|byte| *byte == b'\n' || self.separates(*byte));
            return end.map_or(bytes.len(), |end| at + end);
        }
        // Most fields are short.
        let near = &bytes[at..bytes.len().min(at + 16)];
        match near
            .iter()
            .position(|byte| *byte == self.sep || *byte == b'\n')
        {
            Some(end) => at + end,
            None => {
                let from = at + near.len();
                memchr2(self.sep, b'\n', &bytes[from..]).map_or(bytes.len(), |end| from + end)
            }
        }
    }

    /// Reads the field whose text begins at `at`, after its quote. Returns it with where the
    /// separator or line end after it is.
    pub(super) fn quoted<'a>(
        &self,
        bytes: &'a [u8],
        at: usize,
        quote: u8,
    ) -> Option<(Field<'a>, usize)> {
        let (close, doubled) = self.closing_quote(bytes, at, quote)?;
        let after = close + 1;
        let end = match bytes.get(after) {
            None | Some(b'\n') => after,
            Some(byte) if self.separates(*byte) => after,
            Some(_) => self.field_end(bytes, after),
        };
        let end_of_text = without_return(bytes, after, end);
        let clean = bytes[after..end_of_text]
            .iter()
            .all(|byte| *byte == b' ' || *byte == b'\t');
        let field = if clean && !doubled {
            Field::plain_of(&bytes[at..close])
        } else {
            Field {
                bytes: &bytes[at..if clean { close } else { end_of_text }],
                kind: Kind::Quoted,
            }
        };
        Some((field, end))
    }

    /// Finds the quote that closes the one before `at`, and whether there are others to replace.
    fn closing_quote(&self, bytes: &[u8], mut at: usize, quote: u8) -> Option<(usize, bool)> {
        let mut doubled = false;
        let escape = self.escape.filter(|escape| *escape != quote);
        loop {
            let found = match escape {
                None => memchr(quote, &bytes[at.min(bytes.len())..]),
                Some(escape) => memchr2(quote, escape, &bytes[at.min(bytes.len())..]),
            };
            let close = at + found?;
            if bytes[close] != quote || bytes.get(close + 1) == Some(&quote) {
                doubled = true;
                at = close + 2;
            } else {
                return Some((close, doubled));
            }
        }
    }

    fn skip_run(&self, bytes: &[u8], at: usize) -> usize {
        let rest = bytes[at..].iter();
        at + rest.take_while(|byte| self.separates(**byte)).count()
    }

    /// Finds the end of the record at `at`, without looking at its fields more than necessary.
    pub(super) fn record_end(&self, bytes: &[u8], at: usize) -> End {
        let Some(quote) = self.quote else {
            return End::At(next_line(bytes, at));
        };
        let mut from = at;
        loop {
            let Some(found) = memchr2(b'\n', quote, &bytes[from.min(bytes.len())..]) else {
                return End::At(bytes.len());
            };
            let found = from + found;
            if bytes[found] == b'\n' {
                return End::At(found + 1);
            }
            from = if self.opens(bytes, at, found) {
                match self.closing_quote(bytes, found + 1, quote) {
                    Some((close, _)) => close + 1,
                    None => return End::OpenQuote,
                }
            } else {
                found + 1
            };
        }
    }

    /// Whether a quote stands at the beginning of a field, in a record that begins at `start`.
    fn opens(&self, bytes: &[u8], start: usize, quote: usize) -> bool {
        let mut before = &bytes[start..quote];
        if self.skip_initial_space || self.runs {
            while let [rest @ .., b' '] = before {
                if self.runs {
                    return true;
                }
                before = rest;
            }
        }
        before.last().is_none_or(|byte| self.separates(*byte))
    }

    /// Divides bytes that begin with a record into ranges of at least `size` bytes of whole
    /// records. What follows the last range is not whole, unless it is the end of the file.
    pub(super) fn chunks(
        &self,
        bytes: &[u8],
        size: usize,
        breaks_in_quotes: bool,
        at_end: bool,
    ) -> Vec<Range<usize>> {
        let mut chunks: Vec<Range<usize>> = Vec::with_capacity(bytes.len() / size.max(1) + 1);
        let mut start = 0;
        if !breaks_in_quotes {
            while start < bytes.len() {
                let from = (start + size.max(1) - 1).min(bytes.len());
                let end = match memchr(b'\n', &bytes[from..]) {
                    Some(end) => from + end + 1,
                    None => match memrchr(b'\n', &bytes[start..]) {
                        Some(end) if !at_end => start + end + 1,
                        _ if at_end => bytes.len(),
                        _ => break,
                    },
                };
                chunks.push(start..end);
                start = end;
            }
            return chunks;
        }
        let mut at = 0;
        while at < bytes.len() {
            at = match bytes[at] {
                byte if Some(byte) == self.comment => next_line(bytes, at),
                _ => match self.record_end(bytes, at) {
                    End::At(end) => end,
                    End::OpenQuote => break,
                },
            };
            if at - start >= size || at == bytes.len() {
                let whole = at < bytes.len() || at_end || bytes[at - 1] == b'\n';
                if !whole {
                    break;
                }
                chunks.push(start..at);
                start = at;
            }
        }
        if start < bytes.len() {
            let rest = if at_end {
                bytes.len()
            } else {
                // The last whole record begins the remainder.
                self.last_whole(bytes, start)
            };
            if rest > start {
                chunks.push(start..rest);
            }
        }
        chunks
    }

    /// Where the last whole record after `start` ends.
    fn last_whole(&self, bytes: &[u8], start: usize) -> usize {
        let mut whole = start;
        loop {
            let end = match bytes.get(whole) {
                Some(byte) if Some(*byte) == self.comment => End::At(next_line(bytes, whole)),
                Some(_) => self.record_end(bytes, whole),
                None => return whole,
            };
            match end {
                End::At(end) if bytes[end - 1] == b'\n' => whole = end,
                _ => return whole,
            }
        }
    }
}

/// Where the line after the one at `at` begins.
#[inline]
pub(super) fn next_line(bytes: &[u8], at: usize) -> usize {
    memchr(b'\n', &bytes[at.min(bytes.len())..]).map_or(bytes.len(), |end| at + end + 1)
}

/// Where a field that ends at `end` ends without a carriage return of the line's end.
#[inline]
pub(super) fn without_return(bytes: &[u8], start: usize, end: usize) -> usize {
    let ends_line = matches!(bytes.get(end), None | Some(b'\n'));
    if ends_line && end > start && bytes[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(syntax: &Syntax, text: &str) -> Vec<Vec<String>> {
        let (mut at, mut fields, mut rows) = (0, Vec::new(), Vec::new());
        let bytes = text.as_bytes();
        loop {
            at = syntax.skip_blank(bytes, at);
            if at >= bytes.len() {
                return rows;
            }
            let end = syntax.record_end(bytes, at);
            assert_eq!(syntax.fields(bytes, at, &mut fields), end, "{text:?}");
            let texts = fields.iter().map(|field| field.text(syntax).into_owned());
            rows.push(texts.map(|text| String::from_utf8(text).unwrap()).collect());
            match end {
                End::At(end) => at = end,
                End::OpenQuote => return rows,
            }
        }
    }

    #[test]
    fn fields_are_what_stands_between_separators_or_quotes() {
        let plain = Syntax::default();
        for (text, expected) in [
            ("a,b\r\nc,d", &[&["a", "b"][..], &["c", "d"]][..]),
            ("a,,\n,\n", &[&["a", "", ""], &["", ""]]),
            (
                "\"a,\"\"b\"\"\nc\",d\ne,f\n",
                &[&["a,\"b\"\nc", "d"], &["e", "f"]],
            ),
            ("a 5\" pipe,b\n1,2", &[&["a 5\" pipe", "b"], &["1", "2"]]),
            ("\"a\" ,\"b\"c,\"\"\n", &[&["a", "bc", ""]]),
            ("\n\r\n  \na\n\n", &[&["a"]]),
            ("\"a\r\nb\"\r\n", &[&["a\r\nb"]]),
        ] {
            assert_eq!(split(&plain, text), expected, "{text:?}");
        }
        let odd = Syntax {
            sep: b';',
            quote: Some(b'\''),
            escape: Some(b'\\'),
            comment: Some(b'#'),
            skip_initial_space: true,
            ..plain.clone()
        };
        assert_eq!(
            split(&odd, "# 'x\na; 'b\\';\"'\n#\n 1;2 \n"),
            [["a", "b';\""], ["1", "2 "]]
        );
        let runs = Syntax {
            sep: b' ',
            runs: true,
            ..plain
        };
        assert_eq!(
            split(&runs, "  1   2\t3  \n4 \"5 6\" 7\n"),
            [["1", "2", "3"], ["4", "5 6", "7"]]
        );
    }

    #[test]
    fn chunks_are_whole_records_that_are_all_of_the_bytes() {
        let syntax = Syntax {
            comment: Some(b'#'),
            ..Syntax::default()
        };
        let text = "a,\"b\nc\"\n# \"\n1,2\n\n3,\"\"\"\n\"\n4,5";
        let starts = [0, 8, 12, 16, 17, 25];
        for size in 0..30 {
            let chunks = syntax.chunks(text.as_bytes(), size, true, true);
            assert!(
                chunks.iter().all(|chunk| starts.contains(&chunk.start)),
                "{chunks:?}"
            );
            let joined: String = chunks.into_iter().map(|chunk| &text[chunk]).collect();
            assert_eq!(joined, text);
            for cut in 0..text.len() {
                let part = &text.as_bytes()[..cut];
                let whole = syntax.chunks(part, size, true, false);
                let end = whole.last().map_or(0, |chunk| chunk.end);
                let expected = starts.iter().rfind(|start| **start <= cut);
                assert_eq!(Some(&end), expected, "{cut} {size}");
            }
        }
    }
}

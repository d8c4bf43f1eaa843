//! Records into the fields of some columns, 64 bytes at a time.

use super::columns::Columns;
use super::problem::RowProblem;
use super::records::{End, Field, Syntax, without_return};

/// The number of bytes whose separators are found at once.
const BLOCK: usize = 64;
/// About how many fields of a batch there are: they should stay in the fastest cache.
const BATCH_FIELDS: usize = 1024;
/// The fewest rows of a batch.
const BATCH_ROWS: usize = 32;

/// The fields of some columns in successive rows.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    /// Row-major, and after each row a field that stands for all other columns. There may be more
    /// than there are rows.
    fields: Vec<Span>,
    /// Where each row begins.
    starts: Vec<usize>,
    stride: usize,
}

/// Where a field is, counted from the beginning of its row. Most of a batch's memory are these, so
/// they are small.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    /// The number of bytes, and whether they are the text as it is.
    length: u32,
}

/// The bit of a [`Span`]'s length that says that its text has quotes to replace.
const QUOTED: u32 = 1 << 31;

impl Span {
    #[inline]
    fn plain(start: usize, end: usize, row: usize) -> Span {
        Span {
            start: (start - row) as u32,
            length: (end - start) as u32,
        }
    }

    fn of(field: &Field<'_>, bytes: &[u8], row: usize) -> Span {
        let (text, quoted) = field.parts();
        let start = text.as_ptr().addr() - bytes.as_ptr().addr();
        let Span { start, length } = Span::plain(start, start + text.len(), row);
        let length = if quoted { length | QUOTED } else { length };
        Span { start, length }
    }

    #[inline]
    fn is_empty(self) -> bool {
        self.length & !QUOTED == 0
    }

    #[inline]
    fn field<'a>(self, bytes: &'a [u8], row: usize) -> Field<'a> {
        let start = row + self.start as usize;
        let end = start + (self.length & !QUOTED) as usize;
        Field::new(&bytes[start..end], self.length & QUOTED != 0)
    }
}

impl<'a> Rows<'a> {
    /// Where each row begins.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The fields of the column in `slot`.
    #[inline]
    pub(super) fn column(&self, slot: usize) -> impl Iterator<Item = Field<'a>> {
        let rows = self
            .starts
            .iter()
            .zip(self.fields.chunks_exact(self.stride));
        rows.map(move |(start, row)| row[slot].field(self.bytes, *start))
    }
}

/// Why a batch of rows ends.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// It is full: the next row begins here, or later.
    Full(usize),
    /// The next record begins at or behind the limit.
    Limit(usize),
    /// What is wrong with the record that begins here.
    Problem(usize, RowProblem),
}

impl Stop {
    /// Where the rows of the batch end.
    pub(super) fn at(&self) -> usize {
        match self {
            Stop::Full(at) | Stop::Limit(at) | Stop::Problem(at, _) => *at,
        }
    }
}

/// Splits records into the fields of some columns.
pub(super) struct Splitter<'a, 'c> {
    bytes: &'a [u8],
    syntax: &'c Syntax,
    trailing_sep: bool,
    /// The place in a row of each column of the file.
    slots: Vec<usize>,
    stride: usize,
    /// The quote, or what is no byte.
    quote: u16,
    /// The separators and line ends among the bytes from here, as bits.
    block: usize,
    marks: u64,
    /// The quotes among the same bytes.
    quotes: u64,
    scratch: Vec<Field<'a>>,
}

impl<'a, 'c> Splitter<'a, 'c> {
    /// A splitter for the columns `wanted`, in this order.
    pub(super) fn new(bytes: &'a [u8], columns: &'c Columns, wanted: &[usize]) -> Self {
        let mut slots = vec![wanted.len(); columns.len()];
        for (slot, column) in wanted.iter().enumerate() {
            slots[*column] = slot;
        }
        let syntax = &columns.dialect().syntax;
        let mut splitter = Splitter {
            bytes,
            syntax,
            quote: syntax.quote.map_or(u16::MAX, u16::from),
            trailing_sep: columns.dialect().trailing_sep,
            slots,
            stride: wanted.len() + 1,
            block: 0,
            marks: 0,
            quotes: 0,
            scratch: Vec::new(),
        };
        splitter.look_at(0);
        splitter
    }

    /// The place in a row of a column of the file, if it is wanted.
    pub(super) fn slot(&self, column: usize) -> usize {
        self.slots[column]
    }

    /// No rows, to be filled.
    pub(super) fn rows(&self) -> Rows<'a> {
        Rows {
            bytes: self.bytes,
            fields: Vec::new(),
            starts: Vec::new(),
            stride: self.stride,
        }
    }

    /// Replaces `rows` by those that begin from `at` on and before `limit`, as many as a batch has.
    pub(super) fn fill(&mut self, rows: &mut Rows<'a>, mut at: usize, limit: usize) -> Stop {
        rows.starts.clear();
        let most = (BATCH_FIELDS / self.stride).max(BATCH_ROWS);
        if rows.fields.is_empty() {
            rows.fields.resize(most * self.stride, Span::default());
        }
        while rows.starts.len() < most {
            if at >= limit {
                return Stop::Limit(at);
            }
            at = self.syntax.skip_blank(self.bytes, at);
            if at >= limit {
                // The rows behind the limit begin at it, or after blank lines.
                return Stop::Limit(limit);
            }
            let first = rows.starts.len() * self.stride;
            match self.record(at, &mut rows.fields[first..first + self.stride]) {
                Ok(end) => {
                    rows.starts.push(at);
                    at = end;
                }
                Err(problem) => return Stop::Problem(at, problem),
            }
        }
        Stop::Full(at)
    }

    /// Splits the record at `at`, which is no blank line, into `row`. Returns where the next one
    /// begins.
    #[inline]
    fn record(&mut self, at: usize, row: &mut [Span]) -> Result<usize, RowProblem> {
        let (end, mut found, last_is_empty) = if self.syntax.runs || self.syntax.skip_initial_space
        {
            self.fields_of_any(at, row)?
        } else {
            self.fields(at, row)?
        };
        if end - at >= QUOTED as usize {
            return Err(RowProblem::Other("it has 2 GiB or more".to_owned()));
        }
        let width = self.slots.len();
        // A separator at the end of a row is no field.
        if found == width + 1 && last_is_empty && self.trailing_sep {
            found -= 1;
        }
        if found == width {
            Ok(end)
        } else {
            let expected = width;
            Err(RowProblem::Ragged { expected, found })
        }
    }

    /// Returns where the next record begins, the number of fields, and whether the last is empty.
    #[inline]
    fn fields(
        &mut self,
        start: usize,
        row: &mut [Span],
    ) -> Result<(usize, usize, bool), RowProblem> {
        let bytes = self.bytes;
        let (mut at, mut found) = (start, 0);
        loop {
            let is_quoted = bytes.get(at).is_some_and(|byte| self.is_quote(*byte));
            let (mut span, end) = if is_quoted {
                self.quoted(at, start)?
            } else {
                let end = self.next_mark(at);
                (Span::plain(at, end, start), end)
            };
            let is_last = bytes.get(end).is_none_or(|byte| *byte == b'\n');
            if is_last && !is_quoted {
                span = Span::plain(at, without_return(bytes, at, end), start);
            }
            if let Some(slot) = self.slots.get(found) {
                row[*slot] = span;
            }
            found += 1;
            if is_last {
                let next = bytes.len().min(end + 1);
                return Ok((next, found, span.is_empty()));
            }
            at = end + 1;
        }
    }

    #[inline]
    fn is_quote(&self, byte: u8) -> bool {
        u16::from(byte) == self.quote
    }

    /// The field whose quote opens at `at`, and where the separator or line end after it is.
    #[inline]
    fn quoted(&mut self, at: usize, row: usize) -> Result<(Span, usize), RowProblem> {
        if self.syntax.escape.is_none() {
            let close = self.next_quote(at + 1);
            let after = close + 1;
            let end = match self.bytes.get(after..) {
                Some([b'\r', b'\n', ..]) => after + 1,
                _ => after,
            };
            if self
                .bytes
                .get(end)
                .is_some_and(|byte| *byte == self.syntax.sep || *byte == b'\n')
            {
                return Ok((Span::plain(at + 1, close, row), end));
            }
        }
        // Quotes in quotes, characters after them, or the end of the bytes.
        let field = self.syntax.quoted(self.bytes, at + 1, self.bytes[at]);
        let (field, end) = field.ok_or(RowProblem::OpenQuote)?;
        Ok((Span::of(&field, self.bytes, row), end))
    }

    /// The same, for separators of any kind.
    #[cold]
    fn fields_of_any(
        &mut self,
        at: usize,
        row: &mut [Span],
    ) -> Result<(usize, usize, bool), RowProblem> {
        let End::At(end) = self.syntax.fields(self.bytes, at, &mut self.scratch) else {
            return Err(RowProblem::OpenQuote);
        };
        for (field, slot) in self.scratch.iter().zip(&self.slots) {
            row[*slot] = Span::of(field, self.bytes, at);
        }
        let last_is_empty = self.scratch.last().is_some_and(Field::is_empty);
        Ok((end, self.scratch.len(), last_is_empty))
    }

    /// The first separator or line end from `from` on, or the end of the bytes.
    #[inline]
    fn next_mark(&mut self, from: usize) -> usize {
        self.next(from, |splitter| splitter.marks)
    }

    /// The first quote from `from` on, or the end of the bytes.
    #[inline]
    fn next_quote(&mut self, from: usize) -> usize {
        self.next(from, |splitter| splitter.quotes)
    }

    /// The first bit from `from` on, which is not before the bytes that were looked at last.
    #[inline]
    fn next(&mut self, from: usize, bits: impl Fn(&Self) -> u64) -> usize {
        if from >= self.block + BLOCK {
            self.look_at(from / BLOCK * BLOCK);
        }
        let mut found = bits(self) & (u64::MAX << (from - self.block));
        while found == 0 {
            if self.block + BLOCK >= self.bytes.len() {
                return self.bytes.len();
            }
            self.look_at(self.block + BLOCK);
            found = bits(self);
        }
        self.block + found.trailing_zeros() as usize
    }

    /// Finds what is among the 64 bytes from `block` on.
    #[inline]
    fn look_at(&mut self, block: usize) {
        self.block = block;
        let rest = &self.bytes[block.min(self.bytes.len())..];
        let (sep, quote) = (self.syntax.sep, self.syntax.quote.unwrap_or(b'\n'));
        (self.marks, self.quotes) = match rest.first_chunk::<BLOCK>() {
            Some(block) => marks(block, sep, quote),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                let within = (1 << rest.len()) - 1;
                let (marks, quotes) = marks(&block, sep, quote);
                (marks & within, quotes & within)
            }
        };
    }
}

/// The separators and line ends, and the quotes, among 64 bytes, the first in the lowest bit.
#[cfg(target_arch = "x86_64")]
#[inline]
fn marks(block: &[u8; BLOCK], sep: u8, quote: u8) -> (u64, u64) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    let (mut marks, mut quotes) = (0, 0);
    for place in (0..BLOCK).step_by(16) {
        // SAFETY: every x86_64 processor has SSE2, and there are 16 bytes at each place.
        let (mark, quote) = unsafe {
            let lane = _mm_loadu_si128(block.as_ptr().add(place).cast());
            let seps = _mm_cmpeq_epi8(lane, _mm_set1_epi8(sep.cast_signed()));
            let line_ends = _mm_cmpeq_epi8(lane, _mm_set1_epi8(b'\n'.cast_signed()));
            let quotes = _mm_cmpeq_epi8(lane, _mm_set1_epi8(quote.cast_signed()));
            let marks = _mm_or_si128(seps, line_ends);
            (_mm_movemask_epi8(marks), _mm_movemask_epi8(quotes))
        };
        marks |= u64::from(mark.cast_unsigned()) << place;
        quotes |= u64::from(quote.cast_unsigned()) << place;
    }
    (marks, quotes)
}

/// The separators and line ends, and the quotes, among 64 bytes, the first in the lowest bit.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn marks(block: &[u8; BLOCK], sep: u8, quote: u8) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // The highest bit of each byte that is zero, and no other.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    // Gathers the highest bits in the highest byte.
    let gather = |bits: u64| (bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let [sep, line_end, quote] = [sep, b'\n', quote].map(|byte| ONES * u64::from(byte));
    let (mut marks, mut quotes) = (0, 0);
    for (place, word) in block.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        marks |= gather(zeros(word ^ sep) | zeros(word ^ line_end)) << (8 * place);
        quotes |= gather(zeros(word ^ quote)) << (8 * place);
    }
    (marks, quotes)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::lake::NumberType;

    /// All columns of all rows, and where the first problem is.
    type Read = (Vec<Vec<Vec<u8>>>, Option<(usize, RowProblem)>);

    fn split(bytes: &[u8], columns: &Columns) -> Read {
        let wanted: Vec<usize> = (0..columns.len()).collect();
        let syntax = &columns.dialect().syntax;
        let mut splitter = Splitter::new(bytes, columns, &wanted);
        let (mut rows, mut at, mut read) = (splitter.rows(), 0, Vec::new());
        loop {
            let stop = splitter.fill(&mut rows, at, bytes.len());
            for row in 0..rows.starts().len() {
                let text = |slot| {
                    rows.column(slot)
                        .nth(row)
                        .unwrap()
                        .text(syntax)
                        .into_owned()
                };
                read.push((0..columns.len()).map(text).collect());
            }
            match stop {
                Stop::Full(next) => at = next,
                Stop::Limit(_) => return (read, None),
                Stop::Problem(at, problem) => return (read, Some((at, problem))),
            }
        }
    }

    fn by_fields(bytes: &[u8], columns: &Columns) -> Read {
        let mut read = Vec::new();
        let syntax = &columns.dialect().syntax;
        let outcome = super::super::general::for_each_record(bytes, columns, |at, fields| {
            let fields = fields.map_err(|problem| (at, problem))?;
            read.push(
                fields
                    .iter()
                    .map(|field| field.text(syntax).into_owned())
                    .collect(),
            );
            Ok(())
        });
        (read, outcome.err())
    }

    #[test]
    fn rows_are_those_of_the_plain_splitter() {
        let mut state: u64 = 3;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let pieces: [&[u8]; 16] = [
            b",",
            b",",
            b",",
            b"\n",
            b"\n",
            b"\r\n",
            b"\"",
            b"\"\"",
            b"\"a,b\",",
            b"\"x\ny\"",
            b" ",
            b"#",
            b"\r",
            b"12",
            b"a long text without anything in it",
            b"\xc3\xb6",
        ];
        let (mut rows, mut problems) = (0, 0);
        for _ in 0..30_000 {
            let width = 1 + next(4);
            let columns = testing::columns(&vec![NumberType::UInt8; width]);
            let mut bytes = Vec::new();
            for _ in 0..next(12) {
                for column in 0..width {
                    bytes.extend([&b""[..], b"7", b"\"q,\"", b"abc", b"\"\"\"\n\""][next(5)]);
                    bytes.extend(if column + 1 < width { &b","[..] } else { b"\n" });
                }
            }
            for _ in 0..next(3) {
                let at = next(bytes.len() + 1);
                bytes.splice(at..at, pieces[next(pieces.len())].iter().copied());
            }
            let read = split(&bytes, &columns);
            let shown = String::from_utf8_lossy(&bytes);
            assert_eq!(read, by_fields(&bytes, &columns), "{shown:?}");
            rows += read.0.len();
            problems += usize::from(read.1.is_some());
        }
        assert!(rows > 50_000 && problems > 5_000, "{rows} {problems}");
    }

    #[test]
    fn only_wanted_columns_are_kept_in_the_order_asked_for() {
        let columns = testing::columns(&[NumberType::UInt8; 3]);
        let mut splitter = Splitter::new(b"1,2,3\n4,5,6\n", &columns, &[2, 0]);
        let mut rows = splitter.rows();
        assert_eq!(splitter.fill(&mut rows, 0, 12), Stop::Limit(12));
        let texts = |slot| {
            let texts = rows.column(slot).map(|field| field.plain().unwrap());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts(0), [b"3", b"6"]);
        assert_eq!(texts(1), [b"1", b"4"]);
        assert_eq!(rows.starts(), [0, 6]);
        assert_eq!(splitter.fill(&mut rows, 0, 1), Stop::Limit(6));
    }
}

//! Records into the fields of some columns, 64 bytes at a time.

use super::columns::Columns;
use super::problem::RowProblem;
use super::records::{End, Field, Syntax, without_return};

/// The number of bytes whose separators are found at once.
const BLOCK: usize = 64;
/// About how many fields of a batch there are: they should stay in the fastest cache.
const BATCH_FIELDS: usize = 2048;
/// The fewest rows of a batch.
const BATCH_ROWS: usize = 32;

/// The fields of some columns in successive rows.
pub(super) struct Rows<'a> {
    /// Row-major, and after each row a field that stands for all other columns. There may be more
    /// than there are rows.
    fields: Vec<Field<'a>>,
    /// Where each row begins.
    starts: Vec<usize>,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Where each row begins.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The fields of the column in `slot`.
    #[inline]
    pub(super) fn column(&self, slot: usize) -> impl Iterator<Item = &Field<'a>> {
        let rows = self
            .fields
            .chunks_exact(self.stride)
            .take(self.starts.len());
        rows.map(move |row| &row[slot])
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
            scratch: Vec::new(),
        };
        splitter.marks = splitter.marks_at(0);
        splitter
    }

    /// The place in a row of a column of the file, if it is wanted.
    pub(super) fn slot(&self, column: usize) -> usize {
        self.slots[column]
    }

    /// No rows, to be filled.
    pub(super) fn rows(&self) -> Rows<'a> {
        Rows {
            fields: Vec::new(),
            starts: Vec::new(),
            stride: self.stride,
        }
    }

    /// Replaces `rows` by those that begin from `at` on and before `limit`, as many as a batch has.
    pub(super) fn fill(&mut self, rows: &mut Rows<'a>, mut at: usize, limit: usize) -> Stop {
        rows.starts.clear();
        let most = (BATCH_FIELDS / self.stride).max(BATCH_ROWS);
        rows.fields.resize(most * self.stride, Field::EMPTY);
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
    fn record(&mut self, at: usize, row: &mut [Field<'a>]) -> Result<usize, RowProblem> {
        let (end, mut found, last_is_empty) = if self.syntax.runs || self.syntax.skip_initial_space
        {
            self.fields_of_any(at, row)?
        } else {
            self.fields(at, row)?
        };
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
        mut at: usize,
        row: &mut [Field<'a>],
    ) -> Result<(usize, usize, bool), RowProblem> {
        let bytes = self.bytes;
        let mut found = 0;
        loop {
            let (field, end) = match bytes.get(at) {
                Some(byte) if u16::from(*byte) == self.quote => {
                    let quoted = self.syntax.quoted(bytes, at + 1, *byte);
                    quoted.ok_or(RowProblem::OpenQuote)?
                }
                _ => {
                    let end = self.next_mark(at);
                    (Field::plain_of(&bytes[at..end]), end)
                }
            };
            let slot = self.slots.get(found);
            found += 1;
            match bytes.get(end) {
                Some(byte) if *byte != b'\n' => {
                    if let Some(slot) = slot {
                        row[*slot] = field;
                    }
                    at = end + 1;
                }
                line_end => {
                    let mut field = field;
                    if bytes
                        .get(at)
                        .is_none_or(|byte| u16::from(*byte) != self.quote)
                    {
                        let text = &bytes[at..without_return(bytes, at, end)];
                        field = Field::plain_of(text);
                    }
                    if let Some(slot) = slot {
                        row[*slot] = field;
                    }
                    let next = end + usize::from(line_end.is_some());
                    return Ok((next, found, field.is_empty()));
                }
            }
        }
    }

    /// The same, for separators of any kind.
    #[cold]
    fn fields_of_any(
        &mut self,
        at: usize,
        row: &mut [Field<'a>],
    ) -> Result<(usize, usize, bool), RowProblem> {
        let End::At(end) = self.syntax.fields(self.bytes, at, &mut self.scratch) else {
            return Err(RowProblem::OpenQuote);
        };
        for (field, slot) in self.scratch.iter().zip(&self.slots) {
            row[*slot] = *field;
        }
        let last_is_empty = self.scratch.last().is_some_and(Field::is_empty);
        Ok((end, self.scratch.len(), last_is_empty))
    }

    /// The first separator or line end from `from` on, or the end of the bytes.
    #[inline]
    fn next_mark(&mut self, from: usize) -> usize {
        if from >= self.block + BLOCK {
            self.block = from / BLOCK * BLOCK;
            self.marks = self.marks_at(self.block);
        }
        let mut marks = self.marks & (u64::MAX << (from - self.block));
        while marks == 0 {
            self.block += BLOCK;
            if self.block >= self.bytes.len() {
                self.block = self.bytes.len() / BLOCK * BLOCK;
                self.marks = 0;
                return self.bytes.len();
            }
            self.marks = self.marks_at(self.block);
            marks = self.marks;
        }
        self.block + marks.trailing_zeros() as usize
    }

    /// The separators and line ends among the 64 bytes from `at` on, the first in the lowest bit.
    #[inline]
    fn marks_at(&self, at: usize) -> u64 {
        let rest = &self.bytes[at.min(self.bytes.len())..];
        match rest.first_chunk::<BLOCK>() {
            Some(block) => marks(block, self.syntax.sep),
            None => {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                marks(&block, self.syntax.sep) & ((1 << rest.len()) - 1)
            }
        }
    }
}

#[inline]
fn marks(block: &[u8; BLOCK], sep: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // The highest bit of each byte that is zero, and no other.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    let (sep, line_end) = (ONES * u64::from(sep), ONES * u64::from(b'\n'));
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().fold(0, |marks, (place, word)| {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ sep) | zeros(word ^ line_end);
        // Gathers the highest bits in the highest byte.
        let bits = (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        marks | bits << (8 * place)
    })
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
        let mut splitter = Splitter::new(bytes, columns, &wanted);
        let (mut rows, mut at, mut read) = (splitter.rows(), 0, Vec::new());
        loop {
            let stop = splitter.fill(&mut rows, at, bytes.len());
            for row in 0..rows.starts().len() {
                let text = |slot| rows.column(slot).nth(row).unwrap().text().into_owned();
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
        let outcome = super::super::general::for_each_record(bytes, columns, |at, fields| {
            let fields = fields.map_err(|problem| (at, problem))?;
            read.push(
                fields
                    .iter()
                    .map(|field| field.text().into_owned())
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

//! The bytes of a CSV file in UTF-8: those of the file, or what they decode to.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::options::{CsvOptions, Encoding};
use crate::lake::file::LakeFile;
use crate::lake::reading::OnProgress;
use crate::{Error, Result, error::TableError};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const UTF_16_LOW_FIRST: &[u8] = b"\xff\xfe";
const UTF_16_HIGH_FIRST: &[u8] = b"\xfe\xff";

/// A compressed file that holds more than this is decompressed whenever it is read, as far as
/// necessary, and not kept in memory.
const LARGEST_IN_MEMORY: u64 = if cfg!(test) { 64 } else { 256 << 20 };
/// How much of such a file is kept for its header and the first sample.
const FIRST: usize = 256 << 10;

/// How many small reads are under way at once.
const AT_ONCE: usize = 64;

/// The bytes of a CSV file in UTF-8.
#[derive(Clone)]
pub(super) struct Content {
    file: LakeFile,
    source: Source,
}

/// Where the bytes of the content are.
#[derive(Clone)]
enum Source {
    /// In the file.
    File,
    /// In memory: what a file decodes to that is compressed or in another encoding. Such a file
    /// cannot be read in the middle.
    Memory(Bytes),
    /// In the bytes of a compressed file, which decompress to so many.
    Compressed { packed: Bytes, size: u64 },
}

impl Content {
    /// Opens the content of a file that begins with `first`. Returns it with its own first bytes.
    pub(super) fn open(
        file: LakeFile,
        first: Bytes,
        options: &CsvOptions,
    ) -> Result<(Content, Bytes)> {
        let compressed = first.starts_with(GZIP) || first.starts_with(ZSTD);
        let utf16 = first.starts_with(UTF_16_LOW_FIRST) || first.starts_with(UTF_16_HIGH_FIRST);
        let decodes = options
            .encoding
            .map_or(utf16, |encoding| encoding != Encoding::Utf8);
        if !compressed && !decodes {
            let source = Source::File;
            return Ok((Content { file, source }, first));
        }
        let mut bytes = if first.len() as u64 == file.size() {
            first
        } else {
            file.read(0..file.size())?
        };
        if compressed {
            let unpacked = unpack(&bytes, decodes).map_err(|error| damaged(&file, &error))?;
            match unpacked {
                (whole, 0) => bytes = whole,
                (first, more) => {
                    let size = first.len() as u64 + more;
                    // A slice would keep the rest in memory.
                    let first = Bytes::copy_from_slice(&first[..first.len().min(FIRST)]);
                    let source = Source::Compressed {
                        packed: bytes,
                        size,
                    };
                    return Ok((Content { file, source }, first));
                }
            }
        }
        let bytes = decode(bytes, options.encoding)
            .map_err(|reason| TableError::failed(file.url(), reason.to_owned()))?;
        let source = Source::Memory(bytes.clone());
        Ok((Content { file, source }, bytes))
    }

    pub(super) fn url(&self) -> &str {
        self.file.url()
    }

    /// The size of the file.
    pub(super) fn file_size(&self) -> u64 {
        self.file.size()
    }

    /// The size of the content.
    pub(super) fn size(&self) -> u64 {
        match &self.source {
            Source::File => self.file.size(),
            Source::Memory(bytes) => bytes.len() as u64,
            Source::Compressed { size, .. } => *size,
        }
    }

    /// Whether a range is read by decompressing all that is before it.
    pub(super) fn is_unpacked_when_read(&self) -> bool {
        match &self.source {
            Source::Compressed { .. } => true,
            Source::File | Source::Memory(_) => false,
        }
    }

    pub(super) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match &self.source {
            Source::File => self.file.read(range),
            Source::Memory(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            Source::Compressed { packed, .. } => {
                let mut unpacking = Unpacking::of(packed);
                unpacking
                    .read(range)
                    .map_err(|error| damaged(&self.file, &error))
            }
        }
    }

    /// Reads small byte ranges, many at once or in one pass over the file.
    pub(super) fn read_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match &self.source {
            Source::File => {
                let mut read = Vec::with_capacity(ranges.len());
                for some in ranges.chunks(AT_ONCE) {
                    let pending = some.iter().map(|range| self.file.start(range.clone()));
                    let pending = pending.collect::<Result<Vec<_>>>()?;
                    for range in pending {
                        read.push(range.wait()??);
                    }
                }
                Ok(read)
            }
            Source::Memory(_) => ranges
                .iter()
                .map(|range| self.read(range.clone()))
                .collect(),
            Source::Compressed { packed, .. } => {
                let mut unpacking = Unpacking::of(packed);
                let read = ranges.iter().map(|range| unpacking.read(range.clone()));
                let read = read.collect::<io::Result<_>>();
                read.map_err(|error| damaged(&self.file, &error))
            }
        }
    }

    /// Fetches byte ranges in order, each while the previous one is being used, and calls `each`
    /// with its start and its bytes.
    pub(super) fn for_each_range(
        &self,
        ranges: &[Range<u64>],
        on_progress: OnProgress<'_>,
        mut each: impl FnMut(Range<u64>, Bytes) -> Result<()>,
    ) -> Result<()> {
        match &self.source {
            Source::File => {}
            Source::Memory(_) => {
                let mut ranges = ranges.iter();
                return ranges.try_for_each(|range| each(range.clone(), self.read(range.clone())?));
            }
            Source::Compressed { packed, .. } => return self.unpacked(packed, ranges, each),
        }
        let groups: Vec<Vec<Range<u64>>> = ranges.iter().map(|range| vec![range.clone()]).collect();
        let meter = self.file.meter(&groups, on_progress);
        for (range, read) in ranges.iter().zip(self.file.read_ahead(&groups, &meter)) {
            for bytes in read? {
                each(range.clone(), bytes)?;
            }
        }
        Ok(())
    }

    /// Decompresses ranges in order, each while the previous one is being used.
    fn unpacked(
        &self,
        packed: &Bytes,
        ranges: &[Range<u64>],
        mut each: impl FnMut(Range<u64>, Bytes) -> Result<()>,
    ) -> Result<()> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || {
                let mut unpacking = Unpacking::of(packed);
                for range in ranges {
                    let bytes = unpacking.read(range.clone());
                    // Nobody receives after an error.
                    if sender.send((range, bytes)).is_err() {
                        break;
                    }
                }
            });
            for (range, bytes) in receiver {
                each(
                    range.clone(),
                    bytes.map_err(|error| damaged(&self.file, &error))?,
                )?;
            }
            Ok(())
        })
    }
}

/// Decompresses a file, as far as it is kept in memory: all of it if the text is in another
/// encoding than UTF-8. Returns that with the number of bytes that it has beyond.
fn unpack(packed: &Bytes, decodes: bool) -> io::Result<(Bytes, u64)> {
    let mut reader = reader(packed)?;
    let mut text = Vec::new();
    (&mut reader)
        .take(LARGEST_IN_MEMORY)
        .read_to_end(&mut text)?;
    let mut more = 0;
    if decodes || text.starts_with(UTF_16_LOW_FIRST) || text.starts_with(UTF_16_HIGH_FIRST) {
        reader.read_to_end(&mut text)?;
    } else {
        more = io::copy(&mut reader, &mut io::sink())?;
    }
    Ok((text.into(), more))
}

fn reader<'a>(packed: &'a [u8]) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match packed.starts_with(GZIP) {
        true => Box::new(MultiGzDecoder::new(packed)),
        false => Box::new(zstd::stream::read::Decoder::new(packed)?),
    })
}

/// A compressed file as it is being read.
struct Unpacking<'a> {
    packed: &'a [u8],
    reader: Option<Box<dyn Read + Send + 'a>>,
    at: u64,
}

impl<'a> Unpacking<'a> {
    fn of(packed: &'a [u8]) -> Unpacking<'a> {
        Unpacking {
            packed,
            reader: None,
            at: 0,
        }
    }

    /// Reads a range, from the beginning of the file on unless it is behind the one before.
    fn read(&mut self, range: Range<u64>) -> io::Result<Bytes> {
        let mut reader = match self.reader.take() {
            Some(reader) if self.at <= range.start => reader,
            _ => {
                self.at = 0;
                reader(self.packed)?
            }
        };
        io::copy(
            &mut (&mut reader).take(range.start - self.at),
            &mut io::sink(),
        )?;
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        (&mut reader)
            .take(range.end - range.start)
            .read_to_end(&mut bytes)?;
        self.at = range.end;
        self.reader = Some(reader);
        Ok(bytes.into())
    }
}

fn damaged(file: &LakeFile, error: &io::Error) -> Error {
    TableError::failed(file.url(), format!("it cannot be decompressed: {error}"))
}

/// Decodes text to UTF-8.
fn decode(bytes: Bytes, encoding: Option<Encoding>) -> Result<Bytes, &'static str> {
    let low_first = bytes.starts_with(UTF_16_LOW_FIRST);
    let high_first = bytes.starts_with(UTF_16_HIGH_FIRST);
    match encoding {
        None if low_first || high_first => decode(bytes, Some(Encoding::Utf16)),
        None | Some(Encoding::Utf8) => Ok(bytes),
        Some(Encoding::Latin1) => {
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            Ok(text.into())
        }
        Some(Encoding::Utf16) => {
            if !bytes.len().is_multiple_of(2) {
                return Err("it is not UTF-16: half a character is missing at its end");
            }
            let from = if low_first || high_first { 2 } else { 0 };
            let pairs = bytes[from..].chunks_exact(2).map(|pair| match *pair {
                [high, low] if high_first => u16::from_be_bytes([high, low]),
                [low, high] => u16::from_le_bytes([low, high]),
                _ => 0,
            });
            let text = char::decode_utf16(pairs).collect::<Result<String, _>>();
            Ok(text
                .map_err(|_| "it is not UTF-16: half of a pair of surrogates is missing")?
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_to_utf_8() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Bytes {
            text.encode_utf16()
                .flat_map(bytes)
                .collect::<Vec<u8>>()
                .into()
        };
        for text in ["\u{feff}a,ö,\u{1f600}\n", "\u{feff}"] {
            let expected = &text.as_bytes()[3..];
            assert_eq!(
                decode(utf16(text, u16::to_le_bytes), None).unwrap(),
                expected
            );
            assert_eq!(
                decode(utf16(text, u16::to_be_bytes), None).unwrap(),
                expected
            );
        }
        let plain = utf16("a,ö", u16::to_le_bytes);
        assert_eq!(
            decode(plain, Some(Encoding::Utf16)).unwrap(),
            "a,ö".as_bytes()
        );
        let latin = Bytes::from_static(b"caf\xe9");
        assert_eq!(
            decode(latin, Some(Encoding::Latin1)).unwrap(),
            "café".as_bytes()
        );
        for broken in [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8"] {
            assert!(decode(Bytes::from_static(broken), None).is_err());
        }
    }
}

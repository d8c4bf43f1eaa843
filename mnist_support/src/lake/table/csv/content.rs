//! The bytes of a CSV file in UTF-8: those of the file, or what they decode to.

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::options::{CsvOptions, Encoding};
use crate::lake::file::LakeFile;
use crate::lake::reading::OnProgress;
use crate::{Result, error::TableError};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const UTF_16_LOW_FIRST: &[u8] = b"\xff\xfe";
const UTF_16_HIGH_FIRST: &[u8] = b"\xfe\xff";

/// The bytes of a CSV file in UTF-8.
#[derive(Clone)]
pub(super) struct Content {
    file: LakeFile,
    /// What the file decodes to, if it is compressed or in another encoding. Such a file cannot be
    /// read in the middle.
    decoded: Option<Bytes>,
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
            let content = Content {
                file,
                decoded: None,
            };
            return Ok((content, first));
        }
        let mut bytes = if first.len() as u64 == file.size() {
            first
        } else {
            file.read(0..file.size())?
        };
        let failed = |reason: String| TableError::failed(file.url(), reason);
        if compressed {
            bytes = decompress(&bytes)
                .map_err(|error| failed(format!("it cannot be decompressed: {error}")))?;
        }
        let bytes = decode(bytes, options.encoding).map_err(|reason| failed(reason.to_owned()))?;
        let content = Content {
            file,
            decoded: Some(bytes.clone()),
        };
        Ok((content, bytes))
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
        match &self.decoded {
            Some(bytes) => bytes.len() as u64,
            None => self.file.size(),
        }
    }

    /// The content in memory, if it is there.
    pub(super) fn decoded(&self) -> Option<&Bytes> {
        self.decoded.as_ref()
    }

    pub(super) fn file(&self) -> &LakeFile {
        &self.file
    }

    pub(super) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match &self.decoded {
            Some(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            None => self.file.read(range),
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
        if self.decoded.is_some() {
            return ranges
                .iter()
                .try_for_each(|range| each(range.clone(), self.read(range.clone())?));
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
}

fn decompress(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut text = Vec::new();
    if bytes.starts_with(GZIP) {
        MultiGzDecoder::new(bytes).read_to_end(&mut text)?;
    } else {
        zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut text)?;
    }
    Ok(text.into())
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

//! The contents of a file, decompressed if it is gzipped, and what a file is if it is not an IDX
//! file.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::IdxError;
use crate::{
    Error, Result,
    error::{LakeError, MnistError},
};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file that is read from beginning to end.
pub(super) struct Content {
    path: PathBuf,
    bytes: Bytes,
    /// The size of the file in bytes.
    size: u64,
    /// The number of bytes read so far, decompressed.
    read: u64,
}

enum Bytes {
    Plain(BufReader<File>),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Content {
    /// Opens a file. Its first bytes, not its name, say whether it is gzipped.
    pub(super) fn open(path: &Path) -> Result<Content> {
        let failed = |source| io_error("reading", path, source);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let zipped = io::BufRead::fill_buf(&mut reader)
            .map_err(failed)?
            .starts_with(&GZIP);
        let bytes = if zipped {
            Bytes::Gzip(Box::new(MultiGzDecoder::new(reader)))
        } else {
            Bytes::Plain(reader)
        };
        Ok(Content {
            path: path.into(),
            bytes,
            size,
            read: 0,
        })
    }

    /// Reads the next `count` bytes, or fewer at the end of the file. Memory grows with the bytes
    /// read, not with `count`.
    pub(super) fn next(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut values = match self.bytes_left() {
            Some(left) => Vec::with_capacity(left.min(count) as usize),
            None => Vec::new(),
        };
        let end = match &mut self.bytes {
            Bytes::Plain(reader) => reader.take(count).read_to_end(&mut values),
            Bytes::Gzip(reader) => reader.take(count).read_to_end(&mut values),
        };
        self.read += values.len() as u64;
        end.map_err(|source| self.failure(source))?;
        Ok(values)
    }

    /// The number of bytes left, if the file size tells it.
    pub(super) fn bytes_left(&self) -> Option<u64> {
        match self.bytes {
            Bytes::Plain(_) => Some(self.size.saturating_sub(self.read)),
            Bytes::Gzip(_) => None,
        }
    }

    fn failure(&self, source: io::Error) -> Error {
        if matches!(self.bytes, Bytes::Plain(_)) || source.raw_os_error().is_some() {
            return io_error("reading", &self.path, source);
        }
        let source = match source.kind() {
            ErrorKind::UnexpectedEof => IdxError::CutGzip {
                unpacked: self.read,
            },
            _ => IdxError::DamagedGzip { source },
        };
        Error::Mnist(MnistError::InvalidIdx {
            path: self.path.clone(),
            source,
        })
    }
}

/// Recognises the files that are commonly found in place of an IDX file, by their first bytes.
pub(super) fn recognise(start: &[u8]) -> Option<IdxError> {
    let packed = |with, command| Some(IdxError::Packed { with, command });
    match start {
        [] => return Some(IdxError::Empty),
        // The outer compression has been removed already, so this is a second one.
        [0x1f, 0x8b, ..] => return packed("gzip, twice", "gunzip"),
        [b'P', b'K', 3, 4, ..] => return packed("zip", "unzip"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return packed("xz", "unxz"),
        [b'B', b'Z', b'h', ..] => return packed("bzip2", "bunzip2"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return packed("zstd", "unzstd"),
        _ => {}
    }
    if start.starts_with(b"version https://git-lfs") {
        return Some(IdxError::GitLfsPointer);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    if text.trim_ascii_start().starts_with(b"<") {
        return Some(IdxError::WebPage);
    }
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    text.iter().all(is_text).then_some(IdxError::Text)
}

/// An error about a local file. If access is denied, it says what to do.
pub(super) fn io_error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    if operation == "reading" && source.kind() == ErrorKind::PermissionDenied {
        return Error::Lake(LakeError::AccessDenied {
            url: path.display().to_string(),
            reason: "permission denied".into(),
            hint: "make it readable with chmod, or ask its owner to".into(),
        });
    }
    Error::Io {
        operation,
        path: path.into(),
        source,
    }
}

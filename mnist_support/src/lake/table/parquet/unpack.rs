//! Decompresses pages before polars sees them.
//!
//! Polars makes a context of zstd for each column chunk. That asks the processor what it can do,
//! which a virtual machine answers slowly: of a table with hundreds of columns, a fifth of the time
//! is spent on that.

use std::cell::RefCell;

use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
use polars_parquet_format::{ColumnChunk, CompressionCodec, PageHeader, PageType};
use rayon::prelude::*;
use zstd::bulk::Decompressor;

use super::footer::MAGIC;
use super::pages::Page;

/// More bytes than this are left to polars, which decompresses a page at a time.
pub(super) const LARGEST: usize = 64 << 20;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::new().ok());
}

/// Calls `work` with the context of this thread, which lasts as long as the thread.
pub(super) fn with_decompressor<T>(
    work: impl FnOnce(&mut Decompressor<'_>) -> Option<T>,
) -> Option<T> {
    DECOMPRESSOR.with_borrow_mut(|zstd| work(zstd.as_mut()?))
}

/// A column chunk whose pages are to be decompressed.
pub(super) struct Unpacked<'a> {
    is_compressed: bool,
    /// The headers that the pages get, one after the other.
    headers: Vec<u8>,
    /// The pages, with the lengths of these headers.
    pages: Vec<(usize, Page<'a>)>,
    size: usize,
}

/// Where a column chunk is in a file.
pub(super) struct Place {
    dictionary: Option<usize>,
    data: usize,
    size: usize,
}

impl<'a> Unpacked<'a> {
    /// Plans a chunk; `None` if it is compressed by another codec than zstd, or has pages of a kind
    /// that is never written.
    pub(super) fn of(chunk: &ColumnChunk, pages: Vec<Page<'a>>) -> Option<Unpacked<'a>> {
        let is_compressed = match chunk.meta_data.as_ref()?.codec {
            CompressionCodec::ZSTD => true,
            CompressionCodec::UNCOMPRESSED => false,
            _ => return None,
        };
        let (mut headers, mut planned) = (Vec::new(), Vec::with_capacity(pages.len()));
        let mut bodies = 0_usize;
        for page in pages {
            let before = headers.len();
            write_header(&page.header, &mut headers)?;
            bodies = bodies.checked_add(page.header.uncompressed_page_size as usize)?;
            planned.push((headers.len() - before, page));
        }
        let size = bodies.checked_add(headers.len())?;
        Some(Unpacked {
            is_compressed,
            headers,
            pages: planned,
            size,
        })
    }

    /// Writes the pages; `None` if one cannot be decompressed.
    fn write(&self, mut output: &mut [u8], zstd: &mut Decompressor<'_>) -> Option<()> {
        let mut headers = &self.headers[..];
        for (length, page) in &self.pages {
            let (header, others) = headers.split_at_checked(*length)?;
            let (own, rest) = output.split_at_mut_checked(*length)?;
            own.copy_from_slice(header);
            let size = page.header.uncompressed_page_size as usize;
            let (own, rest) = rest.split_at_mut_checked(size)?;
            match self.is_compressed {
                true => decompress(page, own, zstd)?,
                false => copy(page.body, own)?,
            }
            (headers, output) = (others, rest);
        }
        Some(())
    }

    /// Where it is in a file in which it begins at byte `at`.
    fn place(&self, at: usize) -> Place {
        let first = self.pages.first();
        let dictionary = first.filter(|(_, page)| page.header.type_ == PageType::DICTIONARY_PAGE);
        let length =
            dictionary.map(|(length, page)| length + page.header.uncompressed_page_size as usize);
        Place {
            dictionary: dictionary.map(|_| at),
            data: at + length.unwrap_or(0),
            size: self.size,
        }
    }
}

impl Place {
    /// Says in a chunk's metadata that it is here, uncompressed.
    pub(super) fn apply(&self, chunk: &mut ColumnChunk) {
        if let Some(column) = &mut chunk.meta_data {
            column.codec = CompressionCodec::UNCOMPRESSED;
            column.total_compressed_size = self.size as i64;
            column.total_uncompressed_size = self.size as i64;
            column.dictionary_page_offset = self.dictionary.map(|at| at as i64);
            column.data_page_offset = self.data as i64;
        }
    }
}

/// Appends the header of a page once it is decompressed; `None` for a page of another kind.
fn write_header(header: &PageHeader, output: &mut Vec<u8>) -> Option<()> {
    let mut header = header.clone();
    match (header.type_, &mut header.data_page_header_v2) {
        (PageType::DATA_PAGE_V2, Some(page)) => page.is_compressed = Some(false),
        (PageType::DATA_PAGE | PageType::DICTIONARY_PAGE, _) => {}
        _ => return None,
    }
    header.compressed_page_size = header.uncompressed_page_size;
    header.crc = None;
    let mut protocol = TCompactOutputProtocol::new(output);
    header.write_to_out_protocol(&mut protocol).ok()?;
    Some(())
}

fn copy(body: &[u8], output: &mut [u8]) -> Option<()> {
    (body.len() == output.len()).then(|| output.copy_from_slice(body))
}

/// Decompresses a page of zstd, all of it, into as many bytes as its header says.
pub(super) fn decompress(
    page: &Page<'_>,
    output: &mut [u8],
    zstd: &mut Decompressor<'_>,
) -> Option<()> {
    let (mut body, mut output) = (page.body, output);
    if let Some(header) = &page.header.data_page_header_v2
        && page.header.type_ == PageType::DATA_PAGE_V2
    {
        // The levels are not compressed.
        let levels = header.repetition_levels_byte_length as usize;
        let levels = levels.checked_add(header.definition_levels_byte_length as usize)?;
        let (own, rest) = body.split_at_checked(levels)?;
        let (start, end) = output.split_at_mut_checked(levels)?;
        start.copy_from_slice(own);
        (body, output) = (rest, end);
        if header.is_compressed == Some(false) {
            return copy(body, output);
        }
    }
    if body.is_empty() {
        // Nothing but levels: all values are null.
        return output.is_empty().then_some(());
    }
    let written = zstd.decompress_to_buffer(body, output).ok()?;
    (written == output.len()).then_some(())
}

/// Decompresses chunks. Returns a file up to its footer, and where the chunks are in it; `None` if
/// there is nothing to decompress here, or anything wrong: polars says what.
pub(super) fn unpack(chunks: Vec<Option<Unpacked<'_>>>) -> Option<(Vec<u8>, Vec<Place>)> {
    let chunks: Vec<Unpacked<'_>> = chunks.into_iter().collect::<Option<_>>()?;
    let sizes = chunks.iter().map(|chunk| chunk.size);
    let size = sizes.fold(MAGIC.len(), usize::saturating_add);
    if size > LARGEST || !chunks.iter().any(|chunk| chunk.is_compressed) {
        return None;
    }
    let mut bytes = vec![0; size];
    let (magic, mut rest) = bytes.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    let (mut outputs, mut places) = (Vec::new(), Vec::new());
    let mut at = MAGIC.len();
    for chunk in &chunks {
        let (output, after) = rest.split_at_mut(chunk.size);
        outputs.push(output);
        places.push(chunk.place(at));
        (at, rest) = (at + chunk.size, after);
    }
    let chunks = chunks.par_iter().zip(outputs);
    let written =
        chunks.try_for_each(|(chunk, output)| with_decompressor(|zstd| chunk.write(output, zstd)));
    written.map(|()| (bytes, places))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::*;
    use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
    use polars_parquet_format::{FileMetaData, PageHeader};

    use super::super::{footer, pages::pages};
    use super::*;

    fn frame() -> DataFrame {
        let numbers: Vec<i64> = (0..1000).map(|row| row * row % 97).collect();
        let some: Vec<Option<f64>> = (0..1000)
            .map(|row| (row % 3 > 0).then_some(f64::from(row) / 7.0))
            .collect();
        let words: Vec<String> = (0..1000).map(|row| format!("word {}", row % 13)).collect();
        let nothing: Vec<Option<bool>> = vec![None; 1000];
        df!("numbers" => numbers, "some" => some, "words" => words, "nothing" => nothing).unwrap()
    }

    fn written(compression: ParquetCompression) -> (Vec<u8>, FileMetaData) {
        let mut file = Vec::new();
        ParquetWriter::new(&mut file)
            .with_compression(compression)
            .with_row_group_size(Some(300))
            .finish(&mut frame())
            .unwrap();
        let (rest, length) = file[..file.len() - MAGIC.len()]
            .split_last_chunk::<4>()
            .unwrap();
        let encoded = &rest[rest.len() - u32::from_le_bytes(*length) as usize..];
        let mut protocol = TCompactInputProtocol::new(encoded, 1 << 20);
        let metadata = FileMetaData::read_from_in_protocol(&mut protocol).unwrap();
        (file, metadata)
    }

    /// A file's chunks, decompressed, and what they are in the file; `None` if they were left.
    fn unpacked(file: &[u8], metadata: &FileMetaData) -> Option<(Vec<u8>, FileMetaData)> {
        let mut metadata = metadata.clone();
        let groups = metadata.row_groups.iter();
        let chunks = groups.flat_map(|group| &group.columns);
        let planned = chunks.map(|chunk| Unpacked::of(chunk, pages(chunk, file).unwrap()));
        let (bytes, places) = unpack(planned.collect())?;
        let groups = metadata.row_groups.iter_mut();
        let chunks = groups.flat_map(|group| &mut group.columns);
        for (chunk, place) in chunks.zip(places) {
            place.apply(chunk);
        }
        Some((bytes, metadata))
    }

    #[test]
    fn decompressed_chunks_hold_the_same_values() {
        let (file, metadata) = written(ParquetCompression::Zstd(None));
        let (mut bytes, metadata) = unpacked(&file, &metadata).unwrap();
        let groups = metadata.row_groups.iter();
        for chunk in groups.flat_map(|group| &group.columns) {
            let codec = chunk.meta_data.as_ref().unwrap().codec;
            assert_eq!(codec, CompressionCodec::UNCOMPRESSED);
        }
        footer::append(&metadata, &mut bytes);
        let read = ParquetReader::new(Cursor::new(bytes)).finish().unwrap();
        assert!(read.equals_missing(&frame()), "{read}");
    }

    #[test]
    fn other_codecs_and_damaged_pages_are_left_to_polars() {
        for compression in [ParquetCompression::Snappy, ParquetCompression::Uncompressed] {
            let (file, metadata) = written(compression);
            assert!(unpacked(&file, &metadata).is_none());
        }
        let (mut file, metadata) = written(ParquetCompression::Zstd(None));
        let chunk = metadata.row_groups[0].columns[0]
            .meta_data
            .as_ref()
            .unwrap();
        // The frame of the first page, behind its header, begins with a magic number.
        let start = chunk.data_page_offset as usize;
        let frame = file[start..]
            .windows(4)
            .position(|bytes| bytes == b"\x28\xb5\x2f\xfd");
        file[start + frame.unwrap()] ^= 1;
        assert!(unpacked(&file, &metadata).is_none());
    }

    #[test]
    fn levels_of_the_second_version_are_not_compressed() {
        let levels = b"\x03\x05";
        let values: Vec<u8> = (0..100).collect();
        let compressed = zstd::bulk::compress(&values, 3).unwrap();
        let header = |is_compressed, values: usize| PageHeader {
            type_: PageType::DATA_PAGE_V2,
            uncompressed_page_size: (levels.len() + values) as i32,
            compressed_page_size: 0,
            crc: None,
            data_page_header: None,
            index_page_header: None,
            dictionary_page_header: None,
            data_page_header_v2: Some(polars_parquet_format::DataPageHeaderV2 {
                num_values: 100,
                num_nulls: 0,
                num_rows: 100,
                encoding: polars_parquet_format::Encoding::PLAIN,
                definition_levels_byte_length: 2,
                repetition_levels_byte_length: 0,
                is_compressed,
                statistics: None,
            }),
        };
        let mut zstd = Decompressor::new().unwrap();
        let mut read = |is_compressed, body: &[u8], length: usize| {
            let page = Page {
                header: header(is_compressed, length),
                body,
            };
            let mut output = vec![0; levels.len() + length];
            decompress(&page, &mut output, &mut zstd).map(|()| output)
        };
        let expected = Some([levels, &values[..]].concat());
        assert_eq!(
            read(None, &[levels, &compressed[..]].concat(), 100),
            expected
        );
        assert_eq!(
            read(Some(true), &[levels, &compressed[..]].concat(), 100),
            expected
        );
        assert_eq!(
            read(Some(false), &[levels, &values[..]].concat(), 100),
            expected
        );
        assert_eq!(read(None, levels, 0), Some(levels.to_vec()));
        // Of other sizes than the header says.
        assert_eq!(read(None, &[levels, &compressed[..]].concat(), 99), None);
        assert_eq!(read(Some(false), &[levels, &values[..]].concat(), 99), None);
        assert_eq!(read(None, levels, 5), None);
        assert_eq!(read(None, b"\x03", 0), None);
    }
}

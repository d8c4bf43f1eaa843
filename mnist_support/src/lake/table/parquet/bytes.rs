//! Decodes columns of bytes, such as pixels, straight into bytes.
//!
//! In Parquet they are 32-bit integers, most often indices into a dictionary of at most 256 values.
//! Polars decodes the integers first, in a file that has to be made for it. The layout is that of
//! "Data Pages" and "RLE / Bit-Packing Hybrid" in the specification of Apache Parquet. Anything
//! else than whole columns of bytes is left to polars: nulls, other encodings, what is damaged.

use polars_parquet_format::{
    ColumnChunk, CompressionCodec, ConvertedType, Encoding, FieldRepetitionType, LogicalType,
    PageType, SchemaElement, Type,
};

use super::pages::{Page, pages};
use super::unpack::{LARGEST, decompress, with_decompressor};

/// The bytes of a page, decompressed into `space` if they have to be.
fn body<'a>(page: &Page<'a>, is_compressed: bool, space: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if !is_compressed {
        return Some(page.body);
    }
    let size = usize::try_from(page.header.uncompressed_page_size).ok()?;
    if size > LARGEST {
        return None;
    }
    space.resize(size, 0);
    with_decompressor(|zstd| decompress(page, space, zstd))?;
    Some(space)
}

/// Whether a column of the table is of bytes.
pub(super) fn is_of_bytes(element: &SchemaElement) -> bool {
    let is_byte = match (&element.logical_type, element.converted_type) {
        (Some(LogicalType::INTEGER(integer)), _) => integer.bit_width == 8 && !integer.is_signed,
        (None, converted) => converted == Some(ConvertedType::UINT_8),
        _ => false,
    };
    let is_flat = matches!(
        element.repetition_type,
        Some(FieldRepetitionType::REQUIRED | FieldRepetitionType::OPTIONAL)
    );
    is_byte && is_flat && element.type_ == Some(Type::INT32)
}

/// Appends the values of a column chunk of so many rows, which is in `bytes`; `None` if they are
/// left to polars. Pages are decompressed in `space`.
pub(super) fn append(
    chunk: &ColumnChunk,
    element: &SchemaElement,
    rows: usize,
    bytes: &[u8],
    space: &mut Vec<u8>,
    values: &mut Vec<u8>,
) -> Option<()> {
    let is_compressed = match chunk.meta_data.as_ref()?.codec {
        CompressionCodec::ZSTD => true,
        CompressionCodec::UNCOMPRESSED => false,
        _ => return None,
    };
    let has_levels = element.repetition_type == Some(FieldRepetitionType::OPTIONAL);
    let end = values.len() + rows;
    let mut dictionary = None;
    for page in pages(chunk, bytes).ok()? {
        let body = body(&page, is_compressed, space)?;
        let header = &page.header;
        let (encoding, count, encoded) = match header.type_ {
            PageType::DICTIONARY_PAGE => {
                let own = header.dictionary_page_header.as_ref()?;
                let is_plain =
                    [Encoding::PLAIN, Encoding::PLAIN_DICTIONARY].contains(&own.encoding);
                dictionary = Some(Dictionary::read(body, own.num_values).filter(|_| is_plain)?);
                continue;
            }
            PageType::DATA_PAGE => {
                let own = header.data_page_header.as_ref()?;
                let count = usize::try_from(own.num_values).ok()?;
                let encoded = match has_levels {
                    true if own.definition_level_encoding == Encoding::RLE => {
                        let (length, rest) = body.split_first_chunk::<4>()?;
                        let length = u32::from_le_bytes(*length) as usize;
                        let (levels, rest) = rest.split_at_checked(length)?;
                        has_no_nulls(levels, count)?;
                        rest
                    }
                    true => return None,
                    false => body,
                };
                (own.encoding, count, encoded)
            }
            PageType::DATA_PAGE_V2 => {
                let own = header.data_page_header_v2.as_ref()?;
                let count = usize::try_from(own.num_values).ok()?;
                let length = usize::try_from(own.definition_levels_byte_length).ok()?;
                let (levels, encoded) = body.split_at_checked(length)?;
                let is_flat = own.repetition_levels_byte_length == 0;
                if has_levels {
                    has_no_nulls(levels, count)?;
                }
                (own.encoding, count, Some(encoded).filter(|_| is_flat)?)
            }
            _ => return None,
        };
        if values.len() + count > end {
            return None;
        }
        match encoding {
            Encoding::PLAIN => append_plain(encoded, count, values)?,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                append_indexed(encoded, count, dictionary.as_ref()?, values)?
            }
            _ => return None,
        }
    }
    (values.len() == end).then_some(())
}

fn append_plain(encoded: &[u8], count: usize, values: &mut Vec<u8>) -> Option<()> {
    let (integers, _) = encoded.as_chunks::<4>();
    for integer in integers.get(..count)? {
        values.push(u8::try_from(i32::from_le_bytes(*integer)).ok()?);
    }
    Some(())
}

/// The values that indices stand for.
struct Dictionary {
    values: [u8; 256],
    length: usize,
}

impl Dictionary {
    fn read(encoded: &[u8], count: i32) -> Option<Dictionary> {
        let length = usize::try_from(count).ok()?;
        let mut plain = Vec::with_capacity(256);
        append_plain(
            encoded,
            Some(length).filter(|length| *length <= 256)?,
            &mut plain,
        )?;
        let mut values = [0; 256];
        values[..length].copy_from_slice(&plain);
        Some(Dictionary { values, length })
    }

    fn get(&self, index: u8) -> Option<u8> {
        (usize::from(index) < self.length).then(|| self.values[usize::from(index)])
    }
}

/// Appends the values that indices stand for: their width in bits, and runs of them.
fn append_indexed(
    encoded: &[u8],
    count: usize,
    dictionary: &Dictionary,
    values: &mut Vec<u8>,
) -> Option<()> {
    let (width, mut rest) = encoded.split_first()?;
    let width = usize::from(*width);
    if width > 8 {
        return None;
    }
    let mut left = count;
    while left > 0 {
        let run = Run::read(&mut rest, width, left)?;
        left -= run.length;
        match run.values {
            RunValues::Same(index) => {
                values.resize(values.len() + run.length, dictionary.get(index)?);
            }
            RunValues::Packed(packed) => {
                append_packed(packed, width, run.length, dictionary, values)?
            }
        }
    }
    Some(())
}

/// Whether all of so many definition levels, which are 0 or 1, say that there is a value.
fn has_no_nulls(levels: &[u8], count: usize) -> Option<()> {
    let (mut rest, mut left) = (levels, count);
    while left > 0 {
        let run = Run::read(&mut rest, 1, left)?;
        left -= run.length;
        let all = match run.values {
            RunValues::Same(level) => level == 1,
            RunValues::Packed(packed) => {
                let (whole, last) = (run.length / 8, run.length % 8);
                let mask = (1_u8 << last) - 1;
                packed[..whole].iter().all(|byte| *byte == u8::MAX)
                    && (last == 0 || packed[whole] & mask == mask)
            }
        };
        all.then_some(())?;
    }
    Some(())
}

/// A run of the hybrid of run-length encoding and bit packing.
struct Run<'a> {
    /// How many values it has that are wanted, at least one.
    length: usize,
    values: RunValues<'a>,
}

enum RunValues<'a> {
    Same(u8),
    /// In groups of eight, the first in the lowest bits: at least as many bytes as the values need.
    Packed(&'a [u8]),
}

impl<'a> Run<'a> {
    /// Reads a run of values of at most 8 bits from the start of `rest`.
    fn read(rest: &mut &'a [u8], width: usize, most: usize) -> Option<Run<'a>> {
        let header = varint(rest)?;
        let count = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let value = match width {
                0 => 0,
                _ => {
                    let (value, after) = rest.split_first()?;
                    *rest = after;
                    *value
                }
            };
            let length = count.min(most);
            return (length > 0).then_some(Run {
                length,
                values: RunValues::Same(value),
            });
        }
        let length = count.checked_mul(8)?.min(most);
        // A writer may leave out the end of the last group.
        let bytes = count.checked_mul(width)?.min(rest.len());
        let (packed, after) = rest.split_at(bytes);
        *rest = after;
        (length > 0 && packed.len() >= (length * width).div_ceil(8)).then_some(Run {
            length,
            values: RunValues::Packed(packed),
        })
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7F) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends the values of so many packed indices.
fn append_packed(
    packed: &[u8],
    width: usize,
    count: usize,
    dictionary: &Dictionary,
    values: &mut Vec<u8>,
) -> Option<()> {
    let start = values.len();
    if width == 8 {
        let packed = packed.get(..count)?;
        let largest = packed.iter().fold(0, |largest, index| largest.max(*index));
        values.resize(start + count, dictionary.get(largest)?);
        for (value, index) in values[start..].iter_mut().zip(packed) {
            *value = dictionary.values[usize::from(*index)];
        }
        return Some(());
    }
    let mask = (1_u8 << width) - 1;
    let mut largest = 0;
    values.resize(start + count, 0);
    let (eights, last) = values[start..].as_chunks_mut::<8>();
    let mut at = 0;
    for eight in eights {
        let mut word = word(packed, at);
        for value in eight {
            let index = word as u8 & mask;
            word >>= width;
            largest = largest.max(index);
            *value = dictionary.values[usize::from(index)];
        }
        at += width;
    }
    let mut word = word(packed, at);
    for value in last {
        let index = word as u8 & mask;
        word >>= width;
        largest = largest.max(index);
        *value = dictionary.values[usize::from(index)];
    }
    dictionary.get(largest).map(|_| ())
}

/// Eight bytes, the first in the lowest bits, with zeros for those that are not there.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(eight)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::prelude::*;

    use super::*;
    use crate::lake::{Credentials, Lake};

    /// Columns of as many different bytes as `kinds` say, in runs and not, some with nulls, and
    /// numbers that are none.
    fn frame(rows: usize, kinds: &[u32]) -> DataFrame {
        let mut random: u32 = 1;
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 8
        };
        let mut columns = Vec::new();
        for kinds in kinds {
            let first = 256 - kinds;
            let mixed: Vec<u8> = (0..rows).map(|_| (first + next() % kinds) as u8).collect();
            let runs = (0..rows).map(|row| (first + row as u32 / 37 % kinds) as u8);
            columns.push(Column::new(format!("mixed{kinds}").into(), mixed));
            columns.push(Column::new(
                format!("runs{kinds}").into(),
                runs.collect::<Vec<u8>>(),
            ));
        }
        let some = (0..rows).map(|row| (row % 5 != 2).then_some((row % 7) as u8));
        let late = (0..rows).map(|row| (row + 1 < rows).then_some((row % 251) as u8));
        let wide: Vec<i64> = (0..rows as i64).map(|row| row * row % 1009).collect();
        let words: Vec<String> = (0..rows).map(|row| format!("word {}", row % 13)).collect();
        columns.insert(1, Column::new("wide".into(), wide));
        columns.push(Column::new(
            "some".into(),
            some.collect::<Vec<Option<u8>>>(),
        ));
        columns.push(Column::new(
            "late".into(),
            late.collect::<Vec<Option<u8>>>(),
        ));
        columns.push(Column::new("words".into(), words));
        DataFrame::new(rows, columns).unwrap()
    }

    fn written(frame: &DataFrame, compression: ParquetCompression, group: usize) -> Vec<u8> {
        let mut file = Vec::new();
        ParquetWriter::new(&mut file)
            .with_compression(compression)
            .with_row_group_size(Some(group))
            .with_data_page_size(Some(1 << 10))
            .finish(&mut frame.clone())
            .unwrap();
        file
    }

    #[test]
    fn columns_of_bytes_have_the_values_that_were_written_in_any_part() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        let kinds = [1, 2, 3, 4, 5, 9, 17, 33, 65, 129, 200, 256];
        for rows in [1, 7, 8, 9, 1000, 5003] {
            let frame = frame(rows, &kinds);
            for compression in [
                ParquetCompression::Zstd(None),
                ParquetCompression::Uncompressed,
                ParquetCompression::Snappy,
            ] {
                let file = written(&frame, compression, 1500);
                fs::write(folder.path().join("x.parquet"), file).unwrap();
                let table = lake.parquet("x.parquet").unwrap();
                let read = table.collect().unwrap();
                assert!(
                    read.equals_missing(&frame),
                    "{rows} {compression:?}: {read}"
                );
                let parts = table.partitions(rows.min(3)).unwrap();
                let parts = parts.iter().map(|part| table.read(part).unwrap());
                let all = parts.reduce(|all, part| all.vstack(&part).unwrap());
                assert!(
                    all.unwrap().equals_missing(&frame),
                    "{rows} {compression:?}"
                );
            }
        }
    }

    fn dictionary(length: usize) -> Dictionary {
        let plain: Vec<u8> = (0..length as i32).flat_map(i32::to_le_bytes).collect();
        Dictionary::read(&plain, length as i32).unwrap()
    }

    fn indexed(encoded: &[u8], count: usize, length: usize) -> Option<Vec<u8>> {
        let mut values = Vec::new();
        append_indexed(encoded, count, &dictionary(length), &mut values)?;
        Some(values)
    }

    #[test]
    fn runs_are_those_of_the_specification() {
        // Its example: 0 to 7 in three bits each.
        let packed = [3, 0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(indexed(&packed, 8, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(indexed(&packed, 5, 8).unwrap(), [0, 1, 2, 3, 4]);
        // A run of 100 times 5, then packed.
        let both = [&[3, 0b1100_1000, 1, 5][..], &packed[1..]].concat();
        let values = indexed(&both, 103, 8).unwrap();
        assert_eq!(values, [&[5; 100][..], &[0, 1, 2]].concat());
        // Without bits there is one value.
        assert_eq!(indexed(&[0, 6], 3, 1).unwrap(), [0, 0, 0]);
        assert_eq!(indexed(&[0, 3], 3, 1).unwrap(), [0, 0, 0]);
    }

    #[test]
    fn what_is_damaged_is_left() {
        let packed = [3, 0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert!(indexed(&packed, 9, 8).is_none(), "more than there are");
        assert!(indexed(&packed[..4], 8, 8).is_none(), "cut short");
        assert!(indexed(&packed, 8, 7).is_none(), "not in the dictionary");
        assert!(indexed(&[3, 0, 5], 1, 8).is_none(), "a run of none");
        assert!(indexed(&[9, 2, 0, 0], 1, 8).is_none(), "too wide");
        assert!(indexed(&[3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 1, 8).is_none());
        assert!(indexed(&[], 1, 8).is_none());
        assert!(Dictionary::read(&[1, 0, 0, 0], 2).is_none());
        assert!(Dictionary::read(&[0, 1, 0, 0], 1).is_none(), "256");
        assert!(Dictionary::read(&[0; 2000], 257).is_none());
        assert!(Dictionary::read(&[], -1).is_none());
        assert!(has_no_nulls(&[6, 1], 3).is_some());
        assert!(has_no_nulls(&[6, 0], 3).is_none());
        assert!(has_no_nulls(&[3, 0b0000_0111], 3).is_some());
        assert!(has_no_nulls(&[3, 0b0000_0101], 3).is_none());
        assert!(has_no_nulls(&[3, 0b0000_0111], 4).is_none());
    }
}

//! The pages of a column chunk. What their headers claim is checked before a reader takes memory
//! for it.
//!
//! Polars' reader trusts the counts of a page: a negative one asks for 2^61 bytes, which ends the
//! process. The layout is that of `PageHeader` in the specification of Apache Parquet.

use polars_parquet_format::{ColumnChunk, PageHeader};

use super::thrift::CompactProtocol;

/// A page.
#[derive(Clone, Debug)]
pub(super) struct Page<'a> {
    pub(super) header: PageHeader,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

/// Returns the pages of a column chunk, which is in `bytes`, once they have been checked.
///
/// # Errors
/// What is wrong with it, and in which column.
pub(super) fn pages<'a>(chunk: &ColumnChunk, bytes: &'a [u8]) -> Result<Vec<Page<'a>>, String> {
    let Some(column) = &chunk.meta_data else {
        return Err("a column has no metadata".into());
    };
    let damaged = |what: String| {
        let name = column.path_in_schema.join(".");
        Err(format!("column \"{name}\" is damaged: {what}"))
    };
    let start = column.dictionary_page_offset;
    let start = start.map_or(column.data_page_offset, |dictionary| {
        dictionary.min(column.data_page_offset)
    });
    let end = start.checked_add(column.total_compressed_size);
    let range = usize::try_from(start)
        .ok()
        .zip(end.and_then(|end| usize::try_from(end).ok()));
    let Some(mut rest) = range.and_then(|(start, end)| bytes.get(start..end)) else {
        return damaged("it is outside the file".into());
    };
    let mut values = 0_i64;
    let (mut page, mut pages) = (0, Vec::new());
    while values < column.num_values {
        page += 1;
        let mut protocol = CompactProtocol::new(rest);
        let header = match PageHeader::read_from_in_protocol(&mut protocol) {
            Ok(header) => header,
            Err(error) => return damaged(format!("the header of page {page}: {error}")),
        };
        let Some(count) = values_of(&header) else {
            return damaged(format!("page {page} claims a negative size"));
        };
        values += i64::from(count);
        if values > column.num_values {
            return damaged(format!(
                "page {page} claims more values than the column has"
            ));
        }
        let size = usize::try_from(header.compressed_page_size);
        let bodies = protocol.rest();
        let Some((body, after)) = size.ok().and_then(|size| bodies.split_at_checked(size)) else {
            return damaged(format!("page {page} does not end within the column"));
        };
        pages.push(Page { header, body });
        rest = after;
    }
    Ok(pages)
}

/// The number of values of a data page, 0 for other pages, and `None` if a size or a count is
/// negative, also in a part of the header that is not of its type.
fn values_of(header: &PageHeader) -> Option<i32> {
    let first = header.data_page_header.as_ref();
    let second = header.data_page_header_v2.as_ref();
    let dictionary = header.dictionary_page_header.as_ref();
    let values = [
        first.map_or(0, |page| page.num_values),
        second.map_or(0, |page| page.num_values),
    ];
    let others = second.map_or([0; 4], |page| {
        [
            page.num_nulls,
            page.num_rows,
            page.definition_levels_byte_length,
            page.repetition_levels_byte_length,
        ]
    });
    let smallest = values.iter().chain(&others).min()?;
    let smallest = (*smallest)
        .min(header.uncompressed_page_size)
        .min(dictionary.map_or(0, |page| page.num_values));
    (smallest >= 0).then(|| values[0].max(values[1]))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::df;
    use polars::prelude::{ParquetCompression, ParquetWriter};
    use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};

    use super::*;
    use crate::lake::{Credentials, Lake};

    /// What reading a file says whose only page has an altered header.
    fn read_altered(alter: impl FnOnce(&mut PageHeader)) -> String {
        let mut file = Vec::new();
        ParquetWriter::new(&mut file)
            .with_compression(ParquetCompression::Uncompressed)
            .finish(&mut df!("x" => [Some(true), None, Some(false)]).unwrap())
            .unwrap();
        // The page comes right after the magic number. Booleans have no dictionary.
        let mut rest = &file[4..];
        let largest = rest.len();
        let mut protocol = TCompactInputProtocol::new(&mut rest, largest);
        let mut header = PageHeader::read_from_in_protocol(&mut protocol).unwrap();
        let length = largest - rest.len();
        alter(&mut header);
        let mut altered = Vec::new();
        let mut protocol = TCompactOutputProtocol::new(&mut altered);
        header.write_to_out_protocol(&mut protocol).unwrap();
        assert_eq!(altered.len(), length);
        file[4..4 + length].copy_from_slice(&altered);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.parquet"), file).unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        match lake.parquet("x.parquet").unwrap().collect() {
            Ok(frame) => format!("{} rows", frame.height()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_page_claims_is_checked() {
        assert_eq!(read_altered(|_| ()), "3 rows");
        let negative = read_altered(|header| {
            let page = header.data_page_header.as_mut();
            page.unwrap().num_values = -3;
        });
        assert!(
            negative.contains("x.parquet") && negative.contains("column \"x\" is damaged: page 1"),
            "{negative}"
        );
        let many = read_altered(|header| {
            let page = header.data_page_header.as_mut();
            page.unwrap().num_values = 60;
        });
        assert!(many.contains("more values than the column has"), "{many}");
        let negative = read_altered(|header| header.uncompressed_page_size = -1);
        assert!(negative.contains("a negative size"), "{negative}");
        let long = read_altered(|header| header.compressed_page_size = 63);
        assert!(long.contains("does not end within the column"), "{long}");
    }
}

//! Where the messages of an Arrow IPC file or stream are.
//!
//! A file is `ARROW1`, padded to 8 bytes, a stream of messages, a footer (flatbuffers) that says
//! where they are, its length in 4 bytes, `ARROW1`. A message is `ff ff ff ff`, the length of its
//! metadata in 4 bytes, the metadata (flatbuffers), and its body ("IPC format" in the Arrow
//! columnar format).

use std::ops::Range;
use std::sync::Arc;

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{
    Block, Endianness, MessageHeader, MetadataVersion, root_as_footer, root_as_message,
};
use arrow_schema::{DataType, Field, SchemaRef};
use bytes::Bytes;

use crate::lake::file::LakeFile;
use crate::lake::reading::ignore_progress;
use crate::lake::table::guard::guarded;
use crate::{Error, Result, error::TableError};

pub(super) const MAGIC: &[u8; 6] = b"ARROW1";
/// How many bytes tell the format.
pub(super) const FIRST: u64 = 8;
/// The length of the footer and the second magic number.
const TAIL: usize = 10;
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The size of a read that finds the end of a file, or the next message of a stream.
const GUESS: u64 = 64 << 10;
/// How much larger than its compressed bytes a buffer may claim to be: zstd packs a block of 128
/// KiB of one value into 4 bytes.
pub(super) const LARGEST_RATIO: u64 = 1 << 16;
/// As many rows may be claimed by a batch without bytes, in columns of nulls.
const FEW_ROWS: u64 = 1 << 20;
/// How many messages are read at once.
const AT_ONCE: usize = 64;

/// The schema of a file, and its messages.
pub(super) struct Layout {
    pub(super) schema: SchemaRef,
    pub(super) version: MetadataVersion,
    /// Whether it has a footer.
    pub(super) is_file: bool,
    pub(super) dictionaries: Vec<Message>,
    pub(super) batches: Vec<Message>,
}

/// A dictionary or a record batch.
pub(super) struct Message {
    pub(super) block: Block,
    pub(super) metadata: Bytes,
    pub(super) rows: usize,
    is_dictionary: bool,
    pub(super) compressed: bool,
    /// The buffers of the body, by their places in the file.
    pub(super) buffers: Vec<Range<u64>>,
    /// Which of the buffers each column has, unless they don't fit the schema.
    columns: Option<Vec<Range<usize>>>,
}

impl Message {
    /// Its bytes in the file.
    pub(super) fn range(&self) -> Range<u64> {
        let start = self.block.offset() as u64;
        start..start + self.metadata.len() as u64 + self.block.bodyLength() as u64
    }

    /// The buffers of some columns.
    pub(super) fn buffers_of(&self, columns: &[usize]) -> Vec<Range<u64>> {
        match &self.columns {
            None => self.buffers.clone(),
            Some(own) => columns
                .iter()
                .flat_map(|&column| self.buffers[own[column].clone()].iter().cloned())
                .collect(),
        }
    }

    /// The ranges to fetch for some columns.
    pub(super) fn body_of(&self, columns: &[usize]) -> Vec<Range<u64>> {
        match self.columns {
            Some(_) => self.buffers_of(columns),
            None => vec![self.range()],
        }
    }
}

/// A file whose layout is being read.
struct Reader<'a> {
    file: &'a LakeFile,
    /// Bytes that have been read, from `start`.
    start: u64,
    bytes: Bytes,
}

impl Layout {
    /// Reads the layout of a file whose first bytes are `first`.
    pub(super) fn read(file: &LakeFile, first: &[u8]) -> Result<Layout> {
        let mut reader = Reader {
            file,
            start: 0,
            bytes: Bytes::new(),
        };
        if first.starts_with(MAGIC) {
            reader.file_layout()
        } else if first.starts_with(&CONTINUATION) {
            reader.stream_layout()
        } else if first.starts_with(b"FEA1") {
            Err(reader.invalid("it is Feather of version 1: write it anew with version 2"))
        } else {
            Err(reader.invalid("it is no Arrow IPC file: it does not begin with ARROW1"))
        }
    }
}

impl Reader<'_> {
    fn invalid(&self, reason: &str) -> Error {
        TableError::failed(self.file.url(), reason.to_owned())
    }

    fn damaged(&self) -> Error {
        self.invalid("its metadata cannot be read: it is damaged")
    }

    fn file_layout(&mut self) -> Result<Layout> {
        let cut = "it does not end like an Arrow IPC file: it is cut short or damaged";
        let size = self.file.size();
        if size < FIRST + TAIL as u64 {
            return Err(self.invalid(cut));
        }
        let mut end = self.file.read(size - GUESS.min(size)..size)?;
        let tail = &end[end.len() - TAIL..];
        let Some((length, magic)) = tail.split_first_chunk::<4>() else {
            return Err(self.invalid(cut));
        };
        let length = u64::from(u32::from_le_bytes(*length)) + TAIL as u64;
        if magic != MAGIC || length + FIRST > size {
            return Err(self.invalid(cut));
        }
        if length > end.len() as u64 {
            end = self.file.read(size - length..size)?;
        }
        let footer = &end[end.len() - length as usize..end.len() - TAIL];
        // What flatbuffers allow may still be no schema.
        let footer = guarded(|| {
            let footer = root_as_footer(footer).ok()?;
            let schema = footer.schema()?;
            let little = schema.endianness() == Endianness::Little;
            let schema = try_fb_to_schema(schema).ok()?;
            let dictionaries = footer.dictionaries();
            let dictionaries: Vec<Block> = dictionaries.iter().flatten().copied().collect();
            let batches = footer.recordBatches();
            let batches: Vec<Block> = batches.iter().flatten().copied().collect();
            Some((schema, little, footer.version(), dictionaries, batches))
        });
        let (schema, little, version, dictionaries, batches) =
            footer.flatten().ok_or_else(|| self.damaged())?;
        self.check_endianness(little)?;
        let schema = Arc::new(schema);
        Ok(Layout {
            dictionaries: self.messages(&dictionaries, &schema)?,
            batches: self.messages(&batches, &schema)?,
            schema,
            version,
            is_file: true,
        })
    }

    fn check_endianness(&self, little: bool) -> Result<()> {
        match little {
            true => Ok(()),
            false => Err(self.invalid("it was written by a big-endian machine")),
        }
    }

    /// Reads the metadata of messages.
    fn messages(&self, blocks: &[Block], schema: &SchemaRef) -> Result<Vec<Message>> {
        let mut messages = Vec::with_capacity(blocks.len());
        for blocks in blocks.chunks(AT_ONCE) {
            let ranges = blocks.iter().map(|block| {
                let start = u64::try_from(block.offset()).ok()?;
                let metadata = u64::try_from(block.metaDataLength()).ok()?;
                let body = u64::try_from(block.bodyLength()).ok()?;
                let end = start.checked_add(metadata)?;
                (end.checked_add(body)? <= self.file.size()).then_some(start..end)
            });
            let ranges = ranges
                .collect::<Option<Vec<Range<u64>>>>()
                .ok_or_else(|| self.damaged())?;
            let groups = [ranges];
            let meter = self.file.meter(&groups, &ignore_progress);
            for fetched in self.file.read_ahead(&groups, &meter) {
                for (block, metadata) in blocks.iter().zip(fetched?) {
                    let message = message(*block, metadata, schema);
                    messages.push(message.ok_or_else(|| self.damaged())?);
                }
            }
        }
        Ok(messages)
    }

    /// The bytes of a range of a stream, which reads some more.
    fn stream_bytes(&mut self, range: Range<u64>) -> Result<Option<Bytes>> {
        let size = self.file.size();
        if range.end > size {
            return Ok(None);
        }
        let read = self.start..self.start + self.bytes.len() as u64;
        if range.start < read.start || range.end > read.end {
            let end = range.end.max(range.start + GUESS).min(size);
            self.bytes = self.file.read(range.start..end)?;
            self.start = range.start;
        }
        let start = (range.start - self.start) as usize;
        Ok(Some(
            self.bytes
                .slice(start..start + (range.end - range.start) as usize),
        ))
    }

    fn stream_layout(&mut self) -> Result<Layout> {
        let cut = "it ends within a message: it is cut short or damaged";
        let mut layout: Option<Layout> = None;
        let mut at = 0;
        while let Some(prefix) = self.stream_bytes(at..at + 8)? {
            let (continuation, length) = prefix.split_at(4);
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
            if continuation != CONTINUATION {
                return Err(self.damaged());
            }
            if length == 0 {
                break;
            }
            let metadata = self.stream_bytes(at..at + 8 + u64::from(length))?;
            let metadata = metadata.ok_or_else(|| self.invalid(cut))?;
            let Some(layout) = &mut layout else {
                layout = Some(self.stream_schema(&metadata)?);
                at += metadata.len() as u64;
                continue;
            };
            let body = guarded(|| Some(root_as_message(&metadata[8..]).ok()?.bodyLength()));
            let body = body.flatten().ok_or_else(|| self.damaged())?;
            let block = Block::new(at as i64, metadata.len() as i32, body);
            let message = message(block, metadata, &layout.schema);
            let message = message.ok_or_else(|| self.damaged())?;
            at = message.range().end;
            if at > self.file.size() {
                return Err(self.invalid(cut));
            }
            match message.is_dictionary {
                true => layout.dictionaries.push(message),
                false => layout.batches.push(message),
            }
        }
        layout.ok_or_else(|| self.invalid(cut))
    }

    /// The layout of a stream that begins with this message.
    fn stream_schema(&self, metadata: &[u8]) -> Result<Layout> {
        let schema = guarded(|| {
            let message = root_as_message(metadata.get(8..)?).ok()?;
            let schema = message.header_as_schema()?;
            let little = schema.endianness() == Endianness::Little;
            Some((try_fb_to_schema(schema).ok()?, little, message.version()))
        });
        let (schema, little, version) = schema.flatten().ok_or_else(|| self.damaged())?;
        self.check_endianness(little)?;
        Ok(Layout {
            schema: Arc::new(schema),
            version,
            is_file: false,
            dictionaries: Vec::new(),
            batches: Vec::new(),
        })
    }
}

/// Parses the metadata of a dictionary or a record batch; `None` if it is neither.
fn message(block: Block, metadata: Bytes, schema: &SchemaRef) -> Option<Message> {
    let start = block.offset() as u64 + metadata.len() as u64;
    let size = u64::try_from(block.bodyLength()).ok()?;
    let parse = || {
        // Writers before Arrow 0.15 left out the first four bytes.
        let prefix = if metadata.starts_with(&CONTINUATION) {
            8
        } else {
            4
        };
        let header = root_as_message(metadata.get(prefix..)?).ok()?;
        let (batch, is_dictionary) = match header.header_type() {
            MessageHeader::RecordBatch => (header.header_as_record_batch()?, false),
            MessageHeader::DictionaryBatch => (header.header_as_dictionary_batch()?.data()?, true),
            _ => return None,
        };
        let buffers = batch.buffers()?.iter().map(|buffer| {
            let offset = u64::try_from(buffer.offset()).ok()?;
            let end = offset.checked_add(u64::try_from(buffer.length()).ok()?)?;
            (end <= size).then(|| start + offset..start + end)
        });
        let buffers = buffers.collect::<Option<Vec<Range<u64>>>>()?;
        let views = batch.variadicBufferCounts();
        let columns = match is_dictionary {
            true => None,
            false => columns(schema, views.iter().flatten(), buffers.len()),
        };
        let compressed = batch.compression().is_some();
        let rows = usize::try_from(batch.length()).ok()?;
        Some((rows, is_dictionary, compressed, buffers, columns))
    };
    let (rows, is_dictionary, compressed, buffers, columns) = guarded(parse).flatten()?;
    // A bit for each row, at least, in one of the columns.
    let ratio = if compressed { LARGEST_RATIO } else { 1 };
    let possible = size.saturating_mul(8).saturating_mul(ratio);
    (rows as u64 <= possible.max(FEW_ROWS)).then_some(Message {
        block,
        metadata,
        rows,
        is_dictionary,
        compressed,
        buffers,
        columns,
    })
}

/// Which of the buffers of a record batch each column has; `None` if there are not as many as the
/// schema has.
fn columns(
    schema: &SchemaRef,
    mut views: impl Iterator<Item = i64>,
    buffers: usize,
) -> Option<Vec<Range<usize>>> {
    let mut end = 0;
    let columns = schema.fields().iter().map(|field| {
        let start = end;
        end += buffer_count(field.data_type(), &mut views)?;
        Some(start..end)
    });
    let columns = columns.collect::<Option<Vec<Range<usize>>>>()?;
    (end == buffers).then_some(columns)
}

/// The number of buffers of a column; `None` if it depends on more than the type.
fn buffer_count(dtype: &DataType, views: &mut impl Iterator<Item = i64>) -> Option<usize> {
    use DataType as D;
    let mut inner = |field: &Field| buffer_count(field.data_type(), views);
    Some(match dtype {
        D::Null => 0,
        D::Utf8 | D::LargeUtf8 | D::Binary | D::LargeBinary => 3,
        D::Utf8View | D::BinaryView => 2 + usize::try_from(views.next()?).ok()?,
        D::List(field) | D::LargeList(field) | D::Map(field, _) => 2 + inner(field)?,
        D::ListView(field) | D::LargeListView(field) => 3 + inner(field)?,
        D::FixedSizeList(field, _) => 1 + inner(field)?,
        D::Struct(fields) => {
            let counts = fields.iter().map(|field| inner(field));
            1 + counts.sum::<Option<usize>>()?
        }
        D::RunEndEncoded(ends, values) => inner(ends)? + inner(values)?,
        D::Union(..) => return None,
        _ => 2,
    })
}

/// Whether a type has a dictionary in it.
pub(super) fn has_dictionary(dtype: &DataType) -> bool {
    use DataType as D;
    let inner = |field: &Field| has_dictionary(field.data_type());
    match dtype {
        D::Dictionary(..) => true,
        D::List(field)
        | D::LargeList(field)
        | D::ListView(field)
        | D::LargeListView(field)
        | D::FixedSizeList(field, _)
        | D::Map(field, _) => inner(field),
        D::Struct(fields) => fields.iter().any(|field| inner(field)),
        D::RunEndEncoded(_, values) => inner(values),
        D::Union(fields, _) => fields.iter().any(|(_, field)| inner(field)),
        _ => false,
    }
}

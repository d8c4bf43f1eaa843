//! Thrift's compact protocol, from bytes in memory.
//!
//! The protocol of `polars_parquet_format` reads from any stream, a byte at a time, which is most
//! of what opening a file of hundreds of columns takes. The encoding is that of "Thrift compact
//! protocol encoding" in the documentation of Apache Thrift.

use polars_parquet_format::thrift::protocol::{
    TFieldIdentifier, TInputProtocol, TListIdentifier, TMapIdentifier, TMessageIdentifier,
    TSetIdentifier, TStructIdentifier, TType,
};
use polars_parquet_format::thrift::{Error, ProtocolError, ProtocolErrorKind, Result};

/// Structs within structs: more than Parquet has, and few enough for the stack.
const DEEPEST: usize = 64;

/// The fields of a struct that there have been.
#[derive(Default)]
pub(super) struct Seen(u64);

impl Seen {
    #[inline]
    pub(super) fn add(&mut self, field: i16) {
        if let 0..64 = field {
            self.0 |= 1 << field;
        }
    }

    /// Checks that these, which are required, are among them.
    #[inline]
    pub(super) fn check(&self, required: &[i16]) -> Result<()> {
        match required.iter().find(|field| self.0 & (1 << **field) == 0) {
            None => Ok(()),
            Some(field) => Err(invalid(&format!("the required field {field} is missing"))),
        }
    }
}

/// Reads values from the start of some bytes.
#[derive(Debug)]
pub(super) struct CompactProtocol<'a> {
    rest: &'a [u8],
    /// The number of the last field of the struct that is being read.
    field: i16,
    /// How many structs have begun and not ended.
    depth: usize,
    /// Their last fields, as far as those that read them do not keep them.
    outer: Vec<i16>,
    /// A boolean field is told with its number.
    pending_bool: Option<bool>,
}

impl<'a> CompactProtocol<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        CompactProtocol {
            rest: bytes,
            field: 0,
            depth: 0,
            outer: Vec::new(),
            pending_bool: None,
        }
    }

    /// The bytes that have not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads a struct. `each` is called with the number and the type of each field, to read it or
    /// to skip it.
    #[inline]
    pub(super) fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, i16, TType) -> Result<()>,
    ) -> Result<()> {
        let outer = self.begin_struct()?;
        while let Some((number, field_type)) = self.field()? {
            each(self, number, field_type)?;
        }
        self.end_struct(outer);
        Ok(())
    }

    /// Begins a struct. Returns the number of the last field of the one around it.
    #[inline]
    fn begin_struct(&mut self) -> Result<i16> {
        if self.depth == DEEPEST {
            return Err(error(ProtocolErrorKind::DepthLimit, "structs in structs"));
        }
        self.depth += 1;
        Ok(std::mem::take(&mut self.field))
    }

    #[inline]
    fn end_struct(&mut self, outer: i16) {
        self.depth -= 1;
        self.field = outer;
    }

    /// The number and the type of the next field of a struct; `None` at its end.
    #[inline]
    fn field(&mut self) -> Result<Option<(i16, TType)>> {
        let header = self.byte()?;
        let field_type = element_type(header & 0x0F)?;
        if field_type == TType::Stop {
            return Ok(None);
        }
        let next = match header >> 4 {
            0 => i16::try_from(self.zigzag()?).ok(),
            delta => self.field.checked_add(i16::from(delta)),
        };
        self.field = next.ok_or_else(|| invalid("a field's number is too large"))?;
        if field_type == TType::Bool {
            self.pending_bool = Some(header & 0x0F == 1);
        }
        Ok(Some((self.field, field_type)))
    }

    /// Reads a list. `each` is called for each element.
    #[inline]
    pub(super) fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (_, elements) = self.collection()?;
        (0..elements).try_for_each(|_| each(self))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                Ok(*byte)
            }
            None => Err(cut_short()),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7F);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(invalid("a number has more than 64 bits"))
    }

    /// Negative numbers lie between the positive ones: 0, -1, 1, -2 and so on.
    #[inline]
    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| cut_short())?)
    }

    /// The type and the number of elements, which cannot be more than there are bytes: each takes
    /// one at least.
    fn collection(&mut self) -> Result<(TType, u32)> {
        let header = self.byte()?;
        let elements = match header >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        if elements > self.rest.len() as u64 {
            return Err(cut_short());
        }
        let elements = u32::try_from(elements).map_err(|_| cut_short())?;
        Ok((element_type(header & 0x0F)?, elements))
    }
}

fn error(kind: ProtocolErrorKind, message: &str) -> Error {
    Error::Protocol(ProtocolError::new(kind, message))
}

fn invalid(message: &str) -> Error {
    error(ProtocolErrorKind::InvalidData, message)
}

fn cut_short() -> Error {
    error(ProtocolErrorKind::SizeLimit, "it claims more than there is")
}

fn no_message() -> Error {
    error(ProtocolErrorKind::NotImplemented, "a message in a file")
}

#[inline]
fn element_type(number: u8) -> Result<TType> {
    Ok(match number {
        0 => TType::Stop,
        // As an element of a list it may be either.
        1 | 2 => TType::Bool,
        3 => TType::I08,
        4 => TType::I16,
        5 => TType::I32,
        6 => TType::I64,
        7 => TType::Double,
        8 => TType::String,
        9 => TType::List,
        10 => TType::Set,
        11 => TType::Map,
        12 => TType::Struct,
        _ => return Err(invalid("a type that Thrift does not have")),
    })
}

impl TInputProtocol for CompactProtocol<'_> {
    fn read_message_begin(&mut self) -> Result<TMessageIdentifier> {
        Err(no_message())
    }

    fn read_message_end(&mut self) -> Result<()> {
        Err(no_message())
    }

    #[inline]
    fn read_struct_begin(&mut self) -> Result<Option<TStructIdentifier>> {
        let outer = self.begin_struct()?;
        self.outer.push(outer);
        Ok(None)
    }

    #[inline]
    fn read_struct_end(&mut self) -> Result<()> {
        let outer = self.outer.pop();
        self.end_struct(outer.ok_or_else(|| invalid("the end of no struct"))?);
        Ok(())
    }

    #[inline]
    fn read_field_begin(&mut self) -> Result<TFieldIdentifier> {
        let field = self.field()?;
        Ok(TFieldIdentifier {
            name: None,
            field_type: field.map_or(TType::Stop, |(_, field_type)| field_type),
            id: field.map(|(number, _)| number),
        })
    }

    fn read_field_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn read_bool(&mut self) -> Result<bool> {
        match self.pending_bool.take() {
            Some(value) => Ok(value),
            None => match self.byte()? {
                1 => Ok(true),
                2 => Ok(false),
                _ => Err(invalid("a boolean that is neither")),
            },
        }
    }

    fn read_bytes(&mut self) -> Result<Vec<u8>> {
        Ok(self.bytes()?.to_vec())
    }

    fn read_i8(&mut self) -> Result<i8> {
        Ok(self.byte()? as i8)
    }

    fn read_i16(&mut self) -> Result<i16> {
        i16::try_from(self.zigzag()?).map_err(Error::from)
    }

    #[inline]
    fn read_i32(&mut self) -> Result<i32> {
        i32::try_from(self.zigzag()?).map_err(Error::from)
    }

    #[inline]
    fn read_i64(&mut self) -> Result<i64> {
        self.zigzag()
    }

    fn read_double(&mut self) -> Result<f64> {
        let bytes = self.take(size_of::<f64>())?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("there are 8")))
    }

    fn read_string(&mut self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| invalid("a text is not UTF-8"))
    }

    fn read_list_begin(&mut self) -> Result<TListIdentifier> {
        let (element_type, size) = self.collection()?;
        Ok(TListIdentifier::new(element_type, size))
    }

    fn read_list_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn read_set_begin(&mut self) -> Result<TSetIdentifier> {
        let (element_type, size) = self.collection()?;
        Ok(TSetIdentifier::new(element_type, size))
    }

    fn read_set_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn read_map_begin(&mut self) -> Result<TMapIdentifier> {
        let size = self.varint()?;
        if size == 0 {
            return Ok(TMapIdentifier::new(None, None, 0));
        }
        let types = self.byte()?;
        if size > self.rest.len() as u64 {
            return Err(cut_short());
        }
        let size = u32::try_from(size).map_err(|_| cut_short())?;
        let (key, value) = (element_type(types >> 4)?, element_type(types & 0x0F)?);
        Ok(TMapIdentifier::new(key, value, size))
    }

    fn read_map_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn read_byte(&mut self) -> Result<u8> {
        self.byte()
    }

    /// Like that of the trait, but for texts, which are not copied.
    fn skip_till_depth(&mut self, field_type: TType, depth: i8) -> Result<()> {
        if depth == 0 {
            return Err(error(ProtocolErrorKind::DepthLimit, "values in values"));
        }
        match field_type {
            TType::Bool => self.read_bool().map(drop),
            TType::I08 => self.byte().map(drop),
            TType::I16 | TType::I32 | TType::I64 => self.varint().map(drop),
            TType::Double => self.take(size_of::<f64>()).map(drop),
            TType::String => self.bytes().map(drop),
            TType::Struct => {
                self.fields(|own, _, field_type| own.skip_till_depth(field_type, depth - 1))
            }
            TType::List | TType::Set => {
                let (element_type, elements) = self.collection()?;
                (0..elements).try_for_each(|_| self.skip_till_depth(element_type, depth - 1))
            }
            TType::Map => {
                let map = self.read_map_begin()?;
                let (Some(key), Some(value)) = (map.key_type, map.value_type) else {
                    return Ok(());
                };
                (0..map.size).try_for_each(|_| {
                    self.skip_till_depth(key, depth - 1)?;
                    self.skip_till_depth(value, depth - 1)
                })
            }
            _ => Err(invalid("a value of no type")),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::{df, prelude::ParquetWriter};
    use polars_parquet_format::{FileMetaData, thrift::protocol::TCompactInputProtocol};

    use super::*;

    /// The footer of a file with texts, holes and numbers of all sizes.
    fn footer() -> Vec<u8> {
        let numbers: Vec<Option<i64>> = (0..400)
            .map(|row| (row % 7 > 0).then_some((row - 200) << (row % 50)))
            .collect();
        let texts: Vec<String> = (0..400).map(|row| format!("ä{row}")).collect();
        let floats: Vec<f64> = (0..400).map(|row| f64::from(row) / 7.0).collect();
        let flags: Vec<bool> = (0..400).map(|row| row % 3 > 0).collect();
        let mut file = Vec::new();
        ParquetWriter::new(&mut file)
            .with_row_group_size(Some(20))
            .finish(
                &mut df!("n" => numbers, "ein Text" => texts, "x" => floats, "b" => flags).unwrap(),
            )
            .unwrap();
        let (_, tail) = file.split_at(file.len() - 8);
        let length = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
        file[file.len() - 8 - length..file.len() - 8].to_vec()
    }

    #[test]
    fn a_footer_is_read_as_by_the_protocol_of_polars() {
        let footer = footer();
        let mut theirs = TCompactInputProtocol::new(&footer[..], usize::MAX);
        let theirs = FileMetaData::read_from_in_protocol(&mut theirs).unwrap();
        assert_eq!(theirs.row_groups.len(), 20);
        let mut own = CompactProtocol::new(&footer);
        assert_eq!(
            FileMetaData::read_from_in_protocol(&mut own).unwrap(),
            theirs
        );
        assert!(own.rest().is_empty());
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let footer = footer();
        for length in 0..footer.len() {
            let mut protocol = CompactProtocol::new(&footer[..length]);
            let read = FileMetaData::read_from_in_protocol(&mut protocol);
            assert!(read.is_err(), "{length} bytes of {}", footer.len());
        }
    }

    #[test]
    fn values_that_are_out_of_range_are_errors() {
        let read = |bytes: &[u8]| CompactProtocol::new(bytes).read_i32();
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]).unwrap(), i32::MIN);
        assert!(read(&[0x80, 0x80, 0x80, 0x80, 0x10]).is_err());
        let read = |bytes: &[u8]| CompactProtocol::new(bytes).read_i64();
        assert_eq!(read(&[0x03]).unwrap(), -2);
        let largest = [&[0xFF; 9][..], &[0x01]].concat();
        assert_eq!(read(&largest).unwrap(), i64::MIN);
        assert!(read(&[0xFF; 11]).is_err());
        // A list of 2^31 elements in a few bytes.
        let mut list = CompactProtocol::new(&[0xFC, 0x80, 0x80, 0x80, 0x80, 0x08, 0x00]);
        assert!(list.read_list_begin().is_err());
        // Structs without end.
        let mut structs = CompactProtocol::new(&[0x1C; 1000]);
        assert!(structs.skip(TType::Struct).is_err());
    }
}

//! Encodes greyscale images as PNG.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::ZlibEncoder};

/// Encodes an image with `width` grey values per row, from 0 (black) to 255 (white), as a PNG file.
///
/// The format is defined in the W3C's "Portable Network Graphics (PNG) Specification": a signature,
/// then chunks of length, name, content and CRC-32. Each row of the image starts with its filter
/// type, 0 for none.
pub(super) fn encode(grey: &[u8], width: u32) -> io::Result<Vec<u8>> {
    let rows = grey.chunks_exact(width.max(1) as usize);
    let mut header = Vec::with_capacity(13);
    header.extend(width.to_be_bytes());
    header.extend((rows.len() as u32).to_be_bytes());
    // 8-bit greyscale, deflate compression, filters per row, not interlaced.
    header.extend([8, 0, 0, 0, 0]);

    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in rows {
        pixels.write_all(&[0])?;
        pixels.write_all(row)?;
    }

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"IDAT", &pixels.finish()?);
    chunk(&mut file, b"IEND", &[]);
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    let mut checksum = Crc::new();
    checksum.update(name);
    checksum.update(content);
    file.extend((content.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(content);
    file.extend(checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    #[test]
    fn the_pixels_come_back_out_of_the_file() {
        let grey = [0, 64, 128, 192, 255, 7];
        let file = encode(&grey, 3).unwrap();
        assert_eq!(file[..8], *b"\x89PNG\r\n\x1a\n");
        assert_eq!(file[16..24], [0, 0, 0, 3, 0, 0, 0, 2], "3 wide, 2 high");
        let length = u32::from_be_bytes(file[33..37].try_into().unwrap()) as usize;
        assert_eq!(file[37..41], *b"IDAT");
        let mut pixels = Vec::new();
        ZlibDecoder::new(&file[41..41 + length])
            .read_to_end(&mut pixels)
            .unwrap();
        assert_eq!(pixels, [0, 0, 64, 128, 0, 192, 255, 7]);
    }

    #[test]
    fn every_file_ends_in_the_same_checksummed_chunk() {
        // The CRC-32 of the empty IEND chunk, as in every PNG file.
        let file = encode(&[0], 1).unwrap();
        assert_eq!(file[file.len() - 12..], *b"\0\0\0\0IEND\xae\x42\x60\x82");
    }
}

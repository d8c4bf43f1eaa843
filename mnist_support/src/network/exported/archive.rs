//! The zip archive in which `torch.export.save` keeps a program.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Write},
};

use zip::{
    CompressionMethod, ZipArchive, ZipWriter,
    read::{ArchiveOffset, Config},
    write::SimpleFileOptions,
};

use super::invalid;
use crate::{Result, error::Cause};

/// The files of an archive, by their paths below its one folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Archive {
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Reads an archive.
    ///
    /// The bytes may come from anywhere: all files together take no more memory than the archive,
    /// whatever its entries claim.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        // An example of the input is an archive, too, within this one: don't search for the start.
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let mut archive = ZipArchive::with_config(config, Cursor::new(bytes))
            .map_err(|error| not_a_pt2(bytes, error))?;
        let mut root: Option<String> = None;
        let mut files = BTreeMap::new();
        let mut left = bytes.len() as u64;
        for index in 0..archive.len() {
            let mut entry = archive
                .by_index(index)
                .map_err(|error| broken(index, error))?;
            if entry.is_dir() {
                continue;
            }
            let name = entry
                .name()
                .map_err(|error| broken(index, error))?
                .into_owned();
            if entry.compression() != CompressionMethod::Stored {
                let reason =
                    "it is compressed, which torch.export.save does not do: save the program again";
                return Err(invalid(name, reason));
            }
            let Some(rest) = left.checked_sub(entry.size()) else {
                let reason = format!(
                    "it claims {} bytes, more than the file has: it was cut off or altered",
                    entry.size()
                );
                return Err(invalid(name, reason));
            };
            left = rest;
            let Some((folder, path)) = name.split_once('/') else {
                return Err(invalid(name, "it lies outside of the archive's folder"));
            };
            let outside = path.split('/').any(|part| matches!(part, "" | "." | ".."));
            if outside || root.get_or_insert_with(|| folder.to_owned()) != folder {
                return Err(invalid(name, "it lies outside of the archive's folder"));
            }
            let mut content = Vec::new();
            let path = path.to_owned();
            entry
                .read_to_end(&mut content)
                .map_err(|error| invalid(name.clone(), Cause::from(error.to_string())))?;
            if files.insert(path, content).is_some() {
                return Err(invalid(name, "the archive has it twice"));
            }
        }
        Ok(Archive { files })
    }

    /// Writes the archive, so that `torch.export.load` can read it.
    pub(super) fn write(&self) -> Result<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default());
        let failed = |error: &dyn std::error::Error| invalid("the archive", error.to_string());
        for (path, content) in &self.files {
            writer
                .start_file(format!("program/{path}"), options)
                .map_err(|error| failed(&error))?;
            writer.write_all(content).map_err(|error| failed(&error))?;
        }
        let written = writer.finish().map_err(|error| failed(&error))?;
        Ok(written.into_inner())
    }

    pub(super) fn get(&self, path: &str) -> Result<&[u8]> {
        let content = self.files.get(path).map(Vec::as_slice);
        content.ok_or_else(|| invalid(path, "the file does not have it: it was cut off or altered"))
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn put(&mut self, path: impl Into<String>, content: Vec<u8>) {
        self.files.insert(path.into(), content);
    }

    /// Removes the files for which `which` is true.
    pub(super) fn remove(&mut self, which: impl Fn(&str) -> bool) {
        self.files.retain(|path, _| !which(path));
    }
}

/// Says what a file is that is no archive, where that can be told.
fn not_a_pt2(bytes: &[u8], error: zip::result::ZipError) -> crate::Error {
    let reason = if bytes.starts_with(b"PK") {
        format!("it is not a complete .pt2 file: {error}")
    } else {
        format!(
            "it is no .pt2 file, as torch.export.save(torch.export.export(…), \"m.pt2\") writes: {error}"
        )
    };
    invalid("the file", reason)
}

fn broken(index: usize, error: zip::result::ZipError) -> crate::Error {
    invalid(format!("entry {index} of the archive"), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Archive::default();
        for (path, content) in files {
            archive.put(*path, content.to_vec());
        }
        archive.write().unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        Archive::read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn files_come_back() {
        let bytes = archive(&[
            ("models/model.json", b"{}"),
            ("data/weights/weight_0", b"1234"),
        ]);
        let read = Archive::read(&bytes).unwrap();
        assert_eq!(read.get("data/weights/weight_0").unwrap(), b"1234");
        assert!(read.get("models/other.json").is_err());
        assert_eq!(Archive::read(&read.write().unwrap()).unwrap(), read);
    }

    #[test]
    fn an_entry_that_claims_10_gb_is_refused_before_memory_is_taken() {
        let mut bytes = archive(&[("models/model.json", b"0123456789")]);
        // The sizes in the central directory: compressed, then uncompressed.
        let directory = bytes
            .windows(4)
            .rposition(|four| four == b"PK\x01\x02")
            .unwrap();
        for offset in [20, 24] {
            let size = 4_000_000_000_u32.to_le_bytes();
            bytes[directory + offset..directory + offset + 4].copy_from_slice(&size);
        }
        let refusal = refusal(&bytes);
        assert!(refusal.contains("claims 4000000000 bytes"), "{refusal}");
    }

    #[test]
    fn a_path_outside_of_the_folder_is_refused() {
        for path in ["../secrets", "a/../../b", "a//b"] {
            let refusal = refusal(&archive(&[(path, b"")]));
            assert!(
                refusal.contains("outside of the archive's folder"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn what_is_no_archive_is_told_so() {
        let found = refusal(b"{\"input_shape\": [784]}");
        assert!(
            found.contains("no .pt2 file, as torch.export.save"),
            "{found}"
        );
        let bytes = archive(&[("models/model.json", b"{}")]);
        let found = refusal(&bytes[..bytes.len() - 10]);
        assert!(found.contains("not a complete .pt2 file"), "{found}");
    }

    #[test]
    fn a_file_cut_or_altered_anywhere_is_no_panic() {
        let bytes = archive(&[
            ("models/model.json", b"{\"a\": 1}"),
            ("data/weights/weight_0", b"12"),
        ]);
        for length in 0..bytes.len() {
            assert!(Archive::read(&bytes[..length]).is_err());
        }
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 0x41;
            let _ = Archive::read(&altered);
        }
    }
}

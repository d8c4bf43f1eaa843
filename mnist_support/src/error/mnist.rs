//! Errors of IDX files: MNIST's, and others in that format.

use std::io;
use std::path::PathBuf;

use crate::text::grouped;

/// What is wrong with IDX files: MNIST's, or others in that format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MnistError {
    /// A file that is not the IDX file it should be.
    #[error("{} cannot be used: {source}", path.display())]
    InvalidIdx { path: PathBuf, source: IdxError },
    /// A folder without a usable set of four IDX files.
    #[error("{} has no set of IDX files that can be used: {source}", path.display())]
    IdxFolder { path: PathBuf, source: FolderError },
    /// A download with the wrong hash. It was moved aside and is not used.
    #[error("{} has SHA-256 {found}, not {expected}; it was kept as {} and is not used; run `make data` to download it again", path.display(), kept_as.display())]
    HashMismatch {
        path: PathBuf,
        expected: String,
        found: String,
        kept_as: PathBuf,
    },
}

/// Why a file is not the IDX file it should be, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// An empty file.
    #[error("it is empty: download or copy it again")]
    Empty,
    /// A web page, such as a server sends when a download fails.
    #[error(
        "it is a web page, probably a server's error or log-in page: open it in a browser to see \
         why, and download the file again"
    )]
    WebPage,
    /// The three-line pointer that Git LFS keeps in place of a large file.
    #[error("it is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`")]
    GitLfsPointer,
    /// Other text, such as a server's message.
    #[error("it is text, perhaps a server's message: read it, and download the file again")]
    Text,
    /// A file compressed with something other than gzip, or compressed twice.
    #[error("it is packed with {with}: unpack it with `{command}`")]
    Packed {
        /// The compression format.
        with: &'static str,
        /// The command that unpacks it.
        command: &'static str,
    },
    /// A truncated gzip file.
    #[error(
        "the compressed file was cut short, {} bytes can be unpacked: download or copy it again",
        grouped(*unpacked)
    )]
    CutGzip {
        /// The number of bytes that could be unpacked.
        unpacked: u64,
    },
    /// A gzip file with damaged content or a wrong checksum.
    #[error("the compressed file is damaged ({source}): download or copy it again")]
    DamagedGzip {
        /// The error of the decompressor.
        source: io::Error,
    },
    /// A file that does not begin with two zero bytes, or whose header is cut short.
    #[error(
        "it begins with the bytes {first:02x?}, where the header of {wanted} is needed: is it \
         another kind of file?"
    )]
    Header {
        /// The first bytes, at most four.
        first: Vec<u8>,
        /// What the file should hold.
        wanted: &'static str,
    },
    /// Values of a type that the file may not have.
    #[error("its values are {found}, where {wanted} are needed: convert them")]
    ValueType {
        /// The name of the type, with its code in the header.
        found: String,
        /// The accepted types.
        wanted: &'static str,
    },
    /// The wrong number of dimensions.
    #[error(
        "it has {found} dimension{}, where {wanted}: is it the right file?",
        if *found == 1 { "" } else { "s" }
    )]
    Dimensions {
        /// The number in the header.
        found: u8,
        /// The accepted numbers.
        wanted: &'static str,
    },
    /// Fewer values than the header says.
    #[error(
        "its header says {shape}, which is {} bytes, and {} follow: the file was cut short, \
         download or copy it again", grouped(*expected), grouped(*found)
    )]
    Cut {
        /// The sizes of the dimensions.
        shape: String,
        /// The number of bytes that these sizes take.
        expected: u64,
        /// The number of bytes in the file.
        found: u64,
    },
    /// Bytes after the last value.
    #[error(
        "its header says {shape}, which is {} bytes, and more follow: the header or the file is \
         not whole, download or copy it again", grouped(*expected)
    )]
    TrailingBytes {
        /// The sizes of the dimensions.
        shape: String,
        /// The number of bytes that these sizes take.
        expected: u64,
    },
    /// Sizes that no set of images has.
    #[error("its header says {shape}: {reason}")]
    Sizes {
        /// The sizes of the dimensions.
        shape: String,
        /// Why they are refused.
        reason: &'static str,
    },
    /// Labels and images that differ in number.
    #[error(
        "it has {} labels, where {} has {} images: they are not of the same set",
        grouped(*labels), file.display(), grouped(*images)
    )]
    Counts {
        /// The number of labels.
        labels: u64,
        /// The file with the images.
        file: PathBuf,
        /// The number of images.
        images: u64,
    },
    /// Test images of a different size from the training images.
    #[error(
        "its images are of {} x {} pixels, where those of {} are of {} x {}: they are not of the \
         same set", found.0, found.1, file.display(), expected.0, expected.1
    )]
    ImageSize {
        /// Height and width.
        found: (usize, usize),
        /// The file with the training images.
        file: PathBuf,
        /// The height and width of the training images.
        expected: (usize, usize),
    },
    /// A label that does not fit into a byte.
    #[error("its label {row} is {label}: classes are whole numbers from 0 to 255")]
    Label {
        /// The position of the label, from 1.
        row: u64,
        /// The label.
        label: i64,
    },
    /// A test label above the largest class of the training labels.
    #[error("its label {row} is of class {class}, but the classes of {} end at {last}", file.display())]
    UnknownClass {
        /// The position of the label, from 1.
        row: u64,
        /// Its class, from 0.
        class: u8,
        /// The file with the training labels.
        file: PathBuf,
        /// The largest class of the training labels.
        last: u8,
    },
}

/// Why a folder has no usable set of four IDX files, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A path that does not exist.
    #[error("there is no such folder: check the path")]
    NoSuchFolder,
    /// A file where a folder is needed.
    #[error(
        "it is a file: name the folder that the four IDX files are in, unpacked if it was an archive"
    )]
    NotAFolder,
    /// An empty folder.
    #[error("the folder is empty: it needs {NEEDED}")]
    Empty,
    /// A folder whose files have other names.
    #[error("no file in it has the name of an IDX file; it has {found}, and needs {NEEDED}")]
    NoIdxFiles {
        /// Some of the names found.
        found: String,
    },
    /// A folder with only some of the four files.
    #[error("it has no {missing}: add {example}")]
    Missing {
        /// What is missing: "test labels".
        missing: String,
        /// A file name that would do: "t10k-labels-idx1-ubyte".
        example: String,
    },
    /// Several files that could each be the one.
    #[error("{first} and {second} both hold {what}: keep one of them there")]
    SeveralFiles {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
        /// What both hold: "training images".
        what: &'static str,
    },
    /// Several sets of four files.
    #[error(
        "it holds files of several sets: {sets}; {}",
        example.as_ref().map_or("keep one of them there".to_owned(), |example| format!(
            "name one of them, as in MNIST_DIR={}", example.display()
        ))
    )]
    SeveralSets {
        /// The first file of each set.
        sets: String,
        /// A path that names one of the sets.
        example: Option<PathBuf>,
    },
}

const NEEDED: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte \
                      and t10k-labels-idx1-ubyte, or such names as emnist-letters-train-images-idx3-ubyte, \
                      each with or without .gz";

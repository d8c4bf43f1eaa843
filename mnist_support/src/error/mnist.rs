//! Errors of MNIST's files, and of files like them.

use std::io;
use std::path::PathBuf;

use crate::text::grouped;

/// What is wrong with MNIST's files, or with files like them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MnistError {
    /// A file that is not the IDX file that it is taken for.
    #[error("{} cannot be used: {source}", path.display())]
    InvalidIdx { path: PathBuf, source: IdxError },
    /// A folder without one set of four IDX files that can be used.
    #[error("{} has no set of IDX files that can be used: {source}", path.display())]
    IdxFolder { path: PathBuf, source: FolderError },
    /// A download of other content than expected; it was moved aside and is not used.
    #[error("{} has SHA-256 {found}, not {expected}; it was kept as {} and is not used; run `make data` to download it again", path.display(), kept_as.display())]
    HashMismatch {
        path: PathBuf,
        expected: String,
        found: String,
        kept_as: PathBuf,
    },
}

/// Why a file is not the IDX file that it is taken for, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// A file without a byte.
    #[error("it is empty: download or copy it again")]
    Empty,
    /// A page, as a server sends where a download fails.
    #[error(
        "it is a web page, probably a server's error or log-in page: open it in a browser to see \
         why, and download the file again"
    )]
    WebPage,
    /// The three lines that Git keeps in place of a large file.
    #[error("it is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`")]
    GitLfsPointer,
    /// Text of another kind, such as a server's message.
    #[error("it is text, perhaps a server's message: read it, and download the file again")]
    Text,
    /// Packed with something else than gzip, or packed twice.
    #[error("it is packed with {with}: unpack it with `{command}`")]
    Packed {
        /// The format.
        with: &'static str,
        /// What unpacks it.
        command: &'static str,
    },
    /// A gzip file that ends too early.
    #[error(
        "the compressed file was cut short, {} bytes can be unpacked: download or copy it again",
        grouped(*unpacked)
    )]
    CutGzip {
        /// The bytes that came out of it.
        unpacked: u64,
    },
    /// A gzip file whose content or checksum is wrong.
    #[error("the compressed file is damaged ({source}): download or copy it again")]
    DamagedGzip {
        /// What the unpacking said.
        source: io::Error,
    },
    /// Two bytes at the beginning that are not zero, or a header that is cut.
    #[error(
        "it begins with the bytes {first:02x?}, where the header of {wanted} is needed: is it \
         another kind of file?"
    )]
    Header {
        /// The first bytes, four at most.
        first: Vec<u8>,
        /// What the file is to hold.
        wanted: &'static str,
    },
    /// Values of another type than the file may have.
    #[error("its values are {found}, where {wanted} are needed: convert them")]
    ValueType {
        /// The type's name, with its number in the header.
        found: String,
        /// The types that are taken.
        wanted: &'static str,
    },
    /// Another number of dimensions than the file may have.
    #[error(
        "it has {found} dimension{}, where {wanted}: is it the right file?",
        if *found == 1 { "" } else { "s" }
    )]
    Dimensions {
        /// The number in the header.
        found: u8,
        /// What is needed.
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
        /// The bytes that these take.
        expected: u64,
        /// The bytes that are there.
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
        /// The bytes that these take.
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
    /// Labels and images of different counts.
    #[error(
        "it has {} labels, where {} has {} images: they are not of the same set",
        grouped(*labels), file.display(), grouped(*images)
    )]
    Counts {
        /// The number of labels.
        labels: u64,
        /// The file of the images.
        file: PathBuf,
        /// Their number.
        images: u64,
    },
    /// Test images of another size than the training images.
    #[error(
        "its images are of {} x {} pixels, where those of {} are of {} x {}: they are not of the \
         same set", found.0, found.1, file.display(), expected.0, expected.1
    )]
    ImageSize {
        /// Height and width.
        found: (usize, usize),
        /// The file of the training images.
        file: PathBuf,
        /// Their height and width.
        expected: (usize, usize),
    },
    /// A label that does not fit a byte.
    #[error("its label {row} is {label}: classes are whole numbers from 0 to 255")]
    Label {
        /// The label's place, from 1.
        row: u64,
        /// The label.
        label: i64,
    },
    /// A class of a test image that is above those of the training images.
    #[error("its label {row} is of class {class}, and the classes of {} end at {last}", file.display())]
    UnknownClass {
        /// The label's place, from 1.
        row: u64,
        /// Its class, from 0.
        class: u8,
        /// The file of the training labels.
        file: PathBuf,
        /// The last of their classes.
        last: u8,
    },
}

/// Why a folder has no set of four IDX files that can be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A path at which nothing is.
    #[error("there is no such folder: check the path")]
    NoSuchFolder,
    /// A file in place of a folder.
    #[error(
        "it is a file: name the folder that the four IDX files are in, unpacked if it was an archive"
    )]
    NotAFolder,
    /// A folder without any file.
    #[error("the folder is empty: it needs {NEEDED}")]
    Empty,
    /// A folder with files of other names.
    #[error("no file in it has the name of an IDX file; it has {found}, and needs {NEEDED}")]
    NoIdxFiles {
        /// Some of the names that are there.
        found: String,
    },
    /// Some of the four files are there.
    #[error("there are no {missing}: put {example} there too")]
    Missing {
        /// What is not there: "test labels".
        missing: String,
        /// A file's name: "t10k-labels-idx1-ubyte".
        example: String,
    },
    /// Several files of which each may be the one.
    #[error("{first} and {second} both hold {what}: keep one of them there")]
    SeveralFiles {
        /// One file.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
        /// What both hold: "training images".
        what: &'static str,
    },
    /// Several sets of four.
    #[error(
        "it holds files of several sets: {sets}; {}",
        example.as_ref().map_or("keep one of them there".to_owned(), |example| format!(
            "name one of them, as in MNIST_DIR={}", example.display()
        ))
    )]
    SeveralSets {
        /// The first file of each.
        sets: String,
        /// The path that means one of them.
        example: Option<PathBuf>,
    },
}

const NEEDED: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte \
                      and t10k-labels-idx1-ubyte, or such names as emnist-letters-train-images-idx3-ubyte, \
                      each with or without .gz";

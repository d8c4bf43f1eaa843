//! The one error type of the crate.

mod idx;

use std::path::PathBuf;

pub use idx::{FolderError, IdxError};

/// What the crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, each with what names the place and what to do about it.
///
/// No variant ever carries a secret: credentials are [`Secret`](crate::secrets::Secret)s, which print as
/// `[redacted]`, and messages that come from a storage service are stripped of query strings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ----- secrets -----
    /// A secret scope has no such key.
    #[error("the secret scope {scope:?} has no key {key:?}: {hint}")]
    SecretNotFound {
        scope: String,
        key: String,
        hint: String,
    },
    /// A secret scope's file cannot be used, for instance because others can read it.
    #[error("the secrets file {} cannot be used: {reason}", path.display())]
    SecretsFile { path: PathBuf, reason: String },

    // ----- the lake -----
    /// A URL that is not `abfss://`, `az://`, `file://` or a path, or that lacks a part.
    #[error("{url:?} is not a location in a lake: {reason}")]
    InvalidUrl { url: String, reason: String },
    /// No such container, blob or file.
    #[error("{url} was not found: {hint}")]
    NotFound { url: String, hint: String },
    /// The service refused the credentials, or there are none.
    #[error("access to {url} was refused ({reason}): {hint}")]
    AccessDenied {
        url: String,
        reason: String,
        hint: String,
    },
    /// The service did not answer within the retries.
    #[error("{url} could not be reached after {retries} retries: {reason}")]
    Unreachable {
        url: String,
        retries: usize,
        reason: String,
    },
    /// Any other failure of the storage.
    #[error("{operation} {url} failed: {reason}")]
    Storage {
        operation: &'static str,
        url: String,
        reason: String,
    },

    // ----- tables: CSV, Parquet, frames -----
    /// A file without a header or without rows.
    #[error("{file} is empty: {reason}")]
    EmptyFile { file: String, reason: String },
    /// A column that is asked for and is not there.
    #[error("{table} has no column {column:?}; it has {available}")]
    ColumnNotFound {
        table: String,
        column: String,
        available: String,
    },
    /// A row with more or fewer fields than the header has.
    #[error("{file}, row {row}: {found} fields where the header has {expected}")]
    RaggedRow {
        file: String,
        row: u64,
        expected: usize,
        found: usize,
    },
    /// A field that is not a number of its column's type.
    #[error("{file}, row {row}, column {column:?}: {value:?} is not {expected}")]
    InvalidValue {
        file: String,
        row: u64,
        column: String,
        value: String,
        expected: String,
    },
    /// An empty field, or a null in a frame.
    #[error("{file}, row {row}, column {column:?}: the value is missing")]
    MissingValue {
        file: String,
        row: u64,
        column: String,
    },
    /// A column of a type that cannot be a feature or a label.
    #[error("{table}, column {column:?} is of type {found}: {expected} is needed")]
    ColumnType {
        table: String,
        column: String,
        found: String,
        expected: String,
    },
    /// A label that is not one of the network's classes.
    #[error(
        "{table}, row {row}, column {column:?}: label {label} is not a class from 0 to {last_class}"
    )]
    LabelOutOfRange {
        table: String,
        row: u64,
        column: String,
        label: f64,
        last_class: i64,
    },
    /// Any other failure to read or write a table.
    #[error("{table}: {reason}")]
    Table { table: String, reason: String },

    // ----- MNIST's files, and files like them -----
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
    /// A local file operation that failed.
    #[error("{operation} {} failed: {source}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },

    // ----- networks -----
    /// A list of layers whose shapes do not fit, or a setting of a layer that makes no sense.
    #[error("layer {layer} ({kind}) on an input of shape {input_shape:?}: {reason}")]
    InvalidLayer {
        layer: usize,
        kind: &'static str,
        input_shape: Vec<i64>,
        reason: String,
    },
    /// A configuration of the CNN that contradicts itself.
    #[error("CnnConfig.{field}: {reason}")]
    InvalidCnn { field: &'static str, reason: String },
    /// Weights that are not those of the network.
    #[error("weights, parameter {parameter:?}: {reason}")]
    InvalidWeights { parameter: String, reason: String },
    /// An array or tensor of another shape than needed.
    #[error("{what} has shape {found:?}, where {expected} is needed")]
    ShapeMismatch {
        what: String,
        found: Vec<i64>,
        expected: String,
    },

    // ----- training -----
    /// A setting outside its range.
    #[error("{setting} = {value} {reason}")]
    InvalidSetting {
        setting: &'static str,
        value: String,
        reason: String,
    },
    /// Something that has to be fitted before it is used.
    #[error("{what} is not fitted yet: call fit first")]
    NotFitted { what: &'static str },
    /// A loss that is no longer a number.
    #[error(
        "the training loss is {loss} at iteration {iteration}: lower learning_rate, or scale the features"
    )]
    Diverged { iteration: usize, loss: f64 },
    /// A rank of the program failed; the others were stopped.
    #[error("rank {rank} of {world_size} failed: {reason}")]
    RankFailed {
        rank: usize,
        world_size: usize,
        reason: String,
    },
    /// The ranks did not find each other.
    #[error("rank {rank} could not join the {world_size} ranks that meet at {master}: {reason}")]
    Rendezvous {
        rank: usize,
        world_size: usize,
        master: String,
        reason: String,
    },
    /// A rank that is a process reported an error of its own.
    #[error("rank {rank} of {world_size}: {message}")]
    InRank {
        rank: usize,
        world_size: usize,
        message: String,
    },
    /// A file that describes no job of a worker.
    #[error("{} is not a job: {reason}", path.display())]
    InvalidJob { path: PathBuf, reason: String },
    /// An exchange was given up because another rank failed or left.
    #[error("the exchange between {world_size} ranks was given up: {reason}")]
    ExchangeAborted { world_size: usize, reason: String },
    /// The ranks ended with other weights, though they should be the same to the bit.
    #[error(
        "the {world_size} ranks ended with different weights: do they all run on the same kind of processor?"
    )]
    RanksDisagree { world_size: usize },
    /// A checkpoint that is damaged, or of another fit.
    #[error("the checkpoint {url} cannot be used: {reason}")]
    InvalidCheckpoint { url: String, reason: String },
    /// A device that this machine or this libtorch does not have.
    #[error("device {device:?} is not available: {reason}")]
    DeviceUnavailable { device: String, reason: String },
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),

    // ----- Spark -----
    /// A barrier needs more tasks at the same time than the cluster has cores for.
    #[error(
        "{needed} ranks have to run at the same time, and the cluster at {url} has cores for {found}: ask for fewer \
         ranks (partitions), or add executors"
    )]
    TooFewSlots {
        url: String,
        needed: usize,
        found: usize,
    },
    /// The executors run another version of Python than was named to them.
    #[error(
        "an executor of {url} runs Python {executors}, where Python {given} was expected: all executors need the same \
         version of Python, and a version that is set must be theirs"
    )]
    PythonMismatch {
        url: String,
        executors: String,
        given: String,
    },
    /// Any other failure that Spark reports.
    #[error("{operation} {url} failed: {reason}")]
    Spark {
        operation: &'static str,
        url: String,
        reason: String,
    },

    // ----- stop -----
    /// What ran was ended on request, by Stop or Ctrl-C; see [`interrupt`](crate::interrupt).
    #[error(
        "{operation} {url} was stopped on request; nothing is half written, so it can be run again"
    )]
    Interrupted {
        operation: &'static str,
        url: String,
    },
    // ----- pipelines -----
    /// A pipeline whose stages do not fit each other.
    #[error("pipeline stage {stage} ({kind}): {reason}")]
    InvalidPipeline {
        stage: usize,
        kind: &'static str,
        reason: String,
    },
    /// A saved model that is cut, altered or of another version.
    #[error("the saved model {url} cannot be loaded: {file}: {reason}")]
    InvalidModel {
        url: String,
        file: String,
        reason: String,
    },

    // ----- pictures -----
    /// A picture that could not be drawn.
    #[error("drawing {picture} failed: {reason}")]
    Drawing {
        picture: &'static str,
        reason: String,
    },
}

//! Worker processes on the executors of a Spark cluster, over Spark Connect.
//!
//! A [`SparkSession`] is the connection to a server, and a [`SparkFrame`] a table or query there.
//! [`SparkSession::run_workers`] runs a program once per partition of a frame. The partition's rows
//! are streamed to the program's standard input, and what it writes to standard output is returned,
//! both as Arrow IPC streams. Nothing here knows what the program computes.
//!
//! ```no_run
//! use mnist_support::spark::{SparkSession, WorkerCommand};
//!
//! let spark = SparkSession::connect("sc://127.0.0.1:15002")?;
//! let rows = spark.sql("SELECT * FROM digits WHERE label < 5");
//! let command = WorkerCommand::new("target/debug/my-worker").argument("train");
//! for batch in spark.run_workers(&rows, 2, &command)? {
//!     println!("{} rows", batch.num_rows());
//! }
//! # Ok::<(), mnist_support::Error>(())
//! ```

mod artifact;
mod connection;
mod execution;
mod failure;
mod frame;
mod pickle;
mod plan;
mod python;
mod session;
mod slots;
mod worker;

pub use arrow_array::RecordBatch;
pub use frame::SparkFrame;
pub use session::SparkSession;
pub use worker::{Libtorch, WorkerCommand};

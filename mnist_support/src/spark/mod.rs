//! Worker processes on the executors of a Spark cluster, over Spark Connect.
//!
//! A [`SparkSession`] is the connection to a server, and a [`SparkFrame`] a table or query there.
//! [`SparkSession::run_workers`] runs a program once per partition of a frame. The partition's rows
//! are streamed to the program's standard input, and what it writes to standard output is returned,
//! both as Arrow IPC streams. Nothing here knows what the program computes. The rows of a frame are
//! [named for SQL](SparkFrame::create_or_replace_temp_view) or [kept as a table](SparkFrame::write)
//! without leaving the cluster.
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
//!
//! # On Databricks
//!
//! The address is the one that Databricks documents for Spark Connect, with a personal access
//! token and the cluster's ID:
//!
//! ```sh
//! export SPARK_REMOTE='sc://WORKSPACE:443/;token=TOKEN;x-databricks-cluster-id=CLUSTER'
//! ```
//!
//! The token goes over TLS, as `Authorization: Bearer`, and no user is named beside it. It is in
//! no error, log or saved model. This has been tested against a stand-in, which asks for TLS,
//! token and header, and cuts idle connections. **Nobody has tried it on Databricks itself**, so
//! all that follows is untried.
//!
//! - **Runtime.** 16.4 LTS (Spark 3.5) and 17.3 LTS (Spark 4.0), on compute with dedicated access
//!   (formerly single user). All workers of a cluster have the same Python, which is asked for.
//! - **libtorch.** Either a cluster library, `torch==2.13.0` from PyPI, or a folder with libtorch
//!   2.13 that the cluster's environment variable `MNIST_LIBTORCH` names, in a volume for example
//!   (`/Volumes/CATALOG/SCHEMA/VOLUME/libtorch`). Another version than the worker was built for is
//!   reported with both versions, before a fit occupies the cluster.
//! - **The C library.** The worker is built on the notebook's machine, and runs where glibc is at
//!   least as new as there (`ldd --version`).
//! - **The lake.** Its credentials are the executors' own: the cluster's environment variables
//!   `ADLS_ACCOUNT` and so on, which may refer to secrets (`{{secrets/adls/account}}`).
//! - **The run's folder.** Notebook and executors share no disk, so `MNIST_RUNS` has to name a
//!   folder in the lake: `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/runs`.
//! - **As many ranks as free cores.** A fit is a barrier stage, and all of its ranks run at the
//!   same time. If the cluster loses an executor in the middle, a fit with `max_restarts` waits 40
//!   seconds for another one, and goes on; else it ends, and says how many cores there are.
//! - **Ports.** The ranks connect to each other at ports that their systems choose (on Linux the
//!   range `net.ipv4.ip_local_port_range`), which have to be open between the workers. One that is
//!   not is named.
//! - **What can't be expected to work.** On standard (formerly shared) and serverless compute,
//!   Python functions run in a sandbox of their own: programs that talk to each other over the
//!   network, as ranks do, and environment variables of one's own are not for it. Without
//!   executors' environment variables there is no way to give them credentials.

mod address;
mod artifact;
mod connection;
mod execution;
mod failure;
mod frame;
mod job;
mod libtorch;
mod pickle;
mod plan;
mod python;
mod refusal;
mod report;
mod session;
mod slots;
mod types;
mod watch;
mod worker;
mod writer;

pub use arrow_array::RecordBatch;
pub use frame::SparkFrame;
pub use session::SparkSession;
pub(crate) use types::SparkType;
pub use worker::{Libtorch, WorkerCommand};
pub use writer::{DataFrameWriter, SaveMode};

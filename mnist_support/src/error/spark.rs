//! Errors of a Spark cluster.

/// What a Spark cluster lacks or reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SparkError {
    /// The server did not answer, even after the retries.
    #[error("{url} could not be reached after {retries} retries: {reason}")]
    Unreachable {
        url: String,
        retries: usize,
        reason: String,
    },
    /// The server's certificate is not one that this machine trusts, or not for this host, or has
    /// expired.
    #[error(
        "the certificate of {url} is not trusted here: {reason}. If the authority that signed it is your organisation's \
         own, name its certificate (a PEM file) in SSL_CERT_FILE"
    )]
    UntrustedCertificate { url: String, reason: String },
    /// What answers does not speak TLS.
    #[error(
        "{url} answers without TLS, which a token and use_ssl=true ask for: is the port right? A token is sent without \
         TLS to localhost only"
    )]
    NoTls { url: String },
    /// What answers does not speak HTTP/2.
    #[error(
        "{url} answers, but not over HTTP/2, which Spark Connect needs: is the port right, does it want TLS \
         (;use_ssl=true), and does a proxy in between pass gRPC on?"
    )]
    NoHttp2 { url: String },
    /// The server, or a proxy in front of it, refuses the token.
    #[error(
        "{url} refuses the token ({reason}): it may be wrong or expired, or its owner may not use the cluster. Create \
         another, and put it into SPARK_REMOTE: sc://HOST:PORT/;token=…"
    )]
    TokenRefused { url: String, reason: String },
    /// The server, or a proxy in front of it, wants a token.
    #[error("{url} wants a token ({reason}): put one into SPARK_REMOTE: sc://HOST:PORT/;token=…")]
    TokenMissing { url: String, reason: String },
    /// A gRPC or web server that is no Spark Connect server.
    #[error(
        "{url} answers, but not as a Spark Connect server does ({reason}): is SPARK_REMOTE its address? A server of \
         your own listens on port 15002, Databricks on 443"
    )]
    NotSparkConnect { url: String, reason: String },
    /// The server's version of Spark lacks what this crate needs.
    #[error("{url} runs Spark {found}, and Spark {needed} or later is needed")]
    TooOld {
        url: String,
        found: String,
        needed: String,
    },
    /// The barrier stage needs more task slots than the cluster has.
    #[error(
        "{needed} ranks have to run at the same time, and the cluster at {url} has cores for {found}: ask for fewer \
         ranks (partitions), or add executors"
    )]
    TooFewSlots {
        url: String,
        needed: usize,
        found: usize,
    },
    /// An executor ended in the middle of a job, or its machine did, or was taken from the cluster.
    #[error(
        "{url} lost an executor that ran a rank ({reason}): with max_restarts, a fit goes on as soon as there are enough \
         cores again"
    )]
    ExecutorLost { url: String, reason: String },
    /// The executors run a different version of Python from the one that was set.
    #[error(
        "an executor of {url} runs Python {executors}, where Python {given} was expected: all executors need the same \
         version of Python, and a version that is set must be theirs"
    )]
    PythonMismatch {
        url: String,
        executors: String,
        given: String,
    },
    /// An executor has another version of libtorch than the workers were built for.
    #[error(
        "{host}, an executor of {url}, has libtorch {found} in {folder}, and the worker needs {needed}: install \
         torch=={needed}.* for the executors' Python, or name a folder with libtorch {needed} in MNIST_LIBTORCH"
    )]
    LibtorchMismatch {
        url: String,
        host: String,
        folder: String,
        found: String,
        needed: String,
    },
    /// The workers cannot start on an executor's machine: its C library is older than they need, or
    /// its processor another.
    #[error(
        "{host}, an executor of {url}, has {found}, and the worker needs {needed}: give the executors a Linux \
         that is no older than the one the worker was built on, or build the worker on theirs"
    )]
    SystemMismatch {
        url: String,
        host: String,
        found: String,
        needed: String,
    },
    /// Any other error that Spark reports.
    #[error("{operation} {url} failed: {reason}")]
    Failed {
        operation: &'static str,
        url: String,
        reason: String,
    },
}

//! A server behind TLS, a token and a proxy that cuts connections, as Databricks' is.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mnist_support::{
    Error,
    engine::Session,
    error::SparkError,
    lake::{Credentials, Lake},
    spark::SparkSession,
};
use polars::prelude::ParquetWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Bench,
    cluster::pyspark,
    common::{bits, digits, estimator, pipeline, pixel_columns},
    rows, worker,
};

const TOKEN: &str = "dapi0123456789abcdef";
const CLUSTER: &str = "0301-123456-abcdefgh";
/// Holds the addresses for the part of the test that runs in a process of its own.
const PORTS: &str = "SPARK_TLS_PORTS";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
}

/// Makes an authority, and a certificate that it has signed for 127.0.0.1.
fn certify(folder: &Path) {
    const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {NEW_KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
    );
    openssl(
        folder,
        &format!("req {NEW_KEY} -keyout key.pem -out request.pem -subj /CN=proxy"),
    );
    let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    fs::write(folder.join("extensions"), extensions).unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out certificate.pem",
    );
}

/// A proxy in front of a server, and the ports that it has told.
struct Proxy {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    ports: Value,
}

impl Proxy {
    fn start(folder: &Path, server: &str) -> Proxy {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/spark_client/proxy.py");
        let mut process = Command::new(pyspark())
            .arg(script)
            .args([folder.join("certificate.pem"), folder.join("key.pem")])
            .args([server.strip_prefix("sc://").unwrap(), TOKEN, CLUSTER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let mut ports: Value = serde_json::from_str(&line).unwrap();
        ports["server"] = server.rsplit(':').next().unwrap().into();
        Proxy {
            process,
            output,
            ports,
        }
    }

    /// Ends it, and returns how many connections were opened, and how many of them cut.
    fn end(mut self) -> (u64, u64) {
        drop(self.process.stdin.take());
        let mut line = String::new();
        self.output.read_to_string(&mut line).unwrap();
        self.process.wait().unwrap();
        let counts: Value = serde_json::from_str(&line).unwrap();
        (
            counts["opened"].as_u64().unwrap(),
            counts["cut"].as_u64().unwrap(),
        )
    }
}

/// Runs a part of this file's tests in a process of its own, which trusts `authority`.
fn in_own_process(part: &str, ports: &Value, authority: Option<&Path>) {
    let mut program = Command::new(env::current_exe().unwrap());
    program
        .args([
            &format!("tls::{part}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(PORTS, ports.to_string())
        .env_remove("SSL_CERT_FILE");
    if let Some(authority) = authority {
        program.env("SSL_CERT_FILE", authority);
    }
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {said}");
    // On a channel that the test harness does not capture.
    let told: String = said
        .lines()
        .filter_map(|line| Some(format!("{}\n", line.strip_prefix("TOLD ")?)))
        .collect();
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

/// Returns the address of a port of [`PORTS`], as Databricks documents it.
fn address(port: &str, token: &str) -> String {
    let ports: Value = serde_json::from_str(&env::var(PORTS).unwrap()).unwrap();
    let port = ports[port].to_string();
    format!(
        "sc://127.0.0.1:{}/;token={token};x-databricks-cluster-id={CLUSTER}",
        port.trim_matches('"')
    )
}

fn refused(url: &str) -> (SparkError, String) {
    let start = Instant::now();
    let error = SparkSession::connect(url).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("dapi"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{text}");
    eprintln!("TOLD {error}");
    match error {
        Error::Spark(error) => (error, text),
        other => panic!("{other}"),
    }
}

#[test]
fn databricks_address_leads_through_tls_past_cuts_and_shows_no_token() {
    let Some(bench) = Bench::new() else { return };
    if Command::new("openssl").arg("version").output().is_err() {
        let left_out =
            b"LEFT OUT: a server behind TLS: there is no openssl to make a certificate\n";
        std::io::stderr().write_all(left_out).unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    certify(folder.path());
    let proxy = Proxy::start(folder.path(), bench.spark.url());
    let authority = folder.path().join("ca.pem");
    in_own_process("a_stranger", &proxy.ports, None);
    in_own_process("a_friend_who_errs", &proxy.ports, Some(&authority));
    in_own_process("a_friend", &proxy.ports, Some(&authority));
    let (opened, cut) = proxy.end();
    assert!(cut >= 8 && opened > cut, "{opened} opened, {cut} cut");
}

#[test]
#[ignore = "a part of the test above"]
fn a_stranger() {
    let (error, _) = refused(&address("proxy", TOKEN));
    assert!(
        matches!(error, SparkError::UntrustedCertificate { .. }),
        "{error}"
    );
}

#[test]
#[ignore = "a part of the test above"]
fn a_friend_who_errs() {
    let right = address("proxy", TOKEN);
    let (error, _) = refused(&address("proxy", "dapi-expired"));
    assert!(matches!(error, SparkError::TokenRefused { .. }), "{error}");
    assert!(error.to_string().contains("[redacted]"), "{error}");
    let (error, _) = refused(&right.replace(&format!("token={TOKEN}"), "use_ssl=true"));
    assert!(matches!(error, SparkError::TokenMissing { .. }), "{error}");
    let (_, text) = refused(&right.replace(CLUSTER, "another"));
    assert!(text.contains("no such cluster"), "{text}");
    // The certificate is for the address alone.
    let (error, _) = refused(&format!(
        "{};use_ssl=true",
        right.replace("127.0.0.1", "localhost")
    ));
    assert!(
        matches!(error, SparkError::UntrustedCertificate { .. }),
        "{error}"
    );
    let (error, _) = refused(&address("http1", TOKEN));
    assert!(matches!(error, SparkError::NoHttp2 { .. }), "{error}");
    let (error, _) = refused(&address("server", TOKEN));
    assert!(matches!(error, SparkError::NoTls { .. }), "{error}");
    // Where TLS is wanted and there is none, the server just hangs up.
    let (error, text) = refused(right.split("/;").next().unwrap());
    assert!(matches!(error, SparkError::Unreachable { .. }), "{error}");
    assert!(text.contains("use_ssl=true"), "{text}");
}

#[test]
#[ignore = "a part of the test above"]
fn a_friend() {
    let url = address("proxy", TOKEN);
    let spark = SparkSession::connect(&url).unwrap();
    assert!(!format!("{spark:?}").contains("dapi"), "{spark:?}");
    // More than a message of gRPC may hold unless one says otherwise, which is 4 MB.
    let text = spark.sql("SELECT repeat('x', 1000000) AS text FROM range(20)");
    let rows_read: usize = text.collect().unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows_read, 20);
    // Cut while nobody uses it.
    thread::sleep(Duration::from_secs(5));
    assert_eq!(spark.slots().unwrap(), Some(2));
    // Cut again and again while a long job has nothing to say, not even how far it is.
    let silent = "SET spark.connect.progress.reportInterval=1h";
    spark.sql(silent).collect().unwrap();
    let folder = TempDir::new().unwrap();
    let command = worker(folder.path(), "time.sleep(40)\nanswer((None, b'done'))");
    let start = Instant::now();
    let frame = spark.range(2).unwrap();
    let answers = rows(&spark.run_workers(&frame, 2, &command).unwrap());
    assert!(start.elapsed() > Duration::from_secs(40));
    assert_eq!(answers.len(), 2);

    fit_and_look_for_the_token(&url, folder.path());
}

/// Fits over this address, and looks for the token in what is left.
fn fit_and_look_for_the_token(url: &str, folder: &Path) {
    let file = File::create(folder.join("digits.parquet")).unwrap();
    ParquetWriter::new(file).finish(&mut digits(400)).unwrap();
    let lake = Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap();
    let file = lake.parquet("digits.parquet").unwrap();
    let pipeline = pipeline(pixel_columns(&digits(1)), estimator().iterations(5));
    let session = Session::remote(url).unwrap();
    let model = session.fit(&pipeline, &file).unwrap();
    let here = Session::threads().fit(&pipeline, &file).unwrap();
    assert_eq!(bits(&model), bits(&here));
    let saved = lake.folder("model");
    model.save(&saved).unwrap();
    for name in saved.list().unwrap() {
        let bytes = saved.get(&name).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("dapi"), "{name}");
    }
    assert!(!format!("{session:?} {model:?}").contains("dapi"));
}

//! A Spark cluster for tests.
#![allow(dead_code)] // each test file uses its own part

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

/// A master, two workers with one core each, and a Connect server, on this machine.
pub(crate) struct Cluster {
    pub url: String,
    pub folder: PathBuf,
    /// Stops the cluster when its standard input is closed, however this process ends.
    _guard: Child,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn script(name: &str) -> PathBuf {
    root().join("mnist_support/scripts").join(name)
}

/// The Python interpreter of the executors: the one that `make test-spark SPARK_PYTHON=python3.9`
/// names, or the server's.
pub(crate) fn python() -> PathBuf {
    let named = std::env::var_os("MNIST_SPARK_PYTHON").filter(|named| !named.is_empty());
    named.map_or_else(pyspark, PathBuf::from)
}

/// The Python interpreter that has PySpark with its server: of the newest Spark, or of the older
/// one that `make test-spark SPARK=4.0` names.
pub(crate) fn pyspark() -> PathBuf {
    let older = older().map_or_else(|| "spark".to_owned(), |version| format!("spark_{version}"));
    root().join(".tools").join(older).join("bin/python")
}

/// The version of Spark that the tests run on, unless it is the newest.
pub(crate) fn older() -> Option<String> {
    let named = std::env::var("MNIST_SPARK")
        .ok()
        .filter(|named| !named.is_empty())?;
    let versions = std::fs::read_to_string(script("versions.env")).unwrap();
    let newest = format!("\nSPARK_VERSION={named}.");
    (!versions.contains(&newest)).then_some(named)
}

/// Says what is left out, on a channel that the test harness does not capture.
pub(crate) fn say(message: &str) {
    std::io::stderr()
        .write_all(format!("{message}\n").as_bytes())
        .unwrap();
}

/// The folder of a Java for Spark, which must be installed. Without Java it returns `None` and says
/// so.
pub(crate) fn java() -> Option<PathBuf> {
    let java = Command::new(script("java.sh")).output().unwrap();
    if !java.status.success() {
        let reason = String::from_utf8_lossy(&java.stderr);
        say(&format!(
            "LEFT OUT: tests that need Spark: {}",
            reason.trim()
        ));
        return None;
    }
    assert!(
        pyspark().exists(),
        "Spark is not installed: run `make test` or `make spark-up` once"
    );
    let folder = String::from_utf8(java.stdout).unwrap();
    Some(PathBuf::from(folder.trim()))
}

/// Starts a cluster in a folder, unless it is running, and returns its URL.
pub(crate) fn up(folder: &Path, settings: &[&str]) -> String {
    let started = Command::new(script("spark_up.sh"))
        .arg(folder)
        .args(settings)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(
        started.status.success(),
        "the cluster did not start: {said}"
    );
    let line = String::from_utf8(started.stdout).unwrap();
    let url = line.trim().strip_prefix("export SPARK_REMOTE=");
    url.unwrap().to_owned()
}

impl Cluster {
    /// Starts a cluster of this name in `target/`; `None` without Java.
    pub(crate) fn start(name: &str, settings: &[&str]) -> Option<Cluster> {
        java()?;
        let folder = root().join("target").join(name);
        // In a session of its own, so that Ctrl-C ends the tests but not what cleans up after them.
        let guard = Command::new("setsid")
            .arg("sh")
            .args(["-c", "cat >/dev/null; exec \"$0\" \"$1\""])
            .arg(script("spark_down.sh"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = up(&folder, settings);
        Some(Cluster {
            url,
            folder,
            _guard: guard,
        })
    }

    /// Returns the process of a component: master, worker-1, worker-2 or server.
    pub(crate) fn process(&self, part: &str) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join("pids").join(part)).unwrap();
        pid.trim().parse().unwrap()
    }
}

/// The cluster that the tests of a file share, one test at a time; `None` without Java.
pub(crate) fn shared(
    name: &str,
    settings: &[&str],
) -> Option<MutexGuard<'static, Option<Cluster>>> {
    static CLUSTER: OnceLock<Mutex<Option<Cluster>>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Mutex::new(Cluster::start(name, settings)));
    let cluster = cluster
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    cluster.is_some().then_some(cluster)
}

/// Waits until a condition holds, for at most `limit`, and returns how long it took.
pub(crate) fn until(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "after {limit:?}: not {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    start.elapsed()
}

/// Whether a process is running. One that has exited but is not yet reaped is not.
pub(crate) fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

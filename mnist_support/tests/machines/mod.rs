//! Several machines for tests, made of the namespaces of one Linux: each has an address, a host
//! name and a folder for temporary files of its own.
#![allow(dead_code)] // each test file uses its own part

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Machines in a network that connects them and leads nowhere else. All that runs there ends with
/// this value, or with the process that has it.
pub(crate) struct Machines {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    addresses: HashMap<String, String>,
    logs: TempDir,
}

impl Machines {
    /// Starts machines of these names. Where this user may not make namespaces, it returns `None`
    /// and says so, on a channel that the test harness does not capture.
    pub(crate) fn start(what: &str, names: &[&str]) -> Option<Machines> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let errors = TempDir::new().unwrap();
        let said = errors.path().join("errors");
        let started = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--net", "--pid"])
            .args(["--fork", "--mount-proc", "--propagation", "private"])
            .arg(folder.join("tests/machines/machines.sh"))
            .arg(folder.join("..").canonicalize().unwrap())
            .args(libraries())
            .arg("--")
            .args(names)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&said).unwrap())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => return leave_out(what, &format!("unshare does not start: {error}")),
        };
        let mut machines = Machines {
            input: process.stdin.take(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
            addresses: HashMap::new(),
            logs: errors,
        };
        loop {
            match machines.line() {
                None => return leave_out(what, &fs::read_to_string(said).unwrap()),
                Some(line) if line == "ready" => return Some(machines),
                Some(line) => {
                    let (name, address) = line.split_once(' ').unwrap();
                    let (name, address) = (name.to_owned(), address.to_owned());
                    machines.addresses.insert(name, address);
                }
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.pop().map(|_| line)
    }

    fn command(&mut self, words: &[&str]) {
        let quoted = words.iter().map(|word| quote(word)).collect::<Vec<_>>();
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{}", quoted.join(" ")).unwrap();
        let answer = self.line();
        let said = fs::read_to_string(self.logs.path().join("errors")).unwrap();
        assert_eq!(answer.as_deref(), Some("done"), "{words:?}: {said}");
    }

    pub(crate) fn address(&self, name: &str) -> &str {
        &self.addresses[name]
    }

    /// Starts a command on a machine, with these variables.
    pub(crate) fn run(&mut self, on: &str, variables: &[(&str, &str)], words: &[&str]) -> Running {
        let log = self.logs.path().join(format!("{on}-{}", next()));
        let variables = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let variables = variables.collect::<Vec<_>>();
        let log_text = log.to_str().unwrap().to_owned();
        let mut line = vec!["run", on, &log_text, "env"];
        line.extend(variables.iter().map(String::as_str));
        line.extend(words);
        self.command(&line);
        Running { log }
    }

    /// Pulls a machine's cable.
    pub(crate) fn cut(&mut self, name: &str) {
        self.command(&["cut", name]);
    }

    /// Puts a machine's cable back.
    pub(crate) fn mend(&mut self, name: &str) {
        self.command(&["mend", name]);
    }

    /// Loses what a machine sends to another, as a firewall does that says nothing.
    pub(crate) fn deafen(&mut self, name: &str, other: &str) {
        self.command(&["deaf", name, other]);
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        // The first process of the namespaces ends with its input, and all others with it.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// A command on a machine.
pub(crate) struct Running {
    log: PathBuf,
}

impl Running {
    /// What it has written so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status, once it has ended.
    pub(crate) fn status(&self) -> Option<i32> {
        let status = fs::read_to_string(self.log.with_extension("status")).ok()?;
        status.trim().parse().ok()
    }

    /// Waits until it has said something, and returns all that it has said.
    pub(crate) fn until_it_says(&self, what: &str, limit: Duration) -> String {
        let start = Instant::now();
        loop {
            let ended = self.status();
            let said = self.said();
            if said.contains(what) {
                return said;
            }
            assert!(
                ended.is_none(),
                "ended with {ended:?}, not {what:?}: {said}"
            );
            assert!(start.elapsed() < limit, "no {what:?} in {limit:?}: {said}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until it has ended, and returns its status and what it has said.
    pub(crate) fn end(&self, limit: Duration) -> (i32, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return (status, self.said());
            }
            assert!(
                start.elapsed() < limit,
                "not ended in {limit:?}: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The folders in which the libraries of this program are looked for. A Rust toolchain may lie
/// below /tmp.
fn libraries() -> Vec<PathBuf> {
    let folders = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = env::split_paths(&folders);
    folders
        .filter(|one| one.is_absolute() && one.is_dir())
        .collect()
}

fn next() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Quotes a word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn leave_out(what: &str, why: &str) -> Option<Machines> {
    let why = why.trim().lines().last().unwrap_or("no reason was given");
    let message = format!("LEFT OUT: {what}: this user cannot make namespaces of Linux: {why}\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
    None
}

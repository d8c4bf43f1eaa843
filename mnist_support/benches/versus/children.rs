//! The processes that are measured, ours and the peers'. Each prepares what it needs, reports that
//! it is ready, and then measures once for each line on its standard input.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child as Process, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    load::Moment,
    memory::PeakMemory,
    messages::{Answer, Reply, Request},
    paths, processes,
};

/// How long a process may take to exit once its input has ended.
const PARTING: Duration = Duration::from_secs(20);

/// A program that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    peer: bool,
    limit: Duration,
}

impl Program {
    /// Runs this program as one of its own children.
    pub(crate) fn ours(arguments: &[&str]) -> Result<Program> {
        Ok(Program {
            // An argument may be a path.
            name: format!("ours-{}", arguments.join("-").replace('/', "_")),
            program: std::env::current_exe()?,
            arguments: ["child"]
                .iter()
                .chain(arguments)
                .map(OsString::from)
                .collect(),
            peer: false,
            limit: Duration::from_secs(300),
        })
    }

    /// Runs a peer's script, with the lake's folder as its first argument.
    pub(crate) fn peer(script: &str, arguments: &[&str]) -> Program {
        let mut all = vec![paths::peer(script).into(), paths::lake().into()];
        all.extend(arguments.iter().map(OsString::from));
        Program::of_peers("python", &[script, &arguments.concat()].concat(), all)
    }

    /// Runs a peer's script in two processes.
    pub(crate) fn torchrun(script: &str) -> Program {
        let mut all: Vec<OsString> = paths::TORCHRUN.iter().map(OsString::from).collect();
        all.extend([paths::peer(script).into(), paths::lake().into()]);
        Program::of_peers("torchrun", script, all)
    }

    fn of_peers(program: &str, name: &str, arguments: Vec<OsString>) -> Program {
        Program {
            // An argument may be a path.
            name: name.replace('/', "_"),
            program: paths::peers_program(program),
            arguments,
            peer: true,
            limit: Duration::from_secs(300),
        }
    }

    /// Sets the time limit of one measurement.
    pub(crate) fn limit(self, limit: Duration) -> Program {
        Program { limit, ..self }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Child> {
        let mut child = self.spawn()?;
        child.wait_until_ready()?;
        Ok(child)
    }

    /// Starts it, measures once and ends it.
    pub(crate) fn measure_once(&self, request: &Request) -> Result<Once> {
        let start = Moment::now()?;
        let mut child = self.spawn()?;
        let memory = PeakMemory::watch(child.process.id());
        let answer = child
            .wait_until_ready()
            .and_then(|()| child.measure(request));
        let memory = memory.gigabytes();
        Ok(Once {
            answer: answer?,
            memory: memory?,
            // Measured while they are all running: not every process waits for its children, whose
            // time is then lost.
            other_load: start.other_load()?,
        })
    }

    fn spawn(&self) -> Result<Child> {
        let log = paths::logs().join(format!("{}.log", self.name));
        fs::create_dir_all(paths::logs())?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        if self.peer {
            // Cargo's value names our libtorch. The peers have their own.
            command.env_remove("LD_LIBRARY_PATH");
            command.env("TORCHINDUCTOR_CACHE_DIR", paths::logs().join("inductor"));
        }
        let mut process = command.spawn().map_err(|error| {
            let program = self.program.display();
            format!("{program} cannot be started: {error} (make bench installs it)")
        })?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (sender, lines) = channel();
        if let Some(output) = output {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Child {
            program: self.clone(),
            process,
            input,
            lines,
            log,
            variants: Vec::new(),
        })
    }
}

/// The result of a program that was started for a single measurement.
#[derive(Clone, Copy)]
pub(crate) struct Once {
    pub answer: Answer,
    /// The peak memory in GB, including that of all processes that it started.
    pub memory: f64,
    /// How many cores other processes used.
    pub other_load: f64,
}

/// A running program that waits for requests.
pub(crate) struct Child {
    program: Program,
    process: Process,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
    variants: Vec<String>,
}

impl Child {
    fn wait_until_ready(&mut self) -> Result<()> {
        match self.reply()? {
            Reply::Ready { variants } => {
                self.variants = variants;
                Ok(())
            }
            Reply::Failed { error } => Err(self.failure(&error)),
            Reply::Measured(_) => Err(self.failure("it measured before it was asked")),
        }
    }

    /// The variants that it supports.
    pub(crate) fn variants(&self) -> &[String] {
        &self.variants
    }

    /// Asks it to measure once.
    pub(crate) fn measure(&mut self, request: &Request) -> Result<Answer> {
        let line = serde_json::to_string(request)?;
        if let Some(input) = &mut self.input {
            // If it has exited, its log says why, and the reply is missing.
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
        match self.reply()? {
            Reply::Measured(answer) if answer.value > 0.0 && answer.value.is_finite() => Ok(answer),
            Reply::Measured(answer) => Err(self.failure(&format!("it measured {}", answer.value))),
            Reply::Failed { error } => Err(self.failure(&error)),
            Reply::Ready { .. } => Err(self.failure("it was ready a second time")),
        }
    }

    fn reply(&self) -> Result<Reply> {
        let line = self
            .lines
            .recv_timeout(self.program.limit)
            .map_err(|error| {
                self.failure(&match error {
                    RecvTimeoutError::Timeout => {
                        format!("no answer within {:?}", self.program.limit)
                    }
                    RecvTimeoutError::Disconnected => "it ended without an answer".to_owned(),
                })
            })?;
        serde_json::from_str(&line)
            .map_err(|error| self.failure(&format!("{error} in its answer {line:?}")))
    }

    /// Returns an error with the end of the process's log.
    fn failure(&self, reason: &str) -> Box<dyn std::error::Error> {
        format!(
            "{}: {reason}\n{}\n(all of it is in {})",
            self.program.name,
            last_lines(&self.log, 8),
            self.log.display()
        )
        .into()
    }
}

impl Drop for Child {
    /// Lets it exit, with the processes that it has started. Kills those that are left.
    fn drop(&mut self) {
        drop(self.input.take());
        let started = Instant::now();
        while started.elapsed() < PARTING {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        let all = processes::all().unwrap_or_default();
        for process in processes::descendants(self.process.id(), &all) {
            let _ = Command::new("kill")
                .args(["-KILL", &process.id.to_string()])
                .status();
        }
        let _ = self.process.wait();
    }
}

fn last_lines(file: &Path, count: usize) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

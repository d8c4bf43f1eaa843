//! Ranks that are real processes: they compute together, and none waits for ever for a lost one.

mod machines;

use std::{
    collections::HashSet,
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use machines::Machines;
use mnist_support::{
    Error,
    collective::{Collective, GlooCollective, GlooConfig, ReduceOp, thread_group},
    error::CollectiveError,
    tch::{self, Tensor},
};

/// How much longer than their timeout failing processes may take on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// Tells a process that a test has started which program to run.
const PROGRAM: &str = "GLOO_TEST_PROGRAM";
const TIMEOUT: &str = "GLOO_TEST_TIMEOUT_MS";

/// The child side of each test below: the program of one rank. Without the variable it does
/// nothing.
#[test]
fn the_program_of_a_rank() {
    let Ok(program) = env::var(PROGRAM) else {
        return;
    };
    let mut config = GlooConfig::from_environment().unwrap();
    config.timeout = Duration::from_millis(env::var(TIMEOUT).unwrap().parse().unwrap());
    let process = match GlooCollective::connect(&config) {
        Ok(process) => process,
        Err(error) => return eprintln!("says: {error}"),
    };
    match program.as_str() {
        "sum" => {
            let mut tensor = awkward(process.rank());
            process.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
            eprintln!("says: {:?}", bits(&tensor));
        }
        "listen" => {
            for address in listening() {
                eprintln!("says: {address}");
            }
            process.barrier().unwrap();
        }
        "forever" => {
            eprintln!("says: ready");
            let mut tensor = Tensor::zeros([1_000_000], tch::kind::FLOAT_CPU);
            let error: Error = loop {
                match process.all_reduce(&mut tensor, ReduceOp::Sum) {
                    Ok(()) => (),
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(
                    error,
                    Error::Collective(CollectiveError::ExchangeAborted { .. })
                ),
                "{error}"
            );
            eprintln!("says: {error}");
        }
        "measure" => measure(&process),
        other => panic!("no program {other}"),
    }
}

#[test]
fn processes_get_the_bits_that_threads_get() {
    for world_size in [1, 2, 3, 4] {
        let port = free_port();
        let processes: Vec<_> = (0..world_size)
            .map(|rank| Rank::start("sum", rank, world_size, port, Duration::from_secs(60)))
            .collect();
        let expected = sum_on_threads(world_size);
        for mut process in processes {
            assert_eq!(process.says(), Some(format!("{expected:?}")));
            process.ends_well();
        }
    }
}

#[test]
fn a_process_that_is_killed_ends_the_others_at_once() {
    let mut processes = start_forever(Duration::from_secs(120));
    let killed = Instant::now();
    processes[1].signal("KILL");
    for rank in [0, 2] {
        let said = processes[rank].says().unwrap();
        assert!(said.contains("is gone"), "{said}");
        assert!(killed.elapsed() < SLACK, "{:?}", killed.elapsed());
        processes[rank].ends_well();
    }
}

#[test]
fn a_process_that_hangs_ends_the_others_after_the_timeout() {
    for stopped in [0, 1] {
        let timeout = Duration::from_secs(2);
        let mut processes = start_forever(timeout);
        let start = Instant::now();
        processes[stopped].signal("STOP");
        let mut reasons = Vec::new();
        for rank in (0..3).filter(|rank| *rank != stopped) {
            reasons.push(processes[rank].says().unwrap());
            assert!(start.elapsed() < timeout + SLACK, "{:?}", start.elapsed());
            processes[rank].ends_well();
        }
        assert!(
            reasons
                .iter()
                .any(|reason| reason.contains(&format!("rank {stopped} did not answer within 2s"))),
            "{reasons:?}"
        );
    }
}

#[test]
fn a_process_that_never_joins_is_named() {
    let (port, timeout) = (free_port(), Duration::from_secs(3));
    let start = Instant::now();
    let mut processes: Vec<_> = [0, 2]
        .map(|rank| Rank::start("sum", rank, 4, port, timeout))
        .into();
    let said = processes[0].says().unwrap();
    assert!(said.contains("rank 1, 3 did not join within 3s"), "{said}");
    let said = processes[1].says().unwrap();
    // Rank 0 may give up, and take the store with it, a moment earlier.
    assert!(
        said.contains("not all 4 ranks did") || said.contains("rank 0 gave up"),
        "{said}"
    );
    assert!(start.elapsed() < timeout + SLACK, "{:?}", start.elapsed());
}

#[test]
fn processes_listen_at_the_address_of_the_group_only() {
    let port = free_port();
    let mut processes: Vec<_> = (0..2)
        .map(|rank| Rank::start("listen", rank, 2, port, Duration::from_secs(60)))
        .collect();
    let mut all = HashSet::new();
    for process in &mut processes {
        while let Some(address) = process.says() {
            // 127.0.0.1 in the format of /proc/net on a little-endian machine.
            assert!(address.starts_with("0100007F:"), "{address}");
            all.insert(address);
        }
    }
    assert!(all.contains(&format!("0100007F:{port:04X}")), "{all:?}");
    assert!(all.len() >= 3, "the store and two ranks: {all:?}");
}

#[test]
fn processes_meet_at_an_address_of_ipv6_alone() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        let left_out = b"LEFT OUT: ranks on IPv6: this machine has none\n";
        std::io::stderr().write_all(left_out).unwrap();
        return;
    };
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let processes: Vec<_> = (0..2)
        .map(|rank| {
            let mut rank = rank_command("sum", rank, 2, port, Duration::from_secs(60));
            Rank::spawn(rank.env("MASTER_ADDR", "::1"))
        })
        .collect();
    let expected = sum_on_threads(2);
    for mut process in processes {
        assert_eq!(process.says(), Some(format!("{expected:?}")));
        process.ends_well();
    }
}

#[test]
fn a_master_that_is_loopback_is_refused_at_once_if_ranks_are_elsewhere() {
    let start = Instant::now();
    for rank in 0..2 {
        let mut rank = rank_command("sum", rank, 2, free_port(), Duration::from_secs(120));
        rank.env("MASTER_ADDR", "localhost")
            .env("LOCAL_WORLD_SIZE", "1");
        let said = Rank::spawn(&mut rank).says().unwrap();
        for part in [
            "MASTER_ADDR, localhost, is ",
            "a loopback address, and 1 of the 2 ranks are on other machines",
            "/etc/hosts",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_port_that_a_firewall_closes_is_named_with_what_to_open() {
    let names = ["first", "second", "third"];
    let Some(mut machines) = Machines::start("ranks behind firewalls", &names) else {
        return;
    };
    let master = machines.address("first").to_owned();
    let start = |machines: &mut Machines, world_size: usize, timeout: &str| {
        let ranks = names.iter().zip(0..world_size).map(|(name, rank)| {
            let program = env::current_exe().unwrap();
            let program = program.to_str().unwrap();
            let (rank, world_size) = (rank.to_string(), world_size.to_string());
            let variables = [
                (PROGRAM, "sum"),
                (TIMEOUT, timeout),
                ("RANK", &rank),
                ("WORLD_SIZE", &world_size),
                ("MASTER_ADDR", &master),
                ("MASTER_PORT", "29500"),
            ];
            let test = ["--exact", "the_program_of_a_rank", "--nocapture"];
            machines.run(name, &variables, &[&[program], &test[..]].concat())
        });
        ranks.collect::<Vec<_>>()
    };
    const SLOW: Duration = Duration::from_secs(60);

    // Two ranks that reach the rendezvous, but not each other.
    machines.deafen("second", "third");
    for rank in start(&mut machines, 3, "30000") {
        let (_, said) = rank.end(SLOW);
        // Nor does the answer to a connection in the other direction arrive.
        let expected = [("1", "2", "third"), ("2", "1", "second")].map(|(from, to, name)| {
            let address = machines.address(name);
            format!("rank {from} cannot reach rank {to} at {address}:")
        });
        // Rank 0 may be gone, and its store, before another hears it.
        let gone = said.contains("the rendezvous store is gone");
        assert!(
            expected.iter().any(|one| said.contains(one)) || gone,
            "{said}"
        );
        assert!(said.contains("Open TCP ports ") || gone, "{said}");
    }
    // The rendezvous itself.
    machines.deafen("second", "first");
    let ranks = start(&mut machines, 2, "6000");
    let (_, said) = ranks[1].end(SLOW);
    let expected = format!("{master}:29500: no answer within 6s, not even a refusal");
    assert!(
        said.contains(&expected) && said.contains("Open TCP ports "),
        "{said}"
    );
    let (_, said) = ranks[0].end(SLOW);
    assert!(said.contains("rank 1 did not join within 6s"), "{said}");
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
fn measure_exchanges_of_a_networks_gradient() {
    for world_size in [2, 4] {
        let port = free_port();
        let processes: Vec<_> = (0..world_size)
            .map(|rank| Rank::start("measure", rank, world_size, port, Duration::from_secs(60)))
            .collect();
        for mut process in processes {
            while let Some(said) = process.says() {
                println!("{said}");
            }
        }
    }
}

/// Measures the mean time of an all-reduce of as many floats as the default network has parameters.
fn measure(process: &GlooCollective) {
    tch::set_num_threads(1);
    let mut tensor = Tensor::zeros([41_000], tch::kind::FLOAT_CPU);
    let mut means = Vec::new();
    // The best of many short rounds is what an idle machine can do.
    for _ in 0..100 {
        process.barrier().unwrap();
        let start = Instant::now();
        for _ in 0..10 {
            process.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
        }
        means.push(start.elapsed() / 10);
    }
    means.sort();
    if process.rank() == 0 {
        eprintln!(
            "says: {} processes: median {:?}, least {:?} for an all_reduce of 41,000 floats",
            process.world_size(),
            means[means.len() / 2],
            means[0]
        );
    }
}

fn awkward(rank: usize) -> Tensor {
    let values: Vec<f32> = (0..1001)
        .map(|index| index as f32 * (rank as f32 + 0.1) + 10_f32.powi(index % 9 + rank as i32 - 5))
        .collect();
    Tensor::from_slice(&values)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = Vec::<f32>::try_from(tensor).unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn sum_on_threads(world_size: usize) -> Vec<u32> {
    std::thread::scope(|scope| {
        let processes: Vec<_> = thread_group(world_size)
            .into_iter()
            .map(|process| {
                scope.spawn(move || {
                    let mut tensor = awkward(process.rank());
                    process.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
                    bits(&tensor)
                })
            })
            .collect();
        processes
            .into_iter()
            .map(|process| process.join().unwrap())
            .next()
            .unwrap()
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Returns the addresses on which this process listens, in the format of `/proc/net`.
fn listening() -> Vec<String> {
    let sockets: HashSet<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut addresses = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        // A machine without IPv6 has no second table.
        for line in fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields[3] == "0A";
            if listens && sockets.contains(fields[9]) {
                addresses.push(fields[1].to_owned());
            }
        }
    }
    addresses
}

/// Starts three ranks that exchange until one fails.
fn start_forever(timeout: Duration) -> Vec<Rank> {
    let port = free_port();
    let mut processes: Vec<_> = (0..3)
        .map(|rank| Rank::start("forever", rank, 3, port, timeout))
        .collect();
    for process in &mut processes {
        assert_eq!(process.says().as_deref(), Some("ready"));
    }
    // Long enough for them to be in the middle of exchanges.
    std::thread::sleep(Duration::from_millis(300));
    processes
}

/// A process that runs a rank. It is killed when the test ends.
struct Rank {
    process: Child,
    output: BufReader<ChildStderr>,
}

/// Returns the program of a rank on this machine, as torchrun would start it.
fn rank_command(
    program: &str,
    rank: usize,
    world_size: usize,
    port: u16,
    timeout: Duration,
) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "the_program_of_a_rank", "--nocapture"])
        .env(PROGRAM, program)
        .env(TIMEOUT, timeout.as_millis().to_string())
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", world_size.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .env_remove("TORCHELASTIC_USE_AGENT_STORE")
        .env_remove("GLOO_SOCKET_IFNAME")
        .env_remove("LOCAL_WORLD_SIZE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Rank {
    fn start(program: &str, rank: usize, world_size: usize, port: u16, timeout: Duration) -> Self {
        Rank::spawn(&mut rank_command(program, rank, world_size, port, timeout))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stderr.take().unwrap());
        Rank { process, output }
    }

    /// Returns the next line of the program's output, or `None` when it has exited.
    fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            match line.trim_end().strip_prefix("says: ") {
                Some(said) => return Some(said.to_owned()),
                None => eprint!("a rank wrote: {line}"),
            }
            line.clear();
        }
        None
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([format!("-{signal}"), self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn ends_well(&mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

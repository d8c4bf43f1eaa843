//! How the copies find each other: through a store, once, before the first exchange.

use std::{
    collections::HashMap,
    net::{TcpListener, UdpSocket},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{
    config::{Bind, GlooConfig, StoreHost},
    ffi::{Endpoint, Group, Store},
};
use crate::Result;

/// How often a copy looks whether another has written a key.
const POLL: Duration = Duration::from_millis(5);

/// What is left for an error of the rendezvous's own, which says more than that nothing came.
const GRACE: Duration = Duration::from_millis(200);

/// Connects this copy with all others, or fails when the time is up.
pub(super) fn join(config: &GlooConfig) -> Result<Group> {
    let (sender, receiver) = mpsc::channel();
    let deadline = Instant::now() + config.timeout;
    let copy = config.clone();
    // c10d reads some of the store's answers without a limit of time: a store that accepts the connection
    // and then stops would hold this copy for ever. It holds a thread instead, until the process ends.
    thread::Builder::new()
        .name("gloo-rendezvous".to_owned())
        .spawn(move || {
            // Nobody listens any more when the time was up: a group that comes too late is closed here.
            let _ = sender.send(meet(&copy, deadline));
        })
        .map_err(|error| config.rendezvous_error(format!("no thread could be started: {error}")))?;
    match receiver.recv_timeout(config.timeout + GRACE) {
        Ok(group) => group.map_err(|reason| config.rendezvous_error(reason)),
        Err(RecvTimeoutError::Timeout) => Err(config.rendezvous_error(format!(
            "what listens there has not answered within {:?}: is it rank 0's store, and does it run?",
            config.timeout
        ))),
        Err(RecvTimeoutError::Disconnected) => Err(config.rendezvous_error("the rendezvous panicked")),
    }
}

fn meet(config: &GlooConfig, deadline: Instant) -> Result<Group, String> {
    let address = (config.master_addr.as_str(), config.master_port);
    let listener = if config.rank == 0 && config.store == StoreHost::RankZero {
        // c10d itself would listen at all of the machine's addresses.
        Some(TcpListener::bind(address).map_err(|error| {
            format!(
                "rank 0 cannot listen there: {error}. MASTER_ADDR must be an address of rank 0's machine, \
                 and MASTER_PORT a free port"
            )
        })?)
    } else {
        None
    };
    let store = Store::open(address.0, address.1, listener, left(deadline))
        .map_err(|reason| format!("the store does not answer: {reason}"))?;
    let round = if config.rank == 0 {
        call_the_roll(&store, config, deadline)?
    } else {
        answer_the_roll(&store, config, deadline)?
    };
    Group::open(
        &store,
        &round,
        config.rank,
        config.world_size,
        &endpoint(config)?,
        left(deadline),
    )
    .map_err(|reason| format!("the copies met, and could not connect with each other: {reason}"))
}

/// Rank 0's part of the roll call: welcomes every other copy and returns the key of this round.
///
/// A store that outlives a restart, as torchrun's does, still holds what earlier rounds wrote. So each
/// copy says hello with a word that it has just made up, and only the answer to that word counts; an
/// answer to a copy of an earlier round reaches nobody, and is given again when the new copy comes.
fn call_the_roll(store: &Store, config: &GlooConfig, deadline: Instant) -> Result<String, String> {
    let round = format!("mnist_support/{}", word());
    let mut answered: HashMap<usize, String> = HashMap::new();
    let mut missing: Vec<usize> = (1..config.world_size).collect();
    loop {
        let mut absent = Vec::new();
        for rank in missing {
            if let Some(world_size) = store.get(&format!("{round}/present/{rank}"))? {
                check_world_size(config, rank, &world_size)?;
                continue;
            }
            if let Some(hello) = store.get(&hello_key(rank))?
                && answered.get(&rank) != Some(&hello)
            {
                store.set(
                    &welcome_key(&hello),
                    &format!("{} {round}", config.world_size),
                )?;
                answered.insert(rank, hello);
            }
            absent.push(rank);
        }
        if absent.is_empty() {
            store.set(&format!("{round}/complete"), "1")?;
            return Ok(round);
        }
        if Instant::now() >= deadline {
            let ranks: Vec<String> = absent.iter().map(usize::to_string).collect();
            return Err(format!(
                "rank {} did not come within {:?}",
                ranks.join(", "),
                config.timeout
            ));
        }
        missing = absent;
        thread::sleep(POLL);
    }
}

/// The other copies' part.
fn answer_the_roll(
    store: &Store,
    config: &GlooConfig,
    deadline: Instant,
) -> Result<String, String> {
    let hello = word();
    store.set(&hello_key(config.rank), &hello)?;
    let welcome = wait_for(store, &welcome_key(&hello), deadline)?
        .ok_or_else(|| format!("rank 0 did not come within {:?}", config.timeout))?;
    let (world_size, round) = welcome
        .split_once(' ')
        .ok_or_else(|| format!("rank 0 answered {welcome:?}: is it of the same version?"))?;
    store.set(
        &format!("{round}/present/{}", config.rank),
        &config.world_size.to_string(),
    )?;
    check_world_size(config, 0, world_size)?;
    wait_for(store, &format!("{round}/complete"), deadline)?.ok_or_else(|| {
        format!(
            "rank 0 is here, but not all {} copies came within {:?}",
            config.world_size, config.timeout
        )
    })?;
    Ok(round.to_owned())
}

fn check_world_size(config: &GlooConfig, rank: usize, world_size: &str) -> Result<(), String> {
    if world_size == config.world_size.to_string() {
        return Ok(());
    }
    Err(format!(
        "rank {rank} was told that there are {world_size} copies"
    ))
}

fn wait_for(store: &Store, key: &str, deadline: Instant) -> Result<Option<String>, String> {
    loop {
        let value = store.get(key)?;
        if value.is_some() || Instant::now() >= deadline {
            return Ok(value);
        }
        thread::sleep(POLL);
    }
}

fn hello_key(rank: usize) -> String {
    format!("mnist_support/hello/{rank}")
}

fn welcome_key(hello: &str) -> String {
    format!("mnist_support/welcome/{hello}")
}

/// A word that nobody has used before.
fn word() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn endpoint(config: &GlooConfig) -> Result<Endpoint, String> {
    match &config.bind {
        Bind::Address(address) => Ok(Endpoint::Address(address.clone())),
        Bind::Interface(interface) => Ok(Endpoint::Interface(interface.clone())),
        Bind::RouteToMaster => {
            // Connecting a datagram socket sends nothing; it makes the kernel choose the route.
            let route = |local: &str| {
                let socket = UdpSocket::bind(local)?;
                socket.connect((config.master_addr.as_str(), config.master_port))?;
                socket.local_addr()
            };
            let address = route("0.0.0.0:0")
                .or_else(|_| route("[::]:0"))
                .map_err(|error| format!("no route leads there: {error}"))?;
            Ok(Endpoint::Address(address.ip().to_string()))
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

//! The rendezvous: how the ranks find each other, once, before the first exchange.

use std::{
    io,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{
    config::{Bind, GlooConfig, StoreHost},
    ffi::{Endpoint, Group, Store},
    join::{JoinFailure, admit, ask_to_join},
    reach::{advice, check, check_loopback, is_silence},
};
use crate::Result;

/// How often a rank retries to connect to the store.
const RETRY: Duration = Duration::from_millis(50);

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long rank 0's machine may be silent, while it would at least refuse a connection if nothing
/// listened there yet.
const SILENCE: Duration = Duration::from_secs(60);

/// Time for the rendezvous to return its own error, which says more than a timeout.
const GRACE: Duration = Duration::from_secs(1);

/// Connects this rank to all others, or fails at the timeout.
pub(super) fn join(config: &GlooConfig) -> Result<Group> {
    let (sender, receiver) = mpsc::channel();
    let deadline = Instant::now() + config.timeout;
    let config_of_thread = config.clone();
    // c10d reads some of the store's answers without a timeout: a store that accepts the connection
    // and then hangs would block this rank for ever. It blocks a thread instead, until the process
    // ends.
    thread::Builder::new()
        .name("gloo-rendezvous".to_owned())
        .spawn(move || {
            // The receiver is gone after a timeout. A group that comes too late is closed here.
            let _ = sender.send(rendezvous(&config_of_thread, deadline));
        })
        .map_err(|error| config.rendezvous_error(format!("no thread could be started: {error}")))?;
    match receiver.recv_timeout(config.timeout + GRACE) {
        Ok(group) => group.map_err(|reason| config.rendezvous_error(reason)),
        Err(RecvTimeoutError::Timeout) => Err(config.rendezvous_error(format!(
            "no response within {:?}: does rank 0's store listen there, and is it running?",
            config.timeout
        ))),
        Err(RecvTimeoutError::Disconnected) => {
            Err(config.rendezvous_error("the rendezvous panicked"))
        }
    }
}

fn rendezvous(config: &GlooConfig, deadline: Instant) -> Result<Group, String> {
    check_loopback(config)?;
    let address = (config.master_addr.as_str(), config.master_port);
    let listener = if config.rank == 0 && config.store == StoreHost::RankZero {
        // c10d itself would listen on all of the machine's addresses.
        Some(TcpListener::bind(address).map_err(|error| {
            format!(
                "rank 0 cannot listen there: {error}. MASTER_ADDR must be an address of rank 0's machine, \
                 and MASTER_PORT a free port"
            )
        })?)
    } else {
        wait_for_listener(config, deadline)?;
        None
    };
    let store = Store::open(address.0, address.1, listener, left(deadline))
        .map_err(|reason| format!("the process that listens there is not a store: {reason}"))?;
    let endpoint = endpoint(config)?;
    let joined = if config.rank == 0 {
        admit(&store, config, deadline)
    } else {
        ask_to_join(&store, config, deadline)
    };
    let reached = joined.and_then(|round| {
        check(&store, &round, config, &endpoint, deadline)?;
        Ok(round)
    });
    let round = reached.map_err(|failure| match failure {
        JoinFailure::Ranks(reason) => reason,
        JoinFailure::Store(reason) => format!(
            "the rendezvous store is gone ({reason}): if rank 0 serves it, rank 0 gave up or \
             died, and says why"
        ),
    })?;
    Group::open(
        &store,
        &round,
        config.rank,
        config.world_size,
        &endpoint,
        left(deadline),
    )
    .map_err(|reason| format!("the ranks found each other but could not connect: {reason}"))
}

/// Waits until something listens at the store's address.
///
/// c10d's own client would wait too, but writes its failures to standard error with C++ backtraces.
fn wait_for_listener(config: &GlooConfig, deadline: Instant) -> Result<(), String> {
    let (begun, mut silent) = (Instant::now(), true);
    loop {
        let Err(error) = try_to_connect(config, deadline) else {
            return Ok(());
        };
        silent &= is_silence(&error);
        let is_gone = silent && begun.elapsed() >= SILENCE;
        if Instant::now() < deadline && !is_gone {
            thread::sleep(RETRY.min(left(deadline)));
            continue;
        }
        let waited = if is_gone { SILENCE } else { config.timeout };
        return Err(if silent {
            format!(
                "no answer within {waited:?}, not even a refusal ({error}): {}",
                advice()
            )
        } else {
            format!(
                "no answer within {waited:?} ({error}): is rank 0 running, and is MASTER_ADDR its \
                 machine's address?"
            )
        });
    }
}

/// Connects to one of the addresses of rank 0's machine, or returns the error of the last.
fn try_to_connect(config: &GlooConfig, deadline: Instant) -> io::Result<()> {
    let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in (config.master_addr.as_str(), config.master_port).to_socket_addrs()? {
        let limit = left(deadline).clamp(Duration::from_millis(1), ATTEMPT);
        connected = TcpStream::connect_timeout(&address, limit).map(drop);
        if connected.is_ok() {
            break;
        }
    }
    connected
}

fn endpoint(config: &GlooConfig) -> Result<Endpoint, String> {
    match &config.bind {
        Bind::Address(address) => Ok(Endpoint::Address(address.clone())),
        Bind::Interface(interface) => Ok(Endpoint::Interface(interface.clone())),
        Bind::RouteToMaster => {
            // Connecting a datagram socket sends nothing. It makes the operating system choose the
            // route.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        Error,
        collective::{Collective, GlooCollective, gloo::join::hello_key},
        error::CollectiveError,
    };

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn config(rank: usize, world_size: usize, port: u16, timeout: Duration) -> GlooConfig {
        GlooConfig {
            timeout,
            ..GlooConfig::new(rank, world_size, LOOPBACK.to_string(), port)
        }
    }

    /// The error message of a failing rendezvous, and how long it took.
    fn failure(config: &GlooConfig) -> (String, Duration) {
        let start = Instant::now();
        let error = GlooCollective::connect(config).unwrap_err();
        assert!(
            matches!(error, Error::Collective(CollectiveError::Rendezvous { .. })),
            "{error}"
        );
        (error.to_string(), start.elapsed())
    }

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn a_missing_master_is_an_error_with_its_address() {
        let timeout = Duration::from_secs(1);
        let (_, port) = listener();
        let (message, took) = failure(&config(1, 2, port, timeout));
        assert!(
            message.contains(&format!("127.0.0.1:{port}: no answer within 1s")),
            "{message}"
        );
        assert!(took < timeout + Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn a_master_that_accepts_and_says_nothing_is_an_error() {
        let timeout = Duration::from_secs(1);
        let (_listener, port) = listener();
        let (message, took) = failure(&config(1, 2, port, timeout));
        assert!(message.contains("no response within 1s"), "{message}");
        assert!(took < timeout + Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_at_once() {
        let (_listener, port) = listener();
        let (message, took) = failure(&config(0, 1, port, Duration::from_secs(60)));
        assert!(message.contains("rank 0 cannot listen there"), "{message}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    #[test]
    fn ranks_with_different_world_sizes_find_out() {
        let (listener, port) = listener();
        drop(listener);
        let timeout = Duration::from_secs(60);
        thread::scope(|scope| {
            let ranks = [config(0, 2, port, timeout), config(1, 3, port, timeout)]
                .map(|config| scope.spawn(move || failure(&config)));
            let [(first, _), (second, took)] = ranks.map(|rank| rank.join().unwrap());
            assert!(first.contains("rank 1 has a world size of 3"), "{first}");
            assert!(second.contains("rank 0 has a world size of 2"), "{second}");
            assert!(took < Duration::from_secs(30), "{took:?}");
        });
    }

    #[test]
    fn restarted_ranks_meet_in_a_store_that_stayed() {
        let (listener, port) = listener();
        let timeout = Duration::from_secs(30);
        let store = Store::open("127.0.0.1", port, Some(listener), timeout).unwrap();
        // The leftover of a rank that was killed before all had joined.
        store.set(&hello_key(2), "gone").unwrap();
        for world_size in [3, 3, 2, 3] {
            thread::scope(|scope| {
                let ranks: Vec<_> = (0..world_size)
                    .rev()
                    .map(|rank| {
                        scope.spawn(move || {
                            let config = GlooConfig {
                                store: StoreHost::Existing,
                                ..config(rank, world_size, port, timeout)
                            };
                            GlooCollective::connect(&config).unwrap().barrier().unwrap();
                        })
                    })
                    .collect();
                for rank in ranks {
                    rank.join().unwrap();
                }
            });
        }
    }

    #[test]
    fn a_name_and_an_interface_do_as_well_as_an_address() {
        let (listener, port) = listener();
        drop(listener);
        thread::scope(|scope| {
            let binds = [
                Bind::Interface("lo".to_owned()),
                Bind::Address("127.0.0.1".to_owned()),
                Bind::RouteToMaster,
            ];
            let ranks = binds.into_iter().enumerate().map(|(rank, bind)| {
                let mut config = GlooConfig::new(rank, 3, "localhost", port);
                config.bind = bind;
                scope.spawn(move || GlooCollective::connect(&config).unwrap().barrier())
            });
            for rank in ranks.collect::<Vec<_>>() {
                rank.join().unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_missing_interface_is_named() {
        let (listener, port) = listener();
        drop(listener);
        let config = GlooConfig {
            bind: Bind::Interface("no-such".to_owned()),
            ..config(0, 1, port, Duration::from_secs(10))
        };
        let (message, _) = failure(&config);
        assert!(message.contains("no-such"), "{message}");
    }
}

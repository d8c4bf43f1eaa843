//! Whether the machines of the ranks reach each other. It is found out before Gloo connects them,
//! whose own error would come after the whole timeout and not say which port has to be opened.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    config::{Bind, GlooConfig},
    ffi::{Endpoint, Store},
    join::{JoinFailure, POLL},
};

/// How long a machine on which a rank listens may take to accept a connection.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a rank that listens on an interface, which only Gloo knows.
const UNKNOWN: &str = "unknown";

/// Returns an error if an address leads nowhere but to this machine, and there are ranks on others.
pub(super) fn check_loopback(config: &GlooConfig) -> Result<(), String> {
    let elsewhere = match config.local_world_size {
        Some(local) => config.world_size.saturating_sub(local),
        None => 0,
    };
    if elsewhere == 0 {
        return Ok(());
    }
    let master = ("MASTER_ADDR", &config.master_addr);
    let own = match &config.bind {
        Bind::Address(address) => Some(("the address of this rank's machine", address)),
        Bind::RouteToMaster | Bind::Interface(_) => None,
    };
    for (what, name) in [Some(master), own].into_iter().flatten() {
        // A name that is not known is reported, and tried again, where it is needed.
        let Ok(addresses) = (name.as_str(), config.master_port).to_socket_addrs() else {
            continue;
        };
        let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
        if let Some(first) = addresses.first()
            && addresses.iter().all(|address| address.is_loopback())
        {
            return Err(format!(
                "{what}, {name}, is {first} on this machine, a loopback address, and {elsewhere} of the {} ranks \
                 are on other machines: use the address that the machine has in their network, or correct the \
                 name in /etc/hosts",
                config.world_size
            ));
        }
    }
    Ok(())
}

/// Whether nothing at all came back from an address: no connection, and no refusal.
pub(super) fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        TimedOut | HostUnreachable | NetworkUnreachable
    )
}

/// What to do about an address that can't be reached.
pub(super) fn advice() -> String {
    // The range of this machine; the others usually have the same.
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace();
    let ports = match (ends.next(), ends.next()) {
        (Some(low), Some(high)) => format!("TCP ports {low} to {high}"),
        _ => "all TCP ports".to_owned(),
    };
    format!(
        "is that its address in a network of all ranks, and does a firewall stop the connection? Open {ports} \
         between the machines: each rank listens on one that its system chooses (net.ipv4.ip_local_port_range)"
    )
}

/// Connects to every other rank once, and returns when all ranks have reached all others.
pub(super) fn check(
    store: &Store,
    round: &str,
    config: &GlooConfig,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<(), JoinFailure> {
    let listener = match endpoint {
        Endpoint::Interface(_) => None,
        Endpoint::Address(address) => Some(listen(address).map_err(|error| {
            JoinFailure::Ranks(format!("this rank cannot listen on {address}: {error}"))
        })?),
    };
    let own = match &listener {
        None => UNKNOWN.to_owned(),
        Some((_, address)) => address.to_string(),
    };
    store.set(&format!("{round}/address/{}", config.rank), &own)?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some((listener, _)) = &listener {
            // More may come than the system keeps waiting.
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    if listener.accept().is_err() {
                        thread::sleep(POLL);
                    }
                }
            });
        }
        let round = Round {
            store,
            round,
            config,
            deadline,
        };
        let result = round.reach_others().and_then(|()| round.wait_for_others());
        ended.store(true, Ordering::Relaxed);
        result
    })
}

/// Listens on a port of this address that the system chooses, as Gloo will.
fn listen(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((address, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// One round of a rendezvous, which all ranks have joined.
struct Round<'a> {
    store: &'a Store,
    round: &'a str,
    config: &'a GlooConfig,
    deadline: Instant,
}

impl Round<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.round)
    }

    fn reach_others(&self) -> Result<(), JoinFailure> {
        let own = self.config.rank;
        for peer in (0..self.config.world_size).filter(|peer| *peer != own) {
            let address = self.wait_for(&self.key(&format!("address/{peer}")))?;
            // One that is not an address is an interface's.
            let Ok(address) = address.parse::<SocketAddr>() else {
                continue;
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            let limit = left.clamp(Duration::from_millis(1), ACCEPT_TIMEOUT);
            if let Err(error) = TcpStream::connect_timeout(&address, limit) {
                let reason = format!(
                    "rank {own} cannot reach rank {peer} at {address} ({error}): {}",
                    advice()
                );
                self.store.set(&self.key("unreached"), &reason)?;
                return Err(JoinFailure::Ranks(reason));
            }
        }
        Ok(())
    }

    /// Rank 0 hears from all others, and they from rank 0.
    fn wait_for_others(&self) -> Result<(), JoinFailure> {
        if self.config.rank == 0 {
            for peer in 1..self.config.world_size {
                self.wait_for(&self.key(&format!("reached/{peer}")))?;
            }
            self.store.set(&self.key("reached"), "1")?;
        } else {
            let reached = format!("reached/{}", self.config.rank);
            self.store.set(&self.key(&reached), "1")?;
            self.wait_for(&self.key("reached"))?;
        }
        Ok(())
    }

    /// Waits for a key, or for a rank that has failed to reach another.
    fn wait_for(&self, key: &str) -> Result<String, JoinFailure> {
        loop {
            if let Some(value) = self.store.get(key)? {
                return Ok(value);
            }
            if let Some(reason) = self.store.get(&self.key("unreached"))? {
                return Err(JoinFailure::Ranks(reason));
            }
            if Instant::now() >= self.deadline {
                return Err(JoinFailure::Ranks(format!(
                    "all ranks joined, but not all reached each other within {:?}",
                    self.config.timeout
                )));
            }
            thread::sleep(POLL);
        }
    }
}

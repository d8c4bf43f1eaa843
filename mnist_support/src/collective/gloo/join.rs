//! The two sides of a rendezvous: rank 0 admits the others, each of which joins the round.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use super::{config::GlooConfig, ffi::Store};

/// How often a rank polls the store for a key.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// Why a rendezvous failed.
pub(super) enum JoinFailure {
    /// Ranks are missing, or disagree with this one.
    Ranks(String),
    /// The store no longer responds.
    Store(String),
}

/// The store's functions fail with text.
impl From<String> for JoinFailure {
    fn from(reason: String) -> Self {
        JoinFailure::Store(reason)
    }
}

/// Rank 0's side of the rendezvous: admits every other rank and returns the key of this round.
///
/// A store that outlives a restart, as torchrun's does, still holds the keys of earlier rounds.
/// Each rank therefore says hello with a fresh nonce, and only the answer to that nonce counts. An
/// answer to a rank of an earlier round is never read, and rank 0 answers again when the new rank
/// arrives.
pub(super) fn admit(
    store: &Store,
    config: &GlooConfig,
    deadline: Instant,
) -> Result<String, JoinFailure> {
    let round = format!("mnist_support/{}", nonce());
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
            return Err(JoinFailure::Ranks(format!(
                "rank {} did not join within {:?}",
                ranks.join(", "),
                config.timeout
            )));
        }
        missing = absent;
        thread::sleep(POLL);
    }
}

/// The other ranks' side: joins the round and returns its key.
pub(super) fn ask_to_join(
    store: &Store,
    config: &GlooConfig,
    deadline: Instant,
) -> Result<String, JoinFailure> {
    let hello = nonce();
    store.set(&hello_key(config.rank), &hello)?;
    let welcome = wait_for(store, &welcome_key(&hello), deadline)?.ok_or_else(|| {
        JoinFailure::Ranks(format!("rank 0 did not join within {:?}", config.timeout))
    })?;
    let (world_size, round) = welcome.split_once(' ').ok_or_else(|| {
        JoinFailure::Ranks(format!(
            "rank 0 answered {welcome:?}: does it run the same version?"
        ))
    })?;
    store.set(
        &format!("{round}/present/{}", config.rank),
        &config.world_size.to_string(),
    )?;
    check_world_size(config, 0, world_size)?;
    wait_for(store, &format!("{round}/complete"), deadline)?.ok_or_else(|| {
        JoinFailure::Ranks(format!(
            "rank 0 has joined, but not all {} ranks did within {:?}",
            config.world_size, config.timeout
        ))
    })?;
    Ok(round.to_owned())
}

fn check_world_size(config: &GlooConfig, rank: usize, world_size: &str) -> Result<(), JoinFailure> {
    if world_size == config.world_size.to_string() {
        return Ok(());
    }
    Err(JoinFailure::Ranks(format!(
        "rank {rank} has a world size of {world_size}"
    )))
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

pub(super) fn hello_key(rank: usize) -> String {
    format!("mnist_support/hello/{rank}")
}

fn welcome_key(hello: &str) -> String {
    format!("mnist_support/welcome/{hello}")
}

/// Returns a nonce that identifies a round or a greeting.
fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

//! A rank's configuration: which rank it is, and where it finds the others.

use std::{env, str::FromStr, time::Duration};

use crate::{Error, Result, error::CollectiveError};

/// How a rank joins its group, with the names of `torch.distributed`'s environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlooConfig {
    /// The rank of this process, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub world_size: usize,
    /// The address or host name of rank 0's machine.
    pub master_addr: String,
    /// The port of the rendezvous store.
    pub master_port: u16,
    /// How long to wait for another rank, in the rendezvous and in each exchange. An error is
    /// returned at most a second later.
    ///
    /// A rank that spends longer than this reading its rows before its first exchange counts as
    /// lost. Default: 5 minutes.
    pub timeout: Duration,
    /// The address on which this rank accepts connections.
    pub bind: Bind,
    /// The process that serves the store.
    pub store: StoreHost,
    /// The number of ranks on this rank's machine. If it is below `world_size`, an address of
    /// loopback is refused at once: ranks on other machines cannot reach it. Default: unknown.
    pub local_world_size: Option<usize>,
}

/// The address on which a rank accepts connections: always a single one, never all of the
/// machine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// The address from which this machine reaches `master_addr`.
    #[default]
    RouteToMaster,
    /// An address of this machine.
    Address(String),
    /// The address of a network interface of this machine, such as `eth0`.
    Interface(String),
}

/// The process that serves the rendezvous store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreHost {
    /// Rank 0, at `master_addr` and `master_port`.
    #[default]
    RankZero,
    /// A process that already serves it, as `torchrun` does.
    Existing,
}

impl GlooConfig {
    /// Creates a configuration with the default settings.
    pub fn new(
        rank: usize,
        world_size: usize,
        master_addr: impl Into<String>,
        master_port: u16,
    ) -> Self {
        GlooConfig {
            rank,
            world_size,
            master_addr: master_addr.into(),
            master_port,
            timeout: Duration::from_secs(300),
            bind: Bind::default(),
            store: StoreHost::default(),
            local_world_size: None,
        }
    }

    /// Reads `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, like `torch.distributed`'s
    /// `env://`.
    ///
    /// `TORCHELASTIC_USE_AGENT_STORE=True`, which `torchrun` sets, means that the store is already
    /// served. `GLOO_SOCKET_IFNAME` names the network interface to use, and `LOCAL_WORLD_SIZE`,
    /// which `torchrun` sets too, is the number of ranks on this machine.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the variable that is missing, not a number or out of range.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let needed = |name: &'static str| {
            variable(name).ok_or_else(|| Error::InvalidSetting {
                setting: name,
                value: "(not set)".to_owned(),
                reason: "is needed: torchrun sets it in each rank's environment".to_owned(),
            })
        };
        let mut config = GlooConfig::new(
            number(
                "RANK",
                needed("RANK")?,
                "must be a whole number from 0 to WORLD_SIZE - 1",
            )?,
            number(
                "WORLD_SIZE",
                needed("WORLD_SIZE")?,
                "must be a whole number from 1",
            )?,
            needed("MASTER_ADDR")?,
            number(
                "MASTER_PORT",
                needed("MASTER_PORT")?,
                "must be a port from 1 to 65535",
            )?,
        );
        if variable("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True") {
            config.store = StoreHost::Existing;
        }
        if let Some(interface) = variable("GLOO_SOCKET_IFNAME") {
            config.bind = Bind::Interface(interface);
        }
        if let Some(local) = variable("LOCAL_WORLD_SIZE") {
            let reason = "must be a whole number, of ranks on this machine";
            config.local_world_size = Some(number("LOCAL_WORLD_SIZE", local, reason)?);
        }
        config.validate()?;
        Ok(config)
    }

    /// Checks that the settings are consistent.
    pub(super) fn validate(&self) -> Result<()> {
        let invalid = |setting, value: String, reason: String| {
            Err(Error::InvalidSetting {
                setting,
                value,
                reason,
            })
        };
        if self.world_size == 0 {
            return invalid(
                "WORLD_SIZE",
                "0".to_owned(),
                "must be at least 1".to_owned(),
            );
        }
        if self.rank >= self.world_size {
            return invalid(
                "RANK",
                self.rank.to_string(),
                format!("is not below WORLD_SIZE, which is {}", self.world_size),
            );
        }
        if self.master_port == 0 {
            return invalid(
                "MASTER_PORT",
                "0".to_owned(),
                "must be a port that all ranks know".to_owned(),
            );
        }
        Ok(())
    }

    /// The store's address for error messages.
    pub(super) fn master(&self) -> String {
        if self.master_addr.contains(':') {
            format!("[{}]:{}", self.master_addr, self.master_port)
        } else {
            format!("{}:{}", self.master_addr, self.master_port)
        }
    }

    /// Returns a rendezvous error.
    pub(super) fn rendezvous_error(&self, reason: impl Into<String>) -> Error {
        Error::Collective(CollectiveError::Rendezvous {
            rank: self.rank,
            world_size: self.world_size,
            master: self.master(),
            reason: reason.into(),
        })
    }
}

fn number<T: FromStr>(setting: &'static str, value: String, reason: &str) -> Result<T> {
    value.parse().map_err(|_| Error::InvalidSetting {
        setting,
        value,
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(changes: &[(&'static str, &str)]) -> Result<GlooConfig> {
        let mut variables = HashMap::from([
            ("RANK", "1"),
            ("WORLD_SIZE", "2"),
            ("MASTER_ADDR", "10.0.0.1"),
            ("MASTER_PORT", "29500"),
        ]);
        variables.extend(changes.iter().copied());
        GlooConfig::from_variables(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    #[test]
    fn the_environment_says_who_a_rank_is_and_where_the_master_is() {
        assert_eq!(read(&[]).unwrap(), GlooConfig::new(1, 2, "10.0.0.1", 29500));
    }

    #[test]
    fn torchruns_store_and_an_interface_are_used_when_they_are_named() {
        let config = read(&[
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("GLOO_SOCKET_IFNAME", "eth1"),
        ])
        .unwrap();
        assert_eq!(config.store, StoreHost::Existing);
        assert_eq!(config.bind, Bind::Interface("eth1".to_owned()));
        assert_eq!(config.local_world_size, None);
        let config = read(&[
            ("TORCHELASTIC_USE_AGENT_STORE", "False"),
            ("LOCAL_WORLD_SIZE", "1"),
        ])
        .unwrap();
        assert_eq!(config.store, StoreHost::RankZero);
        assert_eq!(config.local_world_size, Some(1));
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named() {
        for (variable, value) in [
            ("RANK", ""),
            ("RANK", "-1"),
            ("RANK", "2"),
            ("WORLD_SIZE", ""),
            ("WORLD_SIZE", "two"),
            ("MASTER_ADDR", ""),
            ("MASTER_PORT", ""),
            ("MASTER_PORT", "0"),
            ("MASTER_PORT", "70000"),
            ("LOCAL_WORLD_SIZE", "all"),
        ] {
            match read(&[(variable, value)]).unwrap_err() {
                Error::InvalidSetting { setting, .. } => assert_eq!(setting, variable),
                other => panic!("{other}"),
            }
        }
        assert!(matches!(
            read(&[("RANK", "0"), ("WORLD_SIZE", "0")]),
            Err(Error::InvalidSetting {
                setting: "WORLD_SIZE",
                ..
            })
        ));
    }
}

//! A collective of processes, on one machine or several, over libtorch's Gloo.
//!
//! The processes find each other as those of `torch.distributed` do, through a store that rank 0 or
//! `torchrun` serves at `MASTER_ADDR` and `MASTER_PORT`. Each pair of ranks then holds a TCP
//! connection.
//!
//! **Traffic is neither authenticated nor encrypted**, as in `torch.distributed`: anyone who can
//! reach the ports can read and change it, or impersonate a rank. Use it only in a network that
//! nobody else can reach.
//!
//! Gloo carries the bytes. The sums are computed here, in rank order, so that a program gets the
//! same bits as with [`ThreadCollective`](super::ThreadCollective). Gloo's own algorithms add in
//! other orders.

mod call;
mod config;
mod ffi;
mod join;
mod reach;
mod reduce;
mod rendezvous;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tch::{Device, Tensor};

use super::{Collective, ReduceOp};
use crate::{Error, Result, error::CollectiveError};
use call::{Call, HEADER, check_headers};
pub use config::{Bind, GlooConfig, StoreHost};
use ffi::{ExchangeFailure, Group, Transfer};

/// One process's handle to a group of ranks.
///
/// A rank that fails, or drops its handle, closes its connections, which ends the other ranks'
/// exchanges with [`CollectiveError::ExchangeAborted`]. So does a rank that does not answer within
/// the timeout. After such an error, every further exchange of this handle fails too.
///
/// ```
/// use mnist_support::collective::{Collective, GlooCollective, GlooConfig, ReduceOp};
/// use tch::Tensor;
///
/// # let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
/// // A group of one; `GlooCollective::from_environment()` is the usual way.
/// let collective = GlooCollective::connect(&GlooConfig::new(0, 1, "127.0.0.1", port))?;
/// let mut value = Tensor::from(2.5);
/// collective.all_reduce(&mut value, ReduceOp::Sum)?;
/// assert_eq!(value.double_value(&[]), 2.5);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Debug)]
pub struct GlooCollective {
    rank: usize,
    world_size: usize,
    timeout: Duration,
    connection: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    /// `Err` after the first failure, which closes the connections.
    group: Result<Group, String>,
    /// The number of exchanges so far, used as the tag of the next one's messages.
    exchanges: u32,
}

impl GlooCollective {
    /// Connects to the other ranks and returns when all are connected.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a rank, world size or port out of range;
    /// [`CollectiveError::Rendezvous`] when rank 0 does not answer, a rank does not join within the
    /// timeout, a rank cannot reach another, which is named with its address and port, or an
    /// address cannot be used.
    pub fn connect(config: &GlooConfig) -> Result<Self> {
        config.validate()?;
        let start = Instant::now();
        let group = rendezvous::join(config)?;
        let collective = GlooCollective {
            rank: config.rank,
            world_size: config.world_size,
            timeout: config.timeout,
            connection: Mutex::new(Connection {
                group: Ok(group),
                exchanges: 0,
            }),
        };
        // Otherwise a rank that is fully connected could leave, and take the store with it, while
        // others are still looking each other up there.
        collective
            .call(Call::Barrier, None, start + config.timeout)
            .map_err(|error| config.rendezvous_error(error.to_string()))?;
        Ok(collective)
    }

    /// Connects as the environment specifies; see [`GlooConfig::from_environment`].
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`Error::InvalidSetting`] names a variable that is missing or
    /// wrong.
    pub fn from_environment() -> Result<Self> {
        Self::connect(&GlooConfig::from_environment()?)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The other ranks, in order.
    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let rank = self.rank;
        (0..self.world_size).filter(move |peer| *peer != rank)
    }

    /// Exchanges headers with the other ranks and checks that all make the same call.
    fn call(&self, call: Call, tensor: Option<&Tensor>, deadline: Instant) -> Result<()> {
        let header = call.header(tensor)?;
        let ours = Tensor::f_from_slice(&header)?;
        let mut theirs: Vec<(usize, Tensor)> = self
            .peers()
            .map(|peer| Ok((peer, ours.f_empty_like()?)))
            .collect::<Result<_>>()?;
        let mut transfers: Vec<Transfer<'_>> = theirs
            .iter_mut()
            .map(|(peer, receive)| Transfer {
                peer: *peer,
                send: Some(&ours),
                receive: Some(receive),
            })
            .collect();
        self.exchange(&mut transfers, deadline)?;
        let mut headers = vec![header; self.world_size];
        for (peer, theirs) in &theirs {
            theirs.f_copy_data(&mut headers[*peer], HEADER)?;
        }
        check_headers(&headers)
    }

    /// Sends and receives. A failure closes the connections.
    fn exchange(&self, transfers: &mut [Transfer<'_>], deadline: Instant) -> Result<()> {
        let mut connection = self.connection();
        let group = match &connection.group {
            Ok(group) => group,
            Err(reason) => return Err(self.aborted(format!("an earlier one failed: {reason}"))),
        };
        let tag = connection.exchanges;
        let left = deadline.saturating_duration_since(Instant::now());
        match group.exchange(transfers, tag, left) {
            Ok(()) => {
                connection.exchanges = (tag + 1) % (1 << 30);
                Ok(())
            }
            Err(failure) => {
                let reason = self.reason(failure, deadline);
                connection.group = Err(reason.clone());
                Err(self.aborted(reason))
            }
        }
    }

    fn reason(&self, failure: ExchangeFailure, deadline: Instant) -> String {
        let ExchangeFailure { peer, reason } = failure;
        match peer {
            Some(peer) if Instant::now() >= deadline => format!(
                "rank {peer} did not answer within {:?} ({reason})",
                self.timeout
            ),
            Some(peer) => format!("rank {peer} is gone ({reason})"),
            None => reason,
        }
    }

    fn aborted(&self, reason: String) -> Error {
        Error::Collective(CollectiveError::ExchangeAborted {
            world_size: self.world_size,
            reason,
        })
    }

    /// Copies the values of `flat` into `tensor`.
    fn write_back(tensor: &mut Tensor, flat: &Tensor) -> Result<()> {
        let values = flat.f_view(tensor.size().as_slice())?;
        tch::no_grad(|| tensor.f_copy_(&values))?;
        Ok(())
    }
}

/// Returns the tensor flattened, contiguous and on the CPU. Copies only if it is not so already.
fn flat(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?)
}

impl Collective for GlooCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_reduce(&self, tensor: &mut Tensor, operation: ReduceOp) -> Result<()> {
        let deadline = self.deadline();
        self.call(Call::AllReduce(operation), Some(tensor), deadline)?;
        let reduced = self.reduce(&flat(tensor)?, operation, deadline)?;
        Self::write_back(tensor, &reduced)
    }

    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()> {
        if root >= self.world_size {
            return Err(Error::InvalidSetting {
                setting: "root",
                value: root.to_string(),
                reason: format!("is not a rank of {} ranks", self.world_size),
            });
        }
        let deadline = self.deadline();
        self.call(Call::Broadcast { root }, Some(tensor), deadline)?;
        let values = flat(tensor)?;
        if self.rank == root {
            let mut transfers: Vec<Transfer<'_>> = self
                .peers()
                .map(|peer| Transfer {
                    peer,
                    send: Some(&values),
                    receive: None,
                })
                .collect();
            return self.exchange(&mut transfers, deadline);
        }
        let mut received = values.f_empty_like()?;
        self.exchange(
            &mut [Transfer {
                peer: root,
                send: None,
                receive: Some(&mut received),
            }],
            deadline,
        )?;
        Self::write_back(tensor, &received)
    }

    fn barrier(&self) -> Result<()> {
        self.call(Call::Barrier, None, self.deadline())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::collective::suite::{self, Start, run};

    /// Returns a port of the loopback interface that was free a moment ago.
    pub(super) fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    fn configurations(world_size: usize, timeout: Duration) -> Vec<GlooConfig> {
        let port = free_port();
        (0..world_size)
            .map(|rank| GlooConfig {
                timeout,
                ..GlooConfig::new(rank, world_size, "127.0.0.1", port)
            })
            .collect()
    }

    pub(super) fn group(world_size: usize) -> Vec<Start<GlooCollective>> {
        configurations(world_size, Duration::from_secs(30))
            .into_iter()
            .map(|config| -> Start<_> {
                Box::new(move || GlooCollective::connect(&config).unwrap())
            })
            .collect()
    }

    suite::suite!(group);

    #[test]
    fn a_rank_that_has_finished_may_leave_while_others_still_read() {
        for _ in 0..20 {
            for result in run(&group, 3, |collective| {
                let mut tensor = Tensor::ones([50_000], tch::kind::FLOAT_CPU);
                collective.all_reduce(&mut tensor, ReduceOp::Sum)?;
                collective.broadcast(&mut tensor, 1)
            }) {
                result.unwrap();
            }
        }
    }

    #[test]
    fn ranks_that_call_different_methods_find_out() {
        for result in run(&group, 2, |collective| {
            if collective.rank() == 0 {
                collective.barrier()
            } else {
                collective.broadcast(&mut Tensor::from(1.0), 0)
            }
        }) {
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("rank 1 called broadcast from rank 0 where rank 0 called barrier"),
                "{error}"
            );
        }
    }
}

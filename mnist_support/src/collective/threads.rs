//! A collective of threads in one process, which exchange through shared memory.

use std::{
    cell::Cell,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tch::Tensor;

use super::{Collective, ReduceOp, reduce::reduce_in_order};
use crate::{Error, Result, error::CollectiveError};

/// Creates the handles of a group of `world_size` threads, in rank order.
///
/// Move each handle into its thread. Dropping it leaves the group, so a thread that fails or panics
/// ends the other threads' exchanges with an error, whatever it was doing.
///
/// ```
/// use mnist_support::collective::{Collective, ReduceOp, thread_group};
/// use tch::Tensor;
///
/// let sums: Vec<f64> = std::thread::scope(|scope| {
///     let ranks: Vec<_> = thread_group(2)
///         .into_iter()
///         .map(|collective| {
///             scope.spawn(move || {
///                 let mut value = Tensor::from(collective.rank() as f64 + 1.0);
///                 collective.all_reduce(&mut value, ReduceOp::Sum).unwrap();
///                 value.double_value(&[])
///             })
///         })
///         .collect();
///     ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
/// });
/// assert_eq!(sums, [3.0, 3.0]);
/// ```
pub fn thread_group(world_size: usize) -> Vec<ThreadCollective> {
    let group = Arc::new(Group {
        slots: (0..world_size).map(|_| Default::default()).collect(),
        barrier: Mutex::new(Barrier::default()),
        changed: Condvar::new(),
    });
    (0..world_size)
        .map(|rank| ThreadCollective {
            rank,
            exchanges: Cell::new(0),
            group: Arc::clone(&group),
        })
        .collect()
}

/// One thread's handle to a group; see [`thread_group`].
#[derive(Debug)]
pub struct ThreadCollective {
    rank: usize,
    /// The number of exchanges that this rank has taken part in.
    exchanges: Cell<usize>,
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    /// Each rank's contributions: to even exchanges in one slot, to odd ones in the other. A rank
    /// that has arrived at the next exchange has read the contributions to this one, so nobody
    /// needs to wait for that before going on.
    slots: Vec<[Mutex<Option<Tensor>>; 2]>,
    barrier: Mutex<Barrier>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Barrier {
    arrived: usize,
    /// The number of completed barriers; tells a waiting rank that its own is over.
    completed: u64,
    left: Option<usize>,
}

/// The state behind a lock is valid at every moment, so a poisoned lock can still be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ThreadCollective {
    /// Waits until all ranks have arrived.
    fn wait_for_all(&self) -> Result<()> {
        let group = &*self.group;
        let mut barrier = lock(&group.barrier);
        if let Some(left) = barrier.left {
            return Err(self.abandoned(left));
        }
        barrier.arrived += 1;
        if barrier.arrived == group.slots.len() {
            barrier.arrived = 0;
            barrier.completed += 1;
            group.changed.notify_all();
            return Ok(());
        }
        let ours = barrier.completed;
        while barrier.completed == ours {
            if let Some(left) = barrier.left {
                return Err(self.abandoned(left));
            }
            barrier = group
                .changed
                .wait(barrier)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn abandoned(&self, left: usize) -> Error {
        Error::Collective(CollectiveError::ExchangeAborted {
            world_size: self.world_size(),
            reason: format!("rank {left} is gone"),
        })
    }

    /// Returns a shallow clone of `rank`'s contribution to this exchange.
    fn contribution_of(&self, rank: usize) -> Result<Tensor> {
        lock(&self.group.slots[rank][self.exchanges.get() % 2])
            .as_ref()
            .map(Tensor::shallow_clone)
            .ok_or_else(|| {
                Error::Collective(CollectiveError::ExchangeAborted {
                    world_size: self.world_size(),
                    reason: format!("rank {rank} contributed nothing"),
                })
            })
    }

    /// Publishes a copy of `tensor`, then overwrites `tensor` with what `combine` makes of all
    /// ranks' copies.
    fn exchange(
        &self,
        tensor: &mut Tensor,
        combine: impl FnOnce(&Self) -> Result<Tensor>,
    ) -> Result<()> {
        let own = tensor.f_detach_copy()?;
        self.exchanges.set(self.exchanges.get() + 1);
        *lock(&self.group.slots[self.rank][self.exchanges.get() % 2]) = Some(own);
        self.wait_for_all()?;
        let combined = combine(self)?;
        tch::no_grad(|| tensor.f_copy_(&combined))?;
        Ok(())
    }
}

impl Collective for ThreadCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.group.slots.len()
    }

    fn all_reduce(&self, tensor: &mut Tensor, operation: ReduceOp) -> Result<()> {
        self.exchange(tensor, |collective| {
            let first = collective.contribution_of(0)?;
            let tensor_of = |rank| {
                let other = collective.contribution_of(rank)?;
                if other.size() != first.size() || other.kind() != first.kind() {
                    return Err(Error::ShapeMismatch {
                        what: format!("the tensor that rank {rank} passed to all_reduce"),
                        found: other.size(),
                        expected: format!("{:?}, as rank 0's,", first.size()),
                    });
                }
                Ok(other)
            };
            reduce_in_order(collective.world_size(), tensor_of, operation)
        })
    }

    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()> {
        if root >= self.world_size() {
            return Err(Error::InvalidSetting {
                setting: "root",
                value: root.to_string(),
                reason: format!("is not a rank of {} ranks", self.world_size()),
            });
        }
        self.exchange(tensor, |collective| collective.contribution_of(root))
    }

    fn barrier(&self) -> Result<()> {
        self.wait_for_all()
    }
}

impl Drop for ThreadCollective {
    fn drop(&mut self) {
        let mut barrier = lock(&self.group.barrier);
        barrier.left.get_or_insert(self.rank);
        self.group.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::suite::{self, Start, run};

    fn group(world_size: usize) -> Vec<Start<ThreadCollective>> {
        thread_group(world_size)
            .into_iter()
            .map(|collective| -> Start<_> { Box::new(|| collective) })
            .collect()
    }

    suite::suite!(group);

    #[test]
    fn the_rank_that_left_is_named() {
        let results = run(&group, 3, |collective| {
            (collective.rank() != 1).then(|| collective.barrier())
        });
        assert!(results[0].is_some() && results[2].is_some());
        for result in results.into_iter().flatten() {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("rank 1 is gone"), "{error}");
        }
    }
}

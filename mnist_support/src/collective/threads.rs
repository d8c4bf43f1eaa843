//! Copies that are threads of one process and exchange through shared memory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tch::Tensor;

use super::{Collective, ReduceOp};
use crate::{Error, Result};

/// Makes the ends of a group of `world_size` threads, in the order of their ranks.
///
/// Each end moves into its thread. An end that is dropped has left the group: a thread that fails or
/// panics therefore ends the others' exchanges with an error, whatever it was doing.
///
/// ```
/// use mnist_support::collective::{Collective, ReduceOp, thread_group};
/// use tch::Tensor;
///
/// let sums: Vec<f64> = std::thread::scope(|scope| {
///     let copies: Vec<_> = thread_group(2)
///         .into_iter()
///         .map(|copy| {
///             scope.spawn(move || {
///                 let mut value = Tensor::from(copy.rank() as f64 + 1.0);
///                 copy.all_reduce(&mut value, ReduceOp::Sum).unwrap();
///                 value.double_value(&[])
///             })
///         })
///         .collect();
///     copies.into_iter().map(|copy| copy.join().unwrap()).collect()
/// });
/// assert_eq!(sums, [3.0, 3.0]);
/// ```
pub fn thread_group(world_size: usize) -> Vec<ThreadCollective> {
    let group = Arc::new(Group {
        slots: (0..world_size).map(|_| Mutex::new(None)).collect(),
        meeting: Mutex::new(Meeting::default()),
        changed: Condvar::new(),
    });
    (0..world_size)
        .map(|rank| ThreadCollective {
            rank,
            group: Arc::clone(&group),
        })
        .collect()
}

/// A thread's end of a group; see [`thread_group`].
#[derive(Debug)]
pub struct ThreadCollective {
    rank: usize,
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    /// What each copy brings to the exchange that is going on.
    slots: Vec<Mutex<Option<Tensor>>>,
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Meeting {
    arrived: usize,
    /// How many meetings have been held; tells a waiting copy that its own is over.
    held: u64,
    left: Option<usize>,
}

/// The state behind a lock is valid at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ThreadCollective {
    /// Waits until all copies are here.
    fn meet(&self) -> Result<()> {
        let group = &*self.group;
        let mut meeting = lock(&group.meeting);
        if let Some(left) = meeting.left {
            return Err(self.abandoned(left));
        }
        meeting.arrived += 1;
        if meeting.arrived == group.slots.len() {
            meeting.arrived = 0;
            meeting.held += 1;
            group.changed.notify_all();
            return Ok(());
        }
        let ours = meeting.held;
        while meeting.held == ours {
            if let Some(left) = meeting.left {
                return Err(self.abandoned(left));
            }
            meeting = group
                .changed
                .wait(meeting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn abandoned(&self, left: usize) -> Error {
        Error::ExchangeAborted {
            world_size: self.world_size(),
            reason: format!("the copy of rank {left} is gone"),
        }
    }

    fn bring(&self, tensor: Option<Tensor>) {
        *lock(&self.group.slots[self.rank]) = tensor;
    }

    /// A shallow clone of what the copy of `rank` brought; nobody writes to it until the next meeting.
    fn brought_by(&self, rank: usize) -> Result<Tensor> {
        lock(&self.group.slots[rank])
            .as_ref()
            .map(Tensor::shallow_clone)
            .ok_or_else(|| Error::ExchangeAborted {
                world_size: self.world_size(),
                reason: format!("the copy of rank {rank} brought nothing"),
            })
    }

    /// Puts `tensor` before the others, computes `combine` from all of them, and writes the result back.
    fn exchange(
        &self,
        tensor: &mut Tensor,
        combine: impl FnOnce(&Self) -> Result<Tensor>,
    ) -> Result<()> {
        self.bring(Some(tensor.f_detach()?));
        self.meet()?;
        let combined = combine(self);
        // No copy may overwrite its tensor while another still reads it.
        self.meet()?;
        self.bring(None);
        let combined = combined?;
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
        self.exchange(tensor, |copy| {
            let mut result = copy.brought_by(0)?.f_detach_copy()?;
            for rank in 1..copy.world_size() {
                let other = copy.brought_by(rank)?;
                if other.size() != result.size() || other.kind() != result.kind() {
                    return Err(Error::ShapeMismatch {
                        what: format!("the tensor that rank {rank} brought to all_reduce"),
                        found: other.size(),
                        expected: format!("{:?}, as rank 0's,", result.size()),
                    });
                }
                result = match operation {
                    ReduceOp::Sum => result.f_add_(&other)?,
                    ReduceOp::Min => result.f_minimum(&other)?,
                    ReduceOp::Max => result.f_maximum(&other)?,
                };
            }
            Ok(result)
        })
    }

    fn broadcast(&self, tensor: &mut Tensor, root: usize) -> Result<()> {
        if root >= self.world_size() {
            return Err(Error::InvalidSetting {
                setting: "root",
                value: root.to_string(),
                reason: format!("is not a rank of {} copies", self.world_size()),
            });
        }
        self.exchange(tensor, |copy| Ok(copy.brought_by(root)?.f_detach_copy()?))
    }

    fn barrier(&self) -> Result<()> {
        self.meet()
    }
}

impl Drop for ThreadCollective {
    fn drop(&mut self) {
        let mut meeting = lock(&self.group.meeting);
        meeting.left.get_or_insert(self.rank);
        self.group.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs `program` in `world_size` copies.
    fn run<T: Send>(world_size: usize, program: impl Fn(ThreadCollective) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let copies: Vec<_> = thread_group(world_size)
                .into_iter()
                .map(|copy| scope.spawn(|| program(copy)))
                .collect();
            copies
                .into_iter()
                .map(|copy| copy.join().unwrap())
                .collect()
        })
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn all_reduce_gives_every_copy_the_same_sum_minimum_and_maximum() {
        for world_size in [1, 2, 3, 5] {
            for (operation, expected) in [
                (ReduceOp::Sum, (0..world_size).sum::<usize>()),
                (ReduceOp::Min, 0),
                (ReduceOp::Max, world_size - 1),
            ] {
                for result in run(world_size, |copy| {
                    let mut tensor = Tensor::from_slice(&[copy.rank() as f32; 4]);
                    copy.all_reduce(&mut tensor, operation).unwrap();
                    values(&tensor)
                }) {
                    assert_eq!(result, [expected as f32; 4]);
                }
            }
        }
    }

    #[test]
    fn sums_have_the_same_bits_in_every_copy_and_in_every_run() {
        let sums = |_| {
            run(3, |copy| {
                let mut tensor =
                    Tensor::from_slice(&[0.1_f32, 1e8, -1e8]) * (copy.rank() as f64 + 0.3);
                copy.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
                values(&tensor)
                    .into_iter()
                    .map(f32::to_bits)
                    .collect::<Vec<_>>()
            })
        };
        let all: Vec<_> = (0..20).flat_map(sums).collect();
        assert!(all.iter().all(|bits| *bits == all[0]));
    }

    #[test]
    fn many_exchanges_in_a_row_do_not_mix() {
        for result in run(4, |copy| {
            (0..500).all(|round| {
                let mut tensor = Tensor::from_slice(&[(copy.rank() * round) as f32]);
                copy.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
                values(&tensor) == [(6 * round) as f32]
            })
        }) {
            assert!(result);
        }
    }

    #[test]
    fn broadcast_hands_out_the_roots_tensor() {
        for result in run(3, |copy| {
            let mut tensor = Tensor::from_slice(&[copy.rank() as f32]);
            copy.broadcast(&mut tensor, 2).unwrap();
            values(&tensor)
        }) {
            assert_eq!(result, [2.0]);
        }
    }

    #[test]
    fn a_root_that_is_no_rank_is_an_error() {
        for result in run(2, |copy| copy.broadcast(&mut Tensor::from(0.0), 2)) {
            assert!(matches!(
                result,
                Err(Error::InvalidSetting {
                    setting: "root",
                    ..
                })
            ));
        }
    }

    #[test]
    fn a_copy_that_leaves_ends_the_others_exchange_with_an_error() {
        let results = run(3, |copy| {
            if copy.rank() == 1 {
                return Ok(());
            }
            copy.all_reduce(&mut Tensor::from(1.0), ReduceOp::Sum)
        });
        assert!(results[1].is_ok());
        for rank in [0, 2] {
            let error = results[rank].as_ref().unwrap_err().to_string();
            assert!(error.contains("rank 1 is gone"), "{error}");
        }
    }

    #[test]
    fn a_copy_that_panics_does_not_leave_the_others_waiting() {
        thread::scope(|scope| {
            let mut copies = thread_group(2).into_iter();
            let (waiting, panicking) = (copies.next().unwrap(), copies.next().unwrap());
            let waiting = scope.spawn(move || waiting.barrier());
            let panicked = scope.spawn(move || {
                let _end = panicking;
                panic!("on purpose");
            });
            assert!(panicked.join().is_err());
            assert!(matches!(
                waiting.join().unwrap(),
                Err(Error::ExchangeAborted { .. })
            ));
        });
    }

    #[test]
    fn tensors_of_other_shapes_are_an_error_in_every_copy() {
        for result in run(2, |copy| {
            let mut tensor = Tensor::zeros([copy.rank() as i64 + 1], tch::kind::FLOAT_CPU);
            copy.all_reduce(&mut tensor, ReduceOp::Sum)
        }) {
            assert!(matches!(result, Err(Error::ShapeMismatch { .. })));
        }
    }
}

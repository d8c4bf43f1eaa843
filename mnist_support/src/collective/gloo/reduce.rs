//! All-reduce: the sum, minimum or maximum over all ranks, computed in rank order.

use std::time::Instant;

use tch::Tensor;

use super::{GlooCollective, Transfer};
use crate::{
    Result,
    collective::{ReduceOp, reduce::reduce_in_order},
};

/// How the values are exchanged. Both algorithms give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// Every rank receives every other rank's values (all-gather): one exchange.
    Gather,
    /// Every rank reduces one part of the values and sends the result to the others
    /// (reduce-scatter, then all-gather): two exchanges, but at most twice the values in and out of
    /// a rank.
    ScatterThenGather,
}

/// The most bytes that a rank receives in a single exchange.
///
/// On loopback, one exchange of 41,000 floats took half as long as two between 2 ranks, and no
/// longer between 4. Above this size, bandwidth matters more than the latency of an exchange.
const GATHER_BYTES: usize = 512 * 1024;

impl Algorithm {
    fn of(world_size: usize, bytes: usize) -> Algorithm {
        // Two ranks exchange the same bytes either algorithm.
        if world_size <= 2 || bytes.saturating_mul(world_size - 1) <= GATHER_BYTES {
            Algorithm::Gather
        } else {
            Algorithm::ScatterThenGather
        }
    }
}

impl GlooCollective {
    /// Reduces the flattened values of all ranks into a new tensor.
    pub(super) fn reduce(
        &self,
        values: &Tensor,
        operation: ReduceOp,
        deadline: Instant,
    ) -> Result<Tensor> {
        let bytes = values.numel() * values.kind().elt_size_in_bytes();
        self.reduce_by(
            Algorithm::of(self.world_size, bytes),
            values,
            operation,
            deadline,
        )
    }

    fn reduce_by(
        &self,
        algorithm: Algorithm,
        values: &Tensor,
        operation: ReduceOp,
        deadline: Instant,
    ) -> Result<Tensor> {
        if self.world_size == 1 || values.numel() == 0 {
            return Ok(values.f_detach_copy()?);
        }
        match algorithm {
            Algorithm::Gather => self.gather(values, operation, deadline),
            Algorithm::ScatterThenGather => self.scatter_then_gather(values, operation, deadline),
        }
    }

    fn gather(&self, values: &Tensor, operation: ReduceOp, deadline: Instant) -> Result<Tensor> {
        self.reduce_part(values, |_| Ok(values.shallow_clone()), operation, deadline)
    }

    fn scatter_then_gather(
        &self,
        values: &Tensor,
        operation: ReduceOp,
        deadline: Instant,
    ) -> Result<Tensor> {
        let part_of = |tensor: &Tensor, rank: usize| -> Result<Tensor> {
            let (length, world_size) = (tensor.numel(), self.world_size);
            let (start, end) = (length * rank / world_size, length * (rank + 1) / world_size);
            Ok(tensor.f_narrow(0, start as i64, (end - start) as i64)?)
        };
        let ours = self.reduce_part(
            &part_of(values, self.rank)?,
            |peer| part_of(values, peer),
            operation,
            deadline,
        )?;
        let result = values.f_empty_like()?;
        part_of(&result, self.rank)?.f_copy_(&ours)?;
        let mut theirs: Vec<(usize, Tensor)> = self
            .peers()
            .map(|peer| Ok((peer, part_of(&result, peer)?)))
            .collect::<Result<_>>()?;
        let mut transfers: Vec<Transfer<'_>> = theirs
            .iter_mut()
            .map(|(peer, part)| Transfer {
                peer: *peer,
                send: Some(&ours),
                receive: Some(part),
            })
            .collect();
        self.exchange(&mut transfers, deadline)?;
        Ok(result)
    }

    /// Sends `for_peer(peer)` to each peer, receives each peer's version of `ours`, and reduces
    /// them.
    fn reduce_part(
        &self,
        ours: &Tensor,
        for_peer: impl Fn(usize) -> Result<Tensor>,
        operation: ReduceOp,
        deadline: Instant,
    ) -> Result<Tensor> {
        let sent = self
            .peers()
            .map(for_peer)
            .collect::<Result<Vec<Tensor>>>()?;
        let mut parts = (0..self.world_size)
            .map(|_| Ok(ours.f_empty_like()?))
            .collect::<Result<Vec<Tensor>>>()?;
        parts[self.rank] = ours.shallow_clone();
        let mut transfers: Vec<Transfer<'_>> = parts
            .iter_mut()
            .enumerate()
            .filter(|(peer, _)| *peer != self.rank)
            .zip(&sent)
            .map(|((peer, receive), send)| Transfer {
                peer,
                send: Some(send),
                receive: Some(receive),
            })
            .collect();
        self.exchange(&mut transfers, deadline)?;
        reduce_in_order(
            self.world_size,
            |rank| Ok(parts[rank].shallow_clone()),
            operation,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::{Collective, gloo::tests::group, suite};

    #[test]
    fn both_algorithms_give_the_same_bits() {
        for world_size in [2, 3, 4] {
            // Fewer values than ranks, as many, and a number that does not divide evenly.
            for length in [1, 3, 1001] {
                for [gathered, scattered] in suite::run(&group, world_size, |collective| {
                    let values = suite::awkward(collective.rank(), length);
                    [Algorithm::Gather, Algorithm::ScatterThenGather].map(|algorithm| {
                        let sum = collective
                            .reduce_by(algorithm, &values, ReduceOp::Sum, collective.deadline())
                            .unwrap();
                        suite::bits(&sum)
                    })
                }) {
                    assert_eq!(gathered, scattered, "{length} floats of {world_size} ranks");
                }
            }
        }
    }

    #[test]
    fn only_many_bytes_of_many_ranks_travel_in_two_exchanges() {
        assert_eq!(Algorithm::of(2, 1 << 30), Algorithm::Gather);
        assert_eq!(Algorithm::of(4, 4 * 41_000), Algorithm::Gather);
        assert_eq!(Algorithm::of(5, 4 * 41_000), Algorithm::ScatterThenGather);
    }
}

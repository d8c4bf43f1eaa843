//! The memory of features that are read whenever they are needed.

use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::MemoryBudget,
    train::{Shuffle, TrainingData, TrainingSettings},
};

/// What a trainer has taken of the rank's budget, until it is dropped.
pub(super) struct Reserved {
    budget: MemoryBudget,
    taken: u64,
    needed: u64,
    /// What is taken and not needed.
    spare: MemoryBudget,
}

impl Reserved {
    /// Takes all that is left, if the features are read whenever they are needed.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if that is less than this rank needs. It says the least that does
    /// in all ranks.
    pub(super) fn new(
        data: &TrainingData,
        settings: &TrainingSettings,
        collective: &dyn Collective,
    ) -> Result<Self> {
        let budget = data.budget().clone();
        let (mut needed, mut least) = (0, 0);
        if data.is_streamed() {
            needed = Shuffle::bytes_needed(&data.block_starts(), data.row_size());
            least = needed + (budget.total() - budget.left());
        }
        let too_little = least > budget.total();
        match settings.shuffle {
            Shuffle::Rows => {}
            Shuffle::Blocks => {
                let own = [least as f64];
                least = all_reduce_f64(&own, ReduceOp::Max, collective)?[0] as u64;
            }
        }
        if too_little {
            return Err(Error::InvalidSetting {
                setting: "memory_budget",
                value: budget.total().to_string(),
                reason: format!(
                    "is less than the {least} bytes that Shuffle::Blocks needs for each rank of \
                     this table, for two groups of its blocks and the block that is read: set at \
                     least that, or write the table with smaller row groups"
                ),
            });
        }
        let taken = match data.is_streamed() {
            true => budget.left(),
            false => 0,
        };
        budget.take(taken);
        Ok(Reserved {
            spare: MemoryBudget::of(taken.saturating_sub(needed)),
            budget,
            taken,
            needed,
        })
    }

    /// What is left for the features of validation rows.
    pub(super) fn spare(&self) -> &MemoryBudget {
        &self.spare
    }

    /// The bytes of blocks that may be kept.
    pub(super) fn capacity(&self) -> u64 {
        self.needed.saturating_add(self.spare.left())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

//! The context in which one rank of a fit runs.

use super::{Labels, Table};
use crate::{Result, interrupt::Interrupt, lake::Lake, train::Progress};

/// Where a rank of a fit reports its progress, where it keeps what must outlast it, and what can
/// stop it.
#[derive(Clone, Copy)]
pub struct FitContext<'a> {
    /// Takes the progress events of rank 0.
    pub progress: &'a dyn Progress,
    /// The run's folder, which all ranks can reach. Checkpoints go there.
    pub run_folder: Option<&'a Lake>,
    /// Asks the fit to stop. It is enough to ask one rank.
    pub interrupt: &'a Interrupt,
    /// The rank's rows to validate with, if they are from another table.
    pub(crate) validation: Option<&'a Table>,
    /// What the indices of columns stand for, as far as the stages before know.
    pub(crate) labels: Option<&'a Labels>,
    /// Reads the rows that the rank gets, as this stage gets them, when the parts of the table are
    /// dealt anew: by a seed, and the number of times that they were.
    pub(crate) deal: Option<Deal<'a>>,
}

/// See [`FitContext::deal`]. `None` if the rows cannot be dealt anew.
pub(crate) type Deal<'a> = &'a (dyn Fn(u64, usize) -> Result<Option<Table>> + Sync);

impl<'a> FitContext<'a> {
    /// Creates a context without a folder, which Stop or Ctrl-C can interrupt.
    pub fn new(progress: &'a dyn Progress) -> Self {
        FitContext {
            progress,
            run_folder: None,
            interrupt: Interrupt::of_process(),
            validation: None,
            labels: None,
            deal: None,
        }
    }
}

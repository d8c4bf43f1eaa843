//! What surrounds one rank of a fit.

use crate::{interrupt::Interrupt, lake::Lake, train::Progress};

/// Where a rank of a fit reports its progress, where it keeps what must outlast it, and who may stop it.
#[derive(Clone, Copy)]
pub struct FitContext<'a> {
    /// Takes the progress events of rank 0.
    pub progress: &'a dyn Progress,
    /// The run's folder, which all ranks reach; checkpoints go there.
    pub run_folder: Option<&'a Lake>,
    /// Asks the fit to stop; it is enough that one rank is asked.
    pub interrupt: &'a Interrupt,
}

impl<'a> FitContext<'a> {
    /// A context without a folder, that a press of Stop or Ctrl-C stops.
    pub fn new(progress: &'a dyn Progress) -> Self {
        FitContext {
            progress,
            run_folder: None,
            interrupt: Interrupt::of_process(),
        }
    }
}

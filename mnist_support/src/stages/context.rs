//! What surrounds one copy of a fit.

use crate::{interrupt::Interrupt, lake::Lake, train::Progress};

/// Where a copy of a fit tells its news, where it keeps what must outlast it, and who may stop it.
#[derive(Clone, Copy)]
pub struct FitContext<'a> {
    /// Takes the news of the copy of rank 0.
    pub progress: &'a dyn Progress,
    /// The run's folder, which all copies reach; checkpoints go there.
    pub run_folder: Option<&'a Lake>,
    /// Asks the fit to stop; it is enough that one copy is asked.
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

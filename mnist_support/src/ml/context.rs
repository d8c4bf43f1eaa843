//! What surrounds one copy of a fit.

use crate::{lake::Lake, train::Progress};

/// Where a copy of a fit tells its news, and where it keeps what must outlast it.
#[derive(Clone, Copy)]
pub struct FitContext<'a> {
    /// Takes the news of the copy of rank 0.
    pub progress: &'a dyn Progress,
    /// The run's folder, which all copies reach; checkpoints go there.
    pub run_folder: Option<&'a Lake>,
}

impl<'a> FitContext<'a> {
    /// A context without a folder.
    pub fn new(progress: &'a dyn Progress) -> Self {
        FitContext {
            progress,
            run_folder: None,
        }
    }
}

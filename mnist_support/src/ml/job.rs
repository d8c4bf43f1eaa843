//! A pipeline's fit as a job for other processes.

use super::Pipeline;
use crate::{
    lake::LakeFrame,
    program::FitSpec,
    worker::{Job, Rows},
};

impl Job {
    /// Describes the fit of a pipeline to a file in the lake, for ranks that `torchrun` starts. The
    /// pipeline's run folder, if it has one, holds the checkpoints from which they resume after a
    /// restart.
    ///
    /// ```no_run
    /// use mnist_support::{prelude::*, worker::Job};
    ///
    /// # fn job(pipeline: Pipeline, train: LakeFrame) -> mnist_support::Result<()> {
    /// Job::fit(&pipeline, &train).write("job.json".as_ref())?;
    /// // torchrun --nproc-per-node 2 --no-python mnist-worker --job job.json --save models/digits
    /// # Ok(())
    /// # }
    /// ```
    pub fn fit(pipeline: &Pipeline, rows: &LakeFrame) -> Job {
        Job::Fit {
            spec: FitSpec {
                stages: pipeline.stages().to_vec(),
            },
            rows: Rows::File(Box::new(rows.source().clone())),
            validation: None,
            run_folder: pipeline.folder().map(|folder| folder.url().to_owned()),
            attempt: 0,
            lease: false,
        }
    }

    /// Adds rows to validate with, from another file in the lake; see
    /// [`Data::with_validation`](crate::shard::Data::with_validation). A transformation has none.
    pub fn with_validation(mut self, rows: &LakeFrame) -> Job {
        if let Job::Fit { validation, .. } = &mut self {
            *validation = Some(Rows::File(Box::new(rows.source().clone())));
        }
        self
    }
}

//! Stages in a row.

use super::PipelineModel;
use crate::{
    Error, Result,
    engine::{Engine, Session},
    error::PipelineError,
    interrupt,
    lake::Lake,
    program::FitSpec,
    run::Run,
    shard::Data,
    stages::{FitContext, Stage, StageModel},
    train::{Print, Progress},
};

/// Stages that are fitted and applied one after the other, as SparkML's `Pipeline`.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    stages: Vec<Stage>,
    run_folder: Option<Lake>,
}

impl Pipeline {
    /// A pipeline without stages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage at the end.
    pub fn stage(mut self, stage: impl Into<Stage>) -> Self {
        self.stages.push(stage.into());
        self
    }

    /// Where the checkpoints of a fit go (`checkpoint_every`): a folder of its own, local or in the lake. A
    /// fit that finds a checkpoint of its own there goes on from it, also after the program was ended.
    /// Default: a folder for this fit alone; see [`Run::new`].
    pub fn run_folder(mut self, folder: &Lake) -> Self {
        self.run_folder = Some(folder.clone());
        self
    }

    /// The folder that [`run_folder`](Self::run_folder) named.
    pub(crate) fn folder(&self) -> Option<&Lake> {
        self.run_folder.as_ref()
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Fits all stages to `data`, a data frame or a file in the lake, and prints the progress.
    ///
    /// The fit runs in the process's [session](Session::get_or_create), in as many ranks as the
    /// estimator's `partitions` says, each on its part of the rows. Several estimators have to say the
    /// same of the fit as a whole; see [`FitSpec::run_settings`].
    ///
    /// # Errors
    /// [`PipelineError::InvalidStage`](crate::error::PipelineError::InvalidStage) where the stages do not fit each other, [`Error::InvalidSetting`] for
    /// a setting outside its range, more partitions than rows included; those of reading the rows, with
    /// their file, row and column; those of training; [`Error::Interrupted`] where it was
    /// [stopped](crate::interrupt) before it trained.
    ///
    /// A fit that is stopped while it trains returns the model as it is: the best weights so far, or the
    /// last where nothing was validated, and [`FitReport::interrupted`](crate::train::FitReport::interrupted) is true. With
    /// [`run_folder`](Self::run_folder) and `checkpoint_every` the same fit goes on there when it is run
    /// again.
    pub fn fit(&self, data: impl Into<Data>) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        self.validate()?;
        Session::get_or_create()?.fit(self, data)
    }

    /// As [`fit`](Self::fit), on an engine of your choice, with the progress wherever you want it.
    pub fn fit_with(
        &self,
        data: impl Into<Data>,
        engine: &dyn Engine,
        progress: &dyn Progress,
    ) -> Result<PipelineModel> {
        self.validate()?;
        let scope = interrupt::scope();
        let spec = self.spec();
        let world_size = match spec.run_settings()?.partitions {
            Some(world_size) => world_size,
            None => engine.default_parallelism(),
        };
        let run = match &self.run_folder {
            Some(folder) => Some(Run::in_folder(folder)),
            None if spec.has_checkpoints() => Some(Run::new()?),
            None => None,
        };
        let context = FitContext {
            progress,
            run_folder: run.as_ref().map(Run::folder),
            interrupt: scope.interrupt(),
        };
        let stages = engine.fit(&data.into(), world_size, &spec, context)?;
        if let Some(run) = run {
            let _shield = interrupt::shield();
            if stages.iter().any(StageModel::is_interrupted) {
                run.leave()?;
            } else {
                run.finish()?;
            }
        }
        Ok(PipelineModel::from_stages(stages))
    }

    fn spec(&self) -> FitSpec {
        FitSpec {
            stages: self.stages.clone(),
        }
    }

    /// Finds what can be found before any row is read.
    fn validate(&self) -> Result<()> {
        for (index, stage) in self.stages.iter().enumerate() {
            let twice = self.stages[..index]
                .iter()
                .any(|former| former.output_col() == stage.output_col());
            if twice {
                return Err(Error::Pipeline(PipelineError::InvalidStage {
                    stage: index,
                    kind: stage.kind(),
                    reason: format!(
                        "its column {:?} is already added by a former stage",
                        stage.output_col()
                    ),
                }));
            }
            if let Some(estimator) = stage.estimator() {
                estimator.classes()?;
                estimator.settings.validate()?;
            }
        }
        if self.stages.is_empty() {
            return Err(Error::Pipeline(PipelineError::InvalidStage {
                stage: 0,
                kind: "none",
                reason: "the pipeline has no stages: add some with stage()".to_owned(),
            }));
        }
        self.spec().run_settings().map(|_| ())
    }
}

impl Session {
    /// Fits a pipeline in this session; see [`Pipeline::fit`].
    ///
    /// # Errors
    /// Those of [`Pipeline::fit`].
    pub fn fit(&self, pipeline: &Pipeline, data: impl Into<Data>) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        let verbose = pipeline.spec().run_settings()?.verbose;
        pipeline.fit_with(data, self.engine(), &Print::new(verbose))
    }
}

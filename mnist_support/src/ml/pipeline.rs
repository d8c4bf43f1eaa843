//! Pipelines of stages.

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

/// A sequence of stages that are fitted and applied one after the other, like SparkML's `Pipeline`.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    stages: Vec<Stage>,
    run_folder: Option<Lake>,
}

impl Pipeline {
    /// Creates a pipeline without stages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a stage.
    pub fn stage(mut self, stage: impl Into<Stage>) -> Self {
        self.stages.push(stage.into());
        self
    }

    /// Sets the folder for a fit's checkpoints (`checkpoint_every`), local or in the lake, which
    /// nothing else may use. A fit that finds a checkpoint of its own there resumes from it, even
    /// after the program has exited. Default: a folder for this fit alone; see [`Run::new`].
    pub fn run_folder(mut self, folder: &Lake) -> Self {
        self.run_folder = Some(folder.clone());
        self
    }

    /// The folder set by [`run_folder`](Self::run_folder).
    pub(crate) fn folder(&self) -> Option<&Lake> {
        self.run_folder.as_ref()
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Fits all stages to `data`, a data frame or a file in the lake, and prints progress.
    ///
    /// The fit runs in the [session of the process](Session::get_or_create), in as many ranks as
    /// the estimator's `partitions`, each on its part of the rows. Several estimators must agree on
    /// the settings of the fit as a whole; see [`FitSpec::run_settings`].
    ///
    /// # Errors
    /// [`PipelineError::InvalidStage`] if the stages do not fit together; [`Error::InvalidSetting`]
    /// for a setting out of range, including more partitions than rows; those of reading the rows,
    /// with file, row and column; those of training; [`Error::Interrupted`] if the fit was
    /// [stopped](crate::interrupt) before it trained.
    ///
    /// A fit that is stopped while it trains returns the model so far: the best weights, or the
    /// last ones if nothing was validated.
    /// [`FitReport::interrupted`](crate::train::FitReport::interrupted) is then true. With
    /// [`run_folder`](Self::run_folder) and `checkpoint_every`, running the same fit again resumes
    /// it.
    pub fn fit(&self, data: impl Into<Data>) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        self.validate()?;
        Session::get_or_create()?.fit(self, data)
    }

    /// Like [`fit`](Self::fit), on an engine of your choice, with a progress handler of your
    /// choice.
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
            validation: None,
            labels: None,
            deal: None,
        };
        let data = data.into();
        if data.validation().is_some() {
            spec.check_holds_nothing_out()?;
        }
        let stages = self.stages.iter();
        data.check_columns(stages.map(|stage| (stage.input_cols(), stage.output_cols())))?;
        let stages = data.with_wider_types(|data| engine.fit(data, world_size, &spec, context))?;
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

    /// Checks what can be checked before any row is read.
    fn validate(&self) -> Result<()> {
        self.stages.iter().try_for_each(Stage::validate)?;
        let stages = self.stages.iter();
        added_columns(stages.map(|stage| (stage.kind(), stage.output_cols())))?;
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

/// Returns the columns that stages add, which have a kind and columns each.
///
/// # Errors
/// [`PipelineError::InvalidStage`] for a stage with a column of an earlier one.
pub(super) fn added_columns<'a>(
    stages: impl Iterator<Item = (&'static str, Vec<&'a str>)>,
) -> Result<Vec<&'a str>> {
    let mut added = Vec::new();
    for (stage, (kind, columns)) in stages.enumerate() {
        for column in columns {
            if added.contains(&column) {
                return Err(Error::Pipeline(PipelineError::InvalidStage {
                    stage,
                    kind,
                    reason: format!("its column {column:?} is already added by an earlier stage"),
                }));
            }
            added.push(column);
        }
    }
    Ok(added)
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

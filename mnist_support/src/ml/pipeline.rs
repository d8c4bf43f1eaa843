//! Stages in a row.

use polars::prelude::DataFrame;

use super::{FitContext, FitSpec, MinMaxScalerModel, Stage, StageModel, TorchModel, persistence};
use crate::{
    Error, Result,
    engine::{self, Engine},
    interrupt,
    lake::Lake,
    run::Run,
    shard::Data,
    train::{Device, FitReport, Print, Progress},
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
    /// The fit runs in as many copies as the estimator's `partitions` says, each on its part of the rows.
    ///
    /// # Errors
    /// [`Error::InvalidPipeline`] where the stages do not fit each other, [`Error::InvalidSetting`] for
    /// a setting outside its range, more partitions than rows included; those of reading the rows, with
    /// their file, row and column; those of training; [`Error::Interrupted`] where it was
    /// [stopped](crate::interrupt) before it trained.
    ///
    /// A fit that is stopped while it trains returns the model as it is: the best weights so far, or the
    /// last where nothing was validated, and [`FitReport::interrupted`] is true. With
    /// [`run_folder`](Self::run_folder) and `checkpoint_every` the same fit goes on there when it is run
    /// again.
    pub fn fit(&self, data: impl Into<Data>) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        let verbose = self
            .estimator()
            .map_or(0, |estimator| estimator.settings.verbose);
        self.fit_with(data, &*engine::from_environment()?, &Print::new(verbose))
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
        let copies = self
            .estimator()
            .and_then(|estimator| estimator.settings.partitions)
            .unwrap_or_else(|| engine.default_copies());
        let spec = FitSpec {
            stages: self.stages.clone(),
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
        let stages = engine.fit(&data.into(), copies, &spec, context)?;
        if let Some(run) = run {
            let _shield = interrupt::shield();
            if stages.iter().any(StageModel::is_interrupted) {
                run.leave()?;
            } else {
                run.finish()?;
            }
        }
        Ok(PipelineModel { stages })
    }

    fn estimator(&self) -> Option<&super::TorchEstimator> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::TorchEstimator(estimator) => Some(&**estimator),
            _ => None,
        })
    }

    /// Finds what can be found before any row is read.
    fn validate(&self) -> Result<()> {
        for (index, stage) in self.stages.iter().enumerate() {
            let twice = self.stages[..index]
                .iter()
                .any(|former| former.output_col() == stage.output_col());
            if twice {
                return Err(Error::InvalidPipeline {
                    stage: index,
                    kind: stage.kind(),
                    reason: format!(
                        "its column {:?} is already added by a former stage",
                        stage.output_col()
                    ),
                });
            }
            if let Stage::TorchEstimator(estimator) = stage {
                estimator.classes()?;
                estimator.settings.validate()?;
            }
        }
        if self.stages.is_empty() {
            return Err(Error::InvalidPipeline {
                stage: 0,
                kind: "none",
                reason: "the pipeline has no stages: add some with stage()".to_owned(),
            });
        }
        Ok(())
    }
}

/// A fitted [`Pipeline`].
#[derive(Clone, Debug)]
pub struct PipelineModel {
    stages: Vec<StageModel>,
}

impl PipelineModel {
    pub(crate) fn from_stages(stages: Vec<StageModel>) -> Self {
        PipelineModel { stages }
    }

    pub(super) fn into_stages(self) -> Vec<StageModel> {
        self.stages
    }

    /// The fitted stages, in order.
    pub fn stages(&self) -> &[StageModel] {
        &self.stages
    }

    /// Where its networks predict, `"cpu"` for instance, if not on the device that they were trained on: what a
    /// model that was trained on a GPU needs on a machine without one.
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        let device = device.into();
        for stage in &mut self.stages {
            if let StageModel::Torch(model) = stage {
                model.set_device(device.clone());
            }
        }
        self
    }

    /// Adds every stage's column to the rows: vectors as lists, predictions as `Int64`.
    ///
    /// # Errors
    /// Those of reading the rows; [`Error::ColumnNotFound`] and [`Error::ShapeMismatch`] where they are
    /// not like those that the pipeline was fitted on; [`Error::Interrupted`] where it was
    /// [stopped](crate::interrupt).
    pub fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        engine::from_environment()?.transform(&data.into(), &self.stages)
    }

    /// As [`transform`](Self::transform), but the rows are written to a folder as Parquet files
    /// (`part-00000.parquet` and so on) by the copies that transform them, and never are in one place. If it
    /// is stopped, it removes those that are written.
    ///
    /// # Errors
    /// As [`transform`](Self::transform); [`Error::Storage`] where the folder is not empty.
    pub fn transform_to(&self, data: impl Into<Data>, folder: &Lake) -> Result<()> {
        let _scope = interrupt::scope();
        engine::from_environment()?.transform_to(&data.into(), &self.stages, folder)
    }

    /// The trained network.
    ///
    /// # Errors
    /// [`Error::InvalidPipeline`] for a pipeline without a `TorchEstimator`; of several, the last is given.
    pub fn torch_model(&self) -> Result<&TorchModel> {
        let models = self.stages.iter().rev().filter_map(|stage| match stage {
            StageModel::Torch(model) => Some(&**model),
            _ => None,
        });
        self.one_of(models, "TorchEstimator")
    }

    /// The fitted scaler.
    ///
    /// # Errors
    /// [`Error::InvalidPipeline`] for a pipeline without a `MinMaxScaler`; of several, the last is given.
    pub fn scaler_model(&self) -> Result<&MinMaxScalerModel> {
        let models = self.stages.iter().rev().filter_map(|stage| match stage {
            StageModel::MinMaxScaler(model) => Some(model),
            _ => None,
        });
        self.one_of(models, "MinMaxScaler")
    }

    /// How the fit of the network went.
    ///
    /// # Errors
    /// As [`torch_model`](Self::torch_model).
    pub fn report(&self) -> Result<&FitReport> {
        self.torch_model().map(TorchModel::report)
    }

    fn one_of<'a, T>(
        &self,
        mut models: impl Iterator<Item = &'a T>,
        kind: &'static str,
    ) -> Result<&'a T> {
        models.next().ok_or_else(|| Error::InvalidPipeline {
            stage: self.stages.len(),
            kind,
            reason: "this pipeline has no such stage".to_owned(),
        })
    }

    /// Writes the model to a folder, local or in the lake, as JSON and safetensors; a model that is there
    /// already is replaced. A crash at any moment leaves the former model or the new one, never half.
    pub fn save(&self, folder: &Lake) -> Result<()> {
        let _scope = interrupt::scope();
        persistence::save(&self.stages, folder)
    }

    /// Reads a model back. Loading never runs code, whatever the files hold.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no model; [`Error::InvalidModel`] names the file that is cut,
    /// altered, missing or of another version, and [`Error::InvalidWeights`] the parameter.
    pub fn load(folder: &Lake) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        Ok(PipelineModel {
            stages: persistence::load(folder)?,
        })
    }
}

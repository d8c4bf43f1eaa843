//! A fitted pipeline.

use std::cell::Cell;

use polars::prelude::DataFrame;

use super::pipeline::added_columns;
use crate::{
    Error, Result,
    engine::Session,
    error::PipelineError,
    interrupt,
    lake::Lake,
    program::parts::remove_parts,
    shard::Data,
    spark::SparkFrame,
    stages::{self, MinMaxScalerModel, StageModel, TorchModel},
    train::{Device, FitReport},
};

/// A fitted [`Pipeline`](super::Pipeline).
#[derive(Clone, Debug, Default)]
pub struct PipelineModel {
    stages: Vec<StageModel>,
    columns: Option<Vec<String>>,
}

impl PipelineModel {
    /// Creates a pipeline without stages, for stages that were fitted elsewhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a fitted stage, such as a [`TorchModel`] of another pipeline, or of a network that
    /// was trained elsewhere. SparkTorch's `attach_pytorch_model_to_pipeline` does this.
    pub fn stage(mut self, stage: impl Into<StageModel>) -> Self {
        self.stages.push(stage.into());
        self
    }

    pub(crate) fn from_stages(stages: Vec<StageModel>) -> Self {
        PipelineModel {
            stages,
            columns: None,
        }
    }

    /// Selects the columns that transformations return, in this order: of the rows, and of what the
    /// stages add. No others are read unless a stage needs them, and what is not returned is held
    /// for a few rows at a time, however many there are. A saved model does not keep the selection.
    ///
    /// By default, transformations return the columns of the rows and those that the stages add,
    /// but for vectors that other stages read.
    ///
    /// ```
    /// use mnist_support::ml::{MinMaxScaler, Pipeline, VectorAssembler};
    /// use polars::prelude::*;
    ///
    /// let frame = df!("x" => [0.0, 4.0], "y" => [3.0, 2.0])?;
    /// let model = Pipeline::new()
    ///     .stage(VectorAssembler::new().input_cols(["x", "y"]))
    ///     .stage(MinMaxScaler::new())
    ///     .fit(&frame)?;
    /// let names = |frame: DataFrame| frame.get_column_names_owned();
    /// assert_eq!(names(model.transform(&frame)?), ["x", "y", "scaledFeatures"]);
    /// let model = model.select(["features", "x"]);
    /// assert_eq!(names(model.transform(&frame)?), ["features", "x"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    pub(super) fn into_stages(self) -> Vec<StageModel> {
        self.stages
    }

    /// The fitted stages, in order.
    pub fn stages(&self) -> &[StageModel] {
        &self.stages
    }

    /// Sets the device on which the networks predict, such as `"cpu"`. Default: the device that
    /// they were trained on. A model trained on a GPU needs this on a machine without one.
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        let device = device.into();
        for stage in &mut self.stages {
            if let StageModel::Torch(model) = stage {
                model.set_device(device.clone());
            }
        }
        self
    }

    /// Adds the stages' columns to the rows: vectors as lists, predictions as `Int64`.
    /// [`select`](Self::select) says which columns come back. Runs in the [session of the
    /// process](Session::get_or_create).
    ///
    /// # Errors
    /// Those of reading the rows;
    /// [`TableError::ColumnNotFound`](crate::error::TableError::ColumnNotFound) and
    /// [`Error::ShapeMismatch`] if the rows do not match those that the pipeline was fitted on;
    /// [`Error::Interrupted`] if it was [stopped](crate::interrupt).
    pub fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        Session::get_or_create()?.transform(self, data)
    }

    /// Like [`transform`](Self::transform), but the ranks write the rows that they transform to a
    /// folder, as Parquet files. `part-00000-c00000.parquet` is the first of rank 0, and a rank of
    /// many rows writes several. [`Lake::parquet`] reads the folder. The rows are never collected
    /// in one place. If it fails or is stopped, it removes the files already written.
    ///
    /// # Errors
    /// As [`transform`](Self::transform); [`LakeError::Storage`](crate::error::LakeError::Storage)
    /// if the folder is not empty.
    pub fn transform_to(&self, data: impl Into<Data>, folder: &Lake) -> Result<()> {
        let _scope = interrupt::scope();
        Session::get_or_create()?.transform_to(self, data, folder)
    }

    /// Like [`transform`](Self::transform), but the rows stay on the Spark cluster, as in SparkML:
    /// the result is a plan, and each use of it runs the ranks. Its rows can be
    /// [queried](SparkFrame::create_or_replace_temp_view) with SQL, or [kept as a
    /// table](SparkFrame::write). Runs in the [session of the process](Session::get_or_create),
    /// which has to be one on Spark. `data` is a table or a query of the session, or a table of a
    /// lake that the executors reach.
    ///
    /// Vectors become arrays. A task holds a few thousand of its rows in memory, and what it makes
    /// of them in a file on its executor until Spark has taken it.
    ///
    /// ```no_run
    /// use mnist_support::{engine::Session, lake::Lake, ml::PipelineModel, spark::SaveMode};
    ///
    /// let session = Session::remote("sc://127.0.0.1:15002")?;
    /// let spark = session.spark().expect("the session is on Spark");
    /// let lake = Lake::open("models/digits", &mnist_support::lake::Credentials::local())?;
    /// let model = PipelineModel::load(&lake)?;
    /// let predictions = session.transform_on_spark(&model, spark.table("digits"))?;
    /// predictions.create_or_replace_temp_view("predictions")?;
    /// let wrong = spark.sql("SELECT count(*) FROM predictions WHERE label <> prediction");
    /// println!("{:?}", wrong.collect()?);
    /// predictions.write().mode(SaveMode::Overwrite).save_as_table("digits_predicted")?;
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a session that is not on Spark, and for rows in this process;
    /// [`TableError::ColumnType`](crate::error::TableError::ColumnType) for a column of a type that
    /// Spark does not have; those of [`transform`](Self::transform) that show without reading rows.
    /// Others come when the frame is used.
    pub fn transform_on_spark(&self, data: impl Into<Data>) -> Result<SparkFrame> {
        let _scope = interrupt::scope();
        Session::get_or_create()?.transform_on_spark(self, data)
    }

    /// Returns the trained network; if there are several, the last one.
    ///
    /// # Errors
    /// [`PipelineError::InvalidStage`] for a pipeline without a `TorchEstimator`.
    pub fn torch_model(&self) -> Result<&TorchModel> {
        let models = self.stages.iter().rev();
        self.one_of(models.filter_map(StageModel::torch_model), "TorchEstimator")
    }

    /// Returns the fitted scaler; if there are several, the last one.
    ///
    /// # Errors
    /// [`PipelineError::InvalidStage`] for a pipeline without a `MinMaxScaler`.
    pub fn scaler_model(&self) -> Result<&MinMaxScalerModel> {
        let models = self.stages.iter().rev().filter_map(|stage| match stage {
            StageModel::MinMaxScaler(model) => Some(model),
            _ => None,
        });
        self.one_of(models, "MinMaxScaler")
    }

    /// Returns the report of the network's fit.
    ///
    /// # Errors
    /// As [`torch_model`](Self::torch_model).
    pub fn report(&self) -> Result<&FitReport> {
        self.torch_model().map(TorchModel::report)
    }

    /// Checks that no stage adds a column that another adds, or that the rows already have, and
    /// that the rows have those that are read.
    fn check_columns(&self, data: &Data) -> Result<()> {
        let stages = self.stages.iter();
        added_columns(stages.clone().map(|stage| ("model", stage.output_cols())))?;
        data.check_columns(stages.map(|stage| (stage.input_cols(), stage.output_cols())))?;
        let added: Vec<&str> = self
            .stages
            .iter()
            .flat_map(StageModel::output_cols)
            .collect();
        let selected = self.columns.iter().flatten().map(String::as_str);
        let of_rows = selected.filter(|column| !added.contains(column)).collect();
        data.check_columns([(of_rows, Vec::new())].into_iter())
    }

    fn one_of<'a, T>(
        &self,
        mut models: impl Iterator<Item = &'a T>,
        kind: &'static str,
    ) -> Result<&'a T> {
        models.next().ok_or_else(|| {
            Error::Pipeline(PipelineError::InvalidStage {
                stage: self.stages.len(),
                kind,
                reason: "this pipeline has no such stage".to_owned(),
            })
        })
    }

    /// Writes the model to a folder, local or in the lake, as JSON and safetensors files, replacing
    /// any model that is there. A crash at any moment leaves either the previous model or the new
    /// one, never half of one.
    pub fn save(&self, folder: &Lake) -> Result<()> {
        let _scope = interrupt::scope();
        stages::save(&self.stages, folder)
    }

    /// Loads a saved model. Loading never runs code, whatever the files contain.
    ///
    /// # Errors
    /// [`LakeError::NotFound`](crate::error::LakeError::NotFound) if there is no model;
    /// [`PipelineError::InvalidModel`] names the file that is truncated, altered, missing or of
    /// another version;
    /// [`NetworkError::InvalidWeights`](crate::error::NetworkError::InvalidWeights) names the
    /// parameter.
    pub fn load(folder: &Lake) -> Result<PipelineModel> {
        let _scope = interrupt::scope();
        Ok(PipelineModel::from_stages(stages::load(folder)?))
    }
}

impl Session {
    /// Transforms rows in this session; see [`PipelineModel::transform`].
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform`].
    pub fn transform(&self, model: &PipelineModel, data: impl Into<Data>) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        let data = data.into();
        model.check_columns(&data)?;
        data.with_wider_types(|data| {
            self.engine()
                .transform(data, &model.stages, model.columns.as_deref())
        })
    }

    /// Transforms rows on the Spark cluster of this session; see
    /// [`PipelineModel::transform_on_spark`].
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform_on_spark`].
    pub fn transform_on_spark(
        &self,
        model: &PipelineModel,
        data: impl Into<Data>,
    ) -> Result<SparkFrame> {
        let _scope = interrupt::scope();
        let data = data.into();
        let engine = self.spark_engine().ok_or_else(|| Error::InvalidSetting {
            setting: "session",
            value: "threads of this process".to_owned(),
            reason: "is not on Spark: make one with Session::remote, or set SPARK_REMOTE"
                .to_owned(),
        })?;
        model.check_columns(&data)?;
        engine.transform_frame(&data, &model.stages, model.columns.as_deref())
    }

    /// Transforms rows in this session and writes them to a folder; see
    /// [`PipelineModel::transform_to`].
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform_to`].
    pub fn transform_to(
        &self,
        model: &PipelineModel,
        data: impl Into<Data>,
        folder: &Lake,
    ) -> Result<()> {
        let _scope = interrupt::scope();
        let data = data.into();
        model.check_columns(&data)?;
        let again = Cell::new(false);
        data.with_wider_types(|data| {
            if again.replace(true) {
                // The ranks that met no wider value have written their rows.
                remove_parts(folder)?;
            }
            let columns = model.columns.as_deref();
            self.engine()
                .transform_to(data, &model.stages, columns, folder)
        })
    }
}

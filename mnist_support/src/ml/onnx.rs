//! A fitted pipeline as an ONNX file.

use polars::prelude::*;

use super::PipelineModel;
use crate::{
    Error, Result,
    error::{PipelineError, TableError},
    lake::{Lake, reading::ignore_progress},
    network::OnnxOutput,
    shard::Shard,
    stages::{StageModel, Table, TorchModel},
    train::{Loss, Prediction},
};

const COLUMNS: &str = "the columns of the model";

impl PipelineModel {
    /// Writes the fitted pipeline to an ONNX file, which onnxruntime and others run without this
    /// crate: assembling, scaling, network and prediction in one.
    ///
    /// Its input is `features`, floats of shape [rows, columns]: the columns of the
    /// `VectorAssembler`, unscaled and in its order. Its outputs are `prediction`, and for classes
    /// and labels `probability`, of the same values as the columns that
    /// [`transform`](Self::transform) adds.
    ///
    /// ```
    /// use mnist_support::prelude::*;
    ///
    /// let points = df!("x" => [0.0, 1.0, 2.0, 3.0], "label" => [0, 0, 1, 1])?;
    /// let network = Network::new(&[1], vec![Layer::linear(1, 2)])?;
    /// let model = Pipeline::new()
    ///     .stage(VectorAssembler::new().input_cols(["x"]).output_col("features"))
    ///     .stage(TorchEstimator::new(network).partitions(1).iterations(1).verbose(0))
    ///     .fit(&points)?;
    /// std::fs::write(std::env::temp_dir().join("points.onnx"), model.to_onnx()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::InvalidLayer`](crate::error::NetworkError::InvalidLayer) names a layer
    /// without a counterpart in ONNX;
    /// [`NetworkError::InvalidProgram`](crate::error::NetworkError::InvalidProgram) an operator of
    /// a module that was exported from PyTorch; [`PipelineError::InvalidStage`] for a pipeline
    /// without a network, or with several.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let model = self.torch_model()?;
        let networks = self.stages().iter().filter_map(StageModel::torch_model);
        if networks.count() > 1 {
            return Err(Error::Pipeline(PipelineError::InvalidStage {
                stage: self.stages().len() - 1,
                kind: "TorchEstimator",
                reason: "an ONNX file holds one network, and the pipeline has several".to_owned(),
            }));
        }
        let scaling = self.scaling(model)?;
        let scaling = scaling
            .as_ref()
            .map(|(scale, offset)| (&scale[..], &offset[..]));
        let output = output(model);
        model.network().to_onnx(model.weights(), scaling, output)
    }

    /// Like [`to_onnx`](Self::to_onnx), as the file `name` in a folder, local or in the lake.
    ///
    /// # Errors
    /// As [`to_onnx`](Self::to_onnx), and those of writing the file.
    pub fn export_onnx(&self, folder: &Lake, name: &str) -> Result<()> {
        folder.put(name, self.to_onnx()?.into())
    }

    /// What the stages before the network do to a row: they are asked to do it.
    fn scaling(&self, model: &TorchModel) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        let features = model.estimator().features();
        let mut columns: Vec<Column> = Vec::new();
        for stage in self.stages() {
            if let StageModel::VectorAssembler(assembler) = stage {
                let names = assembler.columns().iter();
                columns.extend(names.map(|name| Column::new(name.as_str().into(), [0.0_f32])));
            }
        }
        if columns.is_empty() {
            let width = model.network().input_width() as usize;
            let row = Series::new("".into(), vec![0.0_f32; width]);
            columns.push(Column::new(features.into(), [row]));
        }
        let row = DataFrame::new(1, columns).map_err(TableError::about(COLUMNS))?;
        let mut table = Table::read(&Shard::rows(COLUMNS, row, 0), None, &ignore_progress)?;
        for stage in self.stages() {
            if stage.torch_model().is_some() {
                break;
            }
            stage.apply(&mut table)?;
        }
        table.scaling_of(features)
    }
}

fn output(model: &TorchModel) -> OnnxOutput {
    let loss = &model.estimator().settings.loss;
    let outputs = model.network().output_shape().iter().product();
    match loss.prediction(outputs) {
        Prediction::Class => OnnxOutput::Classes,
        Prediction::BinaryClass => OnnxOutput::BinaryClass,
        Prediction::Labels => OnnxOutput::Labels,
        Prediction::Number | Prediction::Numbers => OnnxOutput::Values {
            exponential: match loss {
                Loss::KlDiv(_) => true,
                Loss::PoissonNll(loss) => loss.log_input,
                Loss::CrossEntropy(_)
                | Loss::Nll(_)
                | Loss::Mse(_)
                | Loss::L1(_)
                | Loss::SmoothL1(_)
                | Loss::Huber(_)
                | Loss::BceWithLogits(_) => false,
            },
        },
    }
}

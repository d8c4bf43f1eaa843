//! A fitted pipeline as an ONNX file.

use polars::prelude::*;

use super::PipelineModel;
use crate::{
    Error, Result,
    error::{PipelineError, TableError},
    lake::Lake,
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
    /// without a network, or with several, and for a stage that makes the network's input by more
    /// than assembling and scaling columns of numbers.
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
        let used = self.stages_of_features(model)?;
        let scaling = self.scaling(model, &used)?;
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
    fn scaling(
        &self,
        model: &TorchModel,
        used: &[&StageModel],
    ) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        let features = model.estimator().features();
        let mut columns: Vec<Column> = Vec::new();
        for stage in used {
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
        let mut table = Table::new(&Shard::rows(COLUMNS, row.clone(), 0), row, 0);
        for stage in used {
            stage.apply(&mut table)?;
        }
        table.scaling_of(features)
    }

    /// Returns the stages that make the network's input out of columns of numbers, in order.
    fn stages_of_features(&self, model: &TorchModel) -> Result<Vec<&StageModel>> {
        let stages = self.stages();
        let network = stages
            .iter()
            .position(|stage| stage.torch_model().is_some());
        let before = &stages[..network.unwrap_or_default()];
        let mut needed = vec![model.estimator().features()];
        let mut used: Vec<&StageModel> = Vec::new();
        for (index, stage) in before.iter().enumerate().rev() {
            if !stage
                .output_cols()
                .iter()
                .any(|column| needed.contains(column))
            {
                continue;
            }
            let is_assembled = used
                .iter()
                .any(|stage| matches!(stage, StageModel::VectorAssembler(_)));
            let written = match stage {
                StageModel::VectorAssembler(_)
                | StageModel::MinMaxScaler(_)
                | StageModel::StandardScaler(_)
                | StageModel::MaxAbsScaler(_)
                | StageModel::RobustScaler(_) => !is_assembled,
                StageModel::StringIndexer(_)
                | StageModel::IndexToString(_)
                | StageModel::OneHotEncoder(_)
                | StageModel::Imputer(_)
                | StageModel::Normalizer(_)
                | StageModel::Bucketizer(_)
                | StageModel::ImageDecoder(_)
                | StageModel::Torch(_) => false,
            };
            if !written {
                return Err(Error::Pipeline(PipelineError::InvalidStage {
                    stage: index,
                    kind: stage.kind(),
                    reason:
                        "an ONNX file holds one VectorAssembler of columns of numbers, scalers \
                             and a network: do what this stage does before, outside the file"
                            .to_owned(),
                }));
            }
            needed.extend(stage.input_cols());
            used.push(stage);
        }
        used.reverse();
        Ok(used)
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

#[cfg(test)]
mod tests {
    use polars::df;

    use crate::{
        Error, Layer, Network,
        engine::Threads,
        error::PipelineError,
        ml::{Pipeline, PipelineModel},
        stages::{MaxAbsScaler, Normalizer, StringIndexer, TorchEstimator, VectorAssembler},
        train::Silent,
    };

    fn fitted(pipeline: Pipeline) -> PipelineModel {
        let frame = df!(
            "x" => [1.0, -2.0, 3.0, 4.0],
            "word" => ["a", "b", "b", "a"],
        )
        .unwrap();
        let network = Network::new(&[1], vec![Layer::linear(1, 2)]).unwrap();
        let network = TorchEstimator::new(network).iterations(1).partitions(1);
        let pipeline = pipeline.stage(network.features_col("input"));
        pipeline.fit_with(&frame, &Threads, &Silent).unwrap()
    }

    fn labelled() -> Pipeline {
        Pipeline::new().stage(StringIndexer::new().input_col("word").output_col("label"))
    }

    #[test]
    fn a_stage_that_the_network_does_not_read_from_is_left_out() {
        let pipeline = labelled()
            .stage(VectorAssembler::new().input_cols(["x"]))
            .stage(MaxAbsScaler::new().output_col("input"));
        fitted(pipeline).to_onnx().unwrap();
    }

    #[test]
    fn a_stage_that_onnx_has_no_counterpart_for_is_named() {
        let normalized = labelled()
            .stage(VectorAssembler::new().input_cols(["x"]))
            .stage(Normalizer::new().output_col("input"));
        let words = labelled()
            .stage(StringIndexer::new().input_col("word").output_col("index"))
            .stage(
                VectorAssembler::new()
                    .input_cols(["index"])
                    .output_col("input"),
            );
        for (pipeline, expected) in [
            (normalized, (2, "Normalizer")),
            (words, (1, "StringIndexer")),
        ] {
            match fitted(pipeline).to_onnx().unwrap_err() {
                Error::Pipeline(PipelineError::InvalidStage { stage, kind, .. }) => {
                    assert_eq!((stage, kind), expected);
                }
                other => panic!("{other}"),
            }
        }
    }
}

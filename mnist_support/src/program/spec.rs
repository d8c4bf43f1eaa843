//! The specification of a fit.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    error::PipelineError,
    shard::{Data, Shard},
    stages::{Stage, TorchEstimator},
    train::Shuffle,
};

/// The specification of a fit, as data that can be sent to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSpec {
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// The settings that apply to a fit as a whole, however many estimators it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// The number of ranks; `None` leaves it to the engine.
    pub partitions: Option<usize>,
    /// How often the fit restarts after a rank has failed.
    pub max_restarts: usize,
    /// How much the fit prints.
    pub verbose: u8,
}

impl FitSpec {
    /// Returns the estimators' settings for the fit as a whole.
    ///
    /// A fit is one run, so several estimators must all have the same settings. An estimator that
    /// leaves `partitions` open follows the others. `checkpoint_every` is not among these settings:
    /// each estimator writes its own checkpoints, as often as it specifies.
    ///
    /// # Errors
    /// [`PipelineError::InvalidStage`] names the setting on which two estimators disagree.
    pub fn run_settings(&self) -> Result<RunSettings> {
        let mut run: Option<RunSettings> = None;
        let mut shuffle = None;
        for (stage, estimator) in self.estimators() {
            let settings = &estimator.settings;
            let before = *shuffle.get_or_insert(settings.shuffle);
            if before != settings.shuffle {
                return Err(Error::Pipeline(PipelineError::InvalidStage {
                    stage,
                    kind: "TorchEstimator",
                    reason: format!(
                        "shuffle is {:?} here and {before:?} in an estimator before it: a fit is \
                         one run, set the same in both",
                        settings.shuffle
                    ),
                }));
            }
            let own = RunSettings {
                partitions: settings.partitions,
                max_restarts: settings.max_restarts,
                verbose: settings.verbose,
            };
            let so_far = run.get_or_insert(own);
            so_far.partitions = so_far.partitions.or(own.partitions);
            let differs = [
                (
                    "partitions",
                    so_far.partitions.unwrap_or_default(),
                    own.partitions.or(so_far.partitions).unwrap_or_default(),
                ),
                ("max_restarts", so_far.max_restarts, own.max_restarts),
                ("verbose", so_far.verbose.into(), own.verbose.into()),
            ];
            if let Some((setting, before, here)) = differs.into_iter().find(|(_, a, b)| a != b) {
                return Err(Error::Pipeline(PipelineError::InvalidStage {
                    stage,
                    kind: "TorchEstimator",
                    reason: format!(
                        "{setting} is {here} here and {before} in an estimator before it: a fit is one run, \
                         set the same in both"
                    ),
                }));
            }
        }
        Ok(run.unwrap_or_default())
    }

    /// Whether the fit writes checkpoints.
    pub fn has_checkpoints(&self) -> bool {
        self.estimators()
            .any(|(_, estimator)| estimator.settings.checkpoint_every.is_some())
    }

    /// Checks that no estimator holds out rows to validate with, since they come from another
    /// table.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the setting.
    pub(crate) fn check_holds_nothing_out(&self) -> Result<()> {
        for (_, estimator) in self.estimators() {
            let fraction = estimator.settings.validation_fraction;
            let column = estimator.validation_indicator();
            let (setting, value) = match column {
                Some(column) => ("validation_indicator_col", column.to_owned()),
                None if fraction > 0.0 => ("validation_fraction", fraction.to_string()),
                None => continue,
            };
            return Err(Error::InvalidSetting {
                setting,
                value,
                reason: "holds out rows, and the data bring rows to validate with: leave out one"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Whether the features are read from the table's blocks whenever they are needed.
    pub(crate) fn streams_blocks(&self) -> bool {
        let mut estimators = self.estimators();
        estimators.any(|(_, estimator)| estimator.settings.shuffle == Shuffle::Blocks)
    }

    /// Splits the rows among the ranks.
    ///
    /// # Errors
    /// Same as [`Data::shards`].
    pub(crate) fn shards(&self, data: &Data, world_size: usize) -> Result<Vec<Shard>> {
        match self.stages.iter().any(Stage::deals_parts) {
            true => data.dealt_shards(world_size),
            false => data.shards(world_size),
        }
    }

    /// Checks that no stage has parts of the table dealt anew, which the rows of `table` do not
    /// allow.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the setting.
    pub(crate) fn check_deals_nothing(&self, table: &str) -> Result<()> {
        match self
            .estimators()
            .find(|(_, estimator)| estimator.deals_parts())
        {
            None => Ok(()),
            Some((_, estimator)) => Err(estimator.settings.cannot_be_dealt(table)),
        }
    }

    /// The columns that estimators have as labels.
    pub(crate) fn label_cols(&self) -> Vec<String> {
        let estimators = self.estimators();
        let labels = estimators.flat_map(|(_, estimator)| estimator.label_columns());
        labels.cloned().collect()
    }

    /// The columns of the rows that the stages read. What a stage before adds is not among them.
    pub(crate) fn input_cols(&self) -> Vec<String> {
        let (mut columns, mut added) = (Vec::<String>::new(), Vec::new());
        for stage in &self.stages {
            for column in stage.input_cols() {
                if !added.contains(&column) && !columns.iter().any(|read| read == column) {
                    columns.push(column.to_owned());
                }
            }
            added.extend(stage.output_cols());
        }
        columns
    }

    /// Which stages can be applied to rows before all rows have been read: those that learn nothing
    /// from them or from stages that do. Rows are left out in the order of the stages.
    pub(crate) fn early_stages(&self) -> Vec<bool> {
        let (mut late, mut waiting) = (Vec::new(), false);
        let Some(last) = self.stages.iter().rposition(Stage::learns) else {
            return vec![false; self.stages.len()];
        };
        let stages = self.stages.iter().enumerate();
        let early = stages.map(|(index, stage)| {
            let ready = stage
                .input_cols()
                .iter()
                .all(|column| !late.contains(column));
            let in_order = late.is_empty() || !(waiting || stage.leaves_rows_out());
            if index < last && !stage.learns() && ready && in_order {
                return true;
            }
            late.extend(stage.output_cols());
            waiting |= stage.leaves_rows_out();
            false
        });
        early.collect()
    }

    /// The columns that the stages from `first` on read.
    pub(crate) fn columns_read_from(&self, first: usize) -> Vec<&str> {
        let stages = self.stages[first..].iter();
        stages.flat_map(Stage::input_cols).collect()
    }

    /// The estimators, with their stages' indices.
    pub(crate) fn estimators(&self) -> impl Iterator<Item = (usize, &TorchEstimator)> {
        self.stages
            .iter()
            .enumerate()
            .filter_map(|(index, stage)| Some((index, stage.estimator()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Layer, Network,
        stages::{HandleInvalid, MinMaxScaler, Normalizer, StringIndexer, VectorAssembler},
    };

    #[test]
    fn stages_that_wait_for_no_other_are_applied_while_rows_are_read() {
        let indexer = |handle_invalid| -> Stage {
            let indexer = StringIndexer::new().input_col("word").output_col("label");
            indexer.handle_invalid(handle_invalid).into()
        };
        let assembler = |columns: &[&str], handle_invalid| -> Stage {
            let assembler = VectorAssembler::new().input_cols(columns.to_vec());
            assembler.handle_invalid(handle_invalid).into()
        };
        use HandleInvalid::{Error, Skip};
        let scaler: Stage = MinMaxScaler::new().into();
        let normalizer: Stage = Normalizer::new().input_col("scaledFeatures").into();
        let cases = [
            // The words, the vectors and the scaled vectors; what is scaled waits for the scaler.
            (
                indexer(Error),
                assembler(&["x"], Error),
                [false, true, false, false],
            ),
            (
                assembler(&["x"], Skip),
                indexer(Error),
                [true, false, false, false],
            ),
            // An assembler of what is learnt.
            (indexer(Error), assembler(&["label"], Error), [false; 4]),
            // Rows without a known word, or without a number, are left out in this order.
            (indexer(Skip), assembler(&["x"], Error), [false; 4]),
            (indexer(Error), assembler(&["x"], Skip), [false; 4]),
        ];
        for (first, second, expected) in cases {
            let mut spec = FitSpec {
                stages: vec![first, second, scaler.clone(), normalizer.clone()],
            };
            spec.stages
                .push(estimator().features_col("normFeatures").into());
            assert_eq!(spec.early_stages(), [&expected[..], &[false]].concat());
            // Nothing is computed that no stage learns from.
            spec.stages.truncate(1);
            assert_eq!(spec.early_stages(), [false]);
        }
    }

    fn spec(estimators: [TorchEstimator; 2]) -> FitSpec {
        FitSpec {
            stages: estimators.map(Stage::from).to_vec(),
        }
    }

    fn estimator() -> TorchEstimator {
        TorchEstimator::new(Network::new(&[2], vec![Layer::linear(2, 2)]).unwrap())
    }

    #[test]
    fn an_estimator_that_leaves_partitions_open_follows_the_others() {
        for two in [
            [estimator().partitions(3), estimator()],
            [estimator(), estimator().partitions(3)],
        ] {
            let run = spec(two).run_settings().unwrap();
            assert_eq!(run.partitions, Some(3));
        }
        let run = spec([estimator(), estimator()]).run_settings().unwrap();
        assert_eq!(run.partitions, None);
    }

    #[test]
    fn estimators_that_disagree_are_an_error_that_names_the_setting_and_both_values() {
        let contradictions = [
            (
                [estimator().partitions(2), estimator().partitions(3)],
                "partitions is 3 here and 2",
            ),
            (
                [estimator().max_restarts(1), estimator()],
                "max_restarts is 0 here and 1",
            ),
            (
                [estimator().verbose(0), estimator().verbose(2)],
                "verbose is 2 here and 0",
            ),
        ];
        for (two, expected) in contradictions {
            let error = spec(two).run_settings().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Pipeline(PipelineError::InvalidStage { stage: 1, .. })
                ),
                "{error}"
            );
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

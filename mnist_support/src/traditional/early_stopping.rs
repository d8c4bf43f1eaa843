//! Stops a training loop that no longer improves, and keeps its best weights.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tch::{Tensor, nn::VarStore, no_grad};

use crate::{Error, Result, error::NetworkError, partial_file::PartialFile, tensor_file};

/// Monitors the validation loss of each epoch, and keeps the best epoch's weights in a safetensors
/// file.
///
/// The file is written under a temporary name next to it and then renamed, so that a crash leaves
/// the last complete checkpoint. Its folder is created if it does not exist.
///
/// ```
/// use mnist_support::traditional::EarlyStopping;
/// use tch::{Device, nn};
///
/// # fn main() -> mnist_support::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// let mut variables = nn::VarStore::new(Device::Cpu);
/// let _layer = nn::linear(variables.root() / "layer", 4, 2, Default::default());
///
/// let mut early_stopping = EarlyStopping::new(2, folder.path().join("best.safetensors"))?;
/// for validation_loss in [0.9, 0.5, 0.6, 0.7, 0.4] {
///     // ... train an epoch ...
///     if early_stopping.step(validation_loss, &variables)? {
///         break;
///     }
/// }
/// early_stopping.restore(&mut variables)?;
/// assert_eq!(early_stopping.best_epoch(), Some(2));
/// assert_eq!(early_stopping.best_loss(), Some(0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    checkpoint: PathBuf,
    epoch: usize,
    best: Option<Best>,
}

#[derive(Clone, Copy, Debug)]
struct Best {
    epoch: usize,
    loss: f64,
}

impl EarlyStopping {
    /// Stops after `patience` epochs without a new lowest loss. Keeps the best weights in the file
    /// `checkpoint`, which is replaced if it exists.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `patience` is 0.
    pub fn new(patience: usize, checkpoint: impl Into<PathBuf>) -> Result<EarlyStopping> {
        if patience == 0 {
            return Err(Error::InvalidSetting {
                setting: "patience",
                value: "0".to_owned(),
                reason: "must be at least 1 epoch".to_owned(),
            });
        }
        Ok(EarlyStopping {
            patience,
            min_delta: 0.0,
            checkpoint: checkpoint.into(),
            epoch: 0,
            best: None,
        })
    }

    /// Requires a loss to be lower by more than this to count as an improvement.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if it is negative or not finite.
    pub fn min_delta(self, min_delta: f64) -> Result<EarlyStopping> {
        if !(min_delta >= 0.0 && min_delta.is_finite()) {
            return Err(Error::InvalidSetting {
                setting: "min_delta",
                value: min_delta.to_string(),
                reason: "must be a finite number, 0 or above".to_owned(),
            });
        }
        Ok(EarlyStopping { min_delta, ..self })
    }

    /// Records the validation loss of an epoch, writes the checkpoint if it is the lowest so far,
    /// and returns whether to stop.
    ///
    /// A loss that is NaN or infinite is never the lowest.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Torch`] if the checkpoint cannot be written. The epoch then does
    /// not count, and the last checkpoint is kept.
    pub fn step(&mut self, validation_loss: f64, variables: &VarStore) -> Result<bool> {
        let epoch = self.epoch + 1;
        let threshold = match self.best {
            Some(best) => best.loss - self.min_delta,
            None => f64::INFINITY,
        };
        if validation_loss.is_finite() && validation_loss < threshold {
            write_checkpoint(&self.checkpoint, variables)?;
            self.best = Some(Best {
                epoch,
                loss: validation_loss,
            });
        }
        self.epoch = epoch;
        Ok(self.epochs_without_improvement() >= self.patience)
    }

    /// Restores the variables of the best epoch.
    ///
    /// # Errors
    /// - [`Error::Io`] if the checkpoint cannot be read, or was never written because no epoch had
    ///   a finite loss.
    /// - [`Error::Torch`] if the file is not a complete safetensors file.
    /// - [`NetworkError::InvalidWeights`] if a variable is missing or has a different shape. The
    ///   variables are then left unchanged.
    pub fn restore(&self, variables: &mut VarStore) -> Result<()> {
        // The file system is asked first, because its error has the path and the reason.
        fs::metadata(&self.checkpoint).map_err(|source| Error::Io {
            operation: "reading the checkpoint",
            path: self.checkpoint.clone(),
            source,
        })?;
        let saved = Tensor::read_safetensors(&self.checkpoint)?;
        let mut pairs = Vec::new();
        for (name, variable) in variables.variables() {
            let Some((_, saved)) = saved.iter().find(|(saved, _)| *saved == name) else {
                return Err(Error::Network(NetworkError::InvalidWeights {
                    parameter: name,
                    reason: format!("{} does not hold it", self.checkpoint.display()).into(),
                }));
            };
            if saved.size() != variable.size() {
                return Err(Error::Network(NetworkError::InvalidWeights {
                    parameter: name,
                    reason: format!(
                        "{} holds it in shape {:?}, {:?} is needed",
                        self.checkpoint.display(),
                        saved.size(),
                        variable.size()
                    )
                    .into(),
                }));
            }
            pairs.push((variable, saved));
        }
        no_grad(|| {
            for (mut variable, saved) in pairs {
                variable.f_copy_(saved)?;
            }
            Ok(())
        })
    }

    /// The lowest validation loss so far.
    pub fn best_loss(&self) -> Option<f64> {
        self.best.map(|best| best.loss)
    }

    /// The epoch with the lowest validation loss so far, counted from 1.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best.map(|best| best.epoch)
    }

    /// The number of epochs since the best one.
    pub fn epochs_without_improvement(&self) -> usize {
        self.epoch - self.best.map_or(0, |best| best.epoch)
    }

    /// The file with the best weights.
    pub fn checkpoint(&self) -> &Path {
        &self.checkpoint
    }
}

fn write_checkpoint(checkpoint: &Path, variables: &VarStore) -> Result<()> {
    let failed = |operation: &'static str| {
        move |source| Error::Io {
            operation,
            path: checkpoint.to_owned(),
            source,
        }
    };
    if checkpoint.file_name().is_none() {
        let reason = std::io::Error::other("the path does not end in a file name");
        return Err(failed("writing the checkpoint")(reason));
    }
    let variables = variables.variables();
    let mut tensors: Vec<_> = variables.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| (name.as_str(), tensor));
    let bytes = tensor_file::serialize(tensors, None)?;
    if let Some(folder) = checkpoint.parent() {
        fs::create_dir_all(folder).map_err(failed("making the folder of the checkpoint"))?;
    }
    // The process ID keeps two notebooks that share a folder apart.
    let file = PartialFile::create(checkpoint, &format!(".{}.partial", std::process::id()))?;
    file.file()
        .write_all(&bytes)
        .map_err(failed("writing the checkpoint"))?;
    file.keep()
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn};

    use super::*;

    fn variables(outputs: i64) -> VarStore {
        let variables = VarStore::new(Device::Cpu);
        nn::linear(variables.root() / "layer", 3, outputs, Default::default());
        variables
    }

    fn fill(variables: &VarStore, value: f64) {
        no_grad(|| {
            for mut variable in variables.trainable_variables() {
                let _ = variable.fill_(value);
            }
        });
    }

    fn weight(variables: &VarStore) -> f64 {
        variables.variables()["layer.weight"].double_value(&[1, 2])
    }

    #[test]
    fn it_stops_when_patience_runs_out_and_restores_the_best_weights() {
        let folder = tempfile::tempdir().unwrap();
        let mut variables = variables(2);
        let mut early_stopping =
            EarlyStopping::new(3, folder.path().join("best.safetensors")).unwrap();
        let mut stopped = Vec::new();
        for (epoch, loss) in [0.9, 0.5, 0.6, 0.55, 0.5].into_iter().enumerate() {
            fill(&variables, epoch as f64 + 1.0);
            stopped.push(early_stopping.step(loss, &variables).unwrap());
        }
        assert_eq!(stopped, [false, false, false, false, true]);
        assert_eq!(early_stopping.best_epoch(), Some(2));
        assert_eq!(early_stopping.best_loss(), Some(0.5));
        assert_eq!(weight(&variables), 5.0);
        early_stopping.restore(&mut variables).unwrap();
        assert_eq!(weight(&variables), 2.0);
        assert!(variables.variables()["layer.weight"].requires_grad());
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing but the checkpoint is left");
    }

    #[test]
    fn an_improvement_resets_the_patience() {
        let folder = tempfile::tempdir().unwrap();
        let variables = variables(2);
        let mut early_stopping =
            EarlyStopping::new(2, folder.path().join("best.safetensors")).unwrap();
        for loss in [1.0, 1.1, 0.9, 1.0, 0.8] {
            assert!(!early_stopping.step(loss, &variables).unwrap());
        }
        assert_eq!(early_stopping.epochs_without_improvement(), 0);
    }

    #[test]
    fn a_gain_within_min_delta_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let variables = variables(2);
        let mut early_stopping = EarlyStopping::new(2, folder.path().join("best.safetensors"))
            .unwrap()
            .min_delta(0.1)
            .unwrap();
        assert!(!early_stopping.step(1.0, &variables).unwrap());
        assert!(!early_stopping.step(0.95, &variables).unwrap());
        assert!(early_stopping.step(0.91, &variables).unwrap());
        assert_eq!(early_stopping.best_loss(), Some(1.0));
    }

    #[test]
    fn a_loss_that_is_not_a_number_is_never_the_best() {
        let folder = tempfile::tempdir().unwrap();
        let mut variables = variables(2);
        let mut early_stopping =
            EarlyStopping::new(2, folder.path().join("best.safetensors")).unwrap();
        assert!(!early_stopping.step(f64::NAN, &variables).unwrap());
        assert!(early_stopping.step(f64::NEG_INFINITY, &variables).unwrap());
        assert_eq!(early_stopping.best_epoch(), None);
        let error = early_stopping.restore(&mut variables).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }

    #[test]
    fn a_missing_folder_is_created_and_one_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("new").join("best.safetensors");
        let mut early_stopping = EarlyStopping::new(2, &checkpoint).unwrap();
        early_stopping.step(1.0, &variables(2)).unwrap();
        assert!(checkpoint.exists());

        let checkpoint = checkpoint.join("best.safetensors");
        let mut early_stopping = EarlyStopping::new(2, &checkpoint).unwrap();
        let error = early_stopping.step(1.0, &variables(2)).unwrap_err();
        assert!(
            matches!(&error, Error::Io { path, .. } if *path == checkpoint),
            "{error}"
        );
        assert_eq!(early_stopping.best_epoch(), None);
    }

    #[test]
    fn a_checkpoint_of_another_network_names_the_variable_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut early_stopping =
            EarlyStopping::new(2, folder.path().join("best.safetensors")).unwrap();
        early_stopping.step(1.0, &variables(2)).unwrap();

        let mut wider = variables(4);
        fill(&wider, 7.0);
        let error = early_stopping.restore(&mut wider).unwrap_err();
        assert!(
            matches!(&error, Error::Network(NetworkError::InvalidWeights { parameter, .. }) if parameter.starts_with("layer.")),
            "{error}"
        );
        assert_eq!(weight(&wider), 7.0);

        let mut deeper = variables(2);
        nn::linear(deeper.root() / "last", 2, 2, Default::default());
        let error = early_stopping.restore(&mut deeper).unwrap_err();
        assert!(
            matches!(&error, Error::Network(NetworkError::InvalidWeights { parameter, .. }) if parameter.starts_with("last.")),
            "{error}"
        );
    }

    #[test]
    fn a_checkpoint_that_was_cut_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut variables = variables(2);
        let mut early_stopping =
            EarlyStopping::new(2, folder.path().join("best.safetensors")).unwrap();
        early_stopping.step(1.0, &variables).unwrap();
        let bytes = fs::read(early_stopping.checkpoint()).unwrap();
        fs::write(early_stopping.checkpoint(), &bytes[..bytes.len() - 5]).unwrap();
        fill(&variables, 7.0);
        let error = early_stopping.restore(&mut variables).unwrap_err();
        assert!(matches!(error, Error::Torch(_)), "{error}");
        assert_eq!(weight(&variables), 7.0);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let error = EarlyStopping::new(0, "best.safetensors").unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidSetting {
                    setting: "patience",
                    ..
                }
            ),
            "{error}"
        );
        for min_delta in [-0.1, f64::NAN, f64::INFINITY] {
            let error = EarlyStopping::new(1, "best.safetensors")
                .unwrap()
                .min_delta(min_delta)
                .unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "min_delta",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}

//! Fits that fail in the middle and resume from their last checkpoint.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{bits, digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    Error,
    engine::Threads,
    error::{JobError, TrainingError},
    lake::{Credentials, Lake},
    ml::{PipelineModel, TorchEstimator},
    train::{Progress, ProgressEvent, Silent},
};

/// Makes rank 0 panic once after each of some iterations.
struct PanicAfter {
    iterations: Vec<usize>,
    panics: AtomicUsize,
    restarts: AtomicUsize,
}

impl PanicAfter {
    fn new(iterations: &[usize]) -> Self {
        PanicAfter {
            iterations: iterations.to_vec(),
            panics: AtomicUsize::new(0),
            restarts: AtomicUsize::new(0),
        }
    }
}

impl Progress for PanicAfter {
    fn report(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Iteration { losses, .. } => {
                let panics = self.panics.load(Ordering::SeqCst);
                if self.iterations.get(panics) == Some(&losses.iteration) {
                    self.panics.store(panics + 1, Ordering::SeqCst);
                    panic!("killed after iteration {}", losses.iteration);
                }
            }
            ProgressEvent::Restarted { .. } => {
                self.restarts.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

fn long_fit() -> TorchEstimator {
    // Everything that a state can have: momentum, validation, the best weights, dropout.
    estimator()
        .iterations(40)
        .validation_fraction(0.2)
        .validation_every(4)
        .learning_rate(0.005)
}

fn fit(estimator: TorchEstimator, progress: &dyn Progress) -> mnist_support::Result<PipelineModel> {
    let frame = digits(400);
    pipeline(pixel_columns(&frame), estimator).fit_with(&frame, &Threads, progress)
}

#[test]
fn a_fit_killed_at_any_moment_ends_with_the_bits_of_an_uninterrupted_one() {
    let uninterrupted = fit(long_fit(), &Silent).unwrap();
    // Before the first checkpoint, right after one, between two, twice in a row, at the end.
    for kills in [&[1][..], &[10], &[13], &[17, 18], &[25, 25, 39], &[40]] {
        let progress = PanicAfter::new(kills);
        let estimator = long_fit().checkpoint_every(5).max_restarts(kills.len());
        let model = fit(estimator, &progress).unwrap();
        assert_eq!(progress.restarts.load(Ordering::SeqCst), kills.len());
        assert_eq!(bits(&model), bits(&uninterrupted), "{kills:?}");
        let (report, expected) = (model.report().unwrap(), uninterrupted.report().unwrap());
        assert_eq!(report.history, expected.history);
        assert_eq!(report.best_iteration, expected.best_iteration);
    }
}

#[test]
fn a_fit_without_checkpoints_restarts_from_the_beginning() {
    let uninterrupted = fit(long_fit(), &Silent).unwrap();
    let model = fit(long_fit().max_restarts(1), &PanicAfter::new(&[20])).unwrap();
    assert_eq!(bits(&model), bits(&uninterrupted));
}

#[test]
fn after_max_restarts_the_failure_is_returned_with_its_reason() {
    let estimator = long_fit().checkpoint_every(5).max_restarts(2);
    match fit(estimator, &PanicAfter::new(&[3, 4, 7])).unwrap_err() {
        Error::Job(JobError::RankFailed { rank, reason, .. }) => {
            assert_eq!((rank, reason.as_str()), (0, "killed after iteration 7"));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_wrong_setting_is_not_tried_again() {
    let progress = PanicAfter::new(&[]);
    let estimator = long_fit().validation_fraction(1e-6).max_restarts(3);
    assert!(matches!(
        fit(estimator, &progress),
        Err(Error::InvalidSetting { .. })
    ));
    assert_eq!(progress.restarts.load(Ordering::SeqCst), 0);
}

fn open(folder: &tempfile::TempDir) -> Lake {
    Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap()
}

#[test]
fn a_later_program_resumes_from_the_checkpoint_in_the_runs_folder() {
    let folder = tempfile::tempdir().unwrap();
    let frame = digits(400);
    let fit = |progress: &dyn Progress| {
        pipeline(pixel_columns(&frame), long_fit().checkpoint_every(10))
            .run_folder(&open(&folder))
            .fit_with(&frame, &Threads, progress)
    };
    assert!(fit(&PanicAfter::new(&[25])).is_err());
    assert_eq!(
        open(&folder).list().unwrap(),
        ["prediction/checkpoint.safetensors"]
    );

    // It resumes after iteration 20, so iteration 1 is not reported again.
    let model = fit(&PanicAfter::new(&[1])).unwrap();
    assert_eq!(model.report().unwrap().iterations(), 40);
    let uninterrupted = self::fit(long_fit(), &Silent).unwrap();
    assert_eq!(bits(&model), bits(&uninterrupted));
    assert!(
        open(&folder).list().unwrap().is_empty(),
        "a finished fit leaves no checkpoint"
    );
}

#[test]
fn a_checkpoint_of_another_fit_or_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let frame = digits(400);
    let fit = |estimator: TorchEstimator, progress: &dyn Progress| {
        pipeline(pixel_columns(&frame), estimator.checkpoint_every(10))
            .run_folder(&open(&folder))
            .fit_with(&frame, &Threads, progress)
    };
    assert!(fit(long_fit(), &PanicAfter::new(&[25])).is_err());
    let error = fit(long_fit().seed(1), &Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("belongs to a fit with other settings"),
        "{error}"
    );

    let path = folder.path().join("prediction/checkpoint.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..4], b"", &[0xff; 64]] {
        std::fs::write(&path, damaged).unwrap();
        let error = fit(long_fit(), &Silent).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Training(TrainingError::InvalidCheckpoint { .. })
            ),
            "{error}"
        );
    }
}

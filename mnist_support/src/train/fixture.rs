//! What PyTorch's own optimisers, schedules and gradient clipping do, for the tests. The fixture
//! was made by `tests/fixtures/make_pytorch_optimizer_fixture.py`.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{LearningRateSchedule, LinearLr, Optimizer};

#[derive(Deserialize)]
pub(super) struct Fixture {
    pub(super) start: Vec<f32>,
    pub(super) gradients: Vec<Vec<f32>>,
    /// What the learning rate is multiplied by in each step of an optimiser.
    pub(super) rate_factors: Vec<f64>,
    /// The steps whose weights the optimisers' cases hold.
    pub(super) saved_steps: Vec<usize>,
    pub(super) optimizers: Vec<OptimizerCase>,
    /// What `ReduceLROnPlateau` sees.
    pub(super) losses: Vec<f64>,
    pub(super) schedules: Vec<ScheduleCase>,
    pub(super) clipping: Vec<ClippingCase>,
}

#[derive(Deserialize)]
pub(super) struct OptimizerCase {
    pub(super) settings: Optimizer,
    pub(super) learning_rate: f64,
    pub(super) weights: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
pub(super) struct ScheduleCase {
    pub(super) settings: LearningRateSchedule,
    pub(super) warm_up: Option<LinearLr>,
    pub(super) learning_rates: Vec<f64>,
}

#[derive(Deserialize)]
pub(super) struct ClippingCase {
    pub(super) gradient: Vec<f32>,
    pub(super) norm: Option<f64>,
    pub(super) value: Option<f64>,
    pub(super) clipped: Vec<f32>,
}

pub(super) fn read() -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = fs::read_to_string(folder.join("pytorch_optimizers.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Checks that values agree to a millionth.
pub(super) fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found_value, value) in found.iter().zip(expected) {
        assert!(
            (found_value - value).abs() <= 1e-6 * value.abs().max(1e-3),
            "{what}: {found:?} {expected:?}"
        );
    }
}

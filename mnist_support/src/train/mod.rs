//! Synchronous data-parallel training, as one program that every rank runs.
//!
//! Read [`train`] first: it is the whole loop. The other files are its parts.

mod check;
mod checkpoint;
mod clip;
mod data;
mod device;
#[cfg(test)]
mod fixture;
mod flat;
mod initial_weights;
mod loss;
mod optimizer;
mod print;
mod progress;
mod report;
mod sampler;
mod schedule;
mod settings;
mod shuffle;
mod state;
mod stopping;
mod trainer;
mod validation;

pub(crate) use checkpoint::CHECKPOINT_FILE;
pub use checkpoint::Checkpoints;
pub use data::{Scaling, Targets, TrainingData};
pub use device::Device;
pub use initial_weights::InitialWeights;
pub(crate) use loss::Prediction;
pub use loss::{
    BceWithLogits, CrossEntropy, Huber, KlDiv, L1, Loss, Mse, Nll, PoissonNll, SmoothL1, Target,
};
pub use optimizer::{Adadelta, Adagrad, Adam, Adamax, NAdam, Optimizer, RAdam, RmsProp, Sgd};
pub use print::Print;
pub use progress::{Progress, ProgressEvent, Silent};
pub use report::{FitReport, LossPoint};
pub use schedule::{
    CosineAnnealingLr, ExponentialLr, LearningRateSchedule, LinearLr, MultiStepLr,
    ReduceLrOnPlateau, StepLr,
};
pub use settings::TrainingSettings;
pub use shuffle::Shuffle;
pub use trainer::{Trained, train};
pub(crate) use trainer::{TrainingRows, train_rows};
pub use validation::{MetricPoint, MetricValue};

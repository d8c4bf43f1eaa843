//! The names that a notebook needs: `use mnist_support::prelude::*;`.
//!
//! [`traditional::prelude`](crate::traditional::prelude) is the counterpart for a hand-written
//! training loop.

pub use std::time::Instant;

pub use crate::{
    CnnConfig, Layer, Network,
    data::{Features, NumClasses, labels_from_frame},
    display::{
        EvcxrDisplay, Picture, confusion_matrix, loss_curves, metric_curves, misread_digits,
        reconstructed_digits, sample_digits,
    },
    engine::{Engine, Session, Threads},
    evaluate::{
        BinaryClassificationEvaluator, BinaryMetric, ConfusionMatrix, Metric,
        MulticlassClassificationEvaluator, MultilabelClassificationEvaluator, MultilabelMetric,
        RegressionEvaluator, RegressionMetric, ValidationMetric, accuracy_score,
    },
    interrupt::until_interrupted,
    lake::{Credentials, Lake, LakeFrame},
    ml::{
        Bucketizer, Fit, HandleInvalid, ImageDecoder, Imputer, ImputerStrategy, IndexToString,
        Label, MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder, Pipeline, PipelineModel,
        QuantileDiscretizer, RobustScaler, StandardScaler, StringIndexer, StringOrderType,
        TorchEstimator, Transform, VectorAssembler,
    },
    secrets::{Secret, SecretScope},
    train::{
        Device, FitReport, LearningRateSchedule, LinearLr, Loss, Optimizer, Shuffle,
        TrainingSettings,
    },
};
pub use polars::{
    df,
    prelude::{Column, DataFrame, DataType, Series},
};

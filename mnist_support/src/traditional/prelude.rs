//! The names for a notebook with its own training loop:
//! `use mnist_support::traditional::prelude::*;`.

pub use std::time::Instant;

pub use super::{
    DataLoader, Dataset, EarlyStopping, MinMaxScaler, Split, TensorDataset, train_test_split,
};
pub use crate::{
    CnnConfig, Layer, Network,
    data::{Features, NumClasses, labels_from_frame},
    display::{
        EvcxrDisplay, Picture, confusion_matrix, loss_curves, misread_digits, sample_digits,
    },
    evaluate::{ConfusionMatrix, Metric, MulticlassClassificationEvaluator, accuracy_score},
    interrupt::until_interrupted,
    lake::{Credentials, Lake, LakeFrame},
    secrets::{Secret, SecretScope},
};
pub use polars::{
    df,
    prelude::{Column, DataFrame, DataType, Series},
};
pub use tch::{
    self, Device, Tensor,
    nn::{self, Module, ModuleT, OptimizerConfig},
};

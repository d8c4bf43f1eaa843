//! The messages between the benchmark and the processes that it measures: lines of JSON.

use serde::{Deserialize, Serialize};

/// What a process should measure once. Each process uses the fields that it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The quantity to measure, for a process that supports several.
    pub measure: Measure,
    /// The variant to measure.
    pub variant: String,
    /// The number of images that go through the network.
    pub images: usize,
    /// The number of images in a batch, over all ranks.
    pub batch: usize,
    /// The maximum learning rate of a training to completion.
    pub learning_rate: f64,
    /// The seed of the initial weights and the order of the rows.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// The throughput of steady work, or the duration of one piece of work.
    Speed,
    /// The duration of a whole training, and the accuracy that it reaches.
    OneCycle,
}

impl Request {
    /// A request for this many images, in batches of the originals' size.
    pub(crate) fn images(images: usize) -> Request {
        Request {
            measure: Measure::Speed,
            variant: String::new(),
            images,
            batch: 300,
            learning_rate: 0.001,
            seed: 42,
        }
    }

    /// The same request for another variant.
    pub(crate) fn of(&self, variant: &str) -> Request {
        Request {
            variant: variant.to_owned(),
            ..self.clone()
        }
    }
}

/// A message from a process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// It is ready, and supports these variants.
    Ready { variants: Vec<String> },
    /// It has measured.
    Measured(Answer),
    /// It could not measure.
    Failed { error: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// A throughput or a duration.
    pub value: f64,
    /// The accuracy on the test images, if a training was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

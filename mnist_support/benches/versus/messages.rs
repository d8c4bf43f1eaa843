//! What the benchmark and the processes that it measures say to each other: lines of JSON.

use serde::{Deserialize, Serialize};

/// What a process is to measure once. Each takes what it needs of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// What is measured, for a process that can measure several things.
    pub measure: Measure,
    /// Which of the variants that the process has.
    pub variant: String,
    /// How many images go through the network.
    pub images: usize,
    /// How many of them at once, over all ranks.
    pub batch: usize,
    /// The highest learning rate of a training to its end.
    pub learning_rate: f64,
    /// Decides the initial weights and the order of the rows.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// How fast steady work goes, or how long one piece of work takes.
    Speed,
    /// How long a training from the beginning to its end takes, and how good it gets.
    OneCycle,
}

impl Request {
    /// So many images in batches of the originals' size.
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

    /// The same of another variant.
    pub(crate) fn of(&self, variant: &str) -> Request {
        Request {
            variant: variant.to_owned(),
            ..self.clone()
        }
    }
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// It is ready, and has these variants.
    Ready { variants: Vec<String> },
    /// It has measured.
    Measured(Answer),
    /// It could not.
    Failed { error: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// A speed or a time.
    pub value: f64,
    /// How much of the test images were read right, where something was trained to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

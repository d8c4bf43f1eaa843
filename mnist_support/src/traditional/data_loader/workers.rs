//! Threads that get batches ahead of time.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tch::Tensor;

use super::Epoch;
use crate::{Error, Result};

/// The batches that a thread has ready before it waits, as many as in PyTorch (`prefetch_factor`).
const PREFETCHED: usize = 2;

/// The workers of an epoch. Worker w gets the batches w, w + n, w + 2 n, ..., and each has a queue
/// of its own, so that their order is that of the epoch.
pub(super) struct Workers {
    queues: Vec<Receiver<Result<(Tensor, Tensor)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(epoch: Epoch, workers: usize) -> Self {
        let epoch = Arc::new(epoch);
        let workers = workers.min(epoch.batches());
        let (queues, threads) = (0..workers)
            .map(|worker| {
                let (sender, queue) = sync_channel(PREFETCHED);
                let epoch = epoch.clone();
                let thread = thread::spawn(move || {
                    // Several workers share the cores already.
                    tch::set_num_threads(1);
                    for batch in (worker..epoch.batches()).step_by(workers) {
                        let batch = epoch.batch(batch);
                        let failed = batch.is_err();
                        // Nobody takes it any more once the loop has ended early.
                        if sender.send(batch).is_err() || failed {
                            return;
                        }
                    }
                });
                (queue, thread)
            })
            .unzip();
        Workers { queues, threads }
    }

    /// Waits for a batch. Batches must be asked for in their order.
    pub(super) fn batch(&mut self, batch: usize) -> Result<(Tensor, Tensor)> {
        let queue = &self.queues[batch % self.queues.len()];
        // A worker sends an error for whatever a dataset does, a panic included.
        queue.recv().unwrap_or_else(|_| {
            Err(Error::Sample {
                index: batch,
                reason: "the worker that got its batch has ended".into(),
            })
        })
    }
}

impl Drop for Workers {
    /// Ends the workers, which may still be busy with a batch.
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

//! The one asynchronous runtime of the crate, behind a blocking call.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

use crate::{Error, Result};

/// Two threads are enough: they wait for the network, and hand file reads to tokio's blocking pool.
const THREADS: usize = 2;

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(THREADS)
                .thread_name("lake")
                .enable_all()
                .build()
        })
        .as_ref()
        .map_err(|error| stopped(error.to_string()))
}

fn stopped(reason: String) -> Error {
    Error::Storage {
        operation: "waiting for",
        url: "the lake's runtime".into(),
        reason,
    }
}

/// A request that is under way.
pub(crate) struct Pending<T>(mpsc::Receiver<T>);

impl<T> Pending<T> {
    /// Blocks until the request is done.
    pub(crate) fn wait(self) -> Result<T> {
        self.0
            .recv()
            .map_err(|_| stopped("the request ended without an answer".into()))
    }
}

/// Starts `request` on the runtime.
///
/// The answer comes through a channel rather than `Runtime::block_on`, which panics where the caller is
/// itself inside a runtime, as an asynchronous cell of a notebook is.
pub(crate) fn start<F>(request: F) -> Result<Pending<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // A caller that no longer waits is no error.
        let _ = sender.send(request.await);
    });
    Ok(Pending(receiver))
}

/// Runs `request` and blocks until it is done.
pub(crate) fn wait<F>(request: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    start(request)?.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_waited_for_inside_another_runtime() {
        let outer = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        assert_eq!(
            outer.block_on(async { wait(async { 41 + 1 }) }).unwrap(),
            42
        );
    }

    #[test]
    fn a_request_that_dies_is_an_error_and_not_a_hang() {
        let error = wait(async {
            if true {
                std::panic::panic_any("gone")
            }
        })
        .unwrap_err();
        assert!(matches!(error, Error::Storage { .. }), "{error}");
    }
}

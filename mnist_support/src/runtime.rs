//! The crate's async runtime, behind blocking calls.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::interrupt::{self, Interrupt};
use crate::{Error, Result, error::LakeError};

/// Two threads are enough: they wait for the network, and file reads run on tokio's blocking pool.
const THREADS: usize = 2;
/// How often a thread that waits for a request checks whether it was asked to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(THREADS)
                .thread_name("requests")
                .enable_all()
                .build()
        })
        .as_ref()
        .map_err(|error| stopped(error.to_string()))
}

fn stopped(reason: String) -> Error {
    Error::Lake(LakeError::Storage {
        operation: "waiting for",
        url: "the runtime".into(),
        reason: reason.into(),
    })
}

/// A request in flight. It is cancelled when it is dropped or interrupted.
pub(crate) struct Pending<T> {
    operation: &'static str,
    url: String,
    answer: mpsc::Receiver<T>,
    task: Option<AbortHandle>,
    interrupt: Interrupt,
}

impl<T> Pending<T> {
    /// A request that has completed.
    pub(crate) fn ready(value: T) -> Self {
        let (sender, answer) = mpsc::sync_channel(1);
        // The receiver is here, and there is room for one.
        let _ = sender.send(value);
        Pending {
            operation: "reading",
            url: String::new(),
            answer,
            task: None,
            interrupt: Interrupt::new(),
        }
    }

    /// Blocks until the request completes.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a stop is requested meanwhile.
    pub(crate) fn wait(self) -> Result<T> {
        self.wait_with(&mut || {})
    }

    /// Like [`wait`](Self::wait), but calls `on_poll` now and then while waiting.
    pub(crate) fn wait_with(self, on_poll: &mut dyn FnMut()) -> Result<T> {
        loop {
            if self.interrupt.is_requested() {
                return Err(interrupt::interrupted(self.operation, &self.url));
            }
            match self.answer.recv_timeout(POLL_INTERVAL) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => on_poll(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(stopped("the request ended without an answer".into()));
                }
            }
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Starts `request` on the runtime. Errors name it by `operation` and `url`.
///
/// The answer comes through a channel rather than from `Runtime::block_on`, which panics if the
/// caller is itself inside a runtime, as an async notebook cell is.
pub(crate) fn start<F>(operation: &'static str, url: &str, request: F) -> Result<Pending<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, answer) = mpsc::sync_channel(1);
    let task = runtime()?.spawn(async move {
        // It is no error if the caller has stopped waiting.
        let _ = sender.send(request.await);
    });
    Ok(Pending {
        operation,
        url: url.to_owned(),
        answer,
        task: Some(task.abort_handle()),
        interrupt: interrupt::current(),
    })
}

/// Runs `request` on this thread, as long as it waits for nothing: one that a file on this machine
/// answers. `None` if it has to wait, as object_store lets it inside another runtime, such as that
/// of an async notebook cell.
///
/// # Errors
/// [`Error::Interrupted`] if a stop is requested.
pub(crate) fn now<T>(
    operation: &'static str,
    url: &str,
    request: impl Future<Output = T>,
) -> Result<Option<T>> {
    let _scope = interrupt::scope();
    interrupt::check(operation, url)?;
    Ok(request.now_or_never())
}

/// Runs `request` and blocks until it completes.
pub(crate) fn wait<F>(operation: &'static str, url: &str, request: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let _scope = interrupt::scope();
    start(operation, url, request)?.wait()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_request_can_be_waited_for_inside_another_runtime() {
        let outer = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let answer = outer.block_on(async { wait("adding", "numbers", async { 41 + 1 }) });
        assert_eq!(answer.unwrap(), 42);
    }

    #[test]
    fn a_request_that_dies_is_an_error_and_not_a_hang() {
        let error = wait("losing", "it", async {
            if true {
                std::panic::panic_any("gone")
            }
        })
        .unwrap_err();
        assert!(
            matches!(error, Error::Lake(LakeError::Storage { .. })),
            "{error}"
        );
    }

    #[test]
    fn a_request_that_never_completes_ends_when_a_stop_is_requested() {
        struct Given(mpsc::Sender<()>);
        impl Drop for Given {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let interrupt = Interrupt::new();
        let _scope = interrupt.scope();
        let press = thread::spawn({
            let interrupt = interrupt.clone();
            move || {
                thread::sleep(Duration::from_millis(200));
                interrupt.request();
                Instant::now()
            }
        });
        let (sender, given_up) = mpsc::channel();
        let held = Given(sender);
        let error = wait("reading", "az://far/away", async move {
            let _held = held;
            pending::<()>().await
        })
        .unwrap_err();
        let took = press.join().unwrap().elapsed();
        assert!(
            matches!(&error, Error::Interrupted { operation: "reading", url } if url == "az://far/away"),
            "{error}"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
        // The request itself is cancelled, not only the wait for it.
        given_up.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}

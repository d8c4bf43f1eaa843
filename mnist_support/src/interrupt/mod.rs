//! Stopping long operations, by a notebook's Stop button or by Ctrl-C.
//!
//! An [`Interrupt`] carries the request to the code that can honour it. A fit ends after the
//! current iteration and returns the model so far. Reading, transforming, saving and uploading
//! return [`Error::Interrupted`] and leave nothing half written. A notebook needs no set-up. A
//! program calls [`install`] once.
//!
//! Your own loops can be stopped too: [`until_interrupted`] ends a loop after the iteration in
//! which Stop was pressed.
//!
//! ```
//! use mnist_support::interrupt::until_interrupted;
//!
//! let mut losses = Vec::new();
//! for epoch in until_interrupted(1..=20) {
//!     losses.push(1.0 / epoch as f64);
//! }
//! assert_eq!(losses.len(), 20);
//! ```

mod presses;
mod signal;

use std::{
    cell::RefCell,
    marker::PhantomData,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{Error, Result};
pub use signal::{install, install_if_ignored};

/// A request to stop, shared by all clones.
///
/// The process has one, which Stop and Ctrl-C set, and you can make others. Code inside a
/// [`scope`](Self::scope) checks the interrupt of that scope.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requested: AtomicBool,
    /// The number of open scopes.
    scopes: Mutex<usize>,
}

impl Interrupt {
    /// Creates an interrupt that is not requested.
    pub fn new() -> Self {
        Self::default()
    }

    /// The interrupt of the process, which Stop and Ctrl-C request.
    pub fn of_process() -> &'static Interrupt {
        static PROCESS: OnceLock<Interrupt> = OnceLock::new();
        PROCESS.get_or_init(Interrupt::new)
    }

    /// Asks the code inside this interrupt's scopes to stop.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Opens a scope: until it is dropped, the code on this thread checks this interrupt. Opening
    /// the outermost scope clears any earlier request, so that a late press of Stop does not end
    /// the next operation.
    pub fn scope(&self) -> Scope {
        let mut scopes = self.scopes();
        if *scopes == 0 {
            self.0.requested.store(false, Ordering::SeqCst);
        }
        *scopes += 1;
        drop(scopes);
        Scope {
            outer: CURRENT.replace(Some(self.clone())),
            interrupt: self.clone(),
            of_this_thread: PhantomData,
        }
    }

    /// Requests a stop if a scope is open to honour it. Returns whether one is.
    fn request_in_scope(&self) -> bool {
        let scopes = self.scopes();
        if *scopes > 0 {
            self.request();
        }
        *scopes > 0
    }

    /// Whether a stop was requested while a scope is open.
    fn is_stopping(&self) -> bool {
        *self.scopes() > 0 && self.is_requested()
    }

    fn scopes(&self) -> MutexGuard<'_, usize> {
        self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The interrupt of this thread's innermost scope.
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

/// A section of code that can be stopped. See [`Interrupt::scope`].
#[derive(Debug)]
#[must_use = "the scope ends where this is dropped"]
pub struct Scope {
    interrupt: Interrupt,
    outer: Option<Interrupt>,
    /// Not `Send`: the outer interrupt is restored on the thread that it was taken from.
    of_this_thread: PhantomData<*const ()>,
}

impl Scope {
    /// The interrupt that the code in this scope checks.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Whether the code in this scope was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.interrupt.is_requested()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        *self.interrupt.scopes() -= 1;
        // A thread that ends has nothing left to restore.
        let _ = CURRENT.try_with(|current| current.replace(self.outer.take()));
    }
}

/// The interrupt of this thread's innermost scope, or the interrupt of the process.
pub fn current() -> Interrupt {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
        .unwrap_or_else(|| Interrupt::of_process().clone())
}

/// Opens a scope of the current interrupt. The code inside checks [`requested`] from time to time.
pub fn scope() -> Scope {
    current().scope()
}

/// Whether the surrounding code was asked to stop.
pub fn requested() -> bool {
    current().is_requested()
}

/// Yields `items` until a stop is requested. The iteration that is running then is the last.
///
/// The loop is a scope, so the operations that it calls stop too: a fit, for example, returns
/// early.
pub fn until_interrupted<I: IntoIterator>(items: I) -> UntilInterrupted<I::IntoIter> {
    UntilInterrupted {
        scope: scope(),
        items: items.into_iter(),
    }
}

/// The iterator that [`until_interrupted`] returns.
#[derive(Debug)]
pub struct UntilInterrupted<I> {
    scope: Scope,
    items: I,
}

impl<I: Iterator> Iterator for UntilInterrupted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.scope.is_requested() {
            return None;
        }
        self.items.next()
    }
}

/// Returns an error if the surrounding code was asked to stop.
pub(crate) fn check(operation: &'static str, url: &str) -> Result<()> {
    if requested() {
        return Err(interrupted(operation, url));
    }
    Ok(())
}

/// The error of an operation that was stopped.
pub(crate) fn interrupted(operation: &'static str, url: &str) -> Error {
    Error::Interrupted {
        operation,
        url: url.to_owned(),
    }
}

/// Opens a scope that Stop does not reach, for work that has to finish or clean up after a stop,
/// and for threads that run beside an operation.
pub(crate) fn shield() -> Scope {
    Interrupt::new().scope()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_from_before_an_operation_does_not_stop_it() {
        let interrupt = Interrupt::new();
        interrupt.request();
        let outer = interrupt.scope();
        assert!(!outer.is_requested());
        // But a nested scope keeps the request of its operation.
        interrupt.request();
        assert!(interrupt.scope().is_requested());
        drop(outer);
        assert!(!interrupt.scope().is_requested());
    }

    #[test]
    fn an_operation_checks_the_innermost_scope_of_its_thread() {
        let (outer, inner) = (Interrupt::new(), Interrupt::new());
        let _outer = outer.scope();
        outer.request();
        assert!(check("reading", "file").is_err());
        {
            let _inner = inner.scope();
            assert!(check("reading", "file").is_ok());
        }
        let error = check("reading", "file").unwrap_err();
        assert_eq!(
            error.to_string(),
            "reading file was stopped on request; nothing is half written, so it can be run again"
        );
    }

    #[test]
    fn a_loop_ends_after_the_iteration_in_which_a_stop_was_requested() {
        let interrupt = Interrupt::new();
        let _scope = interrupt.scope();
        let mut passes = Vec::new();
        for pass in until_interrupted(1..=10) {
            if pass == 3 {
                interrupt.request();
            }
            passes.push(pass);
        }
        assert_eq!(passes, [1, 2, 3]);
    }
}

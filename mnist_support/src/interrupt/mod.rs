//! Stop: how a long operation is asked to end, by a notebook's Stop button or by Ctrl-C.
//!
//! An [`Interrupt`] carries the request from whoever makes it to whoever can honour it. A fit ends after
//! the iteration that runs and returns the model as it is; reading, transforming, saving and uploading end
//! in [`Error::Interrupted`] and leave nothing half written. In a notebook that works by itself; a program
//! calls [`install`] once.
//!
//! A loop of your own asks, too: [`until_interrupted`] ends it after the pass in which Stop was pressed.
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
/// There is one for the process, which a press of Stop sets, and as many others as you make; what runs
/// inside a [`scope`](Self::scope) looks at that scope's.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requested: AtomicBool,
    /// How many scopes are open.
    scopes: Mutex<usize>,
}

impl Interrupt {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// That of the process, which a press of Stop or Ctrl-C sets.
    pub fn of_process() -> &'static Interrupt {
        static PROCESS: OnceLock<Interrupt> = OnceLock::new();
        PROCESS.get_or_init(Interrupt::new)
    }

    /// Asks what runs in a scope of this interrupt to stop.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Until the scope is dropped, what this thread runs looks at this interrupt. The outermost scope
    /// forgets a request that was made before it, so that a late press does not stop what comes next.
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

    /// Requests a stop if a scope is open to honour it; whether one is.
    fn request_in_scope(&self) -> bool {
        let scopes = self.scopes();
        if *scopes > 0 {
            self.request();
        }
        *scopes > 0
    }

    /// Whether a scope is open in which a stop was requested.
    fn is_stopping(&self) -> bool {
        *self.scopes() > 0 && self.is_requested()
    }

    fn scopes(&self) -> MutexGuard<'_, usize> {
        self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The interrupt of the innermost scope of this thread.
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

/// A stretch of code that can be stopped; see [`Interrupt::scope`].
#[derive(Debug)]
#[must_use = "the scope ends where this is dropped"]
pub struct Scope {
    interrupt: Interrupt,
    outer: Option<Interrupt>,
    /// What is noted for the thread is restored on the same one.
    of_this_thread: PhantomData<*const ()>,
}

impl Scope {
    /// What this scope's code looks at.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Whether this scope's code was asked to stop.
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

/// The interrupt of the innermost scope of this thread, or that of the process.
pub fn current() -> Interrupt {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
        .unwrap_or_else(|| Interrupt::of_process().clone())
}

/// Begins code that can be stopped: it has to look at [`requested`] from time to time.
pub fn scope() -> Scope {
    current().scope()
}

/// Whether the code of the scope around this call was asked to stop.
pub fn requested() -> bool {
    current().is_requested()
}

/// The items of `items` until a stop is requested: the pass of the loop that runs then is the last.
///
/// The loop is a scope, so what it calls is stopped with it; a fit, for instance, returns early.
pub fn until_interrupted<I: IntoIterator>(items: I) -> UntilInterrupted<I::IntoIter> {
    UntilInterrupted {
        scope: scope(),
        items: items.into_iter(),
    }
}

/// See [`until_interrupted`].
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

/// An error if the code around this call was asked to stop.
pub(crate) fn check(operation: &'static str, url: &str) -> Result<()> {
    if requested() {
        return Err(interrupted(operation, url));
    }
    Ok(())
}

/// The error of what was stopped.
pub(crate) fn interrupted(operation: &'static str, url: &str) -> Error {
    Error::Interrupted {
        operation,
        url: url.to_owned(),
    }
}

/// A scope that no press stops: for what has to be finished or cleaned up because of one, and for threads
/// beside an operation.
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
        // But what is a part of an operation keeps the operation's request.
        interrupt.request();
        assert!(interrupt.scope().is_requested());
        drop(outer);
        assert!(!interrupt.scope().is_requested());
    }

    #[test]
    fn an_operation_looks_at_the_innermost_scope_of_its_thread() {
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
    fn a_loop_ends_after_the_pass_in_which_it_was_asked_to() {
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

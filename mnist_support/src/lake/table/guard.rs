//! Calls of decoders that may panic on damaged bytes. Neither the panic nor its message reaches the
//! user.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

thread_local! {
    /// Whether this thread is in a guarded call.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The number of guarded calls in all threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Polars decodes on threads of its own, whose names begin with this.
const POLARS: &str = "polars";

/// Returns what `decode` returns, or `None` if it panics.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let of_polars = || {
                thread::current()
                    .name()
                    .is_some_and(|name| name.starts_with(POLARS))
            };
            let guarded = GUARDED.get() || (CALLS.load(Ordering::Relaxed) > 0 && of_polars());
            if !guarded {
                before(panic);
            }
        }));
    });
    CALLS.fetch_add(1, Ordering::Relaxed);
    let outer = GUARDED.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(outer);
    CALLS.fetch_sub(1, Ordering::Relaxed);
    decoded.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_guard() {
        assert_eq!(guarded(|| 3), Some(3));
        let nothing: Option<u8> = guarded(|| panic!("this must not be printed"));
        assert_eq!(nothing, None);
        assert!(!GUARDED.get());
    }
}

//! Running functions on several threads at once.

use std::thread;

/// Runs each function on a thread of its own. Returns their results, or panics, in order.
pub(crate) fn run_all<T, P>(programs: impl IntoIterator<Item = P>) -> Vec<thread::Result<T>>
where
    T: Send,
    P: FnOnce() -> T + Send,
{
    thread::scope(|scope| {
        let threads: Vec<_> = programs
            .into_iter()
            .map(|program| scope.spawn(program))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_in_order_and_a_panic_ends_only_its_own_thread() {
        let programs = [30, 0, 15].map(|wait| {
            move || {
                thread::sleep(Duration::from_millis(wait));
                assert_ne!(wait, 0);
                wait
            }
        });
        let results: Vec<_> = run_all(programs).into_iter().map(Result::ok).collect();
        assert_eq!(results, [Some(30), None, Some(15)]);
    }
}

//! What the C++ bridges (`native/`) share: how they report errors.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn mnist_free(text: *mut c_char);
}

/// Converts the message that a bridge function returned, null for success, into a `Result`.
pub(crate) fn check(message: *mut c_char) -> Result<(), String> {
    match take_text(message) {
        None => Ok(()),
        Some(message) => Err(readable(&message)),
    }
}

/// Copies a string that a bridge allocated, and frees it.
pub(crate) fn take_text(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a pointer that is not null is a NUL-terminated string that a bridge allocated, and
    // ours to free, once.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        mnist_free(text);
        Some(copy)
    }
}

/// Strips `[source file:line] `, which Gloo puts before its messages, and the C++ stack trace that
/// c10d appends to some.
fn readable(message: &str) -> String {
    let message = message
        .split("\nException raised from")
        .next()
        .unwrap_or(message)
        .trim();
    match message.split_once("] ") {
        Some((place, rest)) if place.starts_with('[') && place.contains(".cc:") => rest.to_owned(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_its_source_location_and_keeps_its_addresses() {
        assert_eq!(
            readable("[../third_party/gloo/pair.cc:12] Connection closed by peer [10.0.0.1]:5000"),
            "Connection closed by peer [10.0.0.1]:5000"
        );
        assert_eq!(readable("[10.0.0.1] refused"), "[10.0.0.1] refused");
        assert_eq!(readable("broken\nException raised from f at g:1"), "broken");
    }
}

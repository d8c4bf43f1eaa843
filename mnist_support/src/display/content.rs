//! Sends a cell's output to the kernel.

use std::io::{self, Write};

/// Sends the same content in several formats, each with its MIME type. The front end shows the
/// richest one that it supports.
///
/// A failure to write to standard output cannot be shown by writing to it, and is ignored.
pub(super) fn send(forms: &[(&str, &str)]) {
    let mut output = io::stdout().lock();
    // A single write, so that nothing that a thread prints comes in between.
    let _ = output.write_all(message(forms).as_bytes());
    let _ = output.flush();
}

/// Returns the lines that evcxr looks for in a cell's output (evcxr 0.22,
/// `EvalContext::run_and_capture_output`).
fn message(forms: &[(&str, &str)]) -> String {
    forms
        .iter()
        .map(|(mime_type, content)| {
            format!("EVCXR_BEGIN_CONTENT {mime_type}\n{content}\nEVCXR_END_CONTENT\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_framed_by_lines_of_its_own() {
        assert_eq!(
            message(&[("text/html", "<b>1</b>"), ("text/plain", "1")]),
            "EVCXR_BEGIN_CONTENT text/html\n<b>1</b>\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\n"
        );
    }
}

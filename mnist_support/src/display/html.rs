//! Escapes text for HTML and XML.

/// Escapes everything in the text that HTML, XML or the kernel's line-based protocol would
/// interpret.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_html_would_read() {
        assert_eq!(
            escape("<a href=\"x\">R&D's\nEVCXR_END_CONTENT"),
            "&lt;a href=&quot;x&quot;&gt;R&amp;D&#39;s&#10;EVCXR_END_CONTENT"
        );
    }
}

//! Takes the names that object_store cannot hold out of the pages of a listing.
//!
//! A path of object_store has no empty part, no `.` or `..` and no control characters. Services
//! allow all of these in names, and one such name would make the whole listing fail.

use object_store::path::Path as ObjectPath;

/// The elements of a page that name a file or a folder, with the element of the name.
const ENTRIES: [(&str, &str); 4] = [
    ("Blob", "Name"),
    ("BlobPrefix", "Name"),
    ("Contents", "Key"),
    ("CommonPrefixes", "Prefix"),
];

/// Whether the query of a request asks for a listing: Azure's, or that of S3 and Google.
pub(super) fn is_listing(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair == "comp=list" || pair == "list-type=2")
}

/// Returns the page without the entries whose names cannot be used, if there are any, and those
/// names. Entries that only mark a folder are left out silently.
pub(super) fn usable(page: &[u8]) -> (Option<String>, Vec<String>) {
    let Ok(page) = std::str::from_utf8(page) else {
        return (None, Vec::new());
    };
    let (mut kept, mut left_out, mut changed) = (String::new(), Vec::new(), false);
    let mut rest = page;
    while let Some((before, entry, name, after)) = next_entry(rest) {
        kept.push_str(before);
        match verdict(entry, name) {
            Verdict::Usable => kept.push_str(entry),
            Verdict::Marker => changed = true,
            Verdict::Odd(name) => {
                changed = true;
                left_out.push(name);
            }
        }
        rest = after;
    }
    kept.push_str(rest);
    (changed.then_some(kept), left_out)
}

/// The first entry: what stands before it, the entry, its name's element, and what stands after it.
fn next_entry(text: &str) -> Option<(&str, &str, &str, &str)> {
    // Within names, < is escaped.
    let (start, (element, name)) = text.match_indices('<').find_map(|(start, _)| {
        let is_here = |(element, _): &(&str, &str)| {
            let tag = text[start + 1..].strip_prefix(*element);
            tag.is_some_and(|rest| rest.starts_with('>'))
        };
        ENTRIES
            .into_iter()
            .find(is_here)
            .map(|entry| (start, entry))
    })?;
    let close = format!("</{element}>");
    let end = start + text[start..].find(&close)? + close.len();
    let entry = &text[start..end];
    let name_start = entry.find(&format!("<{name}"))?;
    let name_length = entry[name_start..].find(&format!("</{name}>"));
    let name_end = name_start + name_length.unwrap_or(0);
    Some((
        &text[..start],
        entry,
        &entry[name_start..name_end],
        &text[end..],
    ))
}

enum Verdict {
    Usable,
    /// An empty file whose name ends with `/`.
    Marker,
    /// The name, as far as it can be read.
    Odd(String),
}

/// Judges an entry by its name, which begins with the tag of its element.
fn verdict(entry: &str, name: &str) -> Verdict {
    let (tag, name) = name.split_once('>').unwrap_or((name, ""));
    let Ok(name) = quick_xml::escape::unescape(name) else {
        return Verdict::Odd(name.to_owned());
    };
    let is_prefix = entry.starts_with("<BlobPrefix>") || entry.starts_with("<CommonPrefixes>");
    let path = match is_prefix {
        true => name.strip_suffix('/').unwrap_or(&name),
        false => &name,
    };
    // Azure encodes names that XML cannot hold, and object_store doesn't decode them.
    let is_encoded = tag.contains("Encoded=\"true\"");
    let is_same = ObjectPath::parse(path).is_ok_and(|parsed| parsed.as_ref() == path);
    if !is_encoded && is_same && !path.is_empty() {
        return Verdict::Usable;
    }
    let is_empty = entry.contains("<Content-Length>0</") || entry.contains("<Size>0</");
    match path.ends_with('/') && is_empty {
        true => Verdict::Marker,
        false => Verdict::Odd(name.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[(&str, u64)]) -> String {
        let blobs = names.iter().map(|(name, size)| {
            format!(
                "<Blob><Name>{name}</Name><Properties><Content-Length>{size}</Content-Length>\
                 </Properties></Blob>"
            )
        });
        format!(
            "<EnumerationResults><Blobs>{}</Blobs><NextMarker /></EnumerationResults>",
            blobs.collect::<String>()
        )
    }

    #[test]
    fn one_odd_name_is_left_out_and_the_others_stay() {
        for odd in [
            "a//b.csv",
            "a/../b.csv",
            "./b.csv",
            "/b.csv",
            "b&#xA;c.csv",
            "b\u{1}c.csv",
            "b&#x1;c.csv",
            "folder/",
            "b&unknown;c",
        ] {
            let text = page(&[("a.csv", 1), (odd, 3), ("z&amp;z.csv", 2)]);
            let (kept, left_out) = usable(text.as_bytes());
            let others = page(&[("a.csv", 1), ("z&amp;z.csv", 2)]);
            assert_eq!(kept.as_deref(), Some(others.as_str()), "{odd}");
            assert_eq!(left_out.len(), 1, "{odd}");
        }
    }

    #[test]
    fn the_mark_of_a_folder_is_left_out_silently() {
        let text = page(&[("year=2026/", 0), ("year=2026/part-0.csv", 3)]);
        let (kept, left_out) = usable(text.as_bytes());
        let others = page(&[("year=2026/part-0.csv", 3)]);
        assert_eq!(kept.as_deref(), Some(others.as_str()));
        assert!(left_out.is_empty());
    }

    #[test]
    fn a_page_without_odd_names_is_not_changed() {
        let text = page(&[("a b/c%20d.csv", 1), ("ä#1.csv", 2), ("x &lt;y&gt;.csv", 3)]);
        assert_eq!(usable(text.as_bytes()), (None, Vec::new()));
        let text = "<L><Contents><Key>a.csv</Key><Size>1</Size></Contents><CommonPrefixes><Prefix>\
                    b/</Prefix></CommonPrefixes></L>";
        assert_eq!(usable(text.as_bytes()), (None, Vec::new()));
        assert_eq!(usable(b"\xff<Blob>"), (None, Vec::new()));
        assert_eq!(usable(b"<Blob><Name>a//b"), (None, Vec::new()));
        // The end of a name before its beginning, as in a damaged page.
        assert!(usable(b"<Contents></Key>a<Key>b</Contents>").0.is_some());
    }

    #[test]
    fn requests_for_listings_are_recognised() {
        assert!(is_listing(Some("restype=container&comp=list&prefix=a")));
        assert!(is_listing(Some("list-type=2")));
        assert!(!is_listing(Some("comp=block&blockid=comp%3Dlist")));
        assert!(!is_listing(None));
    }
}

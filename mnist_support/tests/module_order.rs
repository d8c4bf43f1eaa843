//! The layout of the sources: a module imports only those above it in lib.rs, and comments are
//! not wide.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if ["rs", "h", "cpp"]
            .iter()
            .any(|kind| path.extension().is_some_and(|own| own == *kind))
        {
            found.push(path);
        }
    }
    found
}

/// A file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn name(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Splits what is between the braces that `text` begins with at its top-level commas.
fn list(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 1, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (depth == 1 && character == ',') || depth == 0 {
            items.push(text[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    items
}

/// Returns the names that follow `prefix` anywhere in `code`: `a` and `b` of `crate::{a::x, b}` for
/// `crate::`.
fn named<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    code.match_indices(prefix)
        .flat_map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            match rest.starts_with('{') {
                true => list(rest),
                false => vec![rest],
            }
        })
        .map(name)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Returns the modules from bottom to top, and the module of each name that the crate's root
/// re-exports.
fn modules() -> (Vec<String>, BTreeMap<String, String>) {
    let root = code(&source().join("lib.rs"));
    let mut modules = Vec::new();
    for line in root.lines() {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        if let Some(module) = line.strip_prefix("mod ") {
            modules.push(module.trim_end_matches(';').to_owned());
        }
    }
    let mut origins: BTreeMap<String, String> = BTreeMap::new();
    for module in &modules {
        for reexported in named(&root, &format!("pub use {module}::")) {
            origins.insert(reexported.to_owned(), module.clone());
        }
    }
    (modules, origins)
}

#[test]
fn imports_go_down_only() {
    let (modules, origins) = modules();
    assert!(modules.len() > 15 && origins.contains_key("Error"));
    let height = |module: &str| modules.iter().position(|known| known == module);
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for path in files(&source()) {
        let within = path.strip_prefix(source()).unwrap().with_extension("");
        let module = within.iter().next().unwrap().to_str().unwrap();
        let Some(own) = height(module) else {
            assert!(
                ["lib", "bin"].contains(&module),
                "{module} is not in lib.rs"
            );
            continue;
        };
        let code = code(&path);
        let mut used = named(&code, "crate::");
        // The parent of a top-level file is also the root.
        if within.iter().count() == 1 || within.ends_with("mod") && within.iter().count() == 2 {
            let above = named(&code, "super::").into_iter();
            used.extend(above.filter(|name| height(name).is_some()));
        }
        for used in used {
            let used = origins.get(used).map_or(used, String::as_str);
            let Some(other) = height(used) else {
                panic!("{}: crate::{used} is not a module", path.display());
            };
            looked_at += 1;
            if other > own {
                wrong.push(format!("{}: {module} uses {used}", path.display()));
            }
        }
    }
    assert!(looked_at > 300, "only {looked_at} imports were found");
    assert!(wrong.is_empty(), "imports go up:\n{}", wrong.join("\n"));
}

#[test]
fn comments_end_within_100_columns() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches", "native"].map(|folder| package.join(folder));
    let mut long = Vec::new();
    for path in folders.iter().flat_map(|folder| files(folder)) {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if line.trim_start().starts_with("//") && line.chars().count() > 100 {
                long.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn names_are_found_in_lists_and_alone() {
    let code = "use crate::{\n    Error, Result,\n    lake::{Lake, csv::{a, b}},\n};\nlet x = crate::text::bytes(1);";
    assert_eq!(named(code, "crate::"), ["Error", "Result", "lake", "text"]);
}

//! What no file of the repository may hold, read from the files themselves.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

// In two halves, so that this file does not hold them either.
const UNFINISHED: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];

#[test]
fn nothing_is_unfinished_or_of_one_machine() {
    let files = files(&root());
    assert!(
        files.iter().any(|file| file.ends_with("archibald-core/src/effect.rs")),
        "the core is among them"
    );
    let offences: Vec<String> = files.iter().flat_map(|file| read(file)).collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// Paths inside the repository: all that git has or would take.
fn files(root: &Path) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            names.split_terminator('\0').map(PathBuf::from).collect()
        }
        // The sources without their history.
        _ => walk(root).iter().map(|file| file.strip_prefix(root).unwrap().to_owned()).collect(),
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    // Cargo marks what it builds with this tag.
    if folder.join("CACHEDIR.TAG").exists() {
        return vec![];
    }
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn read(file: &Path) -> Vec<String> {
    // What is no text, or was just deleted, holds no text.
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    offences(file, &text)
}

fn offences(file: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let why = offence(file, line)?;
            Some(format!("{}:{}: {why}: {}", file.display(), index + 1, line.trim()))
        })
        .collect()
}

fn offence(file: &Path, line: &str) -> Option<&'static str> {
    if HOMES.iter().any(|home| is_absolute_in(line, home)) {
        return Some("a path of somebody's own machine");
    }
    let is_code = file.extension().is_some_and(|end| end == "rs") && !line.trim_start().starts_with("//");
    if is_code && UNFINISHED.iter().any(|macro_| line.contains(macro_)) {
        return Some("unfinished");
    }
    None
}

/// Whether the path begins there, rather than going on: `example.com` before it makes it an address.
fn is_absolute_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-}".contains(before))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn what_is_forbidden_is_found_where_it_is_forbidden() {
    let home = HOMES[0];
    let cases = [
        ("xtask/src/main.rs", format!("    {})", UNFINISHED[0]), true),
        ("README.md", format!("we never write {})", UNFINISHED[1]), false),
        ("README.md", format!("cd {home}ann/archibald"), true),
        ("deny.toml", format!("path = \"{home}ann\""), true),
        ("docs/x.md", format!("see https://example.com{home}page"), false),
        ("docs/x.md", format!("see file://{home}page"), true),
    ];
    for (file, line, is_offence) in cases {
        let found = offences(Path::new(file), &format!("first\n{line}\n"));
        assert_eq!(found.len(), usize::from(is_offence), "{file}: {line}: {found:?}");
        assert!(found.iter().all(|found| found.starts_with(&format!("{file}:2: "))), "{found:?}");
    }
}

#[test]
fn without_git_the_same_files_are_read_and_none_of_what_was_built() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["a/src/lib.rs", "README.md", "out/CACHEDIR.TAG", "out/debug/x.d"] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut found = files(folder.path());
    found.sort();
    assert_eq!(found, [Path::new("README.md"), Path::new("a/src/lib.rs")]);
}

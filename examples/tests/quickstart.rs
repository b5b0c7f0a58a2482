//! What the README shows is the program of that name, and it runs in a crate that is not ours.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = include_str!("../src/bin/quickstart.rs");

#[test]
fn the_readme_shows_the_program() {
    let program = &PROGRAM[PROGRAM.find("use ").unwrap()..];
    assert_eq!(rust_block(&readme()), program, "README.md and examples/src/bin/quickstart.rs must agree");
}

/// A workspace of its own, with the dependencies and features that the README names and no others, and the
/// versions that we are tested with.
#[test]
fn the_readmes_program_runs_in_a_foreign_crate() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quickstart");
    write_if_new(&folder.join("Cargo.toml"), &manifest());
    write_if_new(&folder.join("src/main.rs"), &rust_block(&readme()));
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut output = run(&folder, &["--offline"]);
    if !output.status.success() {
        output = run(&folder, &[]);
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert!(printed.contains("Completed"), "{printed}{complaints}");
    assert!(printed.contains("at the ERP: 1 order"), "{printed}{complaints}");
}

/// Kept between runs, so that only the first one builds the dependencies.
fn run(folder: &Path, how: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet"]).args(how).current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", folder.join("target")).output().unwrap()
}

fn manifest() -> String {
    let ours = ["archibald-core", "archibald-runtime", "archibald-testing"];
    let ours = ours.map(|name| format!("{name} = {{ path = {:?} }}\n", root().join(name))).concat();
    format!(
        "[package]\nname = \"foreign\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{ours}serde_json = \"1\"\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n\
         [profile.dev]\ndebug = false\n"
    )
}

fn rust_block(readme: &str) -> String {
    let (_, after) = readme.split_once("```rust\n").unwrap();
    after.split_once("```\n").unwrap().0.to_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file that is written again is built again.
fn write_if_new(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

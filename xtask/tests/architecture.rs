//! The arrows between the crates, held against what cargo says: who may depend on whom, who may know of
//! Chromium and SQL, and what the pure core must never reach.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

const CORE: &str = "archibald-core";
const TESTING: &str = "archibald-testing";
/// They know the core and never each other.
const ADAPTERS: [&str; 5] =
    ["archibald-runtime", "archibald-sqlite", "archibald-pg", "archibald-browser", "archibald-http"];
/// They wire everything up, and nothing depends on them; but what the server reads is read for its mistakes too.
const PROGRAMS: [&str; 3] = ["archibald-examples", "archibald-benches", "archibald-fuzzing"];
const XTASK: &str = "xtask";

/// Who alone may name these crates (and those that begin like them). The benches ask the database itself what it
/// had to do.
const ONLY_IN: [(&str, &[&str]); 3] = [
    ("chromiumoxide", &["archibald-browser"]),
    ("sqlx", &["archibald-pg", "archibald-benches"]),
    ("rusqlite", &["archibald-sqlite", "archibald-benches"]),
];

/// What must not be in the build of a crate, by whatever way.
const OUT_OF_REACH: [(&str, &[&str]); 6] = [
    (CORE, &["tokio", "sqlx", "rusqlite", "axum", "hyper", "chromiumoxide", "rand"]),
    ("archibald-runtime", &["sqlx", "rusqlite", "axum", "chromiumoxide"]),
    ("archibald-sqlite", &["sqlx", "axum", "chromiumoxide"]),
    ("archibald-pg", &["rusqlite", "axum", "chromiumoxide"]),
    ("archibald-http", &["sqlx", "rusqlite", "chromiumoxide"]),
    (TESTING, &["sqlx", "rusqlite", "chromiumoxide"]),
];

#[test]
fn the_arrows_hold() {
    let wrong = violations(&declared());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn nothing_is_built_that_is_out_of_reach() {
    let reached = |(name, forbidden): (&str, &[&str])| reached(&built(name), forbidden);
    let wrong: Vec<String> = OUT_OF_REACH.into_iter().flat_map(reached).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Our crates, with what their manifests name.
type Declared = BTreeMap<String, Vec<(String, DependencyKind)>>;

fn violations(declared: &Declared) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, dependencies) in declared {
        for (to, kind) in dependencies {
            if declared.contains_key(to) && !is_allowed(from, to, *kind) {
                wrong.push(format!("{from} -> {to} ({kind} dependency): this arrow is not allowed"));
            }
            wrong.extend(out_of_place(from, to));
        }
        if !is_placed(from) {
            wrong.push(format!("{from}: has no place yet; say in this test what it may depend on"));
        }
    }
    wrong
}

fn is_allowed(from: &str, to: &str, kind: DependencyKind) -> bool {
    match from {
        "archibald-fuzzing" if to == "archibald-examples" => true,
        _ if PROGRAMS.contains(&from) => to != XTASK && !PROGRAMS.contains(&to),
        _ if ADAPTERS.contains(&from) => to == CORE || (to == TESTING && kind == DependencyKind::Development),
        TESTING => to == CORE,
        // The core depends on nothing of ours, and neither does what builds it all.
        _ => false,
    }
}

fn is_placed(name: &str) -> bool {
    [CORE, TESTING, XTASK].contains(&name) || ADAPTERS.contains(&name) || PROGRAMS.contains(&name)
}

fn out_of_place(from: &str, to: &str) -> Option<String> {
    let (_, homes) = ONLY_IN.iter().find(|(prefix, _)| to.starts_with(prefix))?;
    (!homes.contains(&from)).then(|| format!("{from} -> {to}: only {} may", homes.join(" and ")))
}

/// The ways from the crate at the root of a tree to what it must not reach.
fn reached(tree: &str, forbidden: &[&str]) -> Vec<String> {
    let mut way: Vec<&str> = Vec::new();
    let mut ways = Vec::new();
    for line in tree.lines() {
        let (depth, name) = depth_and_name(line);
        way.truncate(depth);
        way.push(name);
        if depth > 0 && forbidden.contains(&name) {
            ways.push(format!("{}: must not be in its build", way.join(" -> ")));
        }
    }
    ways
}

/// `2tokio v1.48.0` is tokio, two arrows away.
fn depth_and_name(line: &str) -> (usize, &str) {
    let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
    let (depth, rest) = line.split_at(digits);
    (depth.parse().unwrap(), rest.split(' ').next().unwrap_or(rest))
}

fn declared() -> Declared {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours = metadata.packages.iter();
    ours.map(|package| {
        let dependencies = package.dependencies.iter();
        (package.name.to_string(), dependencies.map(|found| (found.name.clone(), found.kind)).collect())
    })
    .collect()
}

/// What is built for a crate alone with all its features, as a tree; `cargo metadata` would also show what
/// some feature only could bring.
fn built(name: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", name, "--all-features", "--edges", "normal,build", "--prefix", "depth"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.starts_with(&format!("0{name} ")), "{}", String::from_utf8_lossy(&output.stderr));
    tree
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Crates of which each names others: `("a", "b")`, for a dev-dependency `("a", "dev b")`.
fn crates(arrows: &[(&str, &str)]) -> Declared {
    let mut crates = Declared::new();
    for (from, to) in arrows {
        let (to, kind) = match to.strip_prefix("dev ") {
            Some(to) => (to, DependencyKind::Development),
            None => (*to, DependencyKind::Normal),
        };
        if to.starts_with("archibald-") {
            crates.entry(to.to_owned()).or_default();
        }
        crates.entry((*from).to_owned()).or_default().push((to.to_owned(), kind));
    }
    crates
}

#[test]
fn what_the_house_allows_passes() {
    let allowed = crates(&[
        ("archibald-http", CORE),
        ("archibald-http", "dev archibald-testing"),
        ("archibald-http", "axum"),
        ("archibald-pg", CORE),
        ("archibald-pg", "sqlx"),
        ("archibald-browser", "chromiumoxide"),
        (TESTING, CORE),
        (CORE, "serde"),
        (CORE, "dev proptest"),
        ("archibald-examples", "archibald-browser"),
        ("archibald-benches", TESTING),
        ("archibald-fuzzing", "archibald-examples"),
        (XTASK, "clap"),
    ]);
    assert_eq!(violations(&allowed), Vec::<String>::new());
}

#[test]
fn each_forbidden_arrow_is_named() {
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[(CORE, "archibald-runtime")], "archibald-core -> archibald-runtime (normal dependency): "),
        (&[(CORE, "dev archibald-testing")], "archibald-core -> archibald-testing (dev dependency): "),
        (&[("archibald-http", "archibald-sqlite")], "archibald-http -> archibald-sqlite ("),
        (&[("archibald-pg", "dev archibald-sqlite")], "archibald-pg -> archibald-sqlite (dev"),
        (&[("archibald-browser", "archibald-runtime")], "archibald-browser -> archibald-runtime ("),
        (&[("archibald-pg", TESTING)], "archibald-pg -> archibald-testing (normal"),
        (&[(TESTING, "archibald-runtime")], "archibald-testing -> archibald-runtime ("),
        (&[("archibald-examples", "archibald-benches")], "archibald-examples -> archibald-benches ("),
        (&[(XTASK, CORE)], "xtask -> archibald-core ("),
        (
            &[("archibald-http", "sqlx")],
            "archibald-http -> sqlx: only archibald-pg and archibald-benches may",
        ),
        (&[("archibald-examples", "chromiumoxide_cdp")], "archibald-examples -> chromiumoxide_cdp: only"),
        (&[("archibald-new", CORE)], "archibald-new: has no place yet"),
    ];
    for (arrows, wanted) in cases {
        let wrong = violations(&crates(arrows));
        assert!(wrong.iter().any(|found| found.starts_with(wanted)), "{arrows:?} gave {wrong:?}");
    }
}

#[test]
fn whatever_is_built_out_of_reach_is_shown_with_the_way_to_it() {
    let tree = "0archibald-core v0.1.0\n1serde v1.0.0\n1x v2.0.0\n2y v0.1.0 (*)\n3tokio v1.0.0\n1z v1.0.0\n";
    let wanted = ["archibald-core -> x -> y -> tokio: must not be in its build"];
    assert_eq!(reached(tree, &["tokio", "rand"]), wanted);
    assert_eq!(reached(tree, &["sqlx", "tok"]), Vec::<String>::new());
}

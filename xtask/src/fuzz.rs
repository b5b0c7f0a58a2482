//! `cargo xtask fuzz`: the targets of `fuzz/` with libFuzzer, for a while.
//!
//! The coverage that libFuzzer follows is a pass of the stable compiler; address sanitizing is not, and nothing here is
//! unsafe. What breaks a promise is put into `fuzz/artifacts` and fails the task.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use crate::cargo::{self, cargo};
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;

/// Tells libFuzzer what is reached, and which values are compared.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Where it is built for. Named, so that the flags above are not those of build scripts.
const MACHINE: &str = "x86_64-unknown-linux-gnu";

/// Which targets, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which one; all of them without a name
    target: Option<String>,
    /// How long each is run
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Keep what reaches something new here, in a folder for each target, and begin with what is there
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let targets = targets(options.target.as_deref())?;
    build()?;
    for target in targets {
        let said = fuzz(&target, options)?;
        println!("{target}: {}", summary(&said));
    }
    Ok(())
}

/// The targets are the programs of `fuzz/fuzz_targets`.
fn targets(wanted: Option<&str>) -> Result<Vec<String>, Failure> {
    let folder = cargo::root().join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(folder).map_err(Failure::io("look for the targets"))?;
    let name = |path: PathBuf| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
    let mut all: Vec<_> = files.filter_map(|file| name(file.ok()?.path())).collect();
    all.sort();
    let Some(wanted) = wanted else { return Ok(all) };
    if all.iter().any(|name| name == wanted) {
        return Ok(vec![wanted.to_owned()]);
    }
    Err(Failure::Wrong(format!("no target is called `{wanted}`; there are: {}", all.join(", "))))
}

fn folder() -> PathBuf {
    cargo::root().join("target/fuzz")
}

fn build() -> Result<(), Failure> {
    let mut command = cargo("build");
    command.args(["--release", "--bins", "--target", MACHINE, "--manifest-path", "fuzz/Cargo.toml"]);
    command.arg("--target-dir").arg(folder()).env("RUSTFLAGS", COVERAGE);
    process::run("cargo build", command)
}

/// What libFuzzer said.
fn fuzz(target: &str, options: &Options) -> Result<String, Failure> {
    let scratch = Scratch::new()?;
    let fresh = scratch.folder().join("found");
    let keep = options.keep.as_ref().map_or(fresh, |keep| cargo::root().join(keep).join(target));
    std::fs::create_dir_all(&keep).map_err(Failure::io("create a folder for what is found"))?;
    let corpus = cargo::root().join("fuzzing/corpus").join(target);
    let artifacts = cargo::root().join("fuzz/artifacts");
    std::fs::create_dir_all(&artifacts).map_err(Failure::io("create a folder for what breaks a promise"))?;
    eprintln!("--> fuzz {target} for {} s", options.seconds);
    let mut command = Command::new(folder().join(MACHINE).join("release").join(target));
    command.arg(format!("-max_total_time={}", options.seconds));
    command.args(["-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/{target}-", artifacts.display())).arg(&keep).arg(corpus);
    scratch.mark(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).output().map_err(Failure::io("start a target"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        eprintln!("{said}");
        let found = format!("{target}: a promise is broken; what did it is in {}", artifacts.display());
        return Err(Failure::Wrong(found));
    }
    if options.keep.is_none() {
        std::fs::remove_dir_all(&keep).map_err(Failure::io("remove what was found"))?;
    }
    scratch.finish()?;
    Ok(said)
}

/// `stat::number_of_executed_units: 17` and its like, in words.
fn summary(said: &str) -> String {
    let stat = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.map_or("?", |rest| rest.trim_start_matches(':').trim())
    };
    format!(
        "{} inputs, {} a second, {} of them new, {} MB at most; nothing found",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        stat("new_units_added"),
        stat("peak_rss_mb")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_their_names_and_each_has_a_corpus() {
        let all = targets(None).unwrap();
        assert!(all.contains(&"page_map".to_owned()), "{all:?}");
        for target in all {
            assert!(cargo::root().join("fuzzing/corpus").join(&target).is_dir(), "{target}");
            assert_eq!(targets(Some(&target)).unwrap(), [target]);
        }
        assert!(targets(Some("no such")).unwrap_err().in_full().contains("page_map"));
    }

    #[test]
    fn a_run_is_told_in_numbers() {
        let said = "Done 12 runs\nstat::number_of_executed_units: 12\nstat::average_exec_per_sec:     6\n\
                    stat::new_units_added:          3\nstat::peak_rss_mb:              40\n";
        assert_eq!(summary(said), "12 inputs, 6 a second, 3 of them new, 40 MB at most; nothing found");
    }
}

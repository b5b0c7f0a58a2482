//! `cargo xtask mutants`: breaks each rule of the effect protocol, of the scheduler and of schedules on purpose, one
//! at a time, and wants a test to notice.
//!
//! Every mutant is a change of one place in a copy of the sources. Its tests must fail, and not for want of
//! compiling; one that they let live is a hole in the tests and fails the task, as does one whose place is no
//! longer in the sources.

mod list;
mod scheduling;
mod threads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cargo::{self, cargo};
use crate::failure::Failure;

/// A test that a mutant hangs counts as failed after this time.
const PATIENCE: Duration = Duration::from_secs(240);
/// Seeds of the simulation that are run, a quarter of them in each of its tests.
const SEEDS: &str = "8000";
/// The browser's protocol is minutes of code generation on two cores.
const PATIENCE_OF_BUILDS: Duration = Duration::from_secs(1800);

/// Which mutants.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only mutants whose name or file contains this
    filter: Option<String>,
    /// Name them and what each one breaks
    #[arg(long)]
    list: bool,
}

/// A rule that is broken, and who has to notice.
#[derive(Debug)]
struct Mutant {
    /// The rule that it breaks.
    name: &'static str,
    file: &'static str,
    /// Each of these texts, which the file has exactly once, becomes the one beside it.
    changes: &'static [(&'static str, &'static str)],
    package: &'static str,
    /// Arguments of `cargo test` that select the tests.
    tests: &'static [&'static str],
}

impl Mutant {
    /// The text with its changes; `None` where one of its places is not there exactly once.
    fn broken(&self, text: &str) -> Option<String> {
        let mut broken = text.to_owned();
        for (find, replace) in self.changes {
            if text.matches(find).count() != 1 {
                return None;
            }
            broken = broken.replace(find, replace);
        }
        (broken != text).then_some(broken)
    }
}

/// What became of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// By these tests.
    Killed(String),
    Survived,
    /// It says nothing about the tests.
    Invalid(String),
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let is_of = |mutant: &Mutant, part: &String| mutant.name.contains(part) || mutant.file.contains(part);
    let chosen = |mutant: &&Mutant| options.filter.as_ref().is_none_or(|part| is_of(mutant, part));
    let mutants: Vec<_> = all().filter(chosen).collect();
    if mutants.is_empty() {
        return Err(Failure::Wrong("no mutant has such a name or file".to_owned()));
    }
    if options.list {
        mutants.iter().for_each(|mutant| println!("{:<40} {}", mutant.name, mutant.file));
        return Ok(());
    }
    let copy = Copy::make()?;
    let mut survivors = vec![];
    for mutant in &mutants {
        let began = Instant::now();
        let fate = copy.try_out(mutant)?;
        println!("{:<40} {} ({:.0} s)", mutant.name, fate.in_words(), began.elapsed().as_secs_f64());
        if !matches!(fate, Fate::Killed(_)) {
            survivors.push(mutant.name);
        }
    }
    println!("mutants: {} of {} killed", mutants.len() - survivors.len(), mutants.len());
    match survivors.as_slice() {
        [] => Ok(()),
        names => Err(Failure::Wrong(format!("not killed: {}", names.join(", ")))),
    }
}

fn all() -> impl Iterator<Item = &'static Mutant> {
    list::MUTANTS.iter().chain(scheduling::MUTANTS).chain(threads::MUTANTS)
}

/// The sources in a folder of their own, built beside the others.
struct Copy {
    folder: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make() -> Result<Self, Failure> {
        let home = cargo::root().join("target/mutants");
        let copy = Self { folder: home.join("sources"), target: home.join("target") };
        let _ = fs::remove_dir_all(&copy.folder);
        for file in sources()? {
            copy.restore(Path::new(&file))?;
        }
        Ok(copy)
    }

    fn restore(&self, file: &Path) -> Result<(), Failure> {
        let to = self.folder.join(file);
        let doing = || format!("copy {}", file.display());
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(Failure::io(doing()))?;
        }
        fs::copy(cargo::root().join(file), to).map(drop).map_err(Failure::io(doing()))
    }

    fn try_out(&self, mutant: &Mutant) -> Result<Fate, Failure> {
        let file = self.folder.join(mutant.file);
        let text = fs::read_to_string(&file).map_err(Failure::io(format!("read {}", mutant.file)))?;
        let fate = match mutant.broken(&text) {
            Some(broken) => {
                fs::write(&file, broken).map_err(Failure::io(format!("write {}", mutant.file)))?;
                self.judge(mutant)
            }
            None => Ok(Fate::Invalid(format!("{} does not have its place exactly once", mutant.file))),
        };
        // As it was, and newer than what was built from the mutant.
        fs::write(&file, text).map_err(Failure::io(format!("write {}", mutant.file)))?;
        fate
    }

    fn judge(&self, mutant: &Mutant) -> Result<Fate, Failure> {
        let built = self.test(mutant, &["--no-run"])?;
        if !built.status.success() {
            let words = String::from_utf8_lossy(&built.stderr);
            let error = words.lines().find(|line| line.starts_with("error")).unwrap_or("error");
            return Ok(Fate::Invalid(format!("it does not compile: {error}")));
        }
        let ran = self.test(mutant, &[])?;
        Ok(Fate::of(ran.status.success(), ran.status.code(), &String::from_utf8_lossy(&ran.stdout)))
    }

    fn test(&self, mutant: &Mutant, more: &[&str]) -> Result<Output, Failure> {
        let tests = cargo("test");
        let mut command = Command::new("timeout");
        let patience = if more.is_empty() { PATIENCE } else { PATIENCE_OF_BUILDS };
        command.arg(patience.as_secs().to_string()).arg(tests.get_program()).args(tests.get_args());
        for (name, value) in tests.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(["-p", mutant.package]).args(more).args(mutant.tests).env("ARCHIBALD_SEEDS", SEEDS);
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        command.output().map_err(Failure::io("start cargo test"))
    }
}

impl Fate {
    /// By how the tests ended; 124 is the code of a run that took too long.
    fn of(passed: bool, code: Option<i32>, output: &str) -> Self {
        let failed: Vec<_> = output
            .lines()
            .filter_map(|line| {
                line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(|name| name.trim().to_owned())
            })
            .collect();
        // What a story is called says what it noticed.
        let named = failed.iter().find(|test| !test.starts_with("seeds::")).or(failed.first());
        let failed = named.map(|first| {
            let more = failed.len() - 1;
            let others = if more == 0 { String::new() } else { format!(" and {more} more") };
            let seed = seed_that_failed(output).map(|seed| format!("; {seed}")).unwrap_or_default();
            format!("{first}{others}{seed}")
        });
        let ran = output.lines().any(|line| line.starts_with("test ") && line.contains(" ... "));
        match failed {
            Some(test) => Self::Killed(test),
            None if code == Some(124) => Self::Killed("a test that did not end".to_owned()),
            None if passed && !ran => Self::Invalid("its tests were not found".to_owned()),
            None if passed => Self::Survived,
            None => Self::Invalid("the tests did not run to their end".to_owned()),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Killed(test) => format!("killed by {test}"),
            Self::Survived => "SURVIVED".to_owned(),
            Self::Invalid(why) => format!("INVALID: {why}"),
        }
    }
}

/// What the simulation says of a seed that breaks a rule.
fn seed_that_failed(output: &str) -> Option<String> {
    let (_, said) = output.split_once("ARCHIBALD_SEEDS=")?;
    let (seed, said) = said.split_once("..")?;
    let (_, said) = said.split_once(": after ")?;
    let (steps, _) = said.split_once(" steps")?;
    Some(format!("seed {seed} after {steps} steps"))
}

/// Every file that git has or would take.
fn sources() -> Result<Vec<String>, Failure> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(cargo::root());
    let listed = crate::process::output("git ls-files", command)?;
    let exists = |file: &&str| cargo::root().join(file).is_file();
    Ok(listed.split_terminator('\0').filter(exists).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mutant_has_its_place_in_the_sources_and_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all().count());
        for mutant in all() {
            let text = fs::read_to_string(cargo::root().join(mutant.file)).expect(mutant.file);
            assert!(mutant.broken(&text).is_some(), "{}: {}", mutant.name, mutant.file);
        }
    }

    #[test]
    fn only_a_failed_test_kills() {
        let failed = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n";
        assert_eq!(Fate::of(false, Some(101), failed), Fate::Killed("a::c".to_owned()));
        let seed =
            "test s ... FAILED\ntest t ... FAILED\nARCHIBALD_SEEDS=7..8: after 312 steps: twice; see x\n";
        let both = Fate::Killed("s and 1 more; seed 7 after 312 steps".to_owned());
        assert_eq!(Fate::of(false, Some(101), seed), both);
        assert_eq!(Fate::of(true, Some(0), "test a::b ... ok\n"), Fate::Survived);
        assert!(matches!(Fate::of(true, Some(0), "running 0 tests\n"), Fate::Invalid(_)));
        assert!(matches!(Fate::of(false, Some(124), "test a ... ok\n"), Fate::Killed(_)));
        assert!(matches!(Fate::of(false, None, ""), Fate::Invalid(_)));
    }
}

//! A temporary folder of its own for each run, so that whatever the run leaves behind can be told from
//! what anybody else does on the machine.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::cargo;
use crate::failure::Failure;

/// Short, for sockets live below it and their paths may have 107 bytes.
const PREFIX: &str = "archibald-run-";
/// How long processes have to end by themselves: guards stop clusters and browsers after their tests.
const GRACE: Duration = Duration::from_secs(10);
/// An abandoned folder of a run that was killed is removed after this time.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder, and what the checkout held before the run.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    checkout: PathBuf,
    untracked: BTreeSet<String>,
}

impl Scratch {
    /// Before anything is run.
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        remove_abandoned(&std::env::temp_dir());
        fs::create_dir(&folder).map_err(Failure::io(format!("create {}", folder.display())))?;
        // As open as the folder that it stands for: PostgreSQL runs as a user of its own.
        fs::set_permissions(&folder, Permissions::from_mode(0o1777))
            .map_err(Failure::io(format!("open up {}", folder.display())))?;
        Ok(Self::over(folder, cargo::root()))
    }

    fn over(folder: PathBuf, checkout: PathBuf) -> Self {
        let untracked = untracked(&checkout);
        Self { folder, checkout, untracked }
    }

    /// The folder, which is the temporary folder of every command that was [marked](Self::mark).
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a command part of the run.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env("TMPDIR", &self.folder);
    }

    /// After the run: nothing of it may be left, neither process nor file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let mut left = processes_after_grace(&self.folder);
        left.extend(entries(&self.folder).iter().map(|path| path.display().to_string()));
        left.extend(
            untracked(&self.checkout)
                .difference(&self.untracked)
                .map(|path| format!("untracked file {path}")),
        );
        if left.is_empty() {
            return fs::remove_dir(&self.folder)
                .map_err(Failure::io(format!("remove {}", self.folder.display())));
        }
        Err(Failure::Wrong(format!("the run left something behind:\n  {}", left.join("\n  "))))
    }
}

fn processes_after_grace(folder: &Path) -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    loop {
        let left = processes(folder);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The processes that were started in the run: its folder is in their environment, their command or is where
/// they work. (PostgreSQL and Chromium overwrite some of the three.)
fn processes(folder: &Path) -> Vec<String> {
    let mark = folder.as_os_str().as_encoded_bytes();
    let mut found: Vec<String> =
        entries(Path::new("/proc")).iter().filter_map(|process| describe(process, mark)).collect();
    found.sort();
    found
}

fn describe(process: &Path, mark: &[u8]) -> Option<String> {
    let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
    let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
    let place = fs::read_link(process.join("cwd")).unwrap_or_default();
    let command = read("cmdline");
    let traces = [read("environ"), command.clone(), place.into_os_string().into_encoded_bytes()];
    traces.iter().any(|trace| contains(trace, mark)).then(|| {
        let words = String::from_utf8_lossy(&command).replace('\0', " ");
        format!("process {pid}: {}", words.trim().chars().take(200).collect::<String>())
    })
}

/// A path within: `/tmp/run-1` is not in `/tmp/run-12`.
fn contains(trace: &[u8], mark: &[u8]) -> bool {
    let ends = |next: Option<&u8>| next.is_none_or(|byte| !byte.is_ascii_digit());
    let mut places = trace.windows(mark.len()).enumerate();
    places.any(|(at, window)| window == mark && ends(trace.get(at + mark.len())))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

/// What git does not know and was not told to ignore; nothing where the sources are no checkout.
fn untracked(checkout: &Path) -> BTreeSet<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--others", "--exclude-standard"]).current_dir(checkout);
    let listed = git.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect()
}

fn remove_abandoned(parent: &Path) {
    for path in entries(parent) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok());
        let is_dead = owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if is_dead && age(&path).is_some_and(|age| age > ABANDONED) {
            // Another user's stays: that is theirs to remove.
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn scratch_in(parent: &tempfile::TempDir) -> Scratch {
        let folder = parent.path().join("run-1");
        fs::create_dir(&folder).unwrap();
        let checkout = parent.path().join("checkout");
        fs::create_dir(&checkout).unwrap();
        Scratch::over(folder, checkout)
    }

    #[test]
    fn a_tidy_run_leaves_nothing_not_even_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = scratch_in(&parent);
        let mut command = Command::new("sh");
        command.args(["-c", r#"touch "$TMPDIR/x" && rm "$TMPDIR/x""#]);
        scratch.mark(&mut command);
        assert!(command.status().unwrap().success());
        scratch.finish().unwrap();
        assert!(!parent.path().join("run-1").exists());
    }

    #[test]
    fn a_file_left_behind_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = scratch_in(&parent);
        fs::write(scratch.folder().join("archibald-profile"), "").unwrap();
        let failure = scratch.finish().unwrap_err().in_full();
        assert!(failure.contains("run-1/archibald-profile"), "{failure}");
    }

    #[test]
    fn a_new_file_in_the_checkout_is_named_and_an_old_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let Scratch { folder, checkout, .. } = scratch_in(&parent);
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(&checkout).status().unwrap();
        assert!(git.success());
        fs::write(checkout.join("mine.txt"), "").unwrap();
        let scratch = Scratch::over(folder, checkout.clone());
        fs::write(checkout.join("new.snap"), "").unwrap();
        let failure = scratch.finish().unwrap_err().in_full();
        assert!(failure.contains("untracked file new.snap"), "{failure}");
        assert!(!failure.contains("mine.txt"), "{failure}");
    }

    #[test]
    fn a_process_of_the_run_is_found_by_its_environment_command_or_place() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = scratch_in(&parent);
        let mut by_environment = Command::new("cat");
        scratch.mark(&mut by_environment);
        let mut by_command = Command::new("sh");
        by_command.args(["-c", "read line", "sh"]).arg(scratch.folder().join("data"));
        let mut by_place = Command::new("cat");
        by_place.current_dir(scratch.folder());
        let mut stranger = Command::new("cat");
        stranger.env("TMPDIR", parent.path().join("run-12"));

        for (command, is_ours) in
            [(by_environment, true), (by_command, true), (by_place, true), (stranger, false)]
        {
            let mut command = command;
            // It lives as long as its standard input is open, and ends by itself should this test fail.
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let pid = format!("process {}: ", child.id());
            // A program counts as started a moment before the kernel shows its environment.
            let environment = format!("/proc/{}/environ", child.id());
            while fs::read(&environment).unwrap().is_empty() {
                thread::yield_now();
            }
            let found = processes(scratch.folder()).iter().any(|process| process.starts_with(&pid));
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(found, is_ours, "{command:?}");
        }
    }

    #[test]
    fn only_long_abandoned_folders_of_dead_runs_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        let of_dead = u32::MAX.to_string();
        let of_live = std::process::id().to_string();
        let cases =
            [(&of_dead, long_ago, false), (&of_dead, SystemTime::now(), true), (&of_live, long_ago, true)];
        for (pid, when, stays) in cases {
            let folder = parent.path().join(format!("{PREFIX}{pid}"));
            let _ = fs::create_dir(&folder);
            fs::File::open(&folder).unwrap().set_modified(when).unwrap();
            remove_abandoned(parent.path());
            assert_eq!(folder.exists(), stays, "{pid} {when:?}");
        }
    }
}

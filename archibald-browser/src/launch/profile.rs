//! The temporary directory of one engine, and the removal of those whose owner died.
//!
//! Ownership is a file lock, not the owner's process id: the system gives the lock back when the owner
//! ends, however it ends, and it cannot be mistaken for another process that got the same id.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::LaunchError;

const PREFIX: &str = "archibald-engine-";
const LOCK: &str = "owner.lock";
const ENGINE: &str = "engine.pid";

/// A directory (mode 0700) that is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Profile {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Profile {
    pub(super) fn create(parent: &Path) -> Result<Self, LaunchError> {
        let failed = |source| LaunchError::Profile { parent: parent.into(), source };
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let private = std::fs::Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(&prefix).permissions(private).tempdir_in(parent).map_err(failed)?;
        // Under its name only once it is held: a sweep takes a lock that nobody holds for a dead owner's.
        let unheld = folder.path().join("owner.new");
        let lock = File::create(&unheld).map_err(failed)?;
        lock.lock().map_err(failed)?;
        std::fs::rename(&unheld, folder.path().join(LOCK)).map_err(failed)?;
        std::fs::create_dir(folder.path().join("profile")).map_err(failed)?;
        Ok(Self { folder, _lock: lock })
    }

    /// What the engine gets as its profile and its home.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    /// Notes the engine's process, for a sweep after we were killed.
    pub(super) fn note_engine(&self, pid: u32) -> io::Result<()> {
        std::fs::write(self.folder.path().join(ENGINE), pid.to_string())
    }

    /// Removes the directory. The engine's last helpers may still be writing while they die.
    pub(super) fn remove(self) {
        end_helpers(self.folder.path());
        let path = self.folder.keep();
        if let Err(error) = remove(&path) {
            tracing::warn!(path = %path.display(), %error, "a profile directory could not be removed");
        }
    }
}

/// What a [`sweep`] found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Profiles of dead owners that were removed.
    pub removed: usize,
    /// Engines of dead owners that were still running and were ended.
    pub ended: usize,
    /// Profiles whose owner lives.
    pub kept: usize,
}

/// Removes the profiles of processes that no longer exist, and ends their engines if any still run.
/// Call it once at start. Blocks for as long as the removal takes.
pub fn sweep(profiles: &Path) -> Swept {
    let mut swept = Swept::default();
    let Ok(entries) = std::fs::read_dir(profiles) else { return swept };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            sweep_one(&entry.path(), &mut swept);
        }
    }
    swept
}

fn sweep_one(folder: &Path, swept: &mut Swept) {
    // Without a lock file its owner is just making it, or it is not ours to judge (another user's).
    let Ok(lock) = File::open(folder.join(LOCK)) else { return };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => swept.kept += 1,
        Err(TryLockError::Error(_)) => {}
        Ok(()) => {
            swept.ended += usize::from(end_orphan(folder));
            match remove(folder) {
                Ok(()) => swept.removed += 1,
                Err(error) => {
                    tracing::warn!(path = %folder.display(), %error, "an old profile could not be removed")
                }
            }
        }
    }
}

/// Ends the noted engine, if that process still is what was noted: its command line names this profile.
fn end_orphan(folder: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join(ENGINE)) else { return false };
    let Ok(pid) = text.trim().parse::<i32>() else { return false };
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mine = format!("--user-data-dir={}", folder.join("profile").display());
    let is_mine = command.split(|byte| *byte == 0).any(|argument| argument == mine.as_bytes());
    let ended = is_mine && pid > 1 && killpg(Pid::from_raw(pid), Signal::SIGKILL).is_ok();
    end_helpers(folder);
    ended
}

/// Ends what left the engine's process group, as the whole Chromium's crash handlers do: whatever has the
/// profile on its command line.
fn end_helpers(folder: &Path) {
    let folder = folder.as_os_str().as_encoded_bytes();
    let names_it = |command: &[u8]| command.windows(folder.len()).any(|part| part == folder);
    let own = std::process::id();
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.filter(|pid| *pid > 1 && *pid != own) {
        if std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| names_it(&command)) {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let mut tries = 50;
    loop {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if tries > 0 => {
                tries -= 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_profile_is_private_and_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let profile = Profile::create(root.path()).unwrap();
        let mode = profile.folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        profile.remove();
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_beside_it_never_takes_a_profile_that_is_being_made() {
        let root = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let all_lived = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    sweep(root.path());
                }
            });
            let lives = |_| Profile::create(root.path()).is_ok_and(|profile| profile.path().exists());
            let all_lived = (0..500).all(lives);
            stop.store(true, Ordering::Relaxed);
            all_lived
        });
        assert!(all_lived);
    }

    #[test]
    fn the_sweep_takes_the_dead_and_leaves_the_living_and_the_strange() {
        let root = tempfile::tempdir().unwrap();
        let living = Profile::create(root.path()).unwrap();
        let dead = Profile::create(root.path()).unwrap();
        let left = dead.folder.keep();
        drop(dead._lock);
        std::fs::create_dir(root.path().join("somebody-elses")).unwrap();
        std::fs::create_dir(root.path().join(format!("{PREFIX}1-half-made"))).unwrap();

        let swept = sweep(root.path());
        assert_eq!(swept, Swept { removed: 1, ended: 0, kept: 1 });
        assert!(!left.exists());
        assert!(living.path().exists());
        assert_eq!(root.path().read_dir().unwrap().count(), 3);
    }

    #[test]
    fn the_sweep_never_ends_a_process_that_merely_got_the_same_id() {
        let root = tempfile::tempdir().unwrap();
        let profile = Profile::create(root.path()).unwrap();
        profile.note_engine(std::process::id()).unwrap();
        assert!(!end_orphan(profile.folder.path()));
    }
}

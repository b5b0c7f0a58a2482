use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::ClusterError;
use super::install::{Install, run};

/// How long a server may take to come up: recovery after a kill on a busy machine included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A postmaster. It is our own child and not `pg_ctl`'s, so that it is buried at once when it was killed:
/// a dead process that nobody has waited for looks alive to the next postmaster.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    /// Starts it and waits until it takes connections.
    pub(super) fn start(install: &Install, directory: &Path) -> Result<Self, ClusterError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let mut server = Self::spawn(install, directory)?;
            match server.wait_until_ready(directory, deadline) {
                Ok(()) => return Ok(server),
                Err(log) if is_held(&log) && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(log) => {
                    server.kill().ok();
                    return Err(ClusterError::Program { program: "postgres".into(), output: tail(&log) });
                }
            }
        }
    }

    fn spawn(install: &Install, directory: &Path) -> Result<Self, ClusterError> {
        let log = directory.join("server.log");
        let failed = |cause| ClusterError::Io { what: "starting postgres".into(), cause };
        // Emptied, and then only added to: backends of one that was killed may write to it yet.
        let out = File::create(&log).and_then(|_| File::options().append(true).open(&log)).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut postgres = install.command("postgres");
        postgres.arg("-D").arg(directory.join("data")).stdout(out).stderr(err).stdin(Stdio::null());
        // What the terminal signals to our process group is not meant for the server.
        postgres.process_group(0).spawn().map(Self).map_err(failed)
    }

    /// The error is the server's log.
    fn wait_until_ready(&mut self, directory: &Path, deadline: Instant) -> Result<(), String> {
        let (status, pid) = (directory.join("data/postmaster.pid"), self.pid().to_string());
        loop {
            // Its lines are the process id, six others, and the status.
            let text = fs::read_to_string(&status).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            if self.0.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > deadline {
                let log = fs::read(directory.join("server.log")).unwrap_or_default();
                return Err(String::from_utf8_lossy(&log).into_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// As by a power cut of the process.
    pub(super) fn kill(&mut self) -> Result<(), ClusterError> {
        let what = "killing the postmaster".to_owned();
        self.0.kill().and_then(|()| self.0.wait()).map(drop).map_err(|cause| ClusterError::Io { what, cause })
    }

    /// At once, without a checkpoint, but with all its backends.
    pub(super) fn stop(&mut self) -> Result<(), ClusterError> {
        if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Ok(());
        }
        run(Command::new("sh").args(["-c", "kill -QUIT \"$1\"", "sh", &self.pid().to_string()]))?;
        self.0.wait().ok();
        Ok(())
    }
}

/// After a kill of the postmaster its backends hold the shared memory until they notice; what they say then
/// comes after this in the log.
fn is_held(log: &str) -> bool {
    log.contains("still in use")
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_sessions_say_as_they_end_hides_nothing() {
        let held =
            "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use\nHINT:  Terminate\n";
        let log = held.to_owned() + &"FATAL:  terminating connection\n".repeat(40);
        assert!(is_held(&log));
        assert!(!is_held(&tail(&log)) && tail(&log).lines().count() == 8);
        assert!(!is_held("FATAL:  data directory has wrong ownership\n"));
    }
}

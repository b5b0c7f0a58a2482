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
                // After a kill of the postmaster its backends hold the shared memory until they notice.
                Err(log) if log.contains("still in use") && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(output) => {
                    server.kill().ok();
                    return Err(ClusterError::Program { program: "postgres".into(), output });
                }
            }
        }
    }

    fn spawn(install: &Install, directory: &Path) -> Result<Self, ClusterError> {
        let log = directory.join("server.log");
        let failed = |cause| ClusterError::Io { what: "starting postgres".into(), cause };
        let out = File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut postgres = install.command("postgres");
        postgres.arg("-D").arg(directory.join("data")).stdout(out).stderr(err).stdin(Stdio::null());
        // What the terminal signals to our process group is not meant for the server.
        postgres.process_group(0).spawn().map(Self).map_err(failed)
    }

    /// The error is the end of the server's log.
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
                return Err(tail(&directory.join("server.log")));
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

fn tail(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

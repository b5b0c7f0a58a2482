//! Child processes that never outlive us.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::error::DemoError;

const LAST_LINES: usize = 20;
/// What a process that is told to end on the way out may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program beside our own, its arguments, and where its standard error goes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) log: PathBuf,
    /// Where it keeps what it needs while it runs; where the system says, if there is none.
    pub(crate) temporary: Option<PathBuf>,
}

/// A process that we started. Dropping it ends it, with SIGTERM first, and waits until it is gone.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Where a program of this crate is: beside our own executable.
///
/// # Errors
/// [`DemoError::NoProgram`] when it has not been built.
pub(crate) fn beside_us(name: &str) -> Result<PathBuf, DemoError> {
    let ours = std::env::current_exe().map_err(DemoError::io("where this program is"))?;
    let path = ours.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(DemoError::NoProgram(path)) }
}

impl Process {
    /// Starts a program and waits for its first line on standard output.
    ///
    /// If the future is dropped, the process is ended.
    ///
    /// # Errors
    /// [`DemoError::Ended`] and [`DemoError::NotReady`] carry the end of its log; nothing is left running.
    pub(crate) async fn start(program: &Program, within: Duration) -> Result<(Self, String), DemoError> {
        let name = program.name.clone();
        let mut child = spawn(program).map_err(DemoError::io(format!("{name} cannot be started")))?;
        let stdout = child.stdout.take();
        let mut process = Self { name, child, log: program.log.clone() };
        let line = timeout(within, first_line(stdout)).await;
        match line {
            Ok(Some(line)) => Ok((process, line)),
            Ok(None) => Err(process.last_words().await),
            Err(_) => {
                let log = process.log_end();
                Err(DemoError::NotReady { name: process.name.clone(), within, log })
            }
        }
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// # Errors
    /// [`DemoError::Ended`] when it ended without being told to.
    pub(crate) fn check(&mut self) -> Result<(), DemoError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(DemoError::io(format!("the state of {}", self.name))(source)),
        }
    }

    /// Kills it as kill -9 does, and returns when it is gone. Nothing to do when it has ended already.
    ///
    /// # Errors
    /// [`DemoError::Io`] when the system refuses.
    pub(crate) async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(DemoError::io(format!("kill -9 of {}", self.name)))
    }

    /// SIGTERM, and how it ended; `None` when it did not within this time, and was killed.
    ///
    /// # Errors
    /// [`DemoError::Io`] when the system refuses.
    pub(crate) async fn terminate(&mut self, within: Duration) -> Result<Option<ExitStatus>, DemoError> {
        self.signal(Signal::SIGTERM);
        match timeout(within, self.child.wait()).await {
            Ok(status) => status.map(Some).map_err(DemoError::io(format!("the end of {}", self.name))),
            Err(_) => self.kill().await.map(|()| None),
        }
    }

    /// The last lines of its standard error.
    pub(crate) fn log_end(&self) -> String {
        log_end(&self.log)
    }

    /// Sends it a signal, if it has not been waited for.
    pub(crate) fn signal(&self, signal: Signal) {
        // Until it has been waited for, its id cannot be somebody else's; `id` is `None` after that.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    async fn last_words(&mut self) -> DemoError {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) => self.ended(status),
            _ => DemoError::NotReady { name: self.name.clone(), within: PATIENCE, log: self.log_end() },
        }
    }

    fn ended(&self, status: ExitStatus) -> DemoError {
        let (name, log) = (self.name.clone(), self.log_end());
        DemoError::Ended { name, status: status.to_string(), code: status.code(), log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        let mut killed = false;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= until && !killed {
                killed = self.child.start_kill().is_ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// In a process group of its own: Ctrl-C is for us, and we say when the children end. `setpriv` has the kernel
/// kill it with us, should we be killed; without it (it is part of util-linux) that one case is not covered.
fn spawn(program: &Program) -> std::io::Result<Child> {
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(&program.path);
            command
        }
        None => Command::new(&program.path),
    };
    let log: File = OpenOptions::new().create(true).append(true).open(&program.log)?;
    // What runs is what our own arguments say, whatever this shell is set up for.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARCHIBALD_") {
            command.env_remove(name);
        }
    }
    if let Some(folder) = &program.temporary {
        command.env("TMPDIR", folder);
    }
    // The log is shown in the middle of our own words.
    command.args(&program.args).env("NO_COLOR", "1").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()
}

fn setpriv() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|program| program.is_file())
}

/// The first line; the rest is read and thrown away, so that the program never waits for us.
async fn first_line(stdout: Option<ChildStdout>) -> Option<String> {
    let mut lines = BufReader::new(stdout?).lines();
    let line = lines.next_line().await.ok().flatten()?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(line)
}

fn log_end(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Program {
        let args = vec!["-c".into(), script.into()];
        Program {
            name: "a script".into(),
            path: "/bin/sh".into(),
            args,
            log: folder.join("log"),
            temporary: None,
        }
    }

    fn runs(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_process_is_ready_with_its_first_line_and_gone_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let script = shell("echo ready; sleep 100 & wait", folder.path());
        let (process, line) = Process::start(&script, LONG).await.unwrap();
        let pid = process.pid().unwrap();
        assert_eq!(line, "ready");
        assert!(runs(pid));
        drop(process);
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn one_that_ends_before_it_is_ready_says_how_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            Process::start(&shell("echo no browser >&2; exit 3", folder.path()), LONG).await.unwrap_err();
        assert!(error.to_string().contains("no browser"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_later_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut process, _) =
            Process::start(&shell("echo ready; read x", folder.path()), LONG).await.unwrap();
        let status = process.child.wait().await.unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(process.check().unwrap_err().to_string().contains("ended by itself"));
    }

    #[tokio::test]
    async fn terminate_tells_how_it_ended_and_kill_does_not_ask() {
        let folder = tempfile::tempdir().unwrap();
        let polite = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        let (mut process, _) = Process::start(&polite, LONG).await.unwrap();
        let status = process.terminate(LONG).await.unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(0));
        let (mut process, _) = Process::start(&polite, LONG).await.unwrap();
        process.kill().await.unwrap();
        assert!(process.pid().is_none());
    }
}

//! One running engine: started, watched and ended by a thread of its own.
//!
//! The thread lives exactly as long as the engine, because the parent-death signal that takes the engine
//! along when we are killed belongs to the *thread* that started it: a pooled thread that retires would
//! kill a healthy browser.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::profile::Profile;
use super::{Engine, LaunchError, LaunchOptions};

const LAST_WORDS: usize = 20;

/// A running engine. Dropping it kills the engine and its helpers; the profile goes when they are gone.
#[derive(Debug)]
pub struct EngineProcess {
    pid: u32,
    endpoint: String,
    profile: Arc<Path>,
    state: Arc<Mutex<Alive>>,
    exit: watch::Receiver<Option<EngineExit>>,
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineExit(ExitStatus);

impl fmt::Display for EngineExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl EngineProcess {
    /// Starts an engine and waits until it listens.
    ///
    /// If the future is dropped, the engine is killed and its profile removed.
    ///
    /// # Errors
    /// See [`LaunchError`]; nothing is left running.
    pub async fn start(options: &LaunchOptions) -> Result<Self, LaunchError> {
        let engine = match &options.engine {
            Some(path) => Engine::at(path)?,
            None => Engine::find()?,
        };
        let profile = Profile::create(&options.profiles)?;
        let port_file = profile.path().join("DevToolsActivePort");
        let command = command(&engine, &profile.path(), options);
        let words = Arc::new(Mutex::new(VecDeque::new()));
        let mut process = spawn(command, engine.path, profile, Arc::clone(&words)).await?;
        match process.listening(&port_file, options.start_within).await {
            Ok(endpoint) => process.endpoint = endpoint,
            Err(exit) => {
                let stderr = last_words(&words);
                return Err(match exit {
                    Some(exit) => LaunchError::Ended { exit, stderr },
                    None => LaunchError::Silent { after: options.start_within, stderr },
                });
            }
        }
        Ok(process)
    }

    /// The address of its web socket.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its profile directory, which goes with it.
    pub(crate) fn profile(&self) -> &Arc<Path> {
        &self.profile
    }

    /// Its process id, which is also its process group.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the engine has ended and its profile is removed. Cancel safe.
    pub async fn ended(&self) -> Option<EngineExit> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit)
    }

    /// Kills the engine and its helpers at once. Does nothing if it has ended.
    pub fn kill(&self) {
        // Under the lock the process is not yet reaped, so its id cannot be somebody else's.
        let state = lock(&self.state);
        if *state == Alive::Yes {
            let _ = killpg(group(self.pid), Signal::SIGKILL);
        }
    }

    async fn listening(&self, port_file: &Path, within: Duration) -> Result<String, Option<EngineExit>> {
        let until = Instant::now() + within;
        loop {
            if let Some(endpoint) = read_endpoint(port_file) {
                return Ok(endpoint);
            }
            if Instant::now() >= until {
                return Err(None);
            }
            // The file appears without a sign that could be waited for portably; a start takes 100 ms.
            let pause = (Instant::now() + Duration::from_millis(10)).min(until);
            if let Ok(exit) = timeout_at(pause, self.ended()).await {
                return Err(exit);
            }
        }
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Alive {
    Yes,
    No,
}

/// `setpriv` sets the parent-death signal between fork and exec, which cannot be done here without
/// unsafe code. Where it is missing, the sweep of the next start ends what was left.
fn command(engine: &Engine, profile: &Path, options: &LaunchOptions) -> Command {
    let arguments = engine.arguments(profile, options);
    let mut command = match find_setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(&engine.path);
            command
        }
        None => {
            tracing::warn!("`setpriv` (util-linux) is missing: an engine may outlive a killed process");
            Command::new(&engine.path)
        }
    };
    // Home and temporary files go with the profile, too.
    command.args(arguments).env("HOME", profile).env("TMPDIR", profile).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn find_setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv"].map(PathBuf::from).into_iter().find(|path| path.is_file())
}

async fn spawn(
    command: Command,
    program: PathBuf,
    profile: Profile,
    words: Arc<Mutex<VecDeque<String>>>,
) -> Result<EngineProcess, LaunchError> {
    let state = Arc::new(Mutex::new(Alive::Yes));
    let (exit_tx, exit) = watch::channel(None);
    let (started_tx, started) = oneshot::channel();
    let failed = |source| LaunchError::Spawn { path: program.clone(), source };
    let shared = Arc::clone(&state);
    let path = profile.path().into();
    std::thread::Builder::new()
        .name("archibald-engine".into())
        .spawn(move || own(command, profile, &shared, words, started_tx, &exit_tx))
        .map_err(failed)?;
    let lost = || std::io::Error::other("the thread that starts it ended");
    let pid = started.await.map_err(|_| failed(lost()))?.map_err(failed)?;
    Ok(EngineProcess { pid, endpoint: String::new(), profile: path, state, exit })
}

/// The life of one engine, on its own thread.
fn own(
    mut command: Command,
    profile: Profile,
    state: &Mutex<Alive>,
    words: Arc<Mutex<VecDeque<String>>>,
    started: oneshot::Sender<std::io::Result<u32>>,
    exit: &watch::Sender<Option<EngineExit>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            profile.remove();
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = child.id();
    if let Err(error) = profile.note_engine(pid) {
        tracing::warn!(%error, "the engine's process id could not be noted");
    }
    if let Some(stderr) = child.stderr.take() {
        listen(stderr, pid, words);
    }
    if started.send(Ok(pid)).is_err() {
        let _ = killpg(group(pid), Signal::SIGKILL);
    }
    let status = reap(&mut child, state);
    profile.remove();
    exit.send_replace(Some(EngineExit(status)));
}

/// Waits for the end, takes the helpers along, and only then gives the process id back to the system.
fn reap(child: &mut Child, state: &Mutex<Alive>) -> ExitStatus {
    let group = group(child.id());
    while let Err(nix::errno::Errno::EINTR) =
        waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {}
    let mut state = lock(state);
    let _ = killpg(group, Signal::SIGKILL);
    *state = Alive::No;
    child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0))
}

/// The engine's own complaints, for the log at debug level. They name no page content.
fn listen(stderr: ChildStderr, pid: u32, words: Arc<Mutex<VecDeque<String>>>) {
    let read = move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            tracing::debug!(engine = pid, "{line}");
            let mut words = lock(&words);
            if words.len() == LAST_WORDS {
                words.pop_front();
            }
            words.push_back(line);
        }
    };
    let _ = std::thread::Builder::new().name("archibald-stderr".into()).spawn(read);
}

fn last_words(words: &Mutex<VecDeque<String>>) -> String {
    let words: Vec<String> = lock(words).iter().cloned().collect();
    if words.is_empty() { "none".into() } else { words.join(" | ") }
}

/// First line the port, second the path.
fn read_endpoint(port_file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(port_file).ok()?;
    let (port, path) = text.split_once('\n')?;
    let port: u16 = port.trim().parse().ok()?;
    let path = path.trim();
    path.starts_with('/').then(|| format!("ws://127.0.0.1:{port}{path}"))
}

fn group(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

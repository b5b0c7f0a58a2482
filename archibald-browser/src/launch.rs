//! Starts a Chromium of our own and makes sure that it ends with us.
//!
//! Each engine gets a temporary profile that nobody else can read, a process group of its own and a
//! parent-death signal, so that it dies even when this process is killed. What a killed process left
//! behind all the same is removed by [`sweep`] at the next start.
//!
//! The engine listens for its driver on a free port of the loopback interface. Chromium asks for no
//! password there: every user of the same machine and network namespace could reach it, and with it the
//! agents' sessions. Run the worker in a container, or on a machine where nobody else has an account.

mod engine;
mod process;
mod profile;

pub use engine::{Engine, EngineKind};
pub use process::{EngineExit, EngineProcess};
pub use profile::{Swept, sweep};

use std::path::PathBuf;
use std::time::Duration;

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// The program to run; `None` looks for one, see [`Engine::find`].
    pub engine: Option<PathBuf>,
    /// Whether Chromium's own sandbox is on.
    pub sandbox: Sandbox,
    /// How long an engine may take until it listens (default 30 s: a loaded machine needs seconds).
    pub start_within: Duration,
    /// Where the temporary profiles are made (default: the system's temporary directory).
    pub profiles: PathBuf,
    /// Whether pages may keep service workers, which act without a page. Default no: one is closed as it begins, like
    /// a window that nobody asked for.
    pub service_workers: bool,
    /// Keys of gates ([`Tls::key`](crate::gate::Tls::key)) that are taken for any site; default none. Without
    /// its gate's key an engine opens no page of an ERP at an https address.
    pub gate_keys: Vec<String>,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            engine: None,
            sandbox: Sandbox::Auto,
            start_within: Duration::from_secs(30),
            profiles: std::env::temp_dir(),
            service_workers: false,
            gate_keys: Vec::new(),
        }
    }
}

/// Whether Chromium's own sandbox is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// On, except for root, where Chromium refuses to start with it.
    Auto,
    /// Off: for containers without user namespaces. The pages are the ERP's own, but say it on purpose.
    Off,
}

/// Why no engine could be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No Chromium anywhere.
    #[error(
        "no Chromium found: install the package `chromium-headless-shell` or `chromium`, \
         or set CHROME to the program (looked in: {looked})"
    )]
    NotInstalled {
        /// The places that were looked at.
        looked: String,
    },
    /// A program was named, but it cannot be run.
    #[error("the engine {path} is not a program that can be run: {expected}")]
    NotRunnable {
        /// What was named.
        path: PathBuf,
        /// What was expected of it.
        expected: &'static str,
    },
    /// The profile directory could not be made.
    #[error("cannot make a profile directory in {parent}")]
    Profile {
        /// Where it was tried.
        parent: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The program did not start.
    #[error("cannot start the engine {path}")]
    Spawn {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It started and ended before it listened.
    #[error("the engine ended before it listened ({exit}); its last words: {stderr}")]
    Ended {
        /// How it ended.
        exit: EngineExit,
        /// The end of its standard error.
        stderr: String,
    },
    /// It started and did not listen in time.
    #[error("the engine did not listen within {after:?}; its last words: {stderr}")]
    Silent {
        /// The time that it had.
        after: Duration,
        /// The end of its standard error.
        stderr: String,
    },
}

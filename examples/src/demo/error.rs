use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use archibald_testing::data::DataError;
use archibald_testing::erp::ControlError;

/// Why a demo could not be carried through. That the ledger does not agree is not one of these: it is a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("{0}")]
    Usage(String),
    #[error("--data")]
    Data(#[from] DataError),
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("{} is missing; build it with `cargo build -p archibald-examples --bins`, or use `cargo xtask demo`", .0.display())]
    NoProgram(PathBuf),
    #[error("every port from {from} to {to} is in use")]
    NoPort { from: u16, to: u16 },
    #[error("{name} ended by itself ({status}); the end of its log:\n{log}")]
    Ended { name: String, status: String, code: Option<i32>, log: String },
    #[error("{name} was not ready within {within:?}; the end of its log:\n{log}")]
    NotReady { name: String, within: Duration, log: String },
    #[error("{name} said {line:?}, expected {expected}")]
    Unexpected { name: String, line: String, expected: &'static str },
    #[error("{0} cannot be used as an agent")]
    Agent(String),
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    #[error("{what} was refused with {status}: {text}")]
    Refused { what: String, status: u16, text: String },
    #[error("{what} did not succeed within {within:?}; last: {last}")]
    GaveUp { what: String, within: Duration, last: String },
    #[error(
        "the store is not new: it had the operation {key} of {agent} already, whose effect this run's ERP never saw; \
         give an empty one"
    )]
    UsedStore { agent: String, key: String },
    #[error("the ERP simulator")]
    Control(#[from] ControlError),
    #[error("the private PostgreSQL cluster: {0}")]
    Cluster(String),
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// 2 for usage and 3 for a missing browser, also where the server says so; 130 as shells count Ctrl-C.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Ended { code: Some(2), .. } => 2,
            Self::Ended { code: Some(3), .. } => 3,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// The error and what caused it, in one line where its parts have one.
    pub(crate) fn in_full(&self) -> String {
        let causes = std::iter::successors(self.source(), |&cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

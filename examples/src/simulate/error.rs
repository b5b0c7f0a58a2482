use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use archibald_core::scheduler::ConfigError;
use archibald_testing::data::DataError;

/// Why nothing could be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A flag's value cannot be worked with.
    #[error("{flag} must be {expected}, got {got}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        got: String,
    },
    /// The orders of `--data` cannot be read.
    #[error("--data")]
    Data(#[from] DataError),
    /// A file cannot be read or written.
    #[error("{flag} {}", file.display())]
    File {
        /// Which flag named it.
        flag: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A line of a recorded workload is none.
    #[error("--workload {}, line {line}: {why}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was expected.
        why: String,
    },
    /// No number of contexts is enough.
    #[error("{agents} agents: not even {contexts} contexts meet the target: {why}")]
    OutOfReach {
        /// How many agents.
        agents: u64,
        /// The most that were tried.
        contexts: u64,
        /// What was missed with them.
        why: String,
    },
}

impl SimulateError {
    pub(super) fn flag(flag: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Flag { flag, expected: expected.into(), got: got.to_string() }
    }

    pub(super) fn file(flag: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::File { flag, file, source }
    }

    /// With every cause.
    pub(super) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<ConfigError> for SimulateError {
    fn from(error: ConfigError) -> Self {
        let flag = match error.field {
            "slots" => "--slots",
            "reserved_interactive" => "--reserved",
            field => field,
        };
        Self::Flag { flag, expected: error.expected, got: error.got.to_string() }
    }
}

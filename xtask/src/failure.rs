use std::error::Error;
use std::process::{ExitCode, ExitStatus};

/// Why a task did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A program of ours or a tool ended badly; its code is handed on.
    #[error("{what} failed ({status})")]
    Ended { what: String, status: ExitStatus },
    /// The machine lacks something that could not be installed.
    #[error("{0}")]
    Missing(String),
    /// What ran was not what was wanted.
    #[error("{0}")]
    Wrong(String),
    /// The operating system refused something.
    #[error("cannot {doing}")]
    Io {
        doing: String,
        #[source]
        source: std::io::Error,
    },
    /// A step of the continuous integration failed.
    #[error("step `{step}` failed after {seconds:.1} s")]
    Step {
        step: &'static str,
        seconds: f64,
        #[source]
        source: Box<Failure>,
    },
}

impl Failure {
    /// For `map_err`: names what could not be done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// The failure and its causes in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// 3 when something has to be installed first, the code of the program that failed, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Missing(_) => ExitCode::from(3),
            Self::Ended { status, .. } => ExitCode::from(handed_on(*status)),
            Self::Step { source, .. } => source.exit_code(),
            Self::Wrong(_) | Self::Io { .. } => ExitCode::FAILURE,
        }
    }
}

/// A status without a code is a death by signal: 1, for it was no success.
fn handed_on(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_code_of_a_failed_program_is_handed_on_and_never_becomes_success() {
        assert_eq!(handed_on(ExitStatus::from_raw(100 << 8)), 100);
        assert_eq!(handed_on(ExitStatus::from_raw(9)), 1, "killed");
    }

    #[test]
    fn a_failed_step_tells_its_cause() {
        let cause = Failure::Missing("Chromium is missing".to_owned());
        let failure = Failure::Step { step: "tests", seconds: 1.25, source: Box::new(cause) };
        assert_eq!(failure.in_full(), "step `tests` failed after 1.2 s: Chromium is missing");
        assert_eq!(failure.exit_code(), ExitCode::from(3));
    }
}

//! The server of one cell: started with a failpoint, started again without one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::demo::api::Api;
use crate::demo::args::Driver;
use crate::demo::error::DemoError;
use crate::demo::processes::{Process, Program, beside_us};
use crate::demo::scratch::Tokens;

/// From the start to the line that it listens; a browser may be started on the way.
const START: Duration = Duration::from_secs(60);

/// How long things take in a cell: short, and yet enough for a machine with other things to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) lease: Duration,
    act_budget: Duration,
    settle: Duration,
    list_lag: Duration,
    sweep: Duration,
    pub(super) drain: Duration,
}

/// What a cell's server is started with.
#[derive(Debug, Clone)]
pub(super) struct Wiring<'a> {
    pub(super) store: String,
    pub(super) worker: &'static str,
    pub(super) erp: &'a str,
    pub(super) agents: &'a Path,
    pub(super) tokens_file: &'a Path,
    pub(super) tokens: &'a Tokens,
    pub(super) driver: Driver,
    pub(super) log: PathBuf,
}

/// A server that runs, or ran until it was struck.
#[derive(Debug)]
pub(super) struct Server {
    program: Program,
    tokens: Tokens,
    process: Process,
    pub(super) api: Api,
}

impl Times {
    pub(super) fn of(driver: Driver) -> Self {
        let ms = Duration::from_millis;
        match driver {
            Driver::Direct => Self {
                lease: ms(2_400),
                act_budget: ms(1_000),
                settle: ms(800),
                list_lag: ms(100),
                sweep: ms(300),
                drain: ms(10_000),
            },
            Driver::Chromium => Self {
                lease: ms(6_000),
                act_budget: ms(2_000),
                settle: ms(1_500),
                list_lag: ms(200),
                sweep: ms(500),
                drain: ms(20_000),
            },
        }
    }
}

impl Server {
    /// Starts it, with a failpoint where one is given: its spec and its file.
    ///
    /// If the future is dropped, the process is ended.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(super) async fn start(
        wiring: &Wiring<'_>,
        failpoint: Option<(String, &Path)>,
    ) -> Result<Self, DemoError> {
        let program = Program {
            name: "the server".into(),
            path: beside_us("server")?,
            args: arguments(wiring),
            log: wiring.log.clone(),
            temporary: None,
        };
        let mut first = program.clone();
        if let Some((spec, file)) = failpoint {
            first.args.extend(["--failpoint".into(), spec.into()]);
            first.args.extend(["--failpoint-file".into(), file.into()]);
        }
        let tokens = wiring.tokens.clone();
        let (process, api) = begin(&first, &tokens).await?;
        Ok(Self { program, tokens, process, api })
    }

    /// Starts it again, without a failpoint, once the process has ended.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(super) async fn restart(&mut self) -> Result<(), DemoError> {
        (self.process, self.api) = begin(&self.program, &self.tokens).await?;
        Ok(())
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.process.check().is_err()
    }

    pub(super) fn stop(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub(super) fn go_on(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// SIGTERM. Answers what is wrong with how it ended.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(super) async fn drain(&mut self, within: Duration) -> Result<Option<String>, DemoError> {
        Ok(match self.process.terminate(within).await? {
            Some(status) if status.success() => None,
            Some(status) => Some(format!("the server drained with {status}")),
            None => Some(format!("the server did not end within {within:?}")),
        })
    }

    /// Kills it, so that nothing waits for it when it is dropped.
    pub(super) async fn end(&mut self) {
        self.go_on();
        let _ = self.process.kill().await;
    }

    pub(super) fn log_end(&self) -> String {
        self.process.log_end()
    }
}

async fn begin(program: &Program, tokens: &Tokens) -> Result<(Process, Api), DemoError> {
    let (process, line) = Process::start(program, START).await?;
    let Some(url) = line.strip_prefix("listening on ") else {
        let expected = "`listening on http://ADDRESS`";
        return Err(DemoError::Unexpected { name: program.name.clone(), line, expected });
    };
    let api = Api::new(vec![url.to_owned()], tokens.clone())?;
    Ok((process, api))
}

fn arguments(wiring: &Wiring<'_>) -> Vec<OsString> {
    let times = Times::of(wiring.driver);
    let span = |span: Duration| format!("{}ms", span.as_millis());
    let texts = [
        ("--listen", "127.0.0.1:0".to_owned()),
        ("--worker-id", wiring.worker.to_owned()),
        ("--store", wiring.store.clone()),
        ("--erp", wiring.erp.to_owned()),
        ("--driver", wiring.driver.name().to_owned()),
        ("--browsers", "1".to_owned()),
        ("--contexts", "3".to_owned()),
        ("--concurrency", "3".to_owned()),
        ("--act-budget", span(times.act_budget)),
        ("--settle", span(times.settle)),
        ("--list-lag", span(times.list_lag)),
        ("--lease", span(times.lease)),
        ("--sweep", span(times.sweep)),
        ("--drain-timeout", span(times.drain / 2)),
    ];
    let files = [("--agents", wiring.agents), ("--tokens", wiring.tokens_file)];
    let texts = texts.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    let files = files.into_iter().flat_map(|(flag, path)| [flag.into(), path.into()]);
    texts.chain(files).collect()
}

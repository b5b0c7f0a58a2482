//! The server processes: started, killed, started again on the same ports, drained.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Args;
use super::error::DemoError;
use super::processes::{Process, Program, beside_us};

/// From the start to the line that it listens: browsers are started on the way.
const START: Duration = Duration::from_secs(90);
/// More than what the server itself allows.
const DRAIN: Duration = Duration::from_secs(45);

/// What all servers of a run share.
#[derive(Debug)]
pub(super) struct Wiring<'a> {
    pub(super) store: &'a str,
    pub(super) erp: &'a str,
    pub(super) agents: &'a Path,
    pub(super) tokens: &'a Path,
    pub(super) logs: &'a Path,
    /// Where the profiles of their browsers are.
    pub(super) temporary: &'a Path,
}

/// Where a server holds an attempt for ever, so that it can be killed at that point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold(pub(super) &'static str);

/// The servers of this run.
#[derive(Debug)]
pub(super) struct Servers(Vec<Server>);

#[derive(Debug)]
struct Server {
    program: Program,
    port: u16,
    hold_file: PathBuf,
    process: Option<Process>,
}

impl Servers {
    /// Starts them all.
    ///
    /// If the future is dropped, those that were started are ended.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(super) async fn start(
        args: &Args,
        wiring: &Wiring<'_>,
        ports: u16,
        hold: Option<Hold>,
    ) -> Result<Self, DemoError> {
        let mut servers = Self(Vec::new());
        let mut next = ports;
        for number in 1..=args.workers {
            let port = free_port(next)?;
            next = port + 1;
            let name = format!("w{number}");
            let hold_file = wiring.logs.join(format!("{name}.held"));
            let program = Program {
                path: beside_us("server")?,
                args: arguments(args, wiring, &name, port),
                log: wiring.logs.join(format!("{name}.log")),
                name: format!("server {name}"),
                temporary: Some(wiring.temporary.to_owned()),
            };
            servers.0.push(Server { program, port, hold_file, process: None });
        }
        servers.restart_all(hold).await?;
        Ok(servers)
    }

    /// Their base URLs, the same for as long as they live.
    pub(super) fn urls(&self) -> Vec<String> {
        self.0.iter().map(|server| format!("http://127.0.0.1:{}", server.port)).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The processes that run now.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.0.iter().filter_map(|server| server.process.as_ref()?.pid()).collect()
    }

    /// # Errors
    /// [`DemoError::Ended`] for one that ended by itself.
    pub(super) fn check(&mut self) -> Result<(), DemoError> {
        self.0.iter_mut().filter_map(|server| server.process.as_mut()).try_for_each(Process::check)
    }

    /// The operation that a server holds, if it holds one.
    pub(super) fn held(&self, number: usize) -> Option<String> {
        std::fs::read_to_string(&self.0[number].hold_file).ok()
    }

    /// Kills one as kill -9 does.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(super) async fn kill(&mut self, number: usize) -> Result<(), DemoError> {
        match self.0[number].process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Starts one that was killed.
    ///
    /// # Errors
    /// [`DemoError`] as of [`Process::start`].
    pub(super) async fn restart(&mut self, number: usize, hold: Option<Hold>) -> Result<(), DemoError> {
        let server = &mut self.0[number];
        let _ = std::fs::remove_file(&server.hold_file);
        let mut program = server.program.clone();
        if let Some(Hold(failpoint)) = hold {
            program.args.extend(["--hold-at".into(), failpoint.into()]);
            program.args.extend(["--hold-file".into(), server.hold_file.clone().into_os_string()]);
        }
        let (process, line) = Process::start(&program, START).await?;
        if !line.starts_with("listening on http://") {
            let expected = "`listening on http://ADDRESS`";
            return Err(DemoError::Unexpected { name: program.name, line, expected });
        }
        server.process = Some(process);
        Ok(())
    }

    /// Starts all that were killed.
    ///
    /// # Errors
    /// [`DemoError`] as of [`Process::start`].
    pub(super) async fn restart_all(&mut self, hold: Option<Hold>) -> Result<(), DemoError> {
        for number in 0..self.count() {
            self.restart(number, hold).await?;
        }
        Ok(())
    }

    /// SIGTERM to all; answers what is wrong with how they ended.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(super) async fn drain(mut self) -> Result<Vec<String>, DemoError> {
        let mut wrong = Vec::new();
        for server in &mut self.0 {
            let Some(mut process) = server.process.take() else { continue };
            let name = &server.program.name;
            match process.terminate(DRAIN).await? {
                Some(status) if status.success() => {}
                Some(status) => wrong.push(format!("{name} drained with {status}:\n{}", process.log_end())),
                None => wrong.push(format!("{name} did not end within {DRAIN:?}:\n{}", process.log_end())),
            }
        }
        Ok(wrong)
    }

    /// The end of every log, for whoever has to find out.
    pub(super) fn log_ends(&self) -> String {
        let end = |server: &Server| {
            let process = server.process.as_ref()?;
            Some(format!("{}:\n{}\n", server.program.name, process.log_end()))
        };
        self.0.iter().filter_map(end).collect()
    }
}

/// The first port from here on that nobody has. Below those that the system gives to clients, so that it is
/// still ours after a kill.
///
/// # Errors
/// [`DemoError::NoPort`].
pub(super) fn free_port(from: u16) -> Result<u16, DemoError> {
    let to = from.saturating_add(200);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (from..=to).find(is_free).ok_or(DemoError::NoPort { from, to })
}

fn arguments(args: &Args, wiring: &Wiring<'_>, name: &str, port: u16) -> Vec<OsString> {
    let texts = [
        ("--listen", format!("127.0.0.1:{port}")),
        ("--worker-id", name.to_owned()),
        ("--store", wiring.store.to_owned()),
        ("--erp", wiring.erp.to_owned()),
        ("--browsers", args.browsers.to_string()),
        ("--contexts", args.contexts.to_string()),
        ("--concurrency", args.concurrency().to_string()),
        // The simulated ERP gives up after 5 s and lists lag by at most 1 s; a dead worker is missed soon.
        ("--act-budget", "10s".to_owned()),
        ("--settle", "4s".to_owned()),
        ("--list-lag", "1s".to_owned()),
        ("--lease", "30s".to_owned()),
        // Faults that end sessions follow one another as no person would.
        ("--login-pause", "1s".to_owned()),
        // Also where it is the default: what the environment says must not run in place of what is reported.
        ("--driver", args.driver.name().to_owned()),
    ];
    let files = [("--agents", wiring.agents), ("--tokens", wiring.tokens)];
    let texts = texts.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    let files = files.into_iter().flat_map(|(flag, path)| [flag.into(), path.into()]);
    texts.chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let port = free_port(21_000).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(free_port(port).unwrap() > port);
        drop(taken);
    }
}

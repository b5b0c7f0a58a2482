//! The demo: Archibald at work against a simulated ERP in a process of its own.
//!
//! `demo` runs until Ctrl-C, to look at; `demo --once` does the main job without a person: agents submit their
//! orders, servers are killed, devices lose their connections, the ERP misbehaves, and in the end what was
//! asked for is compared with the ERP's own ledger.
//!
//! It speaks to the servers as any client would, by HTTP, and takes nothing of theirs on trust: what runs when
//! is read from the events that devices see, what happened is read from the ledger.

pub(crate) mod api;
pub(crate) mod args;
pub(crate) mod data;
mod devices;
pub(crate) mod error;
mod family;
mod kills;
mod ledger;
mod live;
mod once;
mod place;
pub(crate) mod processes;
mod redrive;
mod report;
pub(crate) mod scratch;
mod servers;
mod sightings;
pub(crate) mod simulator;
mod sse;
mod stage;
mod store;
mod submit;
mod timeline;
mod verdict;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::args::Args;
use self::error::DemoError;
use self::live::Live;

/// Runs the demo. Must be called on a runtime of one thread, that of the process: children are tied to the
/// thread that started them.
///
/// Exit code 0 when everything is as it must be, 1 when it is not or something failed, 2 for arguments that
/// cannot be used, 3 when no browser can be had, 130 after Ctrl-C or SIGTERM.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match args.check() {
        Ok(args) if args.once => once(&args).await,
        Ok(args) => live(&args).await,
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        eprintln!("demo: {}", error.in_full());
        ExitCode::from(error.exit_code())
    })
}

async fn once(args: &Args) -> Result<ExitCode, DemoError> {
    let mut end = Interrupt::new()?;
    let outcome = tokio::select! {
        outcome = once::run(args) => outcome?,
        () = end.asked() => return Err(DemoError::Interrupted),
    };
    if args.json {
        println!("{}", outcome.json());
        eprint!("{}", outcome.findings());
    } else {
        print!("{}{}{}", outcome.table(), outcome.findings(), outcome.last_line());
    }
    Ok(ExitCode::from(u8::from(!outcome.is_right())))
}

async fn live(args: &Args) -> Result<ExitCode, DemoError> {
    let mut end = Interrupt::new()?;
    let mut live = tokio::select! {
        live = Live::start(args) => live?,
        () = end.asked() => return Err(DemoError::Interrupted),
    };
    tokio::select! {
        ended = live.watch() => ended?,
        () = end.asked() => {}
    }
    report::progress("draining");
    let wrong = live.end().await?;
    wrong.iter().for_each(|wrong| report::progress(wrong));
    Ok(ExitCode::from(u8::from(!wrong.is_empty())))
}

/// Ctrl-C or SIGTERM.
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    pub(crate) fn new() -> Result<Self, DemoError> {
        let listen = |kind| signal(kind).map_err(DemoError::io("waiting for signals"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! The simulated ERP alone: its pages on one port, its control port on another.
//!
//! Prints one line `listening on http://ADDRESS control http://ADDRESS` once it is ready, logs to standard error,
//! ends on Ctrl-C or SIGTERM.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use archibald_testing::data::{DataError, DataSet};
use archibald_testing::erp::{Behaviour, ErpError, ErpOptions, ErpSimulator, FaultSpec, Site};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A simulated ERP, as slow and unpleasant as the real one.
#[derive(Debug, Parser)]
#[command(name = "erp")]
struct Args {
    /// Address of the ERP's pages (port 0: a free one).
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Address of the control port (port 0: a free one).
    #[arg(long, default_value = "127.0.0.1:8091")]
    control: SocketAddr,
    /// Folder of the Northwind CSV files; without it data is generated from the seed.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Time that every request takes.
    #[arg(long, default_value_t = 40)]
    latency_ms: u64,
    /// Decides generated data and faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What goes wrong by chance: none, some, heavy, or name=rate,… with rates from 0 to 1.
    #[arg(long, default_value = "none")]
    faults: FaultSpec,
    /// Agents; more than the data names are invented. Default: as the data names, nine where it is generated.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    agents: Option<u32>,
    /// Orders of generated data, which decide who sees which customer.
    #[arg(long, default_value_t = 60)]
    orders: usize,
    /// Have the data's orders at the ERP already, as if saved long ago.
    #[arg(long)]
    preload: bool,
    /// A login ends the user's other sessions.
    #[arg(long)]
    single_session: bool,
    /// Idle time after which a session ends.
    #[arg(long, default_value_t = 20 * 60 * 1000)]
    idle_ms: u64,
    /// Whose pages it shows: archibald, or gestionale, the same ERP with other paths, names, HTML and formats.
    #[arg(long, default_value = "archibald")]
    site: Site,
}

/// Why it could not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--data")]
    Data(#[from] DataError),
    #[error("the simulated ERP cannot start")]
    Start(#[from] ErpError),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("erp: {}", chain(&failure));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let data = load(&args)?;
    // Before the line that says it is ready: whoever reads it may send the signal at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let behaviour = Behaviour {
        latency: Duration::from_millis(args.latency_ms),
        idle: Duration::from_millis(args.idle_ms),
        single_session: args.single_session,
        ..Behaviour::default()
    };
    let options = ErpOptions {
        listen: args.listen,
        control: args.control,
        data,
        preload: args.preload,
        seed: args.seed,
        faults: args.faults,
        behaviour,
        site: args.site,
    };
    let erp = ErpSimulator::start(options).await?;
    println!("listening on {} control {}", erp.url(), erp.control_url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    erp.stop().await;
    Ok(())
}

fn load(args: &Args) -> Result<DataSet, DataError> {
    let asked = args.agents.map(|agents| usize::try_from(agents).unwrap_or(usize::MAX));
    let Some(folder) = &args.data else {
        return Ok(DataSet::generate(args.seed, asked.unwrap_or(9), args.orders));
    };
    let data = DataSet::northwind(folder)?;
    Ok(match asked {
        Some(agents) => data.with_agents(agents),
        None => data,
    })
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

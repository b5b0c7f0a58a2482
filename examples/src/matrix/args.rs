use std::time::Duration;

use clap::Parser;

use super::cell::{Kind, Store};
use crate::demo::args::Driver;

/// Every action × every failpoint × every way to strike, on real server processes against the simulated ERP.
///
/// Each cell starts a server of its own, strikes at the point, starts the server again where it died, waits for
/// the end and compares ERP and store. Exit code 1 when anything was lost, duplicated, unexpected or unfinished.
#[derive(Debug, Clone, Parser)]
#[command(name = "matrix", args_override_self = true)]
pub(super) struct Args {
    /// Print every cell, and what is left out and why.
    #[arg(long)]
    pub(super) list: bool,
    /// Run every cell, those that kill so often that there are 1,000 kills.
    #[arg(long, conflicts_with_all = ["cells", "repeat"])]
    pub(super) all: bool,
    /// How many cells to draw.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) cells: u32,
    /// Decides which cells are drawn; the time where it is not given. Always printed.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Only on this store.
    #[arg(long, value_enum)]
    pub(super) store: Option<Store>,
    /// How the server speaks to the ERP.
    #[arg(long, value_enum, default_value_t = Driver::Direct)]
    pub(super) driver: Driver,
    /// Only this action.
    #[arg(long)]
    pub(super) action: Option<String>,
    /// Only points whose name begins so.
    #[arg(long)]
    pub(super) failpoint: Option<String>,
    /// Only this way to strike.
    #[arg(long, value_enum)]
    pub(super) kind: Option<Kind>,
    /// Cells that run together.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) jobs: u32,
    /// Run each drawn cell so often.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,
    /// When a cell that has not ended fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) patience: u32,
    /// Print the end of the server's log also where a cell recovered.
    #[arg(long)]
    pub(super) logs: bool,
    /// Print one JSON line in place of the table.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// When a cell fails for not having ended.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.into())
    }
}

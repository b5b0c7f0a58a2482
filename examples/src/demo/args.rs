use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use archibald_testing::erp::FaultSpec;
use clap::{Parser, ValueEnum};

use super::error::DemoError;

/// Archibald at work against a simulated ERP: to look at, or once through without a person.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo", allow_negative_numbers = true)]
pub(crate) struct Args {
    /// Do the main job once, compare with the ERP's ledger and end: 0 when nothing was doubled, lost or made up.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one JSON line in place of the table.
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Sales agents.
    #[arg(long, default_value_t = 9, value_parser = count::<10_000>)]
    pub(crate) agents: u32,
    /// Orders to submit; 60 with --once, else two an agent.
    #[arg(long, value_parser = count::<1_000_000>)]
    pub(crate) orders: Option<u32>,
    /// Folder of the Northwind CSV files; without it data is generated from the seed.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Keep orders with a discontinued product: they must end rejected.
    #[arg(long)]
    pub(crate) rejects: bool,
    /// sqlite:PATH, sqlite (a file of this run, removed at the end), postgres://…, postgres (a private cluster for
    /// this run) or memory. Default: `data/demo/archibald.db`, begun anew by each run, as the ERP is; with --once a SQLite file, removed at the end.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<Store>,
    /// Server processes; more than one needs PostgreSQL.
    #[arg(long, default_value_t = 1, requires = "once", value_parser = count::<32>)]
    pub(crate) workers: u32,
    /// What goes wrong at the ERP by chance: none, some, heavy, or name=rate,… with rates from 0 to 1.
    #[arg(long, default_value = "none", value_parser = faults)]
    pub(crate) faults: String,
    /// Kill -9 a random server process so often, and start it again at once; first of all come kills that are
    /// aimed between an effect's release and its record.
    #[arg(long, value_name = "SECONDS", requires = "once", value_parser = count::<{ u32::MAX }>)]
    pub(crate) kill_every: Option<u32>,
    /// Kill -9 a random browser of the servers so often.
    #[arg(long, value_name = "SECONDS", requires = "once", value_parser = count::<{ u32::MAX }>)]
    pub(crate) kill_browser_every: Option<u32>,
    /// How the server speaks to the ERP.
    #[arg(long, value_enum, default_value_t = Driver::Chromium)]
    pub(crate) driver: Driver,
    /// Decides generated data, faults, kills and when devices are cut off.
    #[arg(long, default_value_t = 1, value_parser = whole)]
    pub(crate) seed: u64,
    /// Time that every request takes at the ERP.
    #[arg(long, default_value_t = 40, value_parser = whole)]
    pub(crate) latency_ms: u64,
    /// Browsers of a server process.
    #[arg(long, default_value_t = 3, value_parser = count::<1_000>)]
    pub(crate) browsers: u32,
    /// Contexts of a browser.
    #[arg(long, default_value_t = 5, value_parser = count::<1_000>)]
    pub(crate) contexts: u32,
    /// Operations that a server process runs together; 10, or less where the browsers serve less.
    #[arg(long, value_parser = count::<100_000>)]
    pub(crate) concurrency: Option<u32>,
    /// When to give up waiting for the operations to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "once")]
    #[arg(value_parser = count::<{ u32::MAX }>)]
    pub(crate) timeout: u32,
}

/// How the server speaks to the ERP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// Through headless Chromium.
    Chromium,
    /// By HTTP, without a browser.
    Direct,
}

/// Where the server keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Store {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A SQLite file of this run.
    PrivateSqlite,
    /// A private PostgreSQL cluster for this run.
    PrivatePostgres,
    /// A PostgreSQL that is there.
    Postgres(String),
    /// Nowhere: it is gone with the process.
    Memory,
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store must be sqlite:PATH, sqlite, postgres://…, postgres or memory, got {0:?}")]
pub(crate) struct InvalidStore(String);

impl Args {
    /// What the flags must not say together.
    ///
    /// # Errors
    /// [`DemoError::Usage`].
    pub(crate) fn check(self) -> Result<Self, DemoError> {
        let shared = matches!(self.store, Some(Store::PrivatePostgres | Store::Postgres(_)));
        if self.workers > 1 && !shared {
            let text = "needs PostgreSQL, since SQLite and memory serve one process: add --store postgres (a private \
                        cluster for this run) or --store postgres://…";
            return Err(DemoError::Usage(format!("--workers {} {text}", self.workers)));
        }
        if self.kill_every.is_some() && self.store == Some(Store::Memory) {
            let text = "--kill-every needs a store that outlives the server: --store memory is gone with it";
            return Err(DemoError::Usage(text.to_owned()));
        }
        if self.kill_browser_every.is_some() && self.driver == Driver::Direct {
            let text = "--kill-browser-every needs browsers: --driver direct has none";
            return Err(DemoError::Usage(text.to_owned()));
        }
        Ok(self)
    }

    /// Operations that a server process runs together.
    pub(crate) fn concurrency(&self) -> u32 {
        self.concurrency.unwrap_or_else(|| self.browsers.saturating_mul(self.contexts).clamp(1, 10))
    }

    /// When to give up.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// Orders to submit.
    pub(crate) fn orders(&self) -> usize {
        let orders = self.orders.unwrap_or(if self.once { 60 } else { self.agents.saturating_mul(2) });
        usize::try_from(orders).unwrap_or(usize::MAX)
    }

    /// Agents.
    pub(crate) fn agents(&self) -> usize {
        usize::try_from(self.agents).unwrap_or(usize::MAX)
    }
}

impl Driver {
    /// As flags and reports name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Direct => "direct",
        }
    }
}

impl FromStr for Store {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::PrivateSqlite),
            "postgres" => Ok(Self::PrivatePostgres),
            _ if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => match text.strip_prefix("sqlite:") {
                Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
                _ => Err(InvalidStore(text.to_owned())),
            },
        }
    }
}

/// A number of things, at least one.
fn count<const MOST: u32>(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("expected a whole number from 1 to {MOST}, such as 9"))
}

fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more, such as 40".to_owned())
}

fn faults(text: &str) -> Result<String, String> {
    let spec = text.parse::<FaultSpec>();
    spec.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Args, String> {
        let args = std::iter::once("demo").chain(args.split_whitespace());
        let args = Args::try_parse_from(args).map_err(|error| error.to_string())?;
        args.check().map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_nine_agents_and_sixty_orders() {
        let once = parse("--once").unwrap();
        assert_eq!((once.agents(), once.orders(), once.concurrency()), (9, 60, 10));
        assert_eq!(
            (once.timeout(), once.driver, once.store),
            (Duration::from_secs(600), Driver::Chromium, None)
        );
        assert_eq!(parse("").unwrap().orders(), 18);
    }

    #[test]
    fn a_store_is_one_of_five() {
        let store = |text: &str| parse(&format!("--once --store {text}")).map(|args| args.store.unwrap());
        assert_eq!(store("sqlite:/tmp/x.db"), Ok(Store::Sqlite("/tmp/x.db".into())));
        assert_eq!(store("sqlite"), Ok(Store::PrivateSqlite));
        assert_eq!(store("postgres"), Ok(Store::PrivatePostgres));
        assert_eq!(store("postgres://h/d"), Ok(Store::Postgres("postgres://h/d".into())));
        assert_eq!(store("memory"), Ok(Store::Memory));
        for bad in ["sqlite:", "mysql://h/d", "postgre"] {
            assert!(store(bad).unwrap_err().contains("a store must be sqlite:PATH"), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_way_out() {
        let cases = [
            ("--once --workers 3", "--store postgres"),
            ("--once --workers 2 --store sqlite:x", "needs PostgreSQL"),
            ("--once --workers 0", "--workers"),
            ("--orders x", "'--orders <ORDERS>': expected a whole number from 1 to 1000000"),
            ("--once --agents -1", "--agents"),
            ("--latency-ms soon", "'--latency-ms <LATENCY_MS>': expected a whole number"),
            ("--once --store sqlite --workers 2", "needs PostgreSQL"),
            ("--once --store memory --kill-every 3", "outlives the server"),
            ("--once --agents 0", "--agents"),
            ("--once --faults often", "fault spec"),
            ("--once --driver firefox", "chromium"),
            ("--json", "--once"),
            ("--kill-every 3", "--once"),
            ("--once --driver direct --kill-browser-every 3", "direct has none"),
        ];
        for (args, said) in cases {
            let error = parse(args).unwrap_err();
            assert!(error.contains(said), "{args}: {error}");
        }
        assert!(parse("--once --workers 3 --store postgres").is_ok());
    }

    #[test]
    fn a_small_pool_runs_fewer_together() {
        assert_eq!(parse("--once --browsers 1 --contexts 3").unwrap().concurrency(), 3);
        assert_eq!(parse("--once --browsers 1 --concurrency 7").unwrap().concurrency(), 7);
    }
}

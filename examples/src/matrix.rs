//! The crash matrix: every action × every failpoint × every way to strike.
//!
//! A cell is a real server process with a failpoint armed, on a store of its own, against the simulated ERP. A
//! device asks for the operation over HTTP, under one key until it is acknowledged; the server is struck at the
//! point and started again where it died; at the end the ERP's ledger and the store have to tell of one effect,
//! and the agent has to be free for the next operation.

mod actions;
mod args;
mod cell;
mod draw;
mod lane;
mod report;
mod server;
mod story;
mod verdict;

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_testing::postgres::Cluster;
use clap::Parser;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::args::Args;
use self::cell::{Cell, Kind, LeftOut, Store, matrix};
use self::draw::draw;
use self::lane::Lane;
use self::report::{About, Report, list};
use self::story::Told;
use crate::demo::Interrupt;
use crate::demo::error::DemoError;

/// Kills that the whole matrix has at least.
const KILLS: usize = 1_000;

/// Runs the matrix. Must be called on a runtime of one thread, that of the process: children are tied to the
/// thread that started them.
///
/// Exit code 0 when every cell recovered, 1 when one did not or something failed, 2 for arguments that cannot be
/// used, 3 when no browser can be had, 130 after Ctrl-C or SIGTERM.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    carried_out(&args).await.unwrap_or_else(|error| {
        eprintln!("matrix: {}", error.in_full());
        ExitCode::from(error.exit_code())
    })
}

async fn carried_out(args: &Args) -> Result<ExitCode, DemoError> {
    let mut end = Interrupt::new()?;
    tokio::select! {
        done = run_or_list(args) => done,
        () = end.asked() => Err(DemoError::Interrupted),
    }
}

async fn run_or_list(args: &Args) -> Result<ExitCode, DemoError> {
    let seed = args.seed.unwrap_or_else(from_the_clock);
    let (cells, left_out) = chosen(args);
    if args.list {
        // Whoever reads a part of it is done with the rest.
        let _ = io::stdout().write_all(list(&cells, &left_out).as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    if cells.is_empty() {
        return Err(DemoError::Usage("no cell is like that; --list shows those that there are".to_owned()));
    }
    let cells = if args.all { often_enough(cells) } else { drawn(args, cells, seed) };
    eprintln!("{} cells, --seed {seed}", cells.len());
    let stores: BTreeSet<&str> = cells.iter().map(|cell| cell.store.name()).collect();
    let began = Instant::now();
    let report = all(args, cells, seed).await?;
    let right = report.is_right();
    report.wrong().iter().for_each(|line| eprintln!("{line}"));
    let store = stores.into_iter().collect::<Vec<_>>().join("+");
    let about = About { seed, took: began.elapsed(), driver: args.driver.name(), store };
    report.print(about, args.json);
    Ok(ExitCode::from(u8::from(!right)))
}

/// The part of the matrix that was asked for.
fn chosen(args: &Args) -> (Vec<Cell>, Vec<LeftOut>) {
    let (mut cells, mut left_out) = matrix();
    let asked = |action: &str, point: &str, kind: Kind, store: Store| {
        args.action.as_ref().is_none_or(|asked| asked == action)
            && args.failpoint.as_ref().is_none_or(|asked| point.starts_with(asked.as_str()))
            && args.kind.is_none_or(|asked| asked == kind)
            && args.store.is_none_or(|asked| asked == store)
    };
    cells.retain(|cell| asked(cell.action.kind, cell.point.name, cell.kind, cell.store));
    left_out.retain(|out| asked(out.action.kind, out.point.name, out.kind, out.store));
    (cells, left_out)
}

fn drawn(args: &Args, cells: Vec<Cell>, seed: u64) -> Vec<Cell> {
    let count = usize::try_from(args.cells).unwrap_or(usize::MAX);
    let repeat = usize::try_from(args.repeat).unwrap_or(1);
    draw(cells, count, seed).into_iter().flat_map(|cell| vec![cell; repeat]).collect()
}

/// Those that kill so often that there are enough kills; the others once.
fn often_enough(cells: Vec<Cell>) -> Vec<Cell> {
    let kills = cells.iter().filter(|cell| cell.kind == Kind::Kill).count();
    let often = KILLS.div_ceil(kills.max(1));
    let times = |cell: &Cell| if cell.kind == Kind::Kill { often } else { 1 };
    cells.into_iter().flat_map(|cell| vec![cell; times(&cell)]).collect()
}

/// Runs the cells on as many lanes as there are to be.
async fn all(args: &Args, cells: Vec<Cell>, seed: u64) -> Result<Report, DemoError> {
    let cluster = match cells.iter().any(|cell| cell.store == Store::Postgres) {
        true => Some(lane::cluster().await?),
        false => None,
    };
    let queue = Arc::new(Mutex::new(VecDeque::from(cells)));
    let (results, mut told) = mpsc::unbounded_channel();
    let mut lanes: JoinSet<Result<(), DemoError>> = JoinSet::new();
    for number in 0..args.jobs {
        let seed = seed.wrapping_add(number.into());
        lanes.spawn(one_lane(args.clone(), seed, cluster.clone(), queue.clone(), results.clone()));
    }
    drop(results);
    let mut report = Report::default();
    while let Some((cell, one)) = told.recv().await {
        report.add(&cell, &one, args.logs);
    }
    while let Some(done) = lanes.join_next().await {
        // A task of ours is never cancelled, and a panic is a bug to be seen.
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    }
    Ok(report)
}

async fn one_lane(
    args: Args,
    seed: u64,
    cluster: Option<Arc<Cluster>>,
    queue: Arc<Mutex<VecDeque<Cell>>>,
    results: mpsc::UnboundedSender<(Cell, Told)>,
) -> Result<(), DemoError> {
    let mut lane = Lane::open(args.driver, seed, cluster).await?;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(cell) = next else { return Ok(()) };
        let told = story::run(&mut lane, &cell, args.patience()).await;
        let _ = results.send((cell, told));
    }
}

fn from_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(1)
}

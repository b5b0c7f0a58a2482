//! What a cell is, which there are, and why others are left out.

use std::fmt;

use archibald_testing::failpoint::{POINTS, Point};
use clap::ValueEnum;

use super::actions::{ACTIONS, Action, Sort};

/// A way to strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Kind {
    /// Kill -9 of the server.
    Kill,
    /// SIGSTOP until the lease is over, then SIGCONT.
    Stop,
    /// The lease is taken away in the store.
    Revoke,
    /// The connection to the store is lost.
    Disconnect,
    /// A panic.
    Panic,
    /// The future is dropped where it waits.
    Drop,
}

/// Where the server keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Store {
    /// A SQLite file.
    Sqlite,
    /// A database of a private PostgreSQL cluster.
    Postgres,
}

/// What has to be so that an operation comes by a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Plain,
    /// The ERP answers the save with an error after it was applied.
    ErrorAfter,
    /// The ERP answers the save with an error and does not apply it.
    ErrorBefore,
    /// The ERP saves something else than it was sent, so that it is repaired.
    Altered,
    /// The ERP is slow, so that leases are renewed and looked for in the meantime.
    Slow,
    /// The same, and the server stands still for longer than its lease, so that one is over.
    Paused,
}

/// One of the matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) action: &'static Action,
    pub(super) point: &'static Point,
    pub(super) kind: Kind,
    pub(super) store: Store,
    pub(super) stage: Stage,
}

/// An action at a point in one way, that is not run.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeftOut {
    pub(super) action: &'static Action,
    pub(super) point: &'static Point,
    pub(super) kind: Kind,
    pub(super) store: Store,
    pub(super) why: &'static str,
}

pub(super) const KINDS: [Kind; 6] =
    [Kind::Kill, Kind::Stop, Kind::Revoke, Kind::Disconnect, Kind::Panic, Kind::Drop];
const STORES: [Store; 2] = [Store::Sqlite, Store::Postgres];

/// The whole matrix: what is run, and what is left out.
pub(super) fn matrix() -> (Vec<Cell>, Vec<LeftOut>) {
    let (mut cells, mut left_out) = (Vec::new(), Vec::new());
    for action in ACTIONS {
        for point in POINTS {
            for store in STORES {
                for kind in KINDS {
                    match stage(action, point, store)
                        .and_then(|stage| can(kind, point, store).map(|()| stage))
                    {
                        Ok(stage) => cells.push(Cell { action, point, kind, store, stage }),
                        Err(why) => left_out.push(LeftOut { action, point, kind, store, why }),
                    }
                }
            }
        }
    }
    (cells, left_out)
}

/// How the action gets to the point, or why it never does.
fn stage(action: &Action, point: &Point, store: Store) -> Result<Stage, &'static str> {
    if store == Store::Postgres && action.sort == Sort::Sync {
        return Err("syncs change nothing at the ERP: on SQLite alone");
    }
    let (write, name) = (action.sort == Sort::Write, call(point));
    let only = |is: bool, stage, why| if is { Ok(stage) } else { Err(why) };
    match name {
        "lock.renew" => Ok(Stage::Slow),
        "lock.reap" => Ok(Stage::Paused),
        "store.survey" => Ok(Stage::Slow),
        "store.rows" => only(action.rows, Stage::Plain, "reads no local rows"),
        "store.checkpoint" | "client.read_page" => only(!write, Stage::Plain, "reads no list page by page"),
        "store.answered" => only(write, Stage::ErrorAfter, "changes nothing at the ERP"),
        name if name.starts_with("repair.") => {
            only(action.repair.is_some(), Stage::Altered, "the ERP cannot do it otherwise than asked for")
        }
        "client.check_health" => only(write, Stage::ErrorBefore, "changes nothing at the ERP"),
        name if name.starts_with("client.") && name != "client.act" => {
            only(action.asks.contains(&name), Stage::ErrorAfter, "asks the ERP for something else")
        }
        "page.type.3" => {
            let types = ["submit-order", "edit-order"].contains(&action.kind);
            only(types, Stage::Plain, "sends no more than two commands before the gate")
        }
        name if is_of_effects(name) => only(write, Stage::Plain, "changes nothing at the ERP"),
        _ => Ok(Stage::Plain),
    }
}

fn is_of_effects(name: &str) -> bool {
    let calls = ["store.intend", "store.release", "store.record", "client.act", "gate.open"];
    calls.contains(&name) || name.starts_with("effect.") || name.starts_with("page.type")
}

/// Whether something can be struck in this way there, or why not.
fn can(kind: Kind, point: &Point, store: Store) -> Result<(), &'static str> {
    let name = call(point);
    let port = match name {
        "repair.intend" | "repair.release" | "repair.record" => "store",
        "repair.type.1" | "repair.type.2" => "page",
        _ => name.split_once('.').map_or(name, |(port, _)| port),
    };
    let of_the_worker = matches!(name, "bus.wake" | "store.waiting" | "store.survey" | "lock.reap");
    match kind {
        Kind::Kill | Kind::Stop | Kind::Panic => Ok(()),
        Kind::Disconnect | Kind::Revoke | Kind::Drop if port == "page" => Err("a check that cannot wait"),
        Kind::Disconnect => match (store, port) {
            (Store::Postgres, _) | (_, "store" | "lock" | "bus") => Ok(()),
            (Store::Sqlite, _) => Err("no call of the store here; the next one has points of its own"),
        },
        Kind::Revoke if of_the_worker || name == "store.enqueue" || point.name == "lock.lease.before" => {
            Err("there is no lease yet")
        }
        Kind::Revoke if point.name == "store.settle.after" => Err("there is no lease any more"),
        Kind::Drop if of_the_worker || name == "lock.lease" => Err("nothing drops the worker's own calls"),
        Kind::Revoke | Kind::Drop => Ok(()),
    }
}

/// The name of a point without its side.
pub(super) fn call(point: &Point) -> &'static str {
    let name = point.name;
    name.strip_suffix(".before").or_else(|| name.strip_suffix(".after")).unwrap_or(name)
}

impl Cell {
    /// As the server's flag takes it.
    pub(super) fn spec(&self) -> String {
        let kind = match (self.kind, self.store) {
            (Kind::Disconnect, Store::Sqlite) => "cut",
            // The harness cuts the connections while it is held.
            (Kind::Disconnect, Store::Postgres) => "hold",
            (kind, _) => kind.name(),
        };
        format!("{}:{kind}", self.point.name)
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Revoke => "revoke",
            Self::Disconnect => "disconnect",
            Self::Panic => "panic",
            Self::Drop => "drop",
        }
    }
}

impl Store {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, point, kind) = (self.action.kind, self.point.name, self.kind.name());
        write!(f, "{action} × {point} × {kind} on {}", self.store.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_has_a_cell_at_thirty_points_and_in_every_way() {
        let (cells, left_out) = matrix();
        assert_eq!(cells.len() + left_out.len(), ACTIONS.len() * POINTS.len() * KINDS.len() * STORES.len());
        for action in ACTIONS {
            let of_it = || cells.iter().filter(|cell| cell.action.kind == action.kind);
            let points: BTreeSet<&str> = of_it().map(|cell| cell.point.name).collect();
            let kinds: BTreeSet<Kind> = of_it().map(|cell| cell.kind).collect();
            assert_eq!(kinds.len(), KINDS.len(), "{}", action.kind);
            let least = if action.sort == Sort::Write { 30 } else { 20 };
            assert!(points.len() >= least, "{}: {}", action.kind, points.len());
        }
    }

    #[test]
    fn no_point_is_without_a_cell() {
        let (cells, _) = matrix();
        for point in POINTS {
            assert!(cells.iter().any(|cell| cell.point == point), "{}", point.name);
        }
    }
}

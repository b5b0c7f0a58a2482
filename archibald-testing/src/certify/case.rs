use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Fate;
use crate::failpoint::{Kind, POINTS, Point};

/// The points that an operation passes undisturbed, by what becomes of the answer.
pub(super) type Ways = BTreeMap<Option<Fate>, BTreeSet<&'static str>>;

/// A way to strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strike {
    /// The worker is killed there, and another one started over the same store.
    Crash,
    /// What passes panics.
    Panic,
    /// The lease counts as lost, and the attempt is dropped where it waits.
    Drop,
    /// The lease is taken away in the store, and the attempt goes on.
    Revoke,
    /// The call fails: before, it is not made; after, its answer is lost.
    Fail,
    /// It is asked to give way while it is there.
    GiveWay,
}

impl Strike {
    const ALL: [Self; 6] = [Self::Crash, Self::Panic, Self::Drop, Self::Revoke, Self::Fail, Self::GiveWay];

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Crash | Self::GiveWay => Kind::Hold,
            Self::Panic => Kind::Panic,
            Self::Drop => Kind::Drop,
            Self::Revoke => Kind::Revoke,
            Self::Fail => Kind::Cut,
        }
    }

    /// Whether something can be struck in this way there.
    fn can(self, point: &Point) -> bool {
        let (name, whole) = (call(point), point.name);
        let (port, _) = name.split_once('.').unwrap_or((name, ""));
        let of_the_worker = matches!(name, "bus.wake" | "store.waiting" | "store.survey" | "lock.reap");
        match self {
            Self::Panic => true,
            // A check that cannot wait.
            _ if port == "page" => false,
            Self::Crash => true,
            Self::Fail => matches!(port, "store" | "lock" | "bus"),
            Self::Drop => !of_the_worker && name != "lock.lease",
            Self::Revoke => {
                let unheld = ["lock.lease.before", "store.settle.after"].contains(&whole);
                !of_the_worker && name != "store.enqueue" && !unheld
            }
            Self::GiveWay => {
                (place("pool.acquire.before")..=place("store.record.after")).contains(&place(whole))
            }
        }
    }
}

/// One operation that is struck, or loses its answer, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// How it is struck, and where.
    pub strike: Option<(Strike, &'static Point)>,
    /// What becomes of the act whose answer is lost.
    pub lost: Option<Fate>,
}

/// What cases are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// [`Strike::Crash`].
    Crash,
    /// [`Strike::Panic`].
    Panic,
    /// [`Strike::Drop`].
    Drop,
    /// [`Strike::Revoke`].
    Revoke,
    /// [`Strike::Fail`].
    Fail,
    /// [`Strike::GiveWay`] before the intent.
    GiveWay,
    /// [`Strike::GiveWay`] after it, where it must not: the journal tells when the case runs.
    Masked,
    /// A lost answer.
    Lost(Fate),
    /// A lost answer, and struck besides.
    LostAndStruck(Fate),
}

impl Case {
    pub(super) const UNDISTURBED: Self = Self { strike: None, lost: None };

    /// What it is counted by; `None` for the undisturbed one, and never [`Sort::Masked`].
    #[must_use]
    pub fn sort(&self) -> Option<Sort> {
        match (self.strike, self.lost) {
            (None, None) => None,
            (None, Some(fate)) => Some(Sort::Lost(fate)),
            (Some(_), Some(fate)) => Some(Sort::LostAndStruck(fate)),
            (Some((strike, _)), None) => Some(match strike {
                Strike::Crash => Sort::Crash,
                Strike::Panic => Sort::Panic,
                Strike::Drop => Sort::Drop,
                Strike::Revoke => Sort::Revoke,
                Strike::Fail => Sort::Fail,
                Strike::GiveWay => Sort::GiveWay,
            }),
        }
    }
}

/// Every case for an action that passes these points.
pub(super) fn all(ways: &Ways, may_give_way: bool) -> Vec<Case> {
    let mut cases = vec![];
    let passes = |fate: Option<Fate>, point: &Point| {
        (fate.is_none() && (point.name.starts_with("page") || takes_time(point)))
            || ways.get(&fate).is_some_and(|way| way.contains(point.name))
    };
    let strikes = || Strike::ALL.into_iter().filter(|strike| *strike != Strike::GiveWay || may_give_way);
    for point in POINTS.iter().filter(|point| passes(None, point)) {
        cases.extend(strikes().filter(|strike| strike.can(point)).map(|strike| struck(strike, point, None)));
    }
    for fate in Fate::ALL {
        cases.push(Case { strike: None, lost: Some(fate) });
        for point in
            POINTS.iter().filter(|point| passes(Some(fate), point) && !point.name.starts_with("page"))
        {
            // What only those pass that look for a lost answer is struck in every way; a crash comes
            // anywhere between the click and the end.
            let new = !passes(None, point);
            let of_it = strikes().filter(|strike| match strike {
                Strike::Crash => new || is_past_the_click(point),
                _ => new,
            });
            cases.extend(
                of_it.filter(|strike| strike.can(point)).map(|strike| struck(strike, point, Some(fate))),
            );
        }
    }
    cases
}

fn struck(strike: Strike, point: &'static Point, lost: Option<Fate>) -> Case {
    Case { strike: Some((strike, point)), lost }
}

fn is_past_the_click(point: &Point) -> bool {
    place(point.name) >= place("gate.open.after")
}

fn place(name: &str) -> usize {
    POINTS.iter().position(|point| point.name == name).unwrap_or(POINTS.len())
}

/// Passed only where the ERP takes its time.
pub(super) fn takes_time(point: &Point) -> bool {
    matches!(point.name, "lock.renew.before" | "lock.renew.after" | "store.survey.before")
}

/// The name of a point without its side.
fn call(point: &Point) -> &'static str {
    let name = point.name;
    name.strip_suffix(".before").or_else(|| name.strip_suffix(".after")).unwrap_or(name)
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.strike, self.lost) {
            (None, None) => f.write_str("undisturbed"),
            (Some((strike, point)), None) => write!(f, "{strike} at {}", point.name),
            (None, Some(fate)) => write!(f, "answer lost, {fate}"),
            (Some((strike, point)), Some(fate)) => {
                write!(f, "answer lost, {fate}, and {strike} at {}", point.name)
            }
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash",
            Self::Panic => "panic",
            Self::Drop => "future dropped",
            Self::Revoke => "lease taken away",
            Self::Fail => "store call fails",
            Self::GiveWay => "asked to give way",
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::NotApplied => "not applied",
            Self::Late => "applied late",
        })
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash => Strike::Crash.fmt(f),
            Self::Panic => Strike::Panic.fmt(f),
            Self::Drop => Strike::Drop.fmt(f),
            Self::Revoke => Strike::Revoke.fmt(f),
            Self::Fail => Strike::Fail.fmt(f),
            Self::GiveWay => f.write_str("gives way before the intent"),
            Self::Masked => f.write_str("asked to give way after the intent"),
            Self::Lost(fate) => write!(f, "answer lost, {fate}"),
            Self::LostAndStruck(fate) => write!(f, "answer lost, {fate}, and struck besides"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An action that looks for a customer first, and asks for its orders where an answer was lost.
    fn ways() -> Ways {
        let normal =
            ["pool.acquire.before", "client.read_customer.after", "store.intend.after", "gate.open.after"];
        let mut lost = BTreeSet::from(normal);
        lost.insert("client.find_orders.before");
        let lost = Fate::ALL.into_iter().map(|fate| (Some(fate), lost.clone()));
        lost.chain([(None, BTreeSet::from(normal))]).collect()
    }

    fn names(cases: &[Case]) -> BTreeSet<String> {
        cases.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_place_that_is_passed_is_struck_in_every_way_that_can_be() {
        let cases = all(&ways(), true);
        assert_eq!(names(&cases).len(), cases.len(), "each once");
        for name in [
            "crash at pool.acquire.before",
            "future dropped at client.read_customer.after",
            "lease taken away at gate.open.after",
            "store call fails at store.intend.after",
            "asked to give way at pool.acquire.before",
            "panic at page.1",
            "crash at lock.renew.before",
            "answer lost, applied late",
            "answer lost, applied, and crash at gate.open.after",
            "answer lost, not applied, and panic at client.find_orders.before",
        ] {
            assert!(names(&cases).contains(name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let cases = names(&all(&ways(), false));
        for name in [
            "crash at page.1",
            "store call fails at pool.acquire.before",
            "crash at client.find_orders.before",
            "asked to give way at pool.acquire.before",
            "answer lost, applied, and panic at gate.open.after",
        ] {
            assert!(!cases.contains(name), "{name}");
        }
    }
}

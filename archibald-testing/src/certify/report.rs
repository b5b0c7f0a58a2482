use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use archibald_core::record::OperationRecord;

use super::case::{Case, Sort, Ways};

/// What was certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The points that the action passes.
    pub points: BTreeSet<&'static str>,
    /// Cases that passed, by sort.
    pub passed: BTreeMap<Sort, u32>,
    /// Cases whose place was not come by: they prove nothing and are not counted.
    pub not_reached: Vec<String>,
}

impl Report {
    pub(super) fn new(ways: &Ways) -> Self {
        let points = ways.values().flatten().copied().collect();
        Self { points, passed: BTreeMap::new(), not_reached: vec![] }
    }

    /// `None` where the place was not come by.
    pub(super) fn note(&mut self, case: Case, passed: Option<Sort>) {
        match passed {
            Some(sort) => *self.passed.entry(sort).or_default() += 1,
            None => self.not_reached.push(case.to_string()),
        }
    }

    /// How many cases passed.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.passed.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases passed at {} points", self.total(), self.points.len())?;
        for (sort, count) in &self.passed {
            writeln!(f, "{count:5}  {sort}")?;
        }
        writeln!(f, "{:5}  not come by: {}", self.not_reached.len(), self.not_reached.join("; "))
    }
}

/// A promise that was broken in one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Which case.
    pub case: String,
    /// What is broken.
    pub broken: String,
    /// What the ERP did.
    pub applied: Vec<String>,
    /// The operation and its journal, where there is one.
    pub journal: Option<Box<OperationRecord>>,
}

impl Violation {
    pub(super) fn of_the_kit(what: &str) -> Self {
        let broken = format!("the kit itself failed: {what}");
        Self { case: "any".to_owned(), broken, applied: vec![], journal: None }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.case, self.broken)?;
        writeln!(f, "  applied: {:?}", self.applied)?;
        let Some(record) = &self.journal else { return Ok(()) };
        writeln!(f, "  state: {:?}", record.operation.state)?;
        for attempt in &record.attempts {
            writeln!(f, "  attempt: {attempt:?}")?;
        }
        record.effects.iter().try_for_each(|effect| writeln!(f, "  effect: {effect:?}"))
    }
}

/// Every promise that was broken. Shown, it says all that is known.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{} cases broke a promise:\n{}", .0.len(), .0.iter().map(ToString::to_string).collect::<String>())]
pub struct Violations(pub Vec<Violation>);

/// What a test prints that unwraps it, so that it can be read.
impl fmt::Debug for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

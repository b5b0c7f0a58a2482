//! What is printed: a cell a line while they run, and what they came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::cell::{Cell, LeftOut};
use super::story::Told;
use super::verdict::{Fault, Finding};

/// What all cells came to; the names are those of the JSON line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Numbers {
    cases: u64,
    recovered: u64,
    duplicates: u64,
    lost: u64,
    phantoms: u64,
    overlaps: u64,
    in_doubt: u64,
    failed: u64,
    unfinished: u64,
    not_reached: u64,
    broken: u64,
    kills: u64,
    seed: u64,
    seconds: u64,
    driver: &'static str,
    store: String,
}

/// Collects.
#[derive(Debug, Default)]
pub(super) struct Report {
    numbers: Numbers,
    wrong: Vec<String>,
}

impl Report {
    /// Takes a cell, and says on standard error what it came to.
    pub(super) fn add(&mut self, cell: &Cell, told: &Told, logs: bool) {
        let seconds = told.took.as_secs_f32();
        self.numbers.cases += 1;
        self.numbers.kills += u64::from(told.kills);
        if told.findings.is_empty() {
            self.numbers.recovered += 1;
            eprintln!("{cell}: recovered ({seconds:.1} s)");
        }
        for Finding(fault, what) in &told.findings {
            *self.counter(*fault) += 1;
            let line = format!("{cell}: {}: {what}", fault.name());
            eprintln!("{line} ({seconds:.1} s)");
            self.wrong.push(line);
        }
        if logs || !told.findings.is_empty() {
            eprintln!("the end of the server's log:\n{}", told.log);
        }
    }

    fn counter(&mut self, fault: Fault) -> &mut u64 {
        let numbers = &mut self.numbers;
        match fault {
            Fault::Lost => &mut numbers.lost,
            Fault::Duplicated => &mut numbers.duplicates,
            Fault::Unexpected => &mut numbers.phantoms,
            Fault::Overlap => &mut numbers.overlaps,
            Fault::InDoubt => &mut numbers.in_doubt,
            Fault::Failed => &mut numbers.failed,
            Fault::Unfinished => &mut numbers.unfinished,
            Fault::NotReached => &mut numbers.not_reached,
            Fault::Broken => &mut numbers.broken,
        }
    }

    /// Whether every cell came to what it must.
    pub(super) fn is_right(&self) -> bool {
        self.numbers.recovered == self.numbers.cases
    }

    /// Everything that was found wrong, a line each.
    pub(super) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// The whole, for a person or as one JSON line.
    pub(super) fn print(mut self, about: About, json: bool) {
        let About { seed, took, driver, store } = about;
        (self.numbers.seed, self.numbers.seconds) = (seed, took.as_secs());
        (self.numbers.driver, self.numbers.store) = (driver, store);
        let numbers = serde_json::to_value(&self.numbers).unwrap_or_default();
        if json {
            println!("{numbers}");
            return;
        }
        let rows = numbers.as_object().into_iter().flatten();
        rows.for_each(|(name, value)| println!("{name:<12} {value}"));
        self.wrong.iter().for_each(|line| println!("{line}"));
    }
}

/// Of what the numbers are.
#[derive(Debug)]
pub(super) struct About {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) driver: &'static str,
    pub(super) store: String,
}

/// Every cell, and what is left out and why: by action and store a line for each point.
pub(super) fn list(cells: &[Cell], left_out: &[LeftOut]) -> String {
    let mut list = String::new();
    let mut rows: BTreeMap<[&str; 3], Vec<(&str, Option<&str>)>> = BTreeMap::new();
    for cell in cells {
        let row = [cell.action.kind, cell.store.name(), cell.point.name];
        rows.entry(row).or_default().push((cell.kind.name(), None));
    }
    for out in left_out {
        let row = [out.action.kind, out.store.name(), out.point.name];
        rows.entry(row).or_default().push((out.kind.name(), Some(out.why)));
    }
    for ([action, store, point], kinds) in rows {
        let run: Vec<&str> = kinds.iter().filter(|(_, why)| why.is_none()).map(|(kind, _)| *kind).collect();
        list += &format!("{action:<16} {store:<8} {point:<28} {}\n", run.join(" "));
        let mut not: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (kind, why) in kinds {
            not.entry(why.unwrap_or_default()).or_default().push(kind);
        }
        for (why, kinds) in not.into_iter().filter(|(why, _)| !why.is_empty()) {
            list += &format!("{:>54}not {}: {why}\n", "", kinds.join(" "));
        }
    }
    list + &format!("{} cells, {} left out\n", cells.len(), left_out.len())
}

//! How much memory the servers and their browsers take.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::interval;

/// The processes that are looked at, with all their descendants, and the most that they took.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pids: Mutex<Vec<u32>>,
    peak_kb: AtomicU64,
}

/// A process: its parent and its resident memory in KiB.
type Processes = BTreeMap<u32, (u32, u64)>;

impl Roots {
    /// From now on these.
    pub(super) fn set(&self, pids: Vec<u32>) {
        *self.pids.lock().unwrap_or_else(PoisonError::into_inner) = pids;
    }

    /// The most so far, in MiB.
    pub(super) fn peak_mb(&self) -> u64 {
        self.peak_kb.load(Ordering::Relaxed) / 1024
    }

    /// Looks once a second, until it is dropped.
    pub(super) async fn watch(&self) {
        let mut second = interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.peak_kb.fetch_max(resident_kb(&read_processes(), &pids), Ordering::Relaxed);
        }
    }
}

/// Pages that several processes share are counted in each, as `ps` does.
fn resident_kb(processes: &Processes, roots: &[u32]) -> u64 {
    let belongs = |pid: u32| {
        // No process is its own ancestor, but what was read piece by piece might say so.
        let line = std::iter::successors(Some(pid), |pid| processes.get(pid).map(|&(parent, _)| parent));
        line.take(64).any(|ancestor| roots.contains(&ancestor))
    };
    processes.iter().filter(|&(&pid, _)| belongs(pid)).map(|(_, &(_, kb))| kb).sum()
}

fn read_processes() -> Processes {
    let Ok(entries) = fs::read_dir("/proc") else { return Processes::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?)))
        .collect()
}

fn parse(status: &str) -> Option<(u32, u64)> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    // One that has just ended has no memory any more.
    let kb = field("VmRSS:").and_then(|kb| kb.parse().ok()).unwrap_or(0);
    Some((field("PPid:")?.parse().ok()?, kb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_all_that_descends_from_it_counts() {
        let processes = Processes::from([
            (1, (0, 5)),
            (10, (1, 100)),
            (11, (10, 20)),
            (12, (11, 3)),
            (13, (1, 1000)),
            (14, (14, 7)),
        ]);
        assert_eq!(resident_kb(&processes, &[10]), 123);
        assert_eq!(resident_kb(&processes, &[10, 13]), 1123);
        assert_eq!(resident_kb(&processes, &[]), 0);
    }

    #[test]
    fn we_ourselves_are_found_in_proc() {
        let pid = std::process::id();
        assert!(resident_kb(&read_processes(), &[pid]) > 500);
    }
}

//! The servers and all that descends from them: how much memory they take, which of them are browsers, and who is
//! still there when all is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{interval, sleep};

/// The servers that are looked at, with all their descendants.
#[derive(Debug, Default)]
pub(super) struct Family(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    servers: Vec<u32>,
    /// What they took together, in KiB, at each look while all servers were up and had work.
    resident: Vec<u64>,
    is_idle: bool,
    /// Everybody who ever belonged to them, by number and start.
    members: BTreeSet<(u32, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// In ticks of the system since it was started: numbers are used again.
    started: u64,
    /// Pages that several processes share are counted in each, as `ps` does.
    resident_kb: u64,
}

type Processes = BTreeMap<u32, Process>;

impl Family {
    /// From now on these.
    pub(super) fn set(&self, servers: Vec<u32>) {
        self.state().servers = servers;
    }

    /// Looks once a second, until it is dropped.
    pub(super) async fn watch(&self) {
        let mut second = interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            self.look(&read_processes());
        }
    }

    /// Looks once more, before some of them end.
    pub(super) fn look_now(&self) {
        self.look(&read_processes());
    }

    /// Their work is done: what they take from now on says nothing.
    pub(super) fn is_idle(&self) {
        self.state().is_idle = true;
    }

    fn look(&self, processes: &Processes) {
        let mut state = self.state();
        let members = members(processes, &state.servers);
        if !state.is_idle && state.servers.iter().all(|server| members.contains_key(server)) {
            state.resident.push(members.values().map(|process| process.resident_kb).sum());
        }
        state.members.extend(members.iter().map(|(pid, process)| (*pid, process.started)));
    }

    /// The most that they took together, in MiB.
    pub(super) fn peak_mb(&self) -> u64 {
        self.state().resident.iter().max().copied().unwrap_or(0) / 1024
    }

    /// What they took in the middle of each quarter of the time, in MiB: the median, which a short peak does not move.
    pub(super) fn quarters_mb(&self) -> Vec<u64> {
        let all = self.state().resident.clone();
        let quarter = |number: usize| all[number * all.len() / 4..(number + 1) * all.len() / 4].to_vec();
        let median = |mut quarter: Vec<u64>| {
            quarter.sort_unstable();
            quarter.get(quarter.len() / 2).map(|kb| kb / 1024)
        };
        (0..4).filter_map(|number| median(quarter(number))).collect()
    }

    /// The browsers: whom the servers started themselves, which start nobody else.
    pub(super) fn browsers(&self) -> Vec<u32> {
        let servers = self.state().servers.clone();
        let processes = read_processes();
        processes.iter().filter(|(_, it)| servers.contains(&it.parent)).map(|(pid, _)| *pid).collect()
    }

    /// Who is there though all servers have ended, and so long ago: who ends with its server may take a while.
    pub(super) async fn left(&self, going: Duration) -> Vec<u32> {
        let began = Instant::now();
        loop {
            let processes = read_processes();
            let is_there = |&&(pid, started): &&(u32, u64)| {
                processes.get(&pid).is_some_and(|process| process.started == started)
            };
            let left: Vec<u32> = self.state().members.iter().filter(is_there).map(|(pid, _)| *pid).collect();
            if left.is_empty() || began.elapsed() > going {
                return left;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn members(processes: &Processes, servers: &[u32]) -> Processes {
    let belongs = |pid: u32| {
        // No process is its own ancestor, but what was read piece by piece might say so.
        let line = std::iter::successors(Some(pid), |pid| processes.get(pid).map(|process| process.parent));
        line.take(64).any(|ancestor| servers.contains(&ancestor))
    };
    processes.iter().filter(|&(&pid, _)| belongs(pid)).map(|(&pid, &process)| (pid, process)).collect()
}

/// Without those that have ended and were not yet waited for.
fn read_processes() -> Processes {
    let Ok(entries) = fs::read_dir("/proc") else { return Processes::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let read = |pid: u32| {
        let of = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).ok();
        parse(&of("stat")?, &of("status")?)
    };
    pids.filter_map(|pid| Some((pid, read(pid)?))).collect()
}

fn parse(stat: &str, status: &str) -> Option<Process> {
    // Behind the name, which may have spaces and brackets in it, comes the third field of `man proc_pid_stat`.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, parent, started) = (fields.first()?, fields.get(1)?, fields.get(19)?);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident_kb = resident.and_then(|kb| kb.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    let process = Process { parent: parent.parse().ok()?, started: started.parse().ok()?, resident_kb };
    (!matches!(*state, "Z" | "X")).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(parent: u32, resident_kb: u64) -> Process {
        Process { parent, started: 7, resident_kb }
    }

    #[test]
    fn a_server_and_all_that_descends_from_it_counts() {
        let processes = Processes::from([
            (1, process(0, 5)),
            (10, process(1, 100)),
            (11, process(10, 20)),
            (12, process(11, 3)),
            (13, process(1, 1000)),
            (14, process(14, 7)),
        ]);
        let of = |servers: &[u32]| members(&processes, servers).into_keys().collect::<Vec<_>>();
        assert_eq!(of(&[10]), [10, 11, 12]);
        assert_eq!(of(&[10, 13]), [10, 11, 12, 13]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn the_peak_and_the_middle_of_each_quarter_are_told() {
        let family = Family::default();
        family.set(vec![1]);
        for mb in [9, 1, 1, 2, 2, 2, 3, 3, 3, 50, 4, 4] {
            family.look(&Processes::from([(1, process(0, mb * 1024))]));
        }
        assert_eq!((family.peak_mb(), family.quarters_mb()), (50, vec![1, 2, 3, 4]));
        family.look(&Processes::from([(1, process(0, 5 * 1024))]));
        assert_eq!(family.quarters_mb(), [1, 2, 3, 5], "four of them, whatever their number");
        family.look(&Processes::new());
        family.is_idle();
        family.look(&Processes::from([(1, process(0, 1024))]));
        assert_eq!(
            family.quarters_mb(),
            [1, 2, 3, 5],
            "a server that is started again, or idle, says nothing"
        );
        assert_eq!(Family::default().quarters_mb(), Vec::<u64>::new());
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let stat = "7 (a) Z (b) S 3 7 7 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 4711 99 5 0";
        assert_eq!(
            parse(stat, "Name: x\nVmRSS:\t  12 kB\n").unwrap(),
            Process { parent: 3, started: 4711, resident_kb: 12 }
        );
        assert_eq!(parse("7 (dead) Z 3 7 7 0 -1 4 1 0 0 0 1 2 3 4 20 0 1 0 4711", ""), None);
    }

    #[tokio::test]
    async fn who_is_still_there_is_told_and_who_has_gone_is_not() {
        let family = Family::default();
        let mut child = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        let pid = child.id().unwrap();
        family.set(vec![pid]);
        family.look(&read_processes());
        family.set(vec![std::process::id()]);
        assert!(family.browsers().contains(&pid));
        assert_eq!(family.left(Duration::ZERO).await, [pid]);
        child.kill().await.unwrap();
        assert!(family.left(Duration::ZERO).await.is_empty());
    }
}

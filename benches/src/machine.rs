//! Processor time of processes, and what others leave of the machine.

use std::fs;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Ticks of the kernel's clock a second, as every Linux reports them to programs.
const TICKS_A_SECOND: f64 = 100.0;

/// The processor time that a process used so far, in seconds; with that of its children, ended or not.
#[must_use]
pub fn cpu_with_children(process: u32) -> f64 {
    let of = |stat: &Stat| stat.user + stat.system + stat.ended_children;
    let own = Stat::of(process).map_or(0.0, |stat| of(&stat));
    let children = all().into_iter().filter_map(Stat::of).filter(|stat| stat.parent == process);
    (own + children.map(|stat| stat.user + stat.system).sum::<f64>()) / TICKS_A_SECOND
}

/// The processor time that this process used so far, in seconds, without that of its children. Exact: what an
/// idle worker uses in a minute is less than one tick of the kernel's clock.
#[must_use]
pub fn cpu_of_this_process() -> f64 {
    let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    used.map_or(0.0, |used| Duration::from(used).as_secs_f64())
}

/// The processor time that another process used so far, in seconds, without that of its children. Exact too.
#[must_use]
pub fn cpu_of(process: u32) -> f64 {
    let of = |process: i32| clock_gettime(clock_getcpuclockid(Pid::from_raw(process)).ok()?).ok();
    let used = i32::try_from(process).ok().and_then(of);
    used.map_or(0.0, |used| Duration::from(used).as_secs_f64())
}

/// The processes that a process started, those that these started, and so on.
#[must_use]
pub fn processes_below(process: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        all().into_iter().filter_map(|id| Some((id, Stat::of(id)?.parent))).collect();
    let mut below = vec![];
    let mut above = vec![process];
    while let Some(parent) = above.pop() {
        let children = parents.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id);
        above.extend(children.clone());
        below.extend(children);
    }
    below
}

/// The processor time that all processes below a process used so far, in seconds, also of those that ended and were
/// waited for by whoever started them.
#[must_use]
pub fn cpu_below(process: u32) -> f64 {
    let ended = Stat::of(process).map_or(0.0, |stat| stat.ended_children);
    let below = processes_below(process).into_iter().filter_map(Stat::of);
    (ended + below.map(|stat| stat.user + stat.system + stat.ended_children).sum::<f64>()) / TICKS_A_SECOND
}

/// The memory of a process, in bytes, where a page that several share counts for each in part (PSS): that of many
/// processes may be added up. `None` once it has ended.
#[must_use]
pub fn proportional_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
    Some(kib?.parse::<u64>().ok()? * 1024)
}

/// The memory that is a process's alone, in bytes: without the pages of programs and libraries that it shares, and
/// without what the kernel keeps for its sockets. `None` once it has ended.
#[must_use]
pub fn private_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let kib = |line: &str| line.strip_prefix("Private_")?.split_whitespace().nth(1)?.parse::<u64>().ok();
    Some(text.lines().filter_map(kib).sum::<u64>() * 1024)
}

/// Nanoseconds of a clock that never goes back and that every process of the machine reads alike.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// What the whole machine was busy with since a moment.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    since: Instant,
    ticks: f64,
}

impl Busy {
    /// Begins to measure.
    #[must_use]
    pub fn now() -> Self {
        Self { since: Instant::now(), ticks: busy_ticks() }
    }

    /// How much of the machine others than we used since then: 0 to 1. `ours` is our own processor time in
    /// seconds.
    #[must_use]
    pub fn of_others(&self, ours: f64) -> f64 {
        let there_was = self.since.elapsed().max(Duration::from_millis(1)).as_secs_f64() * processors();
        let busy = (busy_ticks() - self.ticks) / TICKS_A_SECOND;
        ((busy - ours) / there_was).clamp(0.0, 1.0)
    }
}

fn processors() -> f64 {
    std::thread::available_parallelism()
        .map_or(1.0, |count| f64::from(u32::try_from(count.get()).unwrap_or(1)))
}

/// User, nice and system time of all processors.
fn busy_ticks() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    numbers.take(3).filter_map(|number| number.parse::<f64>().ok()).sum()
}

/// What the kernel says of a process, in ticks.
struct Stat {
    parent: u32,
    user: f64,
    system: f64,
    ended_children: f64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses, which may hold anything.
    fn read(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            user: number(14)?,
            system: number(15)?,
            ended_children: number(16)? + number(17)?,
        })
    }
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let text = "7 (a b) c) S 3 7 7 0 -1 0 0 0 0 0 11 12 5 6 20 0 1 0 100 0 0";
        let stat = Stat::read(text).unwrap();
        assert_eq!((stat.parent, stat.user, stat.system, stat.ended_children), (3, 11.0, 12.0, 11.0));
    }

    #[test]
    fn memory_that_is_touched_is_seen() {
        let before = private_bytes(std::process::id()).unwrap();
        let touched = vec![1_u8; 32 << 20];
        let grown = private_bytes(std::process::id()).unwrap() - before;
        assert!(grown >= 24 << 20, "{grown} of {}", touched.len());
        assert_eq!(private_bytes(u32::MAX), None);
    }

    #[test]
    fn what_was_used_by_a_process_below_that_has_ended_is_seen() {
        // A shell that lives on, after a shell of it used time and ended.
        let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done; read line";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut said = [0; 5];
        std::io::Read::read_exact(&mut shell.stdout.take().unwrap(), &mut said).unwrap();
        let of_children = cpu_below(shell.id());
        let (of_shell, is_ours) = (cpu_of(shell.id()), processes_below(std::process::id()));
        let memory = proportional_bytes(shell.id());
        drop(shell.stdin.take());
        let id = shell.id();
        shell.wait().unwrap();
        assert!(of_children > 0.0 && of_children > of_shell, "{of_children} and {of_shell}");
        assert!(is_ours.contains(&id), "{id} is not among {is_ours:?}");
        assert!(memory.is_some_and(|bytes| bytes > 10_000), "{memory:?}");
    }

    #[test]
    fn what_is_used_is_seen() {
        let before = cpu_of_this_process();
        let mut sum = 0_u64;
        while cpu_of_this_process() < before + 0.05 {
            sum = (0..1_000_000).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        assert!(cpu_with_children(std::process::id()) > before, "{sum}");
        assert!(cpu_of(std::process::id()) > before);
    }
}

//! What became of operations in the last hours: sums of every minute, in a bounded ring.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::operation::{Class, Operation, OperationState};
use archibald_core::port::{Minute, Tally};
use archibald_core::time::Timestamp;
use tokio::time::Instant;

/// Minutes that are kept, at [`Sums`] each: what goes beyond them is forgotten, the oldest first.
const MINUTES: u64 = 24 * 60;
const MINUTE: u64 = 60_000_000;
/// Waits that are told apart: up to 10 ms, then four to each doubling, up to more than a day.
const BINS: usize = 96;

/// The last hours. Minutes are counted by the monotonic clock, so that a wall clock that is put right neither loses any
/// nor puts two into one; only when they are told they get the store's time as it is then.
#[derive(Debug)]
pub(crate) struct History {
    /// When its first minute began, or would have.
    begun: Instant,
    ring: Mutex<Ring>,
}

/// The minutes in which something happened, by their number.
#[derive(Debug, Default)]
struct Ring(VecDeque<(u64, Sums)>);

/// Of the two classes.
#[derive(Debug, Clone, Default)]
struct Sums {
    interactive: Counts,
    background: Counts,
}

/// What is more than fits stays at the most that does.
#[derive(Debug, Clone)]
struct Counts {
    /// In the order of [`Tally`].
    ends: [u32; 5],
    waits: [u16; BINS],
}

impl History {
    /// `now` is the store's time: minutes begin when its minutes do.
    pub(crate) fn begin(now: Timestamp) -> Self {
        let into = Duration::from_micros(now.as_micros().rem_euclid(MINUTE as i64).unsigned_abs());
        let now = Instant::now();
        Self { begun: now.checked_sub(into).unwrap_or(now), ring: Mutex::default() }
    }

    pub(crate) fn waited(&self, class: Class, wait: Duration) {
        self.ring().at(self.minute()).of(class).waited(wait);
    }

    pub(crate) fn ended(&self, operation: &Operation) {
        if let Some(place) = place(&operation.state) {
            self.ring().at(self.minute()).of(operation.class).ended(place);
        }
    }

    /// From the minute of `since` on, with the store's time as it is now.
    pub(crate) fn told(&self, since: Timestamp, now: Timestamp) -> Vec<Minute> {
        let elapsed = self.begun.elapsed();
        self.ring().told(now - elapsed, self.minute(), since)
    }

    fn minute(&self) -> u64 {
        self.begun.elapsed().as_secs() / 60
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The sums of this minute. Whoever looked at the clock before somebody else and comes after is in the other's.
    fn at(&mut self, minute: u64) -> &mut Sums {
        self.forget(minute);
        if self.0.back().is_none_or(|(last, _)| *last < minute) {
            self.0.push_back((minute, Sums::default()));
        }
        let last = self.0.len() - 1;
        &mut self.0[last].1
    }

    fn forget(&mut self, now: u64) {
        while self.0.front().is_some_and(|(minute, _)| minute + MINUTES <= now) {
            self.0.pop_front();
        }
    }

    /// `begun` is when the first minute began.
    fn told(&mut self, begun: Timestamp, now: u64, since: Timestamp) -> Vec<Minute> {
        self.forget(now);
        let told = self.0.iter().map(|(minute, sums)| Minute {
            at: whole(begun + Duration::from_secs(minute * 60)),
            interactive: sums.interactive.told(),
            background: sums.background.told(),
        });
        told.skip_while(|minute| minute.at + Duration::from_micros(MINUTE) <= since).collect()
    }
}

/// The nearest whole minute: clocks that are not quite alike must not move all minutes by a little.
fn whole(at: Timestamp) -> Timestamp {
    let minute = MINUTE as i64;
    Timestamp::from_micros((at.as_micros() + minute / 2).div_euclid(minute) * minute)
}

impl Sums {
    fn of(&mut self, class: Class) -> &mut Counts {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Background => &mut self.background,
        }
    }
}

impl Counts {
    fn waited(&mut self, wait: Duration) {
        let bin = (0..BINS - 1).find(|bin| wait <= most(*bin)).unwrap_or(BINS - 1);
        self.waits[bin] = self.waits[bin].saturating_add(1);
    }

    fn ended(&mut self, place: usize) {
        self.ends[place] = self.ends[place].saturating_add(1);
    }

    fn told(&self) -> Tally {
        let [completed, rejected, failed, in_doubt, cancelled] = self.ends;
        let bins = self.waits.iter().enumerate().filter(|(_, count)| **count > 0);
        let waits = bins.map(|(bin, count)| (most(bin).as_millis() as u64, u32::from(*count))).collect();
        Tally { completed, rejected, failed, in_doubt, cancelled, waits }
    }
}

/// Where an end is counted, in the order of [`Tally`]; what goes on is none.
fn place(state: &OperationState) -> Option<usize> {
    match state {
        OperationState::Available { .. } | OperationState::Running { .. } => None,
        OperationState::Completed { .. } => Some(0),
        OperationState::Rejected { .. } => Some(1),
        OperationState::Failed { .. } => Some(2),
        OperationState::InDoubt { .. } => Some(3),
        OperationState::Cancelled { .. } => Some(4),
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { ends: [0; 5], waits: [0; BINS] }
    }
}

/// The longest wait of a bin: 10 ms, and from one to the next a fifth more.
fn most(bin: usize) -> Duration {
    const QUARTERS: [u64; 4] = [10_000, 11_892, 14_142, 16_818];
    Duration::from_micros((QUARTERS[bin % 4] << (bin / 4)).next_multiple_of(1000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn completed() -> usize {
        place(&OperationState::Completed { result: json!({}) }).unwrap()
    }

    fn told(ring: &mut Ring, now: u64) -> Vec<(String, Tally)> {
        let minutes = ring.told(at("2026-11-22T08:00:00Z"), now, Timestamp::EPOCH);
        minutes
            .into_iter()
            .map(|minute| (minute.at.to_string()[11..16].to_owned(), minute.interactive))
            .collect()
    }

    #[test]
    fn what_happened_in_a_minute_is_told_with_its_time_and_what_did_not_is_not() {
        let mut ring = Ring::default();
        ring.at(0).of(Class::Interactive).ended(completed());
        ring.at(2).of(Class::Interactive).ended(completed());
        let cancelled = place(&OperationState::Cancelled { by: "nancy".to_owned() }).unwrap();
        ring.at(2).of(Class::Interactive).ended(cancelled);
        ring.at(2).of(Class::Background).ended(completed());
        let one = Tally { completed: 1, ..Tally::default() };
        let both = Tally { completed: 1, cancelled: 1, ..Tally::default() };
        assert_eq!(
            told(&mut ring, 2),
            [("08:00".to_owned(), one.clone()), ("08:02".to_owned(), both.clone())]
        );
        let minutes = ring.told(at("2026-11-22T08:00:00Z"), 2, at("2026-11-22T08:02:59Z"));
        assert_eq!(minutes, [Minute { at: at("2026-11-22T08:02:00Z"), interactive: both, background: one }]);
    }

    #[test]
    fn a_minute_is_kept_for_a_day_and_never_more_minutes_than_a_day_has() {
        let mut ring = Ring::default();
        for minute in 0..3 * MINUTES {
            ring.at(minute).of(Class::Interactive).ended(completed());
            assert!(ring.0.len() as u64 <= MINUTES);
        }
        assert_eq!(told(&mut ring, 3 * MINUTES - 1).len() as u64, MINUTES);
        assert_eq!(told(&mut ring, 4 * MINUTES - 2).len(), 1, "nothing happened since");
        assert_eq!(told(&mut ring, 4 * MINUTES - 1), []);
    }

    #[test]
    fn the_fullest_day_fits_into_what_the_documentation_says() {
        let bytes = size_of::<(u64, Sums)>() * MINUTES as usize;
        println!("{} KiB", bytes.div_ceil(1024));
        assert!(bytes <= 608 * 1024, "{bytes}");
        let mut sums = Sums::default();
        for _ in 0..70_000 {
            sums.interactive.waited(Duration::from_secs(1));
        }
        assert_eq!(sums.interactive.told().waits, [(1077, 65_535)], "it does not run over");
    }

    #[test]
    fn a_wait_is_told_with_a_fifth_too_much_at_the_most() {
        for micros in (0..80_000_000_000).step_by(9_999_991).chain(0..100_000) {
            let wait = Duration::from_micros(micros);
            let mut counts = Counts::default();
            counts.waited(wait);
            let [(told, 1)] = counts.told().waits[..] else { panic!("{wait:?}: {:?}", counts.told()) };
            let told = Duration::from_millis(told);
            let most = wait.mul_f64(1.2).max(Duration::from_millis(10));
            assert!(wait <= told && told <= most + Duration::from_millis(1), "{wait:?} is told as {told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_put_right_moves_all_minutes_together() {
        let history = History::begin(at("2026-11-22T08:00:50Z"));
        history.waited(Class::Interactive, Duration::ZERO);
        tokio::time::advance(Duration::from_secs(20)).await;
        history.waited(Class::Interactive, Duration::ZERO);
        let times = |now: &str| -> Vec<String> {
            let minutes = history.told(Timestamp::EPOCH, at(now));
            minutes.iter().map(|minute| minute.at.to_string()[11..19].to_owned()).collect()
        };
        assert_eq!(times("2026-11-22T08:01:10Z"), ["08:00:00", "08:01:00"]);
        assert_eq!(times("2026-11-22T08:01:10.4Z"), ["08:00:00", "08:01:00"], "a little is nothing");
        assert_eq!(times("2026-11-22T07:01:10Z"), ["07:00:00", "07:01:00"]);
        assert_eq!(times("2026-11-22T10:01:10Z"), ["10:00:00", "10:01:00"]);
    }
}

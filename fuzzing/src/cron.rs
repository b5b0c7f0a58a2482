//! Times of schedules: five fields, and the name of a time zone on the next line.

use std::time::{Duration, Instant};

use archibald_core::schedule::Cron;
use archibald_core::time::Timestamp;

pub(super) const WORDS: &[&str] = &[
    "*",
    "*/15",
    "6-20",
    "1-5",
    "L",
    "W",
    "#",
    "?",
    ",",
    "/",
    "-",
    "0",
    "59",
    "31",
    "29 2",
    "MON",
    "DEC",
    "UTC",
    "Europe/Rome",
    "Australia/Lord_Howe",
    "\n",
    " ",
    "@daily",
    "99999999999",
];

/// 2026-03-28T00:00:00Z, a day before clocks are changed in Europe.
const BEGIN: i64 = 1_774_656_000_000_000;

/// Longer than any schedule may keep a worker from its work.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let began = Instant::now();
    match Cron::new(pattern, zone) {
        Ok(cron) => follow(&cron, pattern),
        Err(error) => {
            let words = error.to_string();
            assert!(words.starts_with("must be "), "{words}");
        }
    }
    assert!(began.elapsed() < PATIENCE, "{text:?} took {:?}", began.elapsed());
}

/// Each occurrence is later than the one before, and the same is found from anywhere between them.
fn follow(cron: &Cron, pattern: &str) {
    let mut time = Timestamp::from_micros(BEGIN);
    for _ in 0..20 {
        let Some(next) = cron.next_after(time) else { return };
        assert!(next > time, "{pattern:?}: {next} is after {time}");
        let between = Timestamp::from_micros(time.as_micros().midpoint(next.as_micros() - 1));
        assert_eq!(cron.next_after(between), Some(next), "{pattern:?} from {between}");
        time = next;
    }
}

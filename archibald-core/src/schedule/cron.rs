//! Five fields of cron by the wall clock of a time zone.

use std::fmt;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::time::Timestamp;

/// How many occurrences are looked at for the shortest time between two: a day of every minute, and more.
const LOOKED_AT: usize = 1_500;
/// For how long, where there are fewer.
const LOOKED_FOR: Duration = Duration::from_secs(8 * 24 * 3600);

/// Minute, hour, day of month, month and day of week, as `*/15 6-20 * * 1-5`, in a time zone.
///
/// What happens where clocks are changed depends on the hour field:
///
/// | hour field | an hour that does not exist | an hour that exists twice |
/// | --- | --- | --- |
/// | names hours: a time of day | its times are one occurrence, at the change | its times count the first time only |
/// | `*`: a rhythm | has no occurrences | has them both times |
///
/// So no time of day is lost or doubled, and a rhythm goes on as time does.
#[derive(Clone)]
pub struct Cron {
    text: String,
    zone_name: String,
    pattern: Box<croner::Cron>,
    zone: TimeZone,
    is_rhythm: bool,
}

/// A schedule that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Not what cron understands.
    #[error("must be five fields of cron such as \"*/15 6-20 * * 1-5\", got {text:?}: {why}")]
    Pattern {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It never comes, as the 30th of February.
    #[error("must be a time that comes, got {0:?}")]
    Never(String),
    /// No time zone has this name.
    #[error("must be a time zone such as \"Europe/Rome\", got {0:?}")]
    Zone(String),
}

impl Cron {
    /// In UTC.
    ///
    /// # Errors
    /// [`CronError`].
    pub fn utc(text: &str) -> Result<Self, CronError> {
        Self::new(text, "UTC")
    }

    /// In a time zone by its IANA name. The zones' rules are those that this program was built with: every worker
    /// of one build knows the same, whatever its machine has.
    ///
    /// # Errors
    /// [`CronError`].
    pub fn new(text: &str, zone_name: &str) -> Result<Self, CronError> {
        let zone = TimeZoneDatabase::bundled().get(zone_name);
        let zone = zone.map_err(|_| CronError::Zone(shortened(zone_name)))?;
        let refuse = |why: String| CronError::Pattern { text: shortened(text), why };
        let fields: Vec<_> = text.split_whitespace().collect();
        let [_, hour, ..] = fields[..] else { return Err(refuse("it has one field".to_owned())) };
        if fields.len() != 5 {
            return Err(refuse(format!("it has {} fields", fields.len())));
        }
        // The parser takes a list of nothing, which never comes: it is looked for until the calendar ends, for seconds.
        if fields.iter().any(|field| field.split(',').any(str::is_empty)) {
            return Err(refuse("a list has nothing between commas".to_owned()));
        }
        // The parser's own sign for "the day of the month and the day of the week". No other cron has it, and days that
        // never meet are looked for as long.
        if text.contains('+') {
            return Err(refuse("+ is not known".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(text).map_err(|error| refuse(error.to_string()))?;
        let zone_name = zone.iana_name().unwrap_or(zone_name).to_owned();
        let cron = Self {
            text: fields.join(" "),
            zone_name,
            pattern: Box::new(pattern),
            zone,
            is_rhythm: hour == "*",
        };
        cron.next_after(Timestamp::EPOCH).ok_or_else(|| CronError::Never(shortened(text)))?;
        Ok(cron)
    }

    /// The first occurrence after this time.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
        let next = if self.is_rhythm { self.next_of_rhythm(time) } else { self.next_of_times(time) }?;
        Some(Timestamp::from_micros(next.as_microsecond())).filter(|next| *next < Timestamp::MAX)
    }

    /// The last occurrence up to this time, unless it is `within` ago, or more.
    pub(super) fn last_until(&self, time: Timestamp, within: Duration) -> Option<Timestamp> {
        // Back step by step, so that few occurrences lie between.
        let mut span = Duration::from_secs(3600);
        loop {
            let from = time - span.min(within);
            let next = |from: &Timestamp| self.next_after(*from).filter(|next| *next <= time);
            let last = std::iter::successors(next(&from), next).last();
            if last.is_some() || span >= within {
                return last;
            }
            span *= 4;
        }
    }

    pub(super) fn shortest_gap(&self) -> Duration {
        let times = std::iter::successors(self.next_after(Timestamp::EPOCH), |time| self.next_after(*time));
        let times: Vec<_> = times
            .enumerate()
            .take_while(|(n, time)| *n < 3 || time.since(Timestamp::EPOCH) < LOOKED_FOR)
            .map(|(_, time)| time)
            .take(LOOKED_AT)
            .collect();
        let gaps = times.windows(2).map(|two| two[1].since(two[0]));
        gaps.min().unwrap_or(LOOKED_FOR)
    }

    /// Each time of day once. The instants of wall clock times never go back as the times go on, so whatever is up
    /// to the wall clock's own time is over.
    fn next_of_times(&self, time: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut wall = self.zone.to_datetime(time);
        loop {
            wall = self.pattern.find_next_occurrence(&wall, false).ok()?;
            let instant = self.instant_of(wall)?;
            if instant > time {
                return Some(instant);
            }
        }
    }

    /// The first one where a wall clock time comes twice; where it does not come, the moment of the change.
    fn instant_of(&self, wall: DateTime) -> Option<jiff::Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // By the later offset it lies before the change, so that is what follows it.
                let before_it = after.to_timestamp(wall).ok()?;
                self.zone.following(before_it).next().map(|change| change.timestamp())
            }
        }
    }

    /// Each instant whose wall clock time it is.
    fn next_of_rhythm(&self, time: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut from = time;
        let mut is_inclusive = false;
        loop {
            let offset = self.zone.to_offset(from);
            let wall = self.pattern.find_next_occurrence(&offset.to_datetime(from), is_inclusive).ok()?;
            let next = offset.to_timestamp(wall).ok()?;
            match self.zone.following(from).next().filter(|change| change.timestamp() <= next) {
                None => return Some(next),
                // By another clock from there on.
                Some(change) => (from, is_inclusive) = (change.timestamp(), true),
            }
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The same fields in the same zone.
impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone_name) == (&other.text, &other.zone_name)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone_name)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_with_an_empty_part_is_refused_without_a_search() {
        for text in [",,, 2, 6 * 5", "0 2, * * *", "0 ,2 * * *", "0 1,,2 * * *", "0 2 * * ,"] {
            let refused = Cron::utc(text).unwrap_err().to_string();
            assert!(refused.contains("nothing between commas"), "{text}: {refused}");
        }
    }

    #[test]
    fn days_that_may_never_meet_are_refused_without_a_search() {
        for text in ["2 9 L 9 +", "0 0 1 * +1"] {
            let refused = Cron::utc(text).unwrap_err();
            assert!(matches!(refused, CronError::Pattern { .. }), "{refused}");
        }
    }

    /// All occurrences after a time up to another, in the zone's own words.
    fn between(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let cron = Cron::new(cron, zone).unwrap();
        let (from, to): (Timestamp, Timestamp) = (from.parse().unwrap(), to.parse().unwrap());
        let next = |from: &Timestamp| cron.next_after(*from).filter(|next| *next <= to);
        let times = std::iter::successors(next(&from), next);
        times
            .map(|time| {
                let time = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap();
                time.to_zoned(cron.zone.clone()).strftime("%d %H:%M%:z").to_string()
            })
            .collect()
    }

    /// In Rome clocks went from 2:00 to 3:00 on 29 March 2026.
    fn in_spring(cron: &str) -> Vec<String> {
        between(cron, "Europe/Rome", "2026-03-28T23:30:00Z", "2026-03-29T03:00:00Z")
    }

    /// In Rome clocks went from 3:00 to 2:00 on 25 October 2026.
    fn in_autumn(cron: &str) -> Vec<String> {
        between(cron, "Europe/Rome", "2026-10-24T22:45:00Z", "2026-10-25T02:30:00Z")
    }

    #[test]
    fn a_time_of_day_that_is_skipped_comes_with_the_change() {
        assert_eq!(in_spring("30 2 * * *"), ["29 03:00+02:00"]);
        assert_eq!(in_spring("0,30 2 * * *"), ["29 03:00+02:00"], "once, however many were skipped");
        assert_eq!(in_spring("0 1-4 * * *"), ["29 01:00+01:00", "29 03:00+02:00", "29 04:00+02:00"]);
        assert_eq!(in_spring("30 2 28 * *"), [""; 0], "of the 28th none was skipped");
    }

    #[test]
    fn a_time_of_day_that_comes_twice_counts_once() {
        assert_eq!(in_autumn("30 2 * * *"), ["25 02:30+02:00"]);
        assert_eq!(
            in_autumn("0,30 1-3 * * *"),
            [
                "25 01:00+02:00",
                "25 01:30+02:00",
                "25 02:00+02:00",
                "25 02:30+02:00",
                "25 03:00+01:00",
                "25 03:30+01:00"
            ]
        );
    }

    #[test]
    fn a_rhythm_goes_on_as_time_does() {
        assert_eq!(in_spring("30 * * * *"), ["29 01:30+01:00", "29 03:30+02:00", "29 04:30+02:00"]);
        assert_eq!(
            in_spring("0 * * * *"),
            ["29 01:00+01:00", "29 03:00+02:00", "29 04:00+02:00", "29 05:00+02:00"]
        );
        assert_eq!(
            in_autumn("0 * * * *"),
            ["25 01:00+02:00", "25 02:00+02:00", "25 02:00+01:00", "25 03:00+01:00"]
        );
    }

    #[test]
    fn an_hour_is_the_zones() {
        let summer = between("0 6 * * 1-5", "Europe/Rome", "2026-07-03T00:00:00Z", "2026-07-06T23:00:00Z");
        assert_eq!(summer, ["03 06:00+02:00", "06 06:00+02:00"], "a Friday and a Monday");
        assert_eq!(
            between("0 6 * * *", "UTC", "2026-07-03T00:00:00Z", "2026-07-03T23:00:00Z"),
            ["03 06:00+00:00"]
        );
    }

    #[test]
    fn the_last_one_is_found_however_long_ago_unless_it_is_too_long() {
        let day = Duration::from_secs(24 * 3600);
        let monthly = Cron::new("0 4 1 * *", "Europe/Rome").unwrap();
        let now: Timestamp = "2026-11-22T08:30:00Z".parse().unwrap();
        assert_eq!(monthly.last_until(now, day * 30), Some("2026-11-01T03:00:00Z".parse().unwrap()));
        assert_eq!(monthly.last_until(now, day), None);
        let often = Cron::utc("* * * * *").unwrap();
        assert_eq!(often.last_until(now, day), Some(now), "up to and with it");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str, zone: &str| Cron::new(text, zone).unwrap_err().to_string();
        assert_eq!(
            error("0 6 * *", "UTC"),
            "must be five fields of cron such as \"*/15 6-20 * * 1-5\", got \"0 6 * *\": it has 4 fields"
        );
        for text in [
            "",
            "daily",
            "@daily",
            "0 0 6 * * *",
            "61 * * * *",
            "* 24 * * *",
            "a * * * *",
            "0 6 * * 8",
            "*/0 * * * *",
        ] {
            assert!(error(text, "UTC").starts_with("must be five fields of cron"), "{text}");
        }
        assert_eq!(error("0 6 30 2 *", "UTC"), "must be a time that comes, got \"0 6 30 2 *\"");
        assert_eq!(
            error("0 6 * * *", "Europe/Roma"),
            "must be a time zone such as \"Europe/Rome\", got \"Europe/Roma\""
        );
    }
}

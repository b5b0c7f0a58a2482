use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A calendar day. Reads and prints as ISO 8601, `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

/// A text that is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a date must be as 2026-11-22, got {0:?}")]
pub struct InvalidDate(String);

impl Date {
    /// A day of the proleptic Gregorian calendar; `None` where there is no such day.
    #[must_use]
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        jiff::civil::Date::new(year, month, day).ok().map(Self)
    }

    /// Year, month (1 to 12) and day (1 to 31).
    #[must_use]
    pub fn parts(self) -> (i16, i8, i8) {
        (self.0.year(), self.0.month(), self.0.day())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Date {
    type Err = InvalidDate;
    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let refuse = || InvalidDate(text.chars().take(80).collect());
        if text.len() != 10 {
            return Err(refuse());
        }
        text.parse().map(Self).map_err(|_| refuse())
    }
}

impl TryFrom<String> for Date {
    type Error = InvalidDate;
    fn try_from(text: String) -> Result<Self, InvalidDate> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> String {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_iso_and_nothing_else() {
        assert_eq!("2026-11-22".parse::<Date>().unwrap().parts(), (2026, 11, 22));
        for bad in ["22/11/2026", "2026-13-01", "2026-02-30", "2026-11-22T00:00:00", ""] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }
}

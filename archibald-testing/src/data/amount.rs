//! Exact decimals with two places: money and per cent. No floats: a cent lost by the judge is a verdict lost.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Money in hundredths of the currency's unit. Written `1234.50` (also in JSON, as a string).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(
    /// Hundredths; may be negative.
    pub i64,
);

/// Per cent in hundredths of a per cent: 15 % is 1500. Written `15.00` (also in JSON, as a string).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(
    /// Hundredths of a per cent, 0 to 10,000 where it is a discount.
    pub i64,
);

/// A text that is no decimal number with at most two places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a decimal number with at most two places, like 12 or 12.5 or 12.50")]
pub struct AmountError(
    /// The text as it came, at most its first 80 characters.
    pub String,
);

impl AmountError {
    fn of(text: &str) -> Self {
        Self(text.chars().take(80).collect())
    }
}

impl Cents {
    /// `quantity` pieces at this price less `discount`, rounded half up to the cent.
    pub fn times(self, quantity: u32, discount: Percent) -> Self {
        let exact = i128::from(self.0) * i128::from(quantity) * i128::from(10_000 - discount.0);
        let rounded = (exact + 5_000).div_euclid(10_000);
        Self(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    /// `1.234,50`, as Italian pages show money.
    pub fn italian(self) -> String {
        let digits = (self.0.unsigned_abs() / 100).to_string();
        let mut whole = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                whole.push('.');
            }
            whole.push(digit);
        }
        format!("{}{whole},{:02}", sign(self.0), self.0.unsigned_abs() % 100)
    }
}

impl Percent {
    /// `15,00`, as Italian pages show per cent.
    pub fn italian(self) -> String {
        self.to_string().replace('.', ",")
    }

    /// Reads `15`, `15,5` or `15,00`. A dot separates thousands in Italy, so `15.5` is refused.
    pub fn from_italian(text: &str) -> Result<Self, AmountError> {
        if text.contains('.') {
            return Err(AmountError::of(text));
        }
        text.replace(',', ".").parse().map_err(|_| AmountError::of(text))
    }
}

macro_rules! two_places {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hundredths = self.0.unsigned_abs();
                write!(f, "{}{}.{:02}", sign(self.0), hundredths / 100, hundredths % 100)
            }
        }

        impl FromStr for $name {
            type Err = AmountError;
            fn from_str(text: &str) -> Result<Self, AmountError> {
                hundredths(text).map(Self).ok_or_else(|| AmountError::of(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

two_places!(Cents);
two_places!(Percent);

fn sign(value: i64) -> &'static str {
    if value < 0 { "-" } else { "" }
}

fn hundredths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !numeric(places) || places.len() > 2 {
        return None;
    }
    let places: i64 = format!("{places:0<2}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(places)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_written_exactly() {
        for (text, hundredths) in [("0", 0), ("12", 1200), ("12.5", 1250), ("12.05", 1205), ("-0.50", -50)] {
            assert_eq!(text.parse::<Cents>(), Ok(Cents(hundredths)), "{text}");
        }
        for bad in ["", ".5", "1.", "1.234", "1,5", "x", "+1", "99999999999999999999"] {
            assert!(bad.parse::<Cents>().is_err(), "{bad}");
        }
        assert_eq!(Percent(1505).to_string(), "15.05");
    }

    #[test]
    fn what_is_refused_is_told_in_few_words() {
        let long = "9".repeat(10_000);
        let refused = [long.parse::<Cents>().unwrap_err(), Percent::from_italian(&long).unwrap_err()];
        for error in refused.map(|error| error.to_string()) {
            assert!(error.len() < 200, "{error}");
        }
    }

    #[test]
    fn italian_pages_show_dots_for_thousands_and_a_comma() {
        for (cents, text) in
            [(0, "0,00"), (99_950, "999,50"), (123_450, "1.234,50"), (-100_000_000, "-1.000.000,00")]
        {
            assert_eq!(Cents(cents).italian(), text);
        }
        assert_eq!(Percent::from_italian("15,5"), Ok(Percent(1550)));
        assert!(Percent::from_italian("15.5").is_err());
    }

    #[test]
    fn a_line_rounds_half_up() {
        assert_eq!(Cents(1995).times(3, Percent(1500)), Cents(5087));
        assert_eq!(Cents(1).times(1, Percent(5000)), Cents(1));
    }
}

use archibald_core::erp::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

/// How a site writes dates and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formats {
    /// Made of `dd`, `mm` and `yyyy`, each once, with anything between them.
    pub date: String,
    /// Between whole and fraction.
    pub decimal: char,
    /// Between thousands.
    pub thousands: char,
}

/// A text that is not written as the page map says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct NotOfThisFormat {
    text: String,
    expected: String,
}

impl Formats {
    pub(super) fn check(&self) -> Result<(), String> {
        let once = |part: &str| self.date.matches(part).count() == 1;
        if !(once("dd") && once("mm") && once("yyyy")) {
            return Err(format!("formats.date must have dd, mm and yyyy once each, got {:?}", self.date));
        }
        // A minus that separates is read as a separator, and the number loses its sign.
        let separates = |c: char| !c.is_ascii_digit() && c != '-';
        if self.decimal == self.thousands || !separates(self.decimal) || !separates(self.thousands) {
            return Err(
                "formats.decimal and formats.thousands must differ and be neither digits nor a minus"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// A date as the site writes it.
    #[must_use]
    pub fn write_date(&self, date: Date) -> String {
        let (year, month, day) = date.parts();
        self.date
            .replace("yyyy", &format!("{year:04}"))
            .replace("mm", &format!("{month:02}"))
            .replace("dd", &format!("{day:02}"))
    }

    /// A date that the site wrote.
    ///
    /// # Errors
    /// [`NotOfThisFormat`].
    pub fn read_date(&self, text: &str) -> Result<Date, NotOfThisFormat> {
        let refuse =
            || NotOfThisFormat { text: text.to_owned(), expected: format!("a date as {}", self.date) };
        let text = text.trim();
        let part = |name: &str| -> Option<i16> {
            let from = self.date.find(name)?;
            text.get(from..from + name.len())?.parse().ok()
        };
        let day = part("dd").and_then(|day| i8::try_from(day).ok());
        let month = part("mm").and_then(|month| i8::try_from(month).ok());
        let date = match (part("yyyy"), month, day) {
            (Some(year), Some(month), Some(day)) => Date::new(year, month, day),
            _ => None,
        };
        date.filter(|date| self.write_date(*date) == text).ok_or_else(refuse)
    }

    /// A number as the site takes it.
    #[must_use]
    pub fn write_number(&self, number: Decimal) -> String {
        number.normalize().to_string().replace('.', &self.decimal.to_string())
    }

    /// A number that the site wrote.
    ///
    /// # Errors
    /// [`NotOfThisFormat`].
    pub fn read_number(&self, text: &str) -> Result<Decimal, NotOfThisFormat> {
        let plain: String = text
            .trim()
            .chars()
            .filter(|c| *c != self.thousands)
            .map(|c| if c == self.decimal { '.' } else { c })
            .collect();
        plain.parse().map_err(|_| NotOfThisFormat { text: text.to_owned(), expected: "a number".to_owned() })
    }

    /// A whole number that the site wrote.
    ///
    /// # Errors
    /// [`NotOfThisFormat`].
    pub fn read_whole(&self, text: &str) -> Result<u32, NotOfThisFormat> {
        let plain = text.replace(self.thousands, "");
        let refuse = || NotOfThisFormat { text: text.to_owned(), expected: "a whole number".to_owned() };
        plain.parse().map_err(|_| refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn italian() -> Formats {
        Formats { date: "dd/mm/yyyy".into(), decimal: ',', thousands: '.' }
    }

    #[test]
    fn a_minus_is_no_separator() {
        for (decimal, thousands) in [('-', '.'), (',', '-')] {
            let formats = Formats { decimal, thousands, ..italian() };
            let refused = formats.check().unwrap_err();
            assert!(refused.contains("formats.thousands"), "{refused}");
        }
        assert_eq!(italian().check(), Ok(()));
    }

    #[test]
    fn italian_dates_and_numbers_go_both_ways() {
        let date = "2026-11-22".parse().unwrap();
        assert_eq!(italian().write_date(date), "22/11/2026");
        assert_eq!(italian().read_date(" 22/11/2026 "), Ok(date));
        assert_eq!(italian().read_number("1.234,50"), Ok("1234.50".parse().unwrap()));
        assert_eq!(italian().write_number("5.50".parse().unwrap()), "5,5");
        for bad in ["2026-11-22", "31/02/2026", "22/11/20260", ""] {
            assert!(italian().read_date(bad).is_err(), "{bad}");
        }
        assert!(italian().read_number("dodici").is_err());
    }
}

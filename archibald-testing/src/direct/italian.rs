//! Numbers and dates as the pages write them: `1.234,50` and `22/11/2026`.

use archibald_core::erp::Date;
use rust_decimal::Decimal;

pub(super) fn date(date: Date) -> String {
    let (year, month, day) = date.parts();
    format!("{day:02}/{month:02}/{year:04}")
}

pub(super) fn parse_date(text: &str) -> Option<Date> {
    let [day, month, year] = text.trim().split('/').collect::<Vec<_>>().try_into().ok()?;
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// Without separators of thousands, which fields do not take.
pub(super) fn decimal(value: Decimal) -> String {
    value.normalize().to_string().replace('.', ",")
}

pub(super) fn parse_decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-');
    if !text.chars().all(known) {
        return None;
    }
    text.replace('.', "").replace(',', ".").parse().ok()
}

pub(super) fn parse_yes(text: &str) -> Option<bool> {
    match text.trim() {
        "Sì" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_dates_go_there_and_back() {
        let amount = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(parse_decimal(" 1.234,50 "), Some(amount("1234.50")));
        assert_eq!(parse_decimal("-0,05"), Some(amount("-0.05")));
        assert_eq!(decimal(amount("15.50")), "15,5");
        assert_eq!(decimal(amount("100.00")), "100");
        for bad in ["", "x", "1,2,3", "€ 5", "1e3"] {
            assert_eq!(parse_decimal(bad), None, "{bad}");
        }
        let day = Date::new(2026, 1, 2).unwrap();
        assert_eq!(date(day), "02/01/2026");
        assert_eq!(parse_date("02/01/2026"), Some(day));
        for bad in ["2026-01-02", "31/02/2026", "", "1/1"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert_eq!(["Sì", " No ", "Forse"].map(parse_yes), [Some(true), Some(false), None]);
    }
}

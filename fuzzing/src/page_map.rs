//! Page maps: what one site looks like, as TOML.

use archibald_browser::page_map::PageMap;
use archibald_core::erp::Date;
use rust_decimal::Decimal;

pub(super) const WORDS: &[&str] = &[
    "dd",
    "mm",
    "yyyy",
    "dd/mm/yyyy",
    "\"",
    "'",
    "\n",
    "[",
    "]",
    "=",
    "#",
    ".",
    ",",
    "-",
    " ",
    "decimal = \"-\"",
    "thousands = \" \"",
    "{0}",
    "https://",
    "\\u0000",
    "true",
    "[[",
    "]]",
];

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match PageMap::parse("site.toml", text) {
        Ok(map) => writes_what_it_reads(&map),
        Err(error) => {
            let words = error.to_string();
            assert!(words.starts_with("page map site.toml: ") && words.len() > 22, "{words}");
        }
    }
}

/// A site's dates and numbers go both ways, whatever characters it uses for them.
fn writes_what_it_reads(map: &PageMap) {
    for (year, month, day) in [(2026, 11, 22), (1999, 12, 31), (2000, 2, 29), (2011, 1, 10)] {
        let Some(date) = Date::new(year, month, day) else { panic!("a day that there was") };
        let written = map.formats.write_date(date);
        assert_eq!(map.formats.read_date(&written), Ok(date), "{written:?} of {:?}", map.formats);
    }
    for (number, scale) in [(0, 0), (5, 0), (-5, 0), (55, 1), (-123_450, 2), (1_000_000, 0), (1, 4)] {
        let number = Decimal::new(number, scale);
        let written = map.formats.write_number(number);
        assert_eq!(map.formats.read_number(&written), Ok(number), "{written:?} of {:?}", map.formats);
    }
}

//! What the test runners count, read from their own last words.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    /// Adds up the lines that [`is_total`] keeps.
    pub(crate) fn read(lines: &[String]) -> Self {
        let mut totals = Self::default();
        for line in lines {
            totals += Self::of(line);
        }
        totals
    }

    /// Whether any test ran at all.
    pub(crate) fn ran(&self) -> bool {
        self.passed + self.failed > 0
    }

    fn of(line: &str) -> Self {
        let mut totals = Self::default();
        for part in line.split([':', ',', ';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(word)) = (words.next(), words.next()) else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match word {
                "passed" => totals.passed += count,
                // nextest: `1 failed`, `1 timed out`, `1 exec failed`
                "failed" | "timed" | "exec" => totals.failed += count,
                "skipped" | "ignored" => totals.skipped += count,
                _ => {}
            }
        }
        totals
    }
}

/// Whether a line of nextest or of libtest says how many tests ended how.
pub(crate) fn is_total(line: &str) -> bool {
    line.starts_with("test result: ")
        || (line.trim_start().starts_with("Summary [") && line.contains(" run: "))
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_last_words_are_understood() {
        let cases = [
            ("     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped", (3, 0, 0)),
            (
                "     Summary [   9.1s] 7/9 tests run: 4 passed (1 slow), 1 failed, 2 timed out, 5 skipped",
                (4, 3, 5),
            ),
            ("     Summary [   9.1s] 2 tests run: 1 passed (1 leaky), 1 exec failed, 0 skipped", (1, 1, 0)),
            (
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.0s",
                (5, 0, 1),
            ),
            ("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out", (2, 1, 0)),
        ];
        for (line, (passed, failed, skipped)) in cases {
            assert!(is_total(line), "{line}");
            assert_eq!(Totals::of(line), Totals { passed, failed, skipped }, "{line}");
        }
        assert!(!is_total("        PASS [   0.005s] xtask totals::tests::summary"));
    }

    #[test]
    fn totals_add_up() {
        let lines = ["test result: ok. 5 passed; 0 failed", "test result: ok. 2 passed; 0 failed; 4 ignored"];
        let totals = Totals::read(&lines.map(str::to_owned));
        assert_eq!(totals.to_string(), "7 passed, 0 failed, 4 skipped");
        assert!(totals.ran());
        assert!(!Totals::read(&["test result: ok. 0 passed; 0 failed; 3 ignored".to_owned()]).ran());
    }
}

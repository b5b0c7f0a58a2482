//! Times in order, for percentiles.

use std::time::Duration;

/// Durations that were measured.
#[derive(Debug, Default)]
pub struct Waits(Vec<Duration>);

impl Waits {
    /// From what was measured, in any order.
    #[must_use]
    pub fn of(measured: impl IntoIterator<Item = Duration>) -> Self {
        let mut measured: Vec<_> = measured.into_iter().collect();
        measured.sort_unstable();
        Self(measured)
    }

    /// The shortest that so many of a hundred do not exceed, in milliseconds; `None` of nothing.
    #[must_use]
    pub fn percentile(&self, of_hundred: usize) -> Option<f64> {
        let rank = (self.0.len() * of_hundred).div_ceil(100).max(1);
        self.0.get(rank - 1).map(|wait| rounded(wait.as_secs_f64() * 1e3))
    }
}

/// To three places: more is noise.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_measured() {
        let waits = Waits::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!((waits.percentile(50), waits.percentile(99)), (Some(100.0), Some(198.0)));
        assert_eq!(Waits::of([Duration::from_millis(7)]).percentile(99), Some(7.0));
        assert_eq!(Waits::default().percentile(50), None);
    }
}

//! What is in use, over the hours of a day.

use super::{DAY_MS, HOUR_MS};

const BIN_MS: u64 = HOUR_MS / 4;
const BINS: usize = (DAY_MS / BIN_MS) as usize;

/// Of the days of a workload, what comes after them left out: slots with interactive operations, slots with syncs,
/// contexts in use, contexts that there are.
#[derive(Debug, Clone)]
pub struct Busy {
    days: u64,
    /// Milliseconds by quarter of an hour, summed over the days.
    bins: Vec<[u64; 4]>,
}

impl Busy {
    pub(super) fn new(days: u64) -> Self {
        Self { days, bins: vec![[0; 4]; BINS] }
    }

    /// So much was in use from then to then.
    pub(super) fn add(&mut self, mut from_ms: u64, to_ms: u64, in_use: [usize; 4]) {
        let to_ms = to_ms.min(self.days * DAY_MS);
        while from_ms < to_ms {
            let end = to_ms.min((from_ms / BIN_MS + 1) * BIN_MS);
            let bin = &mut self.bins[(from_ms % DAY_MS / BIN_MS) as usize];
            for (sum, count) in bin.iter_mut().zip(in_use) {
                *sum += (end - from_ms) * count as u64;
            }
            from_ms = end;
        }
    }

    /// How many were in use on average in each quarter of an hour.
    #[must_use]
    pub fn quarters(&self) -> Vec<[f64; 4]> {
        let of = |sum: u64| sum as f64 / (BIN_MS * self.days) as f64;
        self.bins.iter().map(|bin| bin.map(of)).collect()
    }

    /// How many were in use on average from this hour to that.
    #[must_use]
    pub fn mean(&self, hours: std::ops::Range<usize>) -> [f64; 4] {
        let quarters = self.quarters();
        let quarters = &quarters[hours.start * 4..hours.end * 4];
        let sum = quarters.iter().fold([0.0; 4], |sum, one| [0, 1, 2, 3].map(|of: usize| sum[of] + one[of]));
        sum.map(|sum: f64| sum / quarters.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_use_across_midnight_is_an_hour() {
        let mut busy = Busy::new(2);
        busy.add(DAY_MS - HOUR_MS / 2, DAY_MS + HOUR_MS / 2, [2, 0, 1, 0]);
        busy.add(2 * DAY_MS - 1, 2 * DAY_MS + HOUR_MS, [9, 9, 9, 9]);
        assert!((busy.mean(23..24)[0] - 0.5).abs() < 1e-5);
        assert!((busy.mean(0..1)[0] - 0.5).abs() < 1e-5);
        assert!((busy.mean(0..24)[2] - 0.5 / 24.0).abs() < 1e-5);
    }
}

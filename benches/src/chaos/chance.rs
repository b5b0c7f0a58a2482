//! Where a seed's luck comes from.

use std::ops::Range;
use std::time::Duration;

use archibald_testing::data::mix;

/// Draws that are the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    /// One of many that a seed has: each who draws has one of its own, so that nobody's draws depend on who came
    /// first.
    pub(crate) fn of(seed: u64, who: u64) -> Self {
        Self { seed: mix(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(who), 0), drawn: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed, self.drawn - 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A place in something of this length.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range.start * 1000..range.end * 1000))
    }

    /// True in so many of a hundred cases.
    pub(crate) fn happens(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }
}

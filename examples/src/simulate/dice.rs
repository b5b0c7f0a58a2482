//! Reproducible chance: the same seed and stream give the same draws everywhere.

use std::ops::RangeInclusive;

/// A sequence of draws (SplitMix64), without the generators of `rand`, which promise that within a version only.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Streams of one seed do not follow each other: an agent more leaves the draws of the others as they were.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(mixed(seed ^ mixed(stream.wrapping_add(0x5851_F42D_4C95_7F2D))))
    }

    /// From 0, without 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Any of these, each as likely.
    pub(crate) fn among(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let (from, to) = (*range.start(), *range.end());
        from + self.next() % (to - from + 1)
    }

    /// Exponential, of this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.share()).ln() * mean
    }

    /// 1 and more, of this mean: each one more is as likely as the one before.
    pub(crate) fn at_least_one(&mut self, mean: f64, most: u64) -> u64 {
        let more = 1.0 - 1.0 / mean.max(1.0);
        let mut count = 1;
        while count < most && self.share() < more {
            count += 1;
        }
        count
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_that_was_asked_for() {
        let mut dice = Dice::new(1, 2);
        let mean = |mut draw: Box<dyn FnMut() -> f64 + '_>| (0..100_000).map(|_| draw()).sum::<f64>() / 1e5;
        let (mut other, mut third) = (Dice::new(1, 3), Dice::new(1, 4));
        assert!((mean(Box::new(|| dice.exponential(40.0))) - 40.0).abs() < 0.5);
        assert!((mean(Box::new(|| other.at_least_one(2.6, 100) as f64)) - 2.6).abs() < 0.05);
        assert!((mean(Box::new(|| third.among(&(5..=15)) as f64)) - 10.0).abs() < 0.1);
    }

    #[test]
    fn a_seed_and_a_stream_say_all() {
        let draws = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            [dice.share(), dice.share()]
        };
        assert_eq!(draws(1, 7), draws(1, 7));
        assert_ne!(draws(1, 7), draws(1, 8));
        assert_ne!(draws(1, 7), draws(2, 7));
    }
}

//! Where a seed's luck comes from, and how often things go wrong under it.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64: small, and the same everywhere.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range.start * 1000..range.end * 1000))
    }

    /// True in so many of a thousand cases.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

macro_rules! rates {
    ($($(#[$doc:meta])* $name:ident: $most:literal,)*) => {
        /// How many of a thousand go wrong so. Each seed draws its own; a quarter of them are 0.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Rates {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Rates {
            pub(crate) fn draw(chance: &mut Chance) -> Self {
                let mut rate = |most: u64| if chance.happens(250) { 0 } else { chance.within(1..most + 1) };
                Self { $($name: rate($most),)* }
            }

            pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// This never goes wrong.
            pub(crate) fn switch_off(&mut self, name: &str) {
                $(if name == stringify!($name) {
                    self.$name = 0;
                })*
            }
        }
    };
}

rates! {
    /// A wake-up or notice that never comes.
    lost_wake: 400,
    /// One that comes twice.
    repeated_wake: 300,
    /// A statement that fails before it did anything.
    store_down: 60,
    /// A statement that did what it should, and whose answer is lost.
    answer_lost: 60,
    /// A statement that takes longer than a lease.
    slow_statement: 20,
    /// A worker that dies, at each of its steps.
    crash: 12,
    /// A worker that stands still for a while, at each of its steps.
    freeze: 12,
    /// A worker that is told to drain, at each sweep.
    drain: 60,
    /// 500, and nothing happened.
    fail_before: 120,
    /// 500, and it happened.
    fail_after: 150,
    /// No answer, and it happened.
    drop_after: 150,
    /// No answer, and it happens after everybody gave up.
    late: 150,
    /// It is missing from lists for a while.
    stale_list: 300,
    /// The ERP cannot be read.
    maintenance: 200,
    /// What is read decides nothing.
    unclear: 50,
    /// A person pauses or resumes an agent, at each sweep.
    pause: 80,
    /// A person withdraws an operation, at each sweep.
    cancel: 60,
}

//! How often somebody may ask: a bucket of tokens each, and a bounded number of buckets.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Extensions;
use tokio::time::Instant;

use crate::serve::Peer;

/// So many at once, and then at this pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many may come together.
    pub burst: u32,
    /// How many more a second.
    pub per_second: f64,
}

/// A bucket for each key that was seen lately. A full bucket is the same as none, so memory is kept for those
/// alone that ask much; and where those are too many, all begin anew rather than that anybody is locked out.
pub(crate) struct Buckets<K> {
    rate: Rate,
    most: usize,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate, most: usize) -> Self {
        Self { rate, most: most.max(1), buckets: Mutex::default() }
    }

    /// Takes one; else says how long to wait for it.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(&key) && buckets.len() >= self.most {
            buckets.retain(|_, bucket| self.level(*bucket, now) < f64::from(self.rate.burst));
            if buckets.len() >= self.most {
                buckets.clear();
            }
        }
        let full = Bucket { tokens: f64::from(self.rate.burst.max(1)), at: now };
        let bucket = buckets.entry(key).or_insert(full);
        let tokens = self.level(*bucket, now);
        let (left, answer) = match tokens {
            1.0.. => (tokens - 1.0, Ok(())),
            _ => (tokens, Err(self.time_for(1.0 - tokens))),
        };
        *bucket = Bucket { tokens: left, at: now };
        answer
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, key: &K) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.tokens += 1.0;
        }
    }

    fn level(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.rate.per_second.max(0.0);
        (bucket.tokens + gained).min(f64::from(self.rate.burst.max(1)))
    }

    /// An hour where it never comes.
    fn time_for(&self, tokens: f64) -> Duration {
        let hour = Duration::from_secs(3600);
        Duration::try_from_secs_f64(tokens / self.rate.per_second).unwrap_or(hour).min(hour)
    }
}

/// Whose doing a request is, as far as its address tells: of IPv6 the network, which one household or one
/// attacker has whole. Requests that came without an address count as one peer's.
pub(crate) fn peer(extensions: &Extensions) -> IpAddr {
    let address = extensions.get::<Peer>().map(|Peer(address)| address.ip().to_canonical());
    match address {
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        Some(address) => address,
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_at_the_pace() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let buckets = Buckets::new(Rate { burst: 2, per_second: 4.0 }, 10);
        assert_eq!(buckets.take("a", at(0)), Ok(()));
        assert_eq!(buckets.take("a", at(0)), Ok(()));
        assert_eq!(buckets.take("a", at(0)), Err(Duration::from_millis(250)));
        assert_eq!(buckets.take("b", at(0)), Ok(()));
        assert_eq!(buckets.take("a", at(100)), Err(Duration::from_millis(150)));
        assert_eq!(buckets.take("a", at(250)), Ok(()));
        buckets.give_back(&"a");
        assert_eq!(buckets.take("a", at(250)), Ok(()));
        assert!(buckets.take("a", at(250)).is_err());
        for _ in 0..2 {
            assert_eq!(buckets.take("a", at(60_000)), Ok(()));
        }
        assert!(buckets.take("a", at(60_000)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_nobody_is_locked_out() {
        let start = Instant::now();
        let never = Buckets::new(Rate { burst: 1, per_second: 0.0 }, 100);
        for key in 0..10_000 {
            assert_eq!(never.take(key, start), Ok(()));
        }
        assert!(never.buckets.lock().unwrap().len() <= 100);
        assert_eq!(never.take(9_999, start), Err(Duration::from_secs(3600)));
        let refills = Buckets::new(Rate { burst: 1, per_second: 1.0 }, 2);
        let later = start + Duration::from_millis(1500);
        assert_eq!((refills.take(1, start), refills.take(2, later)), (Ok(()), Ok(())));
        assert_eq!(refills.take(3, later), Ok(()));
        assert!(refills.take(2, later).is_err(), "only the full one made room");
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let peer = |address: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(address.parse().unwrap()));
            peer(&extensions)
        };
        assert_eq!(peer("[2001:db8::1]:1"), peer("[2001:db8::ffff:2]:2"));
        assert_ne!(peer("[2001:db8::1]:1"), peer("[2001:db8:0:1::1]:1"));
        assert_eq!(peer("[::ffff:10.0.0.1]:1"), peer("10.0.0.1:2"));
        assert_ne!(peer("10.0.0.1:1"), peer("10.0.0.2:1"));
    }
}

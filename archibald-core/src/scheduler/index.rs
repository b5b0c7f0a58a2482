use prefetch_index::prefetch_index;

use super::slab::{Key, NONE};
use crate::id::OperationId;

/// Finds keys by a hash of what they stand for: open addressing, one cache line a look.
///
/// An entry holds half of the hash beside the key, so that what is compared is nearly always what is looked
/// for, and so that the table grows without a look at any value. Removal leaves no marks behind. It is never
/// walked, so its order, which the hash alone decides, is nobody's business; the hash has no seed, since the
/// same inputs must give the same commands at the same cost. It never shrinks.
#[derive(Debug, Default)]
pub(super) struct Index {
    table: Vec<Entry>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    key: Key,
}

const EMPTY: Entry = Entry { hash: 0, key: NONE };
const SMALLEST: usize = 8;

impl Index {
    pub(super) fn find(&self, hash: u64, is: impl Fn(Key) -> bool) -> Option<Key> {
        let hash = short(hash);
        let mut place = self.home(hash);
        loop {
            let entry = self.table.get(place).filter(|entry| entry.key != NONE)?;
            if entry.hash == hash && is(entry.key) {
                return Some(entry.key);
            }
            place = self.after(place);
        }
    }

    /// Adds a key that is not in it.
    pub(super) fn insert(&mut self, hash: u64, key: Key) {
        if self.len * 4 >= self.table.len() * 3 {
            self.grow();
        }
        self.add(Entry { hash: short(hash), key });
        self.len += 1;
    }

    /// Removes a key that is in it.
    pub(super) fn remove(&mut self, hash: u64, key: Key) {
        let mut hole = self.home(short(hash));
        while self.table[hole].key != key {
            if self.table[hole].key == NONE {
                return;
            }
            hole = self.after(hole);
        }
        self.len -= 1;
        // What was pushed on by the one that goes moves back.
        let mut place = self.after(hole);
        while self.table[place].key != NONE {
            let home = self.home(self.table[place].hash);
            if self.distance(home, place) >= self.distance(hole, place) {
                self.table[hole] = self.table[place];
                hole = place;
            }
            place = self.after(place);
        }
        self.table[hole] = EMPTY;
    }

    /// Has the processor fetch what [`find`](Self::find) will look at.
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch_index(&self.table, self.home(short(hash)));
    }

    fn add(&mut self, entry: Entry) {
        let mut place = self.home(entry.hash);
        while self.table[place].key != NONE {
            place = self.after(place);
        }
        self.table[place] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(SMALLEST);
        for entry in std::mem::replace(&mut self.table, vec![EMPTY; size]) {
            if entry.key != NONE {
                self.add(entry);
            }
        }
    }

    /// The table's size is a power of two; its upper bits are the hash's.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.table.len() as u64) >> 32) as usize
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & self.table.len().wrapping_sub(1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.table.len().wrapping_sub(1)
    }
}

/// Of an operation, whoever's it is.
pub(super) fn of_operation(operation: OperationId) -> u64 {
    let (high, low) = operation.0.as_u64_pair();
    fold(high ^ MIX, low ^ SEED)
}

/// Of a name, or of a name within a lane.
pub(super) fn of_text(lane: Key, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = fold(u64::from(lane) ^ SEED, bytes.len() as u64 ^ MIX);
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), MIX);
    }
    // The last eight bytes, some of them once more, are one look; a short text has fewer.
    let last = match bytes.last_chunk::<8>() {
        Some(_) if rest.is_empty() => return hash,
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    };
    fold(hash ^ last, MIX)
}

/// Digits of pi and of the golden ratio.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Few hashes, so that many keys have the same home and the table's end is passed.
    #[test]
    fn it_holds_what_a_map_would_whatever_comes_and_goes() {
        let (mut index, mut map, mut chance) = (Index::default(), BTreeMap::new(), 1u64);
        let hash_of = |n: u32| u64::from(n % 7).wrapping_mul(u64::MAX / 6);
        for _ in 0..20_000 {
            chance = fold(chance ^ SEED, MIX);
            let n = (chance % 90) as u32;
            match map.remove(&n) {
                Some(()) => index.remove(hash_of(n), n),
                None => {
                    index.insert(hash_of(n), n);
                    map.insert(n, ());
                }
            }
            for n in 0..90 {
                assert_eq!(index.find(hash_of(n), |key| key == n).is_some(), map.contains_key(&n));
            }
        }
    }

    #[test]
    fn names_that_are_alike_have_hashes_that_are_not() {
        let mut hashes: Vec<_> = (0..10_000).map(|n| short(of_text(0, &format!("agent-{n}")))).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(hashes.len() > 9_990, "{}", hashes.len());
    }
}

use std::ops::{Index, IndexMut};

use prefetch_index::prefetch_index;

/// Where something is kept.
pub(super) type Key = u32;
/// No key.
pub(super) const NONE: Key = Key::MAX;

/// Values in one place each, by key. Grows by whole chunks, so that nothing is ever moved; a place that is
/// given back is the next that is taken, since it is still in the processor's cache.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<Key>,
}

const CHUNK: usize = 4096;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: vec![], free: vec![] }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Key {
        match self.free.pop() {
            Some(key) => {
                self[key] = value;
                key
            }
            None => self.grow(value),
        }
    }

    /// Gives a place back; what is in it stays until the place is taken again.
    pub(super) fn release(&mut self, key: Key) {
        self.free.push(key);
    }

    /// Gives a place back.
    pub(super) fn remove(&mut self, key: Key) -> T
    where
        T: Default,
    {
        self.free.push(key);
        std::mem::take(&mut self[key])
    }

    /// Has the processor fetch what is there while it does something else.
    pub(super) fn prefetch(&self, key: Key) {
        if let Some(chunk) = self.chunks.get(key as usize / CHUNK) {
            prefetch_index(chunk, key as usize % CHUNK);
        }
    }

    /// Every place, also those that were given back.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..).zip(self.chunks.iter().flatten())
    }

    /// As [`iter`](Self::iter).
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    #[cold]
    fn grow(&mut self, value: T) -> Key {
        match self.chunks.last() {
            Some(chunk) if chunk.len() < CHUNK => {}
            // The first one grows like any vector: most schedulers are small.
            None => self.chunks.push(vec![]),
            Some(_) => self.chunks.push(Vec::with_capacity(CHUNK)),
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[before / CHUNK];
        let key = Key::try_from(before + chunk.len()).unwrap_or(NONE);
        chunk.push(value);
        key
    }
}

impl<T> Index<Key> for Slab<T> {
    type Output = T;
    fn index(&self, key: Key) -> &T {
        &self.chunks[key as usize / CHUNK][key as usize % CHUNK]
    }
}

impl<T> IndexMut<Key> for Slab<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        &mut self.chunks[key as usize / CHUNK][key as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_given_back_is_the_next_one_taken_and_no_other_moves() {
        let mut slab = Slab::default();
        let keys: Vec<_> = (0..CHUNK + 5).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.remove(keys[7]), 7);
        slab.release(keys[CHUNK]);
        assert_eq!(slab.insert(70), keys[CHUNK]);
        assert_eq!(slab.insert(71), keys[7]);
        assert_eq!((slab[keys[7]], slab[keys[6]], slab[keys[CHUNK + 4]]), (71, 6, CHUNK + 4));
        assert_eq!(slab.iter().count(), CHUNK + 5);
    }
}

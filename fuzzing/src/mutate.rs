//! Bytes made of other bytes, always the same for the same seed.

use archibald_testing::data::mix;

/// The most that is made.
const LONGEST: usize = 8 * 1024;

/// A sequence of numbers that look like chance.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.thrown += 1;
        mix(self.seed, self.thrown - 1)
    }

    /// Below the bound, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

/// One of the corpus, changed in a few places: bytes and words put in, taken out or turned over, and pieces of others.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], words: &[&str], seed: u64) -> Vec<u8> {
    let mut dice = Dice { seed, thrown: 0 };
    let mut bytes = dice.one_of(corpus).cloned().unwrap_or_default();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(40) + 1);
        match dice.below(7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, dice.next().to_le_bytes()[0]),
            2 => put(&mut bytes, at..at, dice.one_of(words).map_or(&[], |word| word.as_bytes())),
            3 => put(&mut bytes, at..end, dice.one_of(words).map_or(&[], |word| word.as_bytes())),
            4 => {
                let again = bytes[at..end].to_vec();
                put(&mut bytes, at..at, &again);
            }
            5 => {
                let other = dice.one_of(corpus).cloned().unwrap_or_default();
                let from = dice.below(other.len() + 1);
                put(&mut bytes, at..end, &other[from..]);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn put(bytes: &mut Vec<u8>, place: std::ops::Range<usize>, piece: &[u8]) {
    bytes.splice(place, piece.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_and_another_one_something_else() {
        let corpus = [b"some bytes to begin with".to_vec(), b"and others".to_vec()];
        let made = |seed| mutated(&corpus, &["word"], seed);
        let all: std::collections::BTreeSet<_> = (0..1000).map(made).collect();
        assert!(all.len() > 900, "{}", all.len());
        assert_eq!(made(7), made(7));
        assert_eq!(mutated(&[], &[], 1).len(), mutated(&[], &[], 1).len());
    }
}

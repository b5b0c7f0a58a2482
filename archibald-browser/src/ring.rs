//! The last things of many, each of which can still be completed while it is remembered.

use std::collections::VecDeque;

/// Remembers so many; older ones are forgotten.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    most: usize,
    last: VecDeque<T>,
    forgotten: u64,
}

/// Something that was remembered, and may be forgotten by now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

impl<T> Ring<T> {
    /// At least one.
    pub(crate) fn of(most: usize) -> Self {
        Self { most: most.max(1), last: VecDeque::new(), forgotten: 0 }
    }

    pub(crate) fn push(&mut self, thing: T) -> Place {
        if self.last.len() == self.most {
            self.last.pop_front();
            self.forgotten += 1;
        }
        self.last.push_back(thing);
        Place(self.forgotten + self.last.len() as u64 - 1)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let index = place.0.checked_sub(self.forgotten)?;
        self.last.get_mut(usize::try_from(index).ok()?)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.last.iter()
    }

    /// Oldest first, or from the last one back.
    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.last.iter_mut()
    }

    /// How many there were before the first that is remembered.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_cannot_be_completed_and_what_is_not_can() {
        let mut ring = Ring::of(2);
        let places: Vec<_> = (0..3).map(|n| ring.push(n)).collect();
        assert_eq!(ring.get_mut(places[0]), None);
        *ring.get_mut(places[2]).unwrap() = 7;
        assert_eq!((ring.iter().copied().collect::<Vec<_>>(), ring.forgotten()), (vec![1, 7], 1));
    }
}

use super::index::{self, Index};
use super::queue::Queue;
use super::slab::NONE;
use crate::id::OperationKind;

/// A pause as the scheduler has it.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    pub(super) why: String,
    /// What runs in the background gives way, too.
    pub(super) drains: bool,
}

/// Every kind that was heard of: as many as an application has. None is forgotten.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    by_name: Index,
}

/// One kind, and what its pause keeps back.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: OperationKind,
    pub(super) halt: Option<Halt>,
    /// What could start but for the pause.
    pub(super) kept_back: Queue,
}

impl Kinds {
    /// The number of a kind. Those beyond the last number share it, and are held back by the store alone.
    pub(super) fn enter(&mut self, name: &OperationKind) -> u16 {
        let hash = index::of_text(NONE, name.as_str());
        let is = |key: u32| self.kinds.get(key as usize).is_some_and(|kind| kind.name == *name);
        if let Some(known) = self.by_name.find(hash, is) {
            return known as u16;
        }
        let Ok(number) = u16::try_from(self.kinds.len()) else { return u16::MAX };
        self.kinds.push(Kind { name: name.clone(), halt: None, kept_back: Queue::default() });
        self.by_name.insert(hash, number.into());
        number
    }

    pub(super) fn get(&self, number: u16) -> &Kind {
        &self.kinds[usize::from(number)]
    }

    pub(super) fn get_mut(&mut self, number: u16) -> &mut Kind {
        &mut self.kinds[usize::from(number)]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }
}

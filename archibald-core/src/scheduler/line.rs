use super::index::{self, Index};
use super::queue::Queue;
use super::slab::{Key, NONE, Slab};
use crate::id::Target;

/// Every unfinished ticket of one target of one agent, by position: one after another.
#[derive(Debug)]
pub(super) struct Line {
    target: Option<Target>,
    lane: Key,
    /// The first of those that wait, unless the one that runs is earlier; else [`NONE`].
    pub(super) lead: Key,
    /// The one that was taken to run, or [`NONE`]. It keeps its place.
    pub(super) taken: Key,
    /// The others.
    pub(super) behind: Queue,
}

impl Default for Line {
    fn default() -> Self {
        Self { target: None, lane: NONE, lead: NONE, taken: NONE, behind: Queue::default() }
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.lead == NONE && self.taken == NONE && self.behind.is_empty()
    }
}

/// The lines of all agents.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Slab<Line>,
    by_target: Index,
}

impl Lines {
    /// The line of a target, a new one if there is none.
    pub(super) fn enter(&mut self, lane: Key, target: Target) -> Key {
        let hash = index::of_text(lane, target.as_str());
        let is = |key: Key| {
            let line: &Line = &self.lines[key];
            line.lane == lane && line.target.as_ref() == Some(&target)
        };
        if let Some(key) = self.by_target.find(hash, is) {
            return key;
        }
        let key = self.lines.insert(Line { target: Some(target), lane, ..Line::default() });
        self.by_target.insert(hash, key);
        key
    }

    /// Forgets a line that nobody stands in any more.
    pub(super) fn forget_if_empty(&mut self, key: Key) {
        if self.lines[key].is_empty() {
            let line = self.lines.remove(key);
            let target = line.target.as_ref().map_or("", Target::as_str);
            self.by_target.remove(index::of_text(line.lane, target), key);
        }
    }

    /// The target of a line; `None` for [`NONE`].
    pub(super) fn target(&self, key: Key) -> Option<&Target> {
        (key != NONE).then(|| self.lines[key].target.as_ref()).flatten()
    }

    pub(super) fn get(&self, key: Key) -> &Line {
        &self.lines[key]
    }

    pub(super) fn get_mut(&mut self, key: Key) -> &mut Line {
        &mut self.lines[key]
    }
}

use std::collections::{HashSet, VecDeque};
use std::mem;
use std::sync::PoisonError;

use archibald_core::id::AgentId;

use crate::sync::{Mutex, MutexGuard};

/// Calls that wait to be carried out together by a few lanes, one of each agent at a time.
///
/// Nothing that is put in waits while there is no lane: whether a lane ends, and whether one has to begin, is
/// decided under the lock that guards what waits.
pub(crate) struct Gathering<J>(Mutex<State<J>>);

struct State<J> {
    waiting: VecDeque<J>,
    /// Who is being carried out now.
    busy: HashSet<AgentId>,
    lanes: usize,
}

/// What a lane carries out next, and what goes beside it.
pub(crate) struct Taken<J> {
    /// One of each agent; none, and the lane is over.
    pub(crate) together: Vec<J>,
    /// Those whose agents are busy elsewhere.
    pub(crate) alone: Vec<J>,
}

impl<J> Default for Gathering<J> {
    fn default() -> Self {
        Self(Mutex::new(State { waiting: VecDeque::new(), busy: HashSet::new(), lanes: 0 }))
    }
}

impl<J> Gathering<J> {
    /// Takes a call in. Whether a lane has to begin for it, of which there are at most so many.
    pub(crate) fn put(&self, job: J, lanes: usize) -> bool {
        let mut state = self.state();
        state.waiting.push_back(job);
        let begins = state.lanes < lanes;
        state.lanes += usize::from(begins);
        begins
    }

    /// What a lane that is done with these agents carries out next: at most so many calls.
    pub(crate) fn take(
        &self,
        done: &HashSet<AgentId>,
        most: usize,
        agent: impl Fn(&J) -> &AgentId,
        is_elsewhere: impl Fn(&AgentId) -> bool,
    ) -> Taken<J> {
        let mut state = self.state();
        state.busy.retain(|agent| !done.contains(agent));
        let (mut together, mut alone) = (vec![], vec![]);
        for job in mem::take(&mut state.waiting) {
            if is_elsewhere(agent(&job)) {
                alone.push(job);
            } else if together.len() == most || !state.busy.insert(agent(&job).clone()) {
                state.waiting.push_back(job);
            } else {
                together.push(job);
            }
        }
        state.lanes -= usize::from(together.is_empty());
        Taken { together, alone }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Sweeps: what waits, what is paused, who works and whose lease is over, a page of agents at a time and beside the loop, so
//! that no lost wake-up is for ever and no sweep costs more the more there is.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{Survey, SurveyRequest};
use archibald_core::scheduler::{Input, Refusal, Ticket};
use archibald_core::worker::Heartbeat;
use tokio::time::Instant;

use super::reading::could_start;
use super::{Driver, Message, Shared};
use crate::calm::calm;

/// Agents of a page: with no more than these every sweep sees them all.
const AGENTS: u32 = 256;
/// Tickets of each. What is behind is read when these come to their end.
const EACH: u32 = 16;

/// A worker that missed so many sweeps counts as gone.
const BEATS: u32 = 3;

/// How far the sweeps have come.
#[derive(Default)]
pub(super) struct Sweeping {
    /// Where the next page begins; every sweep goes on where the last one stopped, round and round.
    after: Option<AgentId>,
    /// How often the end of the list is to be reached before a sweep is a single page again: where wake-ups may
    /// have been lost, everything is read, page after page.
    rounds: u8,
    is_reading: bool,
    /// What ended since the page was asked for: it may have been seen waiting before it ran.
    ended: HashSet<OperationId>,
    /// Of what it was said since then whether it is paused: the page may be older.
    told: HashSet<PauseScope>,
    /// What every page tells has changed since then: one is to follow, whichever.
    is_old: bool,
}

/// A page, and what became available by the leases that were over.
pub(crate) struct Swept {
    survey: Survey,
    reaped: Vec<Ticket>,
}

impl Sweeping {
    /// An attempt was settled, which told whether it waits again.
    pub(super) fn settled(&mut self, operation: OperationId) {
        if self.is_reading {
            self.ended.insert(operation);
        }
    }

    /// Whoever was asked meanwhile may have been asked before it happened, and the others are still to come.
    fn miss_nothing(&mut self) {
        let is_under_way = self.is_reading || self.after.is_some();
        self.rounds = if is_under_way { 2 } else { 1 };
    }

    /// Where to read now; `None` while a page is under way.
    fn begin(&mut self) -> Option<Option<AgentId>> {
        (!mem::replace(&mut self.is_reading, true)).then(|| self.after.clone())
    }

    /// An answer came, or none will: what happened since it was asked for.
    fn end(&mut self) -> (HashSet<OperationId>, HashSet<PauseScope>) {
        self.is_reading = false;
        (mem::take(&mut self.ended), mem::take(&mut self.told))
    }

    /// Whether the next page is to follow at once.
    fn goes_on(&mut self, next: Option<AgentId>) -> bool {
        self.rounds -= u8::from(next.is_none() && self.rounds > 0);
        self.after = next;
        mem::take(&mut self.is_old) || self.rounds > 0
    }
}

/// What an input says of a pause.
pub(super) enum Noted {
    Paused(PauseScope, String, bool),
    Resumed(PauseScope),
}

impl Driver {
    /// Reads everything that a lost wake-up could have told of, page after page.
    pub(super) fn sweep_all(&mut self) {
        self.sweeping.miss_nothing();
        self.read_page();
    }

    /// Any page says what is paused and who works, and is this worker's own word.
    pub(super) fn survey(&mut self) {
        self.sweeping.is_old = self.sweeping.is_reading;
        self.read_page();
    }

    /// One page, where none is being read.
    pub(super) fn read_page(&mut self) {
        let Some(after) = self.sweeping.begin() else { return };
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let swept = page(&shared, after).await.map(Box::new);
            let _ = shared.inbox.send(Message::Swept(swept));
        });
    }

    /// A page came; without one the next sweep asks for it again.
    pub(super) fn swept(&mut self, swept: Option<Swept>) {
        let (ended, told) = self.sweeping.end();
        let Some(Swept { survey, reaped }) = swept else { return };
        self.spread.learn(survey.workers);
        self.learn_pauses(survey.paused, &told);
        for front in survey.fronts.chunk_by(|one, next| one.agent == next.agent) {
            self.learn_front(front, &ended);
        }
        for ticket in reaped.into_iter().filter(|ticket| !ended.contains(&ticket.operation)) {
            self.input(Input::Waiting(ticket));
        }
        if self.sweeping.goes_on(survey.next) {
            self.read_page();
        }
    }

    fn learn_front(&mut self, front: &[Ticket], ended: &HashSet<OperationId>) {
        let [.., last] = front else { return };
        if self.leaves(&last.agent) {
            return;
        }
        if front.len() == EACH as usize {
            self.reading.is_known_to(&last.agent, last.place());
            if !could_start(front, self.now(), self.blocked(&last.agent), &self.paused_kinds()) {
                self.read_again(last.agent.clone());
            }
        }
        self.scheduler.expect(front);
        for ticket in front.iter().filter(|ticket| !ended.contains(&ticket.operation)) {
            self.input(Input::Waiting(ticket.clone()));
        }
    }

    fn learn_pauses(&mut self, paused: Vec<Pause>, told: &HashSet<PauseScope>) {
        let listed: HashSet<_> = paused.iter().map(|pause| &pause.scope).collect();
        let is_over = |scope: &&PauseScope| !listed.contains(scope) && !told.contains(scope);
        let resumed: Vec<_> = self.paused.keys().filter(is_over).cloned().collect();
        for scope in resumed {
            self.input(Input::Resume { scope });
        }
        for Pause { scope, why, drains, .. } in paused {
            let is_known = self.paused.get(&scope).is_some_and(|known| *known == (why.clone(), drains));
            if !told.contains(&scope) && !is_known {
                self.input(Input::Pause { scope, why, drains });
            }
        }
    }

    /// What an input says of a pause. A refusal says nothing new of one that is known.
    pub(super) fn noted(&self, input: &Input) -> Option<Noted> {
        match input {
            Input::Pause { scope, why, drains } => Some(Noted::Paused(scope.clone(), why.clone(), *drains)),
            Input::LeaseRefused { reason: Refusal::Paused { scope, why }, .. } => {
                let is_known = self.paused.contains_key(scope);
                (!is_known).then(|| Noted::Paused(scope.clone(), why.clone(), false))
            }
            Input::Resume { scope } => Some(Noted::Resumed(scope.clone())),
            _ => None,
        }
    }

    /// Notes what an input said of a pause, once the scheduler had it: that believes what it heard itself over a
    /// refusal.
    pub(super) fn note_pause(&mut self, noted: Noted) {
        let scope = match noted {
            Noted::Paused(scope, ..) if !self.scheduler.is_paused(&scope) => return,
            Noted::Paused(scope, why, drains) => {
                let before = self.paused.insert(scope.clone(), (why, drains));
                if before.is_none() && matches!(scope, PauseScope::Kind { .. }) {
                    // What could start may stand behind all that is known.
                    self.reading.cut_off().into_iter().for_each(|agent| self.look_further(agent));
                }
                scope
            }
            Noted::Resumed(scope) => {
                self.paused.remove(&scope);
                scope
            }
        };
        if self.sweeping.is_reading {
            self.sweeping.told.insert(scope);
        }
    }

    /// The kinds that are paused.
    pub(super) fn paused_kinds(&self) -> HashSet<OperationKind> {
        self.paused.keys().filter_map(|scope| scope.kind().cloned()).collect()
    }
}

/// Leases that are over are ended only where there are any: a look is cheaper.
async fn page(shared: &Arc<Shared>, after: Option<AgentId>) -> Option<Swept> {
    let asked = Instant::now();
    let request = SurveyRequest { after, agents: AGENTS, each: EACH, beat: Some(beat(shared)) };
    let survey = match calm("a sweep", shared.store.survey(&request)).await {
        Ok(survey) => survey,
        Err(error) => {
            tracing::warn!(%error, "what waits could not be read; the next sweep tries again");
            return None;
        }
    };
    shared.clock.learn(survey.now, asked);
    let reaped = if survey.has_ended_leases { reap(shared).await } else { vec![] };
    Some(Swept { survey, reaped })
}

/// What this worker says of itself now.
fn beat(shared: &Shared) -> Heartbeat {
    let config = &shared.config;
    Heartbeat {
        worker: config.worker.clone(),
        slots: u32::try_from(config.concurrency).unwrap_or(u32::MAX),
        drains: shared.is_draining(),
        lasts: config.sweep * BEATS,
    }
}

/// The last word of a worker that drains, so that nobody leaves anything to it any more.
pub(super) async fn say_goodbye(shared: &Shared) {
    let request = SurveyRequest { after: None, agents: 1, each: 1, beat: Some(beat(shared)) };
    if let Err(error) = calm("the last heartbeat", shared.store.survey(&request)).await {
        tracing::debug!(%error, "the others find out by themselves");
    }
}

async fn reap(shared: &Shared) -> Vec<Ticket> {
    match calm("ending leases", shared.lock.reap()).await {
        Ok(reaped) => reaped.tickets,
        Err(error) => {
            tracing::warn!(%error, "expired leases could not be ended");
            vec![]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Option<AgentId> {
        Some(AgentId::new(name).unwrap())
    }

    #[test]
    fn a_sweep_goes_on_where_the_last_one_stopped() {
        let mut sweeping = Sweeping::default();
        for next in [agent("b"), agent("d"), None, agent("b")] {
            assert!(sweeping.begin().is_some());
            assert_eq!(sweeping.begin(), None, "one page at a time");
            sweeping.end();
            assert!(!sweeping.goes_on(next.clone()), "one page a sweep");
            assert_eq!(sweeping.after, next);
        }
    }

    #[test]
    fn all_is_read_from_wherever_a_wake_up_was_lost() {
        let mut sweeping = Sweeping::default();
        sweeping.miss_nothing();
        assert!(sweeping.goes_on(agent("b")));
        sweeping.miss_nothing();
        assert!(sweeping.goes_on(None), "those before b again");
        assert!(sweeping.goes_on(agent("b")));
        sweeping.begin();
        sweeping.end();
        assert!(!sweeping.goes_on(None));
    }

    #[test]
    fn a_page_is_older_than_what_happened_since_it_was_asked_for() {
        let mut sweeping = Sweeping::default();
        let operation = |n| OperationId(uuid::Uuid::from_u128(n));
        sweeping.settled(operation(1));
        sweeping.begin();
        sweeping.settled(operation(2));
        assert_eq!(sweeping.end().0, HashSet::from([operation(2)]));
        assert!(sweeping.end().0.is_empty());
    }
}

//! The workers that share a store, and which agents are whose.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, WorkerId};
use crate::time::Timestamp;

/// What a worker says of itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Which worker.
    pub worker: WorkerId,
    /// Operations that it may run together.
    pub slots: u32,
    /// Whether it starts nothing any more.
    pub drains: bool,
    /// For how long it counts as alive if nothing more is heard of it.
    pub lasts: Duration,
}

/// A worker that was heard of lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveWorker {
    /// Which worker.
    pub worker: WorkerId,
    /// Operations that it may run together.
    pub slots: u32,
    /// Whether it starts nothing any more.
    pub drains: bool,
    /// When it was first heard of.
    pub since: Timestamp,
    /// Until when it counts as alive.
    pub until: Timestamp,
}

impl LiveWorker {
    /// As of one heartbeat; `known` is what was known of it, if anything.
    #[must_use]
    pub fn heard(beat: &Heartbeat, known: Option<&Self>, now: Timestamp) -> Self {
        let since = known.map_or(now, |known| known.since);
        let Heartbeat { worker, slots, drains, lasts } = beat.clone();
        Self { worker, slots, drains, since, until: now + lasts }
    }
}

/// The workers that a store knows of.
#[derive(Debug, Clone, Default)]
pub struct Roster(BTreeMap<WorkerId, LiveWorker>);

impl FromIterator<LiveWorker> for Roster {
    fn from_iter<I: IntoIterator<Item = LiveWorker>>(workers: I) -> Self {
        Self(workers.into_iter().map(|live| (live.worker.clone(), live)).collect())
    }
}

impl Roster {
    /// Takes a heartbeat in. Those who are alive, by name, and whether that is news to the others: one more, or one
    /// that drains now.
    pub fn hear(&mut self, beat: Option<&Heartbeat>, now: Timestamp) -> (Vec<LiveWorker>, bool) {
        self.0.retain(|_, live| live.until > now);
        let is_news = beat.is_some_and(|beat| {
            let known = self.0.get(&beat.worker).cloned();
            self.0.insert(beat.worker.clone(), LiveWorker::heard(beat, known.as_ref(), now));
            known.is_none_or(|known| known.drains != beat.drains)
        });
        (self.0.values().cloned().collect(), is_news)
    }
}

/// Who is to run an agent's operations as long as it can: of those that do not drain the same one for everybody
/// who knows of the same workers. Where one comes or goes, only agents that it gets or had change hands, so that
/// their warm sessions stay where they are (rendezvous hashing). `None` where nobody could.
#[must_use]
pub fn owner_of<'a>(agent: &AgentId, workers: &'a [LiveWorker]) -> Option<&'a WorkerId> {
    let could = workers.iter().filter(|live| !live.drains).map(|live| &live.worker);
    could.max_by_key(|worker| (weight(agent, worker), *worker))
}

/// FNV-1a, finished as MurmurHash3 does: the same in every version that shares a store.
fn weight(agent: &AgentId, worker: &WorkerId) -> u64 {
    let bytes = agent.as_str().bytes().chain([0]).chain(worker.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(name: &str, drains: bool) -> LiveWorker {
        let beat =
            Heartbeat { worker: WorkerId::new(name).unwrap(), slots: 5, drains, lasts: Duration::ZERO };
        LiveWorker::heard(&beat, None, Timestamp::EPOCH)
    }

    fn agents() -> impl Iterator<Item = AgentId> {
        (0..1_000).map(|n| AgentId::new(format!("agent-{n}")).unwrap())
    }

    #[test]
    fn everybody_has_about_as_many_whatever_the_order() {
        let mut workers = ["a", "b", "c", "d"].map(|name| live(name, false));
        let owners: Vec<_> = agents().map(|agent| owner_of(&agent, &workers).unwrap().clone()).collect();
        for worker in &workers {
            let own = owners.iter().filter(|owner| **owner == worker.worker).count();
            assert!((200..=300).contains(&own), "{} has {own}", worker.worker);
        }
        workers.reverse();
        assert!(agents().zip(&owners).all(|(agent, owner)| owner_of(&agent, &workers) == Some(owner)));
    }

    #[test]
    fn who_goes_or_drains_leaves_only_what_was_his() {
        let all = ["a", "b", "c"].map(|name| live(name, false));
        let left = [live("a", false), live("b", true), live("c", false)];
        for agent in agents() {
            let (before, after) = (owner_of(&agent, &all).unwrap(), owner_of(&agent, &left).unwrap());
            assert!(before == after || before.as_str() == "b");
            assert_ne!(after.as_str(), "b");
            assert_eq!(owner_of(&agent, &[left[0].clone(), left[2].clone()]), Some(after));
        }
        let nobody = AgentId::new("nancy").unwrap();
        assert_eq!((owner_of(&nobody, &[]), owner_of(&nobody, &[live("b", true)])), (None, None));
    }

    /// Workers of different versions have to agree.
    #[test]
    fn the_weights_stay_what_they_are() {
        let weight = |agent, worker| weight(&AgentId::new(agent).unwrap(), &WorkerId::new(worker).unwrap());
        assert_eq!(weight("nancy", "w1"), 14_710_336_923_486_311_065);
        assert_eq!(weight("andrew", "w2"), 1_269_172_703_642_705_323);
    }
}

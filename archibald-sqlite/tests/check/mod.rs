//! What was acknowledged, against what is there.

use std::collections::BTreeMap;

use archibald_core::effect::EffectState;
use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use archibald_core::operation::OperationState;
use archibald_core::port::{EventBus, EventRead, OperationFilter, OperationStore};
use archibald_core::record::OperationRecord;
use archibald_sqlite::SqliteStore;

/// The last thing that was acknowledged of each operation, by agent and key.
#[derive(Default)]
pub(crate) struct Acknowledged {
    stages: BTreeMap<(String, String), Stage>,
    lines: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Queued,
    Released,
    Recorded,
    Completed,
}

impl Acknowledged {
    /// Takes a line of the child; what is not an acknowledgement is passed over.
    pub(crate) fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let [stage, agent, key] = words[..] else { return };
        let stage = match stage {
            "queued" => Stage::Queued,
            "released" => Stage::Released,
            "recorded" => Stage::Recorded,
            "completed" => Stage::Completed,
            _ => return,
        };
        self.lines += 1;
        self.stages.insert((agent.to_owned(), key.to_owned()), stage);
    }

    /// How many acknowledgements were heard.
    pub(crate) fn len(&self) -> usize {
        self.lines
    }

    /// What was acknowledged and is not there, or not as far as was acknowledged.
    pub(crate) async fn lost(&self, store: &SqliteStore) -> Vec<(String, String, Stage)> {
        let there = all_operations(store).await;
        let kept = |place: &(String, String), stage: Stage| {
            there.get(place).is_some_and(|record| reached(record) >= stage)
        };
        let lost = self.stages.iter().filter(|(place, stage)| !kept(place, **stage));
        lost.map(|((agent, key), stage)| (agent.clone(), key.clone(), *stage)).collect()
    }
}

fn reached(record: &OperationRecord) -> Stage {
    if matches!(record.operation.state, OperationState::Completed { .. }) {
        return Stage::Completed;
    }
    match record.effects.first().map(|effect| effect.state) {
        Some(EffectState::Recorded) => Stage::Recorded,
        Some(EffectState::Released) => Stage::Released,
        _ => Stage::Queued,
    }
}

fn agents() -> impl Iterator<Item = AgentId> {
    (0..8).map(|n| AgentId::new(format!("agent-{n}")).unwrap())
}

async fn all_operations(store: &SqliteStore) -> BTreeMap<(String, String), OperationRecord> {
    let mut all = BTreeMap::new();
    for agent in agents() {
        let mut filter = OperationFilter { limit: 500, ..OperationFilter::default() };
        loop {
            let page = store.list(&agent, &filter).await.unwrap();
            for record in page.records {
                let running = matches!(record.operation.state, OperationState::Running { .. });
                assert!(!running, "leases of the last boot are void");
                all.insert((agent.to_string(), record.operation.key.to_string()), record);
            }
            filter.before = page.next;
            if filter.before.is_none() {
                break;
            }
        }
    }
    all
}

/// Every log is dense from its first event to its head.
pub(crate) async fn logs_are_whole(store: &SqliteStore) {
    for agent in agents() {
        let head = store.head(&agent).await.unwrap();
        let mut place = Cursor { epoch: head.epoch, seq: 0 };
        while place.seq < head.head {
            let read = store.read(&agent, place, 1000).await.unwrap();
            let EventRead::Batch { to, events, .. } = read else { panic!("{read:?}") };
            let numbers: Vec<_> = events.iter().map(|event| event.seq).collect();
            assert_eq!(numbers, (place.seq + 1..=to.seq).collect::<Vec<_>>());
            assert!(!numbers.is_empty(), "a hole at the end of {agent}");
            place = to;
        }
    }
}

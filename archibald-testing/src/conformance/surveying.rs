use std::collections::BTreeSet;

use archibald_core::id::AgentId;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pause::PauseScope;
use archibald_core::port::{Survey, SurveyRequest};
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Ticket;
use futures::future::join_all;
use serde_json::json;

use super::checks::{AFTER_SHORT, LONG, SHORT, agent, completed, submit, sync};
use super::{Ports, StoreUnderTest};

/// Operations that are asked for at once.
const TOGETHER: usize = 100;

/// What waits of an agent comes once, interactive before background and then by position, page by page, due or
/// not; nothing else comes.
pub async fn what_waits_in_order(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    ports.enqueue(submit(&agent("andrew"), "k")).await;
    let mut records = mixed(&ports, &nancy, 30).await;
    records.sort_by_key(place);
    let lease = ports.lease(&records[0], LONG).await;
    ports.settle(&lease, completed()).await;
    ports.lease(&records[20], LONG).await;
    let later = records[2].operation.created_at + LONG;
    let not_due = ports.enqueue(NewOperation { run_at: Some(later), ..submit(&nancy, "later") }).await;

    let mut waits: Vec<_> = records.into_iter().chain([not_due.clone()]).collect();
    drop((waits.remove(20), waits.remove(0)));
    waits.sort_by_key(place);
    for limit in [1, 7, 29, 500] {
        let mut found: Vec<Ticket> = vec![];
        loop {
            let after = found.last().map(Ticket::place);
            let page = ports.store.waiting(&nancy, after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        let expected: Vec<_> = waits.iter().filter_map(OperationRecord::ticket).collect();
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let front = ports.store.waiting(&nancy, None, 500).await.unwrap();
    let class = |ticket: &&Ticket| ticket.class == Class::Interactive;
    assert_eq!((front.len(), front.iter().filter(class).count()), (29, 15));
    assert!(front.iter().any(|ticket| ticket.operation == not_due.operation.id && ticket.at == later));
    assert_eq!(ports.store.waiting(&agent("janet"), None, 500).await.unwrap(), []);
}

/// Every agent that has something waiting comes once, page by page, and the last page says that it is the last.
pub async fn a_survey_pages_over_agents(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let names: Vec<_> = ["nancy", "andrew", "janet", "margaret", "steven", "michael"].map(agent).into();
    for name in &names {
        mixed(&ports, name, 4).await;
    }
    let (_, done) = ports.running(submit(&agent("laura"), "done"), LONG).await;
    ports.settle(&done, completed()).await;
    ports.running(submit(&agent("anne"), "runs"), LONG).await;
    for (agents, pages) in [(1, 6), (2, 3), (4, 2), (6, 1), (100, 1)] {
        let (mut seen, mut after) = (vec![], None);
        for page in 1..=pages {
            let survey = survey(&ports, after, agents, 100).await;
            let whose = whose(&survey);
            assert!(whose.len() <= agents as usize);
            assert_eq!(survey.next.is_none(), page == pages, "page {page} of {agents}: {:?}", survey.next);
            after = survey.next;
            seen.extend(whose);
        }
        let once: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!((seen.len(), once), (6, names.iter().cloned().collect()), "in pages of {agents}");
    }
    assert_eq!(survey(&ports, None, 0, 0).await.fronts.len(), 1, "at least one of one");
}

/// Of each agent the survey has what [`OperationStore::waiting`](archibald_core::port::OperationStore::waiting)
/// begins with, however much one of them has.
pub async fn a_long_queue_crowds_nobody_out_of_a_survey(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (nancy, janet) = (agent("nancy"), agent("janet"));
    for name in ["andrew", "robert"] {
        mixed(&ports, &agent(name), 3).await;
    }
    mixed(&ports, &janet, 400).await;
    mixed(&ports, &nancy, 5).await;
    let survey = survey(&ports, None, 10, 4).await;
    assert_eq!((whose(&survey).len(), survey.next.as_ref()), (4, None));
    for name in ["nancy", "andrew", "janet", "robert"].map(agent) {
        let of_it: Vec<_> = survey.fronts.iter().filter(|ticket| ticket.agent == name).cloned().collect();
        assert_eq!(of_it, ports.store.waiting(&name, None, 4).await.unwrap(), "{name}");
    }
}

/// Every page says who is paused, whether something of them waits or not, and whether a lease is over.
pub async fn a_survey_tells_of_pauses_and_ended_leases(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let nothing = survey(&ports, None, 10, 10).await;
    assert_eq!((nothing.fronts, nothing.paused, nothing.next), (vec![], vec![], None));
    assert!(!nothing.has_ended_leases);

    for name in ["nancy", "andrew"] {
        ports.enqueue(submit(&agent(name), "k")).await;
    }
    let reads = PauseScope::from(sync(&nancy, "sync-orders", "k").kind);
    ports.store.pause(&nancy.into(), "the account is locked", false).await.unwrap();
    ports.store.pause(&reads, "away", true).await.unwrap();
    let (record, _lease) = ports.running(submit(&agent("janet"), "runs"), SHORT).await;
    let mut after = None;
    for _ in 0..2 {
        let page = survey(&ports, after, 1, 10).await;
        assert_eq!(page.paused, ports.store.paused().await.unwrap());
        assert_eq!(page.paused.len(), 2);
        assert!(!page.has_ended_leases, "it runs still");
        assert!(page.now >= record.operation.created_at);
        after = page.next;
    }
    under.advance(AFTER_SHORT).await;
    assert!(survey(&ports, None, 10, 10).await.has_ended_leases);
    ports.lock.reap().await.unwrap();
    let reaped = survey(&ports, None, 10, 10).await;
    assert!(!reaped.has_ended_leases);
    assert!(reaped.fronts.iter().any(|ticket| ticket.operation == record.operation.id));
}

async fn survey(ports: &Ports, after: Option<AgentId>, agents: u32, each: u32) -> Survey {
    ports.store.survey(&SurveyRequest { after, agents, each }).await.unwrap()
}

/// The agents of a page, each of whom is in one piece.
fn whose(survey: &Survey) -> Vec<AgentId> {
    let mut whose: Vec<_> = survey.fronts.iter().map(|ticket| ticket.agent.clone()).collect();
    whose.dedup();
    whose
}

fn place(record: &OperationRecord) -> (Class, u64) {
    (record.operation.class, record.operation.position)
}

/// As many background operations as interactive ones, asked for by turns and many at once.
async fn mixed(ports: &Ports, agent: &AgentId, count: usize) -> Vec<OperationRecord> {
    let call = |n| {
        let (ports, key) = (ports.clone(), format!("{agent}-{n}"));
        let new = match n % 2 {
            0 => NewOperation { payload: json!({ "n": n }), ..sync(agent, "sync-orders", &key) },
            _ => submit(agent, &key),
        };
        tokio::spawn(async move { ports.enqueue(new).await })
    };
    let mut records = vec![];
    for from in (0..count).step_by(TOGETHER) {
        let asked = join_all((from..count.min(from + TOGETHER)).map(call)).await;
        records.extend(asked.into_iter().map(Result::unwrap));
    }
    records
}

//! Agents that were added while the service ran, over a store that several processes share.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use archibald_browser::{KeptCredentials, VaultKey};
use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{
    AgentStore, CredentialError, CredentialProvider, CredentialStore, Credentials, ListedAgent, Sealed,
};
use archibald_testing::memory::MemoryStore;

/// Nobody is looked for before a test is over.
const NEVER: Duration = Duration::from_secs(3600);

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn who(user: &str, password: &str) -> Credentials {
    Credentials { user: user.into(), password: password.into() }
}

fn key(digit: &str) -> VaultKey {
    digit.repeat(64).parse().unwrap()
}

async fn process(store: &MemoryStore, every: Duration) -> KeptCredentials {
    let fixed = [(agent("boss"), who("boss", "boss-secret"))];
    KeptCredentials::open(fixed, Arc::new(store.clone()), &key("a"), every).await.unwrap()
}

async fn sealed(store: &MemoryStore, name: &str) -> Sealed {
    store.kept_agent(&agent(name)).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_one_process_changes_holds_in_every_other_at_its_next_login() {
    let store = MemoryStore::default();
    let (one, other) = (process(&store, NEVER).await, process(&store, NEVER).await);
    let nancy = agent("nancy");
    one.add(&nancy, &who("nancy.d", "first")).await.unwrap();
    assert_eq!(one.credentials(&nancy), Some(who("nancy.d", "first")));
    assert_eq!(other.credentials(&nancy), None, "it has not looked yet");
    assert_eq!(other.current(&nancy).await.unwrap(), Some(who("nancy.d", "first")));
    assert_eq!(other.credentials(&nancy), Some(who("nancy.d", "first")), "what it asked for it knows");
    other.change_password(&nancy, "second").await.unwrap();
    assert_eq!(one.current(&nancy).await.unwrap(), Some(who("nancy.d", "second")));
    one.remove(&nancy).await.unwrap();
    assert_eq!(other.current(&nancy).await.unwrap(), None);
    assert_eq!(other.agents(), [agent("boss")]);
    // Another person under the same name: nothing of the first is left.
    other.add(&nancy, &who("nancy.e", "third")).await.unwrap();
    assert_eq!(one.current(&nancy).await.unwrap(), Some(who("nancy.e", "third")));
    assert_eq!(process(&store, NEVER).await.agents(), [agent("boss"), nancy], "it outlives the process");
}

#[tokio::test(start_paused = true)]
async fn who_came_and_went_elsewhere_is_noticed_by_itself() {
    let store = MemoryStore::default();
    let (one, other) = (process(&store, NEVER).await, process(&store, Duration::from_secs(5)).await);
    let knows = async |nancy: bool| {
        let noticed = async {
            while other.agents().contains(&agent("nancy")) != nancy {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(6), noticed).await.expect("it is not noticed");
    };
    one.add(&agent("nancy"), &who("nancy", "secret")).await.unwrap();
    knows(true).await;
    one.remove(&agent("nancy")).await.unwrap();
    knows(false).await;
}

#[tokio::test]
async fn those_of_the_start_are_not_changed_and_errors_say_why() {
    let store = MemoryStore::default();
    let agents = process(&store, NEVER).await;
    let (boss, nancy) = (agent("boss"), agent("nancy"));
    assert!(matches!(agents.add(&boss, &who("b", "x")).await, Err(CredentialError::Exists(_))));
    assert!(matches!(agents.remove(&boss).await, Err(CredentialError::Fixed(_))));
    assert!(matches!(agents.change_password(&boss, "x").await, Err(CredentialError::Fixed(_))));
    assert!(matches!(agents.remove(&nancy).await, Err(CredentialError::Unknown(_))));
    assert!(matches!(agents.change_password(&nancy, "x").await, Err(CredentialError::Unknown(_))));
    let bad = agents.add(&nancy, &who("", "")).await;
    assert!(matches!(&bad, Err(CredentialError::Invalid(fields)) if fields.len() == 2), "{bad:?}");
    assert_eq!(store.kept_agents("", 9).await.unwrap(), [], "nothing of all this was kept");
    agents.add(&nancy, &who("nancy.d", "secret")).await.unwrap();
    assert!(matches!(agents.add(&nancy, &who("n", "x")).await, Err(CredentialError::Exists(_))));
    let bad = agents.change_password(&nancy, "a\nb").await;
    assert!(
        matches!(&bad, Err(CredentialError::Invalid(fields)) if fields[0].pointer == "/password"),
        "{bad:?}"
    );
    assert_eq!(agents.current(&nancy).await.unwrap(), Some(who("nancy.d", "secret")), "it stays as it was");
    let listed =
        |name: &str, user: &str, kept| ListedAgent { agent: agent(name), user: Some(user.into()), kept };
    let all = [listed("boss", "boss", false), listed("nancy", "nancy.d", true)];
    assert_eq!(agents.list("", 9).await.unwrap(), all);
    assert_eq!(agents.find(&boss).await.unwrap(), Some(all[0].clone()));
    assert_eq!(agents.find(&nancy).await.unwrap(), Some(all[1].clone()));
    assert_eq!(agents.find(&agent("nobody")).await.unwrap(), None);
}

#[tokio::test]
async fn a_page_of_agents_has_those_of_both_places_in_order_and_each_once() {
    let store = MemoryStore::default();
    let names = ["a1", "a2", "b1", "c1", "c2", "d1"];
    let elsewhere = KeptCredentials::open([], Arc::new(store.clone()), &key("a"), NEVER).await.unwrap();
    for name in names {
        elsewhere.add(&agent(name), &who(name, "secret")).await.unwrap();
    }
    // Three of them stand among the fixed ones too, and two others.
    let fixed = ["a2", "b1", "c1", "boss", "zoe"].map(|name| (agent(name), who("fixed", "secret")));
    let here = KeptCredentials::open(fixed, Arc::new(store.clone()), &key("a"), NEVER).await.unwrap();
    let all: Vec<_> = ["a1", "a2", "b1", "boss", "c1", "c2", "d1", "zoe"].map(agent).into();
    for limit in 0..10 {
        let (mut seen, mut after) = (vec![], String::new());
        loop {
            let page = here.list(&after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = last.agent.to_string();
            let is_right = |one: &ListedAgent| one.kept == ["a1", "c2", "d1"].contains(&one.agent.as_str());
            assert!(page.iter().all(is_right), "{page:?}");
            seen.extend(page.into_iter().map(|one| one.agent));
        }
        assert_eq!(seen, if limit == 0 { vec![] } else { all.clone() }, "by {limit}");
    }
}

#[tokio::test]
async fn of_many_who_change_a_password_at_once_each_does_and_the_last_holds() {
    let store = MemoryStore::default();
    let processes = [process(&store, NEVER).await, process(&store, NEVER).await];
    let nancy = agent("nancy");
    processes[0].add(&nancy, &who("nancy", "first")).await.unwrap();
    let (one, other) =
        tokio::join!(processes[0].change_password(&nancy, "a"), processes[1].change_password(&nancy, "b"));
    one.unwrap();
    other.unwrap();
    let now = processes[0].current(&nancy).await.unwrap().unwrap();
    assert!(["a", "b"].contains(&now.password.as_str()));
    assert_eq!(processes[1].current(&nancy).await.unwrap(), Some(now));
}

#[tokio::test]
async fn what_is_kept_opens_with_the_key_and_for_its_agent_only() {
    let store = MemoryStore::default();
    let agents = process(&store, NEVER).await;
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    agents.add(&nancy, &who("nancy.d", "s3cret")).await.unwrap();
    agents.add(&andrew, &who("andrew.f", "s3cret")).await.unwrap();
    let whole = sealed(&store, "nancy").await;
    for secret in ["s3cret", "nancy.d"] {
        assert!(!String::from_utf8_lossy(&whole.0).contains(secret));
        assert!(!format!("{agents:?} {whole:?}").contains(secret));
    }
    let other = KeptCredentials::open([], Arc::new(store.clone()), &key("b"), NEVER).await;
    let told = other.unwrap_err();
    let is_told = told.to_string().contains("none of the 2 agents that were added can be read with this key");
    assert!(matches!(&told, StoreError::Damaged { .. }) && is_told, "{told}");
    // A row that was copied to another agent, and any that is damaged.
    let his = sealed(&store, "andrew").await;
    assert!(store.replace_agent(&nancy, &whole, &his).await.unwrap());
    assert_eq!(agents.current(&nancy).await.unwrap(), None);
    let mut was = his;
    for place in 0..whole.0.len() {
        let mut damaged = whole.clone();
        damaged.0[place] ^= 1;
        assert!(store.replace_agent(&nancy, &was, &damaged).await.unwrap());
        assert_eq!(agents.current(&nancy).await.unwrap(), None, "byte {place}");
        was = damaged;
    }
    assert!(store.replace_agent(&nancy, &was, &whole).await.unwrap());
    assert_eq!(agents.current(&nancy).await.unwrap(), Some(who("nancy.d", "s3cret")));
}

#[tokio::test]
async fn one_that_does_not_open_stops_nobody_and_is_removed_and_added_again() {
    let store = MemoryStore::default();
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    process(&store, NEVER).await.add(&nancy, &who("nancy.d", "secret")).await.unwrap();
    let other = MemoryStore::default();
    let lost = KeptCredentials::open([], Arc::new(other.clone()), &key("b"), NEVER).await.unwrap();
    lost.add(&andrew, &who("andrew.f", "secret")).await.unwrap();
    assert!(store.keep_agent(&andrew, &sealed(&other, "andrew").await).await.unwrap());

    let agents = process(&store, NEVER).await;
    assert_eq!(agents.agents(), [agent("boss"), nancy.clone()]);
    assert_eq!(agents.credentials(&andrew), None);
    assert!(!agents.knows(&andrew) && agents.knows(&nancy) && agents.knows(&agent("boss")));
    assert_eq!(agents.current(&andrew).await.unwrap(), None, "nobody logs in so");
    assert_eq!(agents.current(&nancy).await.unwrap(), Some(who("nancy.d", "secret")));
    let listed = ListedAgent { agent: andrew.clone(), user: None, kept: true };
    assert_eq!(agents.list("", 9).await.unwrap()[0], listed);
    assert_eq!(agents.find(&andrew).await.unwrap(), Some(listed));
    let told = agents.change_password(&andrew, "new").await.unwrap_err();
    assert!(matches!(told, CredentialError::Unreadable(_)), "{told}");
    assert!(told.to_string().contains("remove it and add it again"), "{told}");
    let again = who("andrew.f", "new");
    assert!(matches!(agents.add(&andrew, &again).await, Err(CredentialError::Exists(_))));
    agents.remove(&andrew).await.unwrap();
    agents.add(&andrew, &again).await.unwrap();
    assert_eq!(agents.current(&andrew).await.unwrap(), Some(again));
}

#[tokio::test]
async fn adding_again_what_was_added_succeeds_and_anything_else_does_not() {
    let store = MemoryStore::default();
    let (one, other) = (process(&store, NEVER).await, process(&store, NEVER).await);
    let nancy = agent("nancy");
    one.add(&nancy, &who("nancy.d", "secret")).await.unwrap();
    let kept = sealed(&store, "nancy").await;
    for process in [&one, &other] {
        process.add(&nancy, &who("nancy.d", "secret")).await.unwrap();
        for differs in [who("nancy.d", "other"), who("nancy.e", "secret")] {
            assert!(matches!(process.add(&nancy, &differs).await, Err(CredentialError::Exists(_))));
        }
    }
    assert_eq!(sealed(&store, "nancy").await, kept, "it stays as it was");
}

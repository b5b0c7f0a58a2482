use archibald_core::port::Sealed;

use super::StoreUnderTest;
use super::checks::agent;

fn sealed(bytes: &[u8]) -> Sealed {
    Sealed(bytes.to_vec())
}

/// An agent is kept once, whatever bytes it is kept as, and the same write made again is the same write.
pub async fn an_agent_is_kept_once(under: &mut dyn StoreUnderTest) {
    let agents = under.ports().agents;
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    assert_eq!(agents.kept_agents("", 9).await.unwrap(), []);
    assert_eq!(agents.kept_agent(&nancy).await.unwrap(), None);
    let (first, other) = (sealed(b"\x00\xff\x80 not a text"), sealed(&[0; 4_000]));
    assert!(agents.keep_agent(&nancy, &first).await.unwrap());
    assert!(agents.keep_agent(&nancy, &first).await.unwrap(), "as after a lost answer");
    assert!(!agents.keep_agent(&nancy, &other).await.unwrap());
    assert_eq!(agents.kept_agent(&nancy).await.unwrap(), Some(first.clone()), "it stays as it was");
    assert_eq!(agents.kept_agent(&andrew).await.unwrap(), None);
    assert!(agents.keep_agent(&andrew, &other).await.unwrap());
    let both = [(andrew, other), (nancy, first)];
    assert_eq!(agents.kept_agents("", 9).await.unwrap(), both, "by id");
}

/// A page goes on after any text, whatever order the database has for texts.
pub async fn kept_agents_are_read_by_pages(under: &mut dyn StoreUnderTest) {
    let agents = under.ports().agents;
    let mut names = ["nancy", "a-b", "a.b", "a_b", "ab", "a1", "-a", "9", "_"].map(agent);
    for name in &names {
        assert!(agents.keep_agent(name, &sealed(name.as_str().as_bytes())).await.unwrap());
    }
    names.sort();
    let page = async |after: &str, limit| {
        let page = agents.kept_agents(after, limit).await.unwrap();
        assert!(page.iter().all(|(name, sealed)| sealed.0 == name.as_str().as_bytes()));
        page.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(page("", u32::MAX).await, names);
    assert_eq!(page("", 0).await, []);
    for (place, name) in names.iter().enumerate() {
        let behind = &names[place + 1..];
        assert_eq!(page(name.as_str(), 3).await, behind[..behind.len().min(3)], "after {name}");
    }
    assert_eq!(page("", 1).await, names[..1]);
    assert_eq!(page("Ünknown, and no id", 9).await, []);
    assert_eq!(page("m' or 1 = 1", 9).await, [agent("nancy")]);
}

/// Of two who replace the same value one does; who looks at an old value changes nothing.
pub async fn a_kept_agent_is_replaced_where_it_is_as_it_was_seen(under: &mut dyn StoreUnderTest) {
    let (agents, nancy) = (under.ports().agents, agent("nancy"));
    let [first, second, third] = [b"1", b"2", b"3"].map(|bytes| sealed(bytes));
    assert!(!agents.replace_agent(&nancy, &first, &second).await.unwrap(), "there is none");
    assert_eq!(agents.kept_agent(&nancy).await.unwrap(), None);
    assert!(agents.keep_agent(&nancy, &first).await.unwrap());
    assert!(agents.keep_agent(&agent("andrew"), &first).await.unwrap());
    assert!(agents.replace_agent(&nancy, &first, &second).await.unwrap());
    assert!(agents.replace_agent(&nancy, &first, &second).await.unwrap(), "as after a lost answer");
    assert!(!agents.replace_agent(&nancy, &first, &third).await.unwrap());
    assert_eq!(agents.kept_agent(&nancy).await.unwrap(), Some(second.clone()));
    assert_eq!(agents.kept_agent(&agent("andrew")).await.unwrap(), Some(first.clone()));
    let both = tokio::join!(
        agents.replace_agent(&nancy, &second, &first),
        agents.replace_agent(&nancy, &second, &third)
    );
    assert!(both.0.unwrap() != both.1.unwrap(), "one of the two");
}

/// What is kept outlives a restart, and what was dropped does not come back.
pub async fn kept_agents_outlive_a_restart(under: &mut dyn StoreUnderTest) {
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    let agents = under.ports().agents;
    let [first, second] = [b"1", b"2"].map(|bytes| sealed(bytes));
    for agent in [&nancy, &andrew] {
        assert!(agents.keep_agent(agent, &first).await.unwrap());
    }
    assert!(agents.replace_agent(&nancy, &first, &second).await.unwrap());
    assert!(agents.drop_agent(&andrew).await.unwrap());
    assert!(!agents.drop_agent(&andrew).await.unwrap());
    drop(agents);
    under.reopen().await;
    let agents = under.ports().agents;
    assert_eq!(agents.kept_agents("", 9).await.unwrap(), [(nancy, second)]);
    assert!(!agents.drop_agent(&andrew).await.unwrap());
    assert!(agents.keep_agent(&andrew, &first).await.unwrap(), "an agent may come back");
}

use crate::fleet::Told;
use crate::private::Private;

/// What ended attempts and what began them must alternate in every agent's log, and each end be that of the
/// operation that began before it.
const OVERLAPS: &str = "select string_agg(agent || ' ' || seq || ' ' || type, ', ') from (
    select agent, seq, type, operation, lag(type) over log as before, lag(operation) over log as previous
    from (select agent, seq, event->>'type' as type, event->>'operation' as operation from archibald.events) e
    where type not in ('operation.queued', 'operation.step', 'operation.cancelled', 'warning')
    window log as (partition by agent order by seq)
) attempts where case when type = 'operation.started'
    then before = 'operation.started'
    else before is distinct from 'operation.started' or previous is distinct from operation end";

const COMPLETED_TWICE: &str = "select string_agg(operation, ', ') from (
    select event->>'operation' as operation from archibald.events where event->>'type' = 'operation.completed'
    group by 1 having count(*) > 1
) twice";

const HOLES: &str = "select string_agg(agent, ', ') from (
    select s.agent from archibald.streams s join archibald.events e using (agent, epoch)
    group by s.agent, s.head having count(*) <> s.head or min(seq) <> 1 or max(seq) <> s.head
) holes";

/// Every start takes one token.
const TOKENS: &str = "select string_agg(agent, ', ') from (
    select a.agent from archibald.agents a left join archibald.events e
        on e.agent = a.agent and e.event->>'type' = 'operation.started'
    group by a.agent, a.token having count(e.seq) <> a.token
) skipped";

const KEYS_TWICE: &str = "select string_agg(key, ', ') from (
    select key from archibald.operations group by agent, key having count(*) > 1) twice";

/// Looks at the tables, once everything has ended.
pub fn judge(private: &Private, told: &Told) {
    let nothing = |what: &str, found: String| assert_eq!(found, "", "{what}");
    nothing("broken while it ran", told.ledger.broken().join("; "));
    nothing("two at once", private.sql(OVERLAPS));
    nothing("completed twice", private.sql(COMPLETED_TWICE));
    nothing("holes in a log", private.sql(HOLES));
    nothing("tokens that nobody started with", private.sql(TOKENS));
    nothing("a key twice", private.sql(KEYS_TWICE));
    let held = "select count(*) from archibald.agents where operation is not null";
    assert_eq!(private.sql(held), "0", "somebody is still held");
    let rows = private.sql("select id, state from archibald.operations");
    let states: std::collections::HashMap<_, _> =
        rows.lines().map(|row| row.split_once('|').unwrap()).collect();
    for id in &told.acknowledged {
        let state = states.get(id.to_string().as_str()).copied();
        assert_eq!(state, Some("completed"), "{id} was acknowledged");
    }
    for (id, state) in states {
        assert_eq!(state, "completed", "{id}");
        assert_eq!(told.ledger.times(id.parse().unwrap()), 1, "{id} at the ERP");
    }
    println!("{told}");
}

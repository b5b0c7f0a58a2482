use archibald_core::id::AgentId;
use futures::FutureExt;

use crate::gate::Gates;

#[tokio::test]
async fn one_at_a_time_and_nothing_left() {
    let gates = Gates::default();
    let (nancy, andrew) = (AgentId::new("nancy").unwrap(), AgentId::new("andrew").unwrap());
    let turn = gates.enter(&nancy).await;
    assert!(gates.enter(&nancy).now_or_never().is_none(), "and one that gave up waiting");
    assert!(gates.enter(&andrew).now_or_never().is_some());
    drop(turn);
    drop(gates.enter(&nancy).now_or_never().unwrap());
    assert!(gates.is_empty());
}

use std::time::Duration;

use archibald_core::id::{AgentId, FencingToken, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::port::{Guard, LeaseLost};
use archibald_core::time::Timestamp;
use tokio::time::Instant;

use crate::guard::LeaseGuard;

fn guard() -> LeaseGuard {
    let lease = Lease {
        agent: AgentId::new("nancy").unwrap(),
        operation: "00000000-0000-0000-0000-000000000001".parse::<OperationId>().unwrap(),
        token: FencingToken(1),
        worker: WorkerId::new("w1").unwrap(),
        expires_at: Timestamp::EPOCH,
        ttl: Duration::from_secs(10),
    };
    LeaseGuard::new(lease, Instant::now(), Duration::from_secs(2))
}

#[tokio::test(start_paused = true)]
async fn it_ends_a_margin_before_the_lease_unless_renewed() {
    let guard = guard();
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(guard.check(), Ok(Duration::from_secs(1)));
    guard.extend(Instant::now());
    assert_eq!(guard.check(), Ok(Duration::from_secs(8)));
    let before = Instant::now();
    guard.lost().await;
    assert_eq!(before.elapsed().as_secs(), 8);
    assert_eq!(guard.check(), Err(LeaseLost));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_an_early_renewal_never_shortens_it() {
    let guard = guard();
    let early = Instant::now();
    tokio::time::advance(Duration::from_secs(5)).await;
    guard.extend(Instant::now());
    guard.extend(early);
    assert_eq!(guard.check(), Ok(Duration::from_secs(8)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_cannot_be_extended() {
    let guard = guard();
    guard.lose();
    guard.extend(Instant::now());
    assert_eq!(guard.check(), Err(LeaseLost));
    guard.lost().await;
}

use archibald_core::id::AgentId;
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};

use crate::effects::Effects;
use crate::hub::{Hub, WORKER_BACKLOG};

fn woken(agents: impl IntoIterator<Item = String>) -> Effects {
    let workers = agents.into_iter().map(|agent| AgentId::new(agent).unwrap()).collect();
    Effects { workers, ..Effects::default() }
}

#[tokio::test]
async fn a_worker_is_told_of_each_agent_once_and_of_a_flood_that_it_lost_some() {
    let hub = Hub::default();
    let mut worker = hub.worker();
    for _ in 0..5 {
        hub.tell(woken(["nancy".into(), "andrew".into()]));
    }
    for name in ["andrew", "nancy"] {
        let agent = AgentId::new(name).unwrap();
        assert_eq!(worker.next().await, Ok(WorkerWake::Agent(agent)));
    }
    hub.tell(woken((0..=WORKER_BACKLOG).map(|n| format!("agent-{n}"))));
    assert_eq!(worker.next().await, Ok(WorkerWake::Lost));
    hub.close();
    assert_eq!(worker.next().await, Err(BusClosed));
    assert_eq!(hub.worker().next().await, Err(BusClosed));
    let nancy = AgentId::new("nancy").unwrap();
    assert_eq!(hub.device(&nancy).changed().await, Err(BusClosed));
}

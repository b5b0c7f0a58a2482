//! The process that devices are connected to, or one beside it that only writes.

use std::net::SocketAddr;
use std::sync::Arc;

use archibald_http::{ApiConfig, ApiState, ServeLimits, TokenEntry, TokenSet, router, serve};
use archibald_runtime::{Archibald, RuntimeConfig};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::TOKEN;
use super::writer::{Plan, Writer};
use crate::Failure;
use crate::child::{Questions, answer};
use crate::store::{Opened, Reach};
use crate::work::agent;

/// What such a process is told when it starts. Its first answer is its address, where it listens.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerRole {
    /// The store.
    pub reach: Reach,
    /// How many agents there are.
    pub agents: usize,
    /// Connections that it takes; with none it only writes.
    pub connections: usize,
}

impl ServerRole {
    /// Writes what it is asked to write until nobody asks any more.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let opened = self.reach.open().await?;
        let shutdown = CancellationToken::new();
        let (mut serving, mut address) = (None, None);
        if self.connections > 0 {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            address = Some(listener.local_addr()?);
            let limits = ServeLimits { connections: self.connections, ..ServeLimits::default() };
            let router = router(state(&opened, self.agents, &shutdown)?);
            serving = Some(tokio::spawn(serve(listener, router, shutdown.clone(), limits)));
        }
        answer::<Option<SocketAddr>>(Ok(address)).await?;

        let mut writer = Writer::new(opened.pending_orders.clone(), opened.ports.bus.clone());
        let mut questions = Questions::new();
        while let Some(plan) = questions.next::<Plan>().await? {
            answer(writer.write(&plan).await).await?;
        }
        shutdown.cancel();
        if let Some(serving) = serving {
            serving.await?;
        }
        drop(opened.shut().await);
        Ok(())
    }
}

/// What a server has, but for a worker.
fn state(opened: &Opened, agents: usize, shutdown: &CancellationToken) -> Result<ApiState, Failure> {
    let credentials = FixedCredentials::new();
    for number in 0..agents {
        credentials.set(agent(number)?, "user", "password");
    }
    let ports = opened.ports.ports(FakeErp::new(10), Arc::new(credentials));
    let archibald = Archibald::builder(ports)
        .config(RuntimeConfig::default())
        .pending_orders(opened.pending_orders.clone())
        .build()?;
    let tokens = TokenSet::new([TokenEntry::operator(TOKEN)])?;
    let config = ApiConfig { secure_cookies: false, ..ApiConfig::default() };
    Ok(ApiState::new(
        Arc::new(archibald),
        opened.ports.bus.clone(),
        Arc::new(tokens),
        config,
        shutdown.clone(),
    ))
}

//! What happens to servers, logs and connections while everybody works.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::EventBus;
use futures::stream::{self, StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};
use tokio::task::spawn_blocking;

use super::chance::Chance;
use super::judge::Floors;
use super::server::{Hands, Home, Open, Server, Setting};
use super::stage::Stage;
use crate::Failure;

/// Logs that are read or pruned at a time.
const AT_ONCE: usize = 8;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strike {
    /// The server dies and another one is started.
    Kill,
    /// The server is stopped as it should be, and another one is started.
    Restart,
    /// The connection that listens is cut.
    Ear,
    /// All connections to the database are cut.
    Connections,
    /// Logs are pruned.
    Prune,
    /// A new history begins.
    Epoch,
    /// A backup is put in the place of the database.
    Restore,
}

impl Strike {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Ear => "ear",
            Self::Connections => "connections",
            Self::Prune => "prune",
            Self::Epoch => "epoch",
            Self::Restore => "restore",
        }
    }

    /// So many, of every sort that such a store can suffer at least one.
    pub(crate) fn some(home: &Home, count: usize, chance: &mut Chance) -> Vec<Self> {
        let sorts: &[Self] = match home {
            Home::Sqlite(_) => {
                &[Self::Kill, Self::Prune, Self::Epoch, Self::Restore, Self::Restart, Self::Ear]
            }
            Home::Postgres(_) => {
                &[Self::Kill, Self::Prune, Self::Ear, Self::Epoch, Self::Connections, Self::Restart]
            }
        };
        let mut strikes = sorts.to_vec();
        while strikes.len() < count {
            // Pruning is what happens every day.
            strikes.push(if chance.happens(40) { Self::Prune } else { sorts[chance.place(sorts.len())] });
        }
        for place in (1..strikes.len()).rev() {
            strikes.swap(place, chance.place(place + 1));
        }
        strikes
    }
}

/// Whoever strikes, and starts again what was struck.
pub(crate) struct Trouble {
    pub(crate) stage: Arc<Stage>,
    pub(crate) setting: Setting,
    pub(crate) floors: Arc<Floors>,
    pub(crate) chance: Chance,
    pub(crate) server: Option<Server>,
    pub(crate) struck: BTreeMap<&'static str, u64>,
    /// So many changes are made.
    until: u64,
    backups: u64,
}

impl Trouble {
    pub(crate) async fn start(
        stage: Arc<Stage>,
        setting: Setting,
        floors: Arc<Floors>,
        chance: Chance,
        until: u64,
    ) -> Result<Self, Failure> {
        let struck = BTreeMap::new();
        let mut trouble = Self { stage, setting, floors, chance, server: None, struck, until, backups: 0 };
        trouble.serve().await?;
        Ok(trouble)
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        let server = Server::start(&self.setting).await?;
        self.stage.set(Some(server.up()));
        self.server = Some(server);
        Ok(())
    }

    pub(crate) async fn strike(&mut self, strike: Strike) -> Result<(), Failure> {
        *self.struck.entry(strike.name()).or_default() += 1;
        match strike {
            Strike::Kill => self.kill().await,
            Strike::Restart => self.restart().await,
            Strike::Ear => self.cut(true).await,
            Strike::Connections => self.cut(false).await,
            Strike::Prune => self.prune().await,
            Strike::Epoch => self.epoch().await,
            Strike::Restore => self.restore().await,
        }
    }

    /// That had to begin because of what it did.
    pub(crate) fn histories(&self) -> u64 {
        let times = |strike: Strike| self.struck.get(strike.name()).copied().unwrap_or(0);
        times(Strike::Epoch) + times(Strike::Restore)
    }

    async fn kill(&mut self) -> Result<(), Failure> {
        self.stage.set(None);
        if let Some(server) = self.server.take() {
            server.kill().await?;
        }
        self.serve().await
    }

    async fn restart(&mut self) -> Result<(), Failure> {
        self.end().await?;
        self.serve().await
    }

    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        self.stage.set(None);
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    async fn cut(&mut self, only_listeners: bool) -> Result<(), Failure> {
        if let Some(faults) = &self.stage.faults {
            faults.deafen();
        }
        let Home::Postgres(url) = &self.setting.home else { return Ok(()) };
        let mut connection = PgConnection::connect(url).await?;
        let whose = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid() and ($1 is false or query ilike 'listen %')";
        sqlx::query(whose).bind(only_listeners).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// All logs, to where they were read by whoever keeps the books, some events of each kept.
    async fn prune(&mut self) -> Result<(), Failure> {
        let Some(hands) = self.stage.keeper().await else { return Ok(()) };
        let prunes: Vec<_> = self
            .stage
            .agents
            .iter()
            .map(|agent| {
                let (stage, floors, bus) = (self.stage.clone(), self.floors.clone(), hands.bus.clone());
                let (agent, keep) = (agent.clone(), self.chance.below(30));
                hands.run(async move { prune(&stage, bus.as_ref(), &floors, &agent, keep).await })
            })
            .collect();
        together(prunes).await
    }

    /// While others write, or while nobody does, so that all of the old history is known.
    async fn epoch(&mut self) -> Result<(), Failure> {
        let stage = self.stage.clone();
        if self.chance.happens(50) {
            let _gate = stage.gate.write().await;
            return new_epoch(&stage).await;
        }
        stage.ledger.cut_short(true);
        let begun = new_epoch(&stage).await;
        stage.ledger.cut_short(false);
        begun
    }

    async fn restore(&mut self) -> Result<(), Failure> {
        let Home::Sqlite(file) = self.setting.home.clone() else { return Ok(()) };
        self.backups += 1;
        let backup = file.with_extension(format!("backup-{}", self.backups));
        let stage = self.stage.clone();
        if let Some(Hands { open: Open::Sqlite(store), .. }) = stage.hands().await {
            store.backup(&backup).await?;
        }
        // Some more is written that the backup does not have.
        let done = *stage.done.borrow();
        let enough = (done + 20).min(self.until);
        stage.done.subscribe().wait_for(|now| *now >= enough).await?;
        let _gate = stage.gate.write().await;
        audit(&stage).await?;
        self.end().await?;
        spawn_blocking(move || put_back(&backup, &file)).await??;
        self.serve().await
    }
}

fn put_back(backup: &Path, file: &Path) -> Result<(), Failure> {
    for ending in ["-wal", "-shm"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(ending);
        let beside = PathBuf::from(beside);
        if beside.exists() {
            std::fs::remove_file(beside)?;
        }
    }
    Ok(std::fs::rename(backup, file)?)
}

async fn prune(
    stage: &Stage,
    bus: &dyn EventBus,
    floors: &Floors,
    agent: &AgentId,
    keep: u64,
) -> Result<(), Failure> {
    let end = stage.ledger.audit(bus, agent).await?;
    let up_to = end.seq.saturating_sub(keep);
    floors.raise(agent, end.epoch, up_to);
    match bus.prune(agent, up_to).await {
        // On a busy machine it may not come to its turn in time: then it is as it was, or pruned all the same.
        Ok(_) | Err(StoreError::Unavailable { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn new_epoch(stage: &Arc<Stage>) -> Result<(), Failure> {
    audit(stage).await?;
    let Some(hands) = stage.keeper().await else { return Ok(()) };
    let bus = hands.bus.clone();
    hands.run(async move { bus.new_epoch().await }).await.transpose()?;
    Ok(())
}

/// Reads what all logs have that was not read before.
pub(crate) async fn audit(stage: &Arc<Stage>) -> Result<(), Failure> {
    let Some(hands) = stage.keeper().await else { return Ok(()) };
    let audits: Vec<_> = stage
        .agents
        .iter()
        .map(|agent| {
            let (stage, bus, agent) = (stage.clone(), hands.bus.clone(), agent.clone());
            hands.run(async move { stage.ledger.audit(bus.as_ref(), &agent).await.map(drop) })
        })
        .collect();
    together(audits).await
}

/// A few at a time; what was killed meanwhile was not done.
async fn together(calls: Vec<impl Future<Output = Option<Result<(), Failure>>>>) -> Result<(), Failure> {
    let done = stream::iter(calls).buffer_unordered(AT_ONCE).map(|done| done.unwrap_or(Ok(())));
    done.try_collect().await
}

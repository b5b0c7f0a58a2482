//! A lane: an ERP of its own, on which cells run one after another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use archibald_core::id::AgentId;
use archibald_testing::data::Order;
use archibald_testing::erp::{BehaviourChange, Fault as ErpFault, FaultRule};
use archibald_testing::postgres::{Cluster, ClusterError, ClusterOptions};
use clap::Parser;
use tokio::task::spawn_blocking;

use super::actions::{Case, prepare};
use super::cell::{Cell, Stage, Store};
use super::server::Wiring;
use crate::demo::args::{Args as DemoArgs, Driver};
use crate::demo::data::Workload;
use crate::demo::error::DemoError;
use crate::demo::scratch::{Scratch, Tokens};
use crate::demo::simulator::Simulator;

/// What a request takes where nothing is asked of time.
const LATENCY_MS: u64 = 2;
/// Slow enough for a lease to be renewed during an attempt, and well within an act's budget.
const SLOW_MS: u64 = 250;
/// A browser renews its lease less often, and in a warm session all but orders' lines are a few pages alone.
const SLOW_PAGES_MS: u64 = 1_000;

/// What a cell is run on. Fields are ended in this order.
pub(super) struct Lane {
    pub(super) simulator: Simulator,
    cluster: Option<Arc<Cluster>>,
    orders: BTreeMap<AgentId, Vec<Order>>,
    /// By agent, as the data has it.
    customers: BTreeMap<AgentId, u64>,
    tokens: Tokens,
    agents_file: PathBuf,
    tokens_file: PathBuf,
    pub(super) driver: Driver,
    /// Cells so far.
    pub(super) place: u64,
    // Last: the others have files in it.
    pub(super) scratch: Scratch,
}

/// A private cluster that lanes share.
///
/// # Errors
/// [`DemoError::Cluster`].
pub(super) async fn cluster() -> Result<Arc<Cluster>, DemoError> {
    // It is not the database that is killed here, and each cell has one of its own made and dropped.
    let options = ClusterOptions { fsync: false, max_connections: 400, ..ClusterOptions::default() };
    blocking(move || Cluster::start(&options)).await.map(Arc::new)
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, ClusterError> + Send + 'static,
) -> Result<T, DemoError> {
    let done = spawn_blocking(call).await.map_err(|error| DemoError::Cluster(error.to_string()))?;
    done.map_err(|error| DemoError::Cluster(error.to_string()))
}

impl Lane {
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(super) async fn open(
        driver: Driver,
        seed: u64,
        cluster: Option<Arc<Cluster>>,
    ) -> Result<Self, DemoError> {
        let line = format!("demo --once --orders 90 --latency-ms {LATENCY_MS} --seed {}", seed % 1_000_000);
        let args = DemoArgs::try_parse_from(line.split_whitespace());
        let args = args.map_err(|error| DemoError::Usage(error.to_string()))?;
        let workload = Workload::from(&args)?;
        let scratch = Scratch::create()?;
        let tokens = Tokens::random(&workload.agents);
        let (agents_file, tokens_file) =
            (scratch.write_agents(&workload.data)?, scratch.write_tokens(&tokens)?);
        let simulator = Simulator::start(&args, &workload, &scratch.path(""), (0, 0)).await?;
        let orders = workload.by_agent();
        let seen = workload.data.assignments();
        let count = |agent: &AgentId| seen.get(agent.as_str()).map_or(0, |codes| codes.len() as u64);
        let customers = workload.agents.iter().map(|agent| (agent.clone(), count(agent))).collect();
        Ok(Self {
            simulator,
            cluster,
            orders,
            customers,
            tokens,
            agents_file,
            tokens_file,
            driver,
            place: 0,
            scratch,
        })
    }

    /// The next cell's agent, and what it wants done.
    ///
    /// # Errors
    /// [`DemoError::Control`].
    pub(super) async fn prepare(&mut self, cell: &Cell) -> Result<(AgentId, Case), DemoError> {
        self.place += 1;
        let with_orders: Vec<_> = self.orders.iter().filter(|(_, orders)| !orders.is_empty()).collect();
        let place = usize::try_from(self.place).unwrap_or_default();
        let (agent, orders) = with_orders[place % with_orders.len()];
        let order = &orders[place % orders.len()];
        let erp = &self.simulator.control;
        let latency_ms = Some(match cell.stage {
            Stage::Slow if self.driver == Driver::Chromium && !cell.action.lines => SLOW_PAGES_MS,
            Stage::Slow | Stage::Paused => SLOW_MS,
            _ => LATENCY_MS,
        });
        erp.clear_faults().await?;
        erp.configure(&BehaviourChange { latency_ms, ..BehaviourChange::default() }).await?;
        let mut case = prepare(cell.action, erp, agent, order, self.place).await?;
        case.repair = cell.action.repair.filter(|_| cell.stage == Stage::Altered);
        let fault = match cell.stage {
            Stage::ErrorAfter => Some(ErpFault::FailAfter),
            Stage::ErrorBefore => Some(ErpFault::FailBefore),
            Stage::Altered => Some(ErpFault::Altered),
            _ => None,
        };
        if let Some(fault) = fault {
            let user = Some(agent.to_string());
            erp.script(&[FaultRule { page: None, control: None, user, nth: 1, fault, times: 1 }]).await?;
        }
        Ok((agent.clone(), case))
    }

    /// How many customers an agent has from the start.
    pub(super) fn customers(&self, agent: &AgentId) -> u64 {
        self.customers.get(agent).copied().unwrap_or_default()
    }

    /// From here on the ERP takes no time.
    ///
    /// # Errors
    /// [`DemoError::Control`].
    pub(super) async fn make_quick(&self) -> Result<(), DemoError> {
        let change = BehaviourChange { latency_ms: Some(LATENCY_MS), ..BehaviourChange::default() };
        Ok(self.simulator.control.configure(&change).await?)
    }

    /// How a server of this cell is started.
    pub(super) fn wiring(&self, store: Store, worker: &'static str) -> Wiring<'_> {
        let store = match (store, &self.cluster) {
            (Store::Postgres, Some(cluster)) => cluster.database_url(&self.database()),
            _ => format!("sqlite:{}", self.file("db").display()),
        };
        Wiring {
            store,
            worker,
            erp: &self.simulator.url,
            agents: &self.agents_file,
            tokens_file: &self.tokens_file,
            tokens: &self.tokens,
            driver: self.driver,
            log: self.file("log"),
        }
    }

    /// The cell's database, empty.
    ///
    /// # Errors
    /// [`DemoError::Cluster`].
    pub(super) async fn create_database(&self) -> Result<(), DemoError> {
        let (cluster, name) = (self.cluster()?, self.database());
        blocking(move || cluster.create_database(&name)).await.map(|_| ())
    }

    /// A file of this cell.
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        self.scratch.path(&format!("cell-{}.{ending}", self.place))
    }

    /// Cuts every connection to the cell's database.
    ///
    /// # Errors
    /// [`DemoError::Cluster`].
    pub(super) async fn disconnect(&self) -> Result<(), DemoError> {
        let (cluster, name) = (self.cluster()?, self.database());
        let statement =
            format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
        blocking(move || cluster.sql("postgres", &statement)).await.map(|_| ())
    }

    /// Removes what the cell left.
    pub(super) async fn clean(&self, store: Store) {
        for ending in ["db", "db-wal", "db-shm", "db.lock", "log", "struck"] {
            let _ = std::fs::remove_file(self.file(ending));
        }
        if let (Store::Postgres, Ok(cluster)) = (store, self.cluster()) {
            let drop = format!("drop database if exists \"{}\" with (force)", self.database());
            let _ = blocking(move || cluster.sql("postgres", &drop)).await;
        }
    }

    fn cluster(&self) -> Result<Arc<Cluster>, DemoError> {
        self.cluster.clone().ok_or_else(|| DemoError::Cluster("it was not started".to_owned()))
    }

    /// Unique among the lanes that share the cluster.
    fn database(&self) -> String {
        let port = self.simulator.url.rsplit(':').next().unwrap_or_default().to_owned();
        let port: String = port.chars().filter(char::is_ascii_digit).collect();
        format!("cell_{port}_{}", self.place)
    }

    /// Whether the simulator still runs.
    ///
    /// # Errors
    /// [`DemoError::Ended`].
    pub(super) fn check(&mut self) -> Result<(), DemoError> {
        self.simulator.check()
    }
}

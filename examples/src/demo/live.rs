//! The demo to look at: runs until Ctrl-C.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::args::Args;
use super::data::Workload;
use super::devices::{Device, follow};
use super::error::DemoError;
use super::report::progress;
use super::scratch::{Scratch, Tokens};
use super::servers::{Servers, Wiring, free_port};
use super::sightings::Sightings;
use super::simulator::Simulator;
use super::store::OpenStore;
use super::submit::{Submitted, Submitter};

const FOLDER: &str = "data/demo";
/// How long the first orders may take to be accepted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What runs, in the order in which it is ended.
pub(super) struct Live {
    background: JoinSet<()>,
    servers: Servers,
    simulator: Simulator,
    _store: OpenStore,
    _scratch: Scratch,
}

impl Live {
    /// Starts everything, submits some orders and says where to look.
    ///
    /// If the future is dropped, every process that was started is ended and the folder of passwords removed.
    ///
    /// # Errors
    /// [`DemoError`]; nothing is left running.
    pub(super) async fn start(args: &Args) -> Result<Self, DemoError> {
        let workload = Workload::from(args)?;
        let folder = Path::new(FOLDER);
        std::fs::create_dir_all(folder).map_err(DemoError::io(format!("{FOLDER} cannot be made")))?;
        let scratch = Scratch::create()?;
        let tokens = Tokens::random(&workload.agents);
        let (agents_file, tokens_file) =
            (scratch.write_agents(&workload.data)?, scratch.write_tokens(&tokens)?);
        let store = OpenStore::open(args.store.as_ref(), &folder.join("archibald.db")).await?;
        let logs = scratch.path("");
        let page = free_port(8080)?;
        let erp = free_port(page.max(8089) + 1)?;
        let simulator = Simulator::start(args, &workload, &logs, (erp, free_port(erp + 1)?)).await?;
        let wiring = Wiring {
            store: &store.url,
            erp: &simulator.url,
            agents: &agents_file,
            tokens: &tokens_file,
            logs: &logs,
        };
        let servers = Servers::start(args, &wiring, page, None).await?;
        let api = Api::new(servers.urls(), tokens.clone())?;
        let background = seed(args, &workload, &api);
        say_where(&servers, &simulator, &workload, &tokens);
        Ok(Self { background, servers, simulator, _store: store, _scratch: scratch })
    }

    /// Watches until a process ends by itself.
    ///
    /// # Errors
    /// [`DemoError::Ended`]; it never returns otherwise. Cancel safe.
    pub(super) async fn watch(&mut self) -> Result<(), DemoError> {
        loop {
            self.servers.check()?;
            self.simulator.check()?;
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Drains the servers, then ends the rest.
    ///
    /// # Errors
    /// [`DemoError::Io`]; everything is ended all the same.
    pub(super) async fn end(mut self) -> Result<Vec<String>, DemoError> {
        self.background.shutdown().await;
        self.servers.drain().await
    }
}

/// Each agent's sync and orders. Their keys are of this run: the file may hold those of earlier ones.
fn seed(args: &Args, workload: &Workload, api: &Api) -> JoinSet<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (sightings, submitted) = (Arc::new(Sightings::default()), Arc::new(Submitted::default()));
    let mut tasks = JoinSet::new();
    for (agent, orders) in workload.by_agent() {
        let device = Device {
            agent: agent.clone(),
            api: api.clone(),
            sightings: sightings.clone(),
            seed: args.seed,
            cuts: false,
        };
        tasks.spawn(follow(device));
        let submitter = Submitter {
            agent,
            orders,
            api: api.clone(),
            sightings: sightings.clone(),
            submitted: submitted.clone(),
            seed: args.seed,
            prefix: format!("demo-{now}-"),
            until: Some(Instant::now() + PATIENCE),
        };
        tasks.spawn(async move {
            if let Err(error) = submitter.run().await {
                progress(&error.in_full());
            }
        });
    }
    tasks
}

fn say_where(servers: &Servers, simulator: &Simulator, workload: &Workload, tokens: &Tokens) {
    let page = servers.urls().concat();
    println!("page     {page}/");
    println!("ERP      {}/ (users as the agents, password USER-secret)", simulator.url);
    println!("control  {}/ledger and /stats, what the ERP really did", simulator.control_url);
    if let Some(agent) = workload.agents.first() {
        println!("\nTwo devices of {agent}: open this in two windows");
        println!("  {page}/#token={}", tokens.of(agent));
    }
    println!("Operator\n  {page}/#token={}", tokens.operator);
    println!("\nCtrl-C ends it.");
}

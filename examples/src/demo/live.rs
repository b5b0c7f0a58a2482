//! The demo to look at: runs until Ctrl-C.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_core::id::AgentId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::args::Args;
use super::data::Workload;
use super::devices::{Device, Heard, follow};
use super::error::DemoError;
use super::report::progress;
use super::scratch::{Scratch, Tokens};
use super::servers::{Servers, Wiring, free_port};
use super::sightings::Sightings;
use super::simulator::Simulator;
use super::stage::{self, Command, Director, Links, Props, Scene, Stage};
use super::store::OpenStore;
use super::submit::Submitter;

const FOLDER: &str = "data/demo";
/// With it go SQLite's own files and the store's, whose names begin so.
const DATABASE: &str = "archibald.db";
/// How long the first orders may take to be accepted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What runs, in the order in which it is ended.
pub(super) struct Live {
    background: JoinSet<()>,
    props: Props,
    commands: mpsc::Receiver<Command>,
    servers: Servers,
    simulator: Simulator,
    _store: OpenStore,
    _folder: Folder,
    _scratch: Scratch,
}

/// Where the demo's store is: one demo's at a time.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn take(path: &Path) -> Result<Self, DemoError> {
        let failed = |what| DemoError::io(format!("{} {what}", path.display()));
        std::fs::create_dir_all(path).map_err(failed("cannot be made"))?;
        let lock = File::create(path.join("lock")).map_err(failed("cannot be written to"))?;
        lock.try_lock().map_err(io::Error::from).map_err(failed("is another demo's, which runs"))?;
        Ok(Self { path: path.into(), _lock: lock })
    }

    fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The simulated ERP is a new one each time: what an earlier run stored is of one that is gone.
    fn clear(&self) -> Result<(), DemoError> {
        let failed = || DemoError::io("the store of an earlier demo cannot be removed");
        for entry in std::fs::read_dir(&self.path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_name().to_string_lossy().starts_with(DATABASE) {
                std::fs::remove_file(entry.path()).map_err(failed())?;
            }
        }
        Ok(())
    }
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
        let folder = Folder::take(Path::new(FOLDER))?;
        let scratch = Scratch::create()?;
        let tokens = Tokens::random(&workload.agents);
        let (agents_file, tokens_file) =
            (scratch.write_agents(&workload.data)?, scratch.write_tokens(&tokens)?);
        if args.store.is_none() {
            folder.clear()?;
        }
        let store =
            OpenStore::open(args.store.as_ref(), &folder.database(), &scratch.path("archibald.db")).await?;
        let (logs, temporary) = (scratch.path(""), scratch.folder("browsers")?);
        let port = free_port(8080)?;
        let erp = free_port(port.max(8089) + 1)?;
        let simulator = Simulator::start(args, &workload, &logs, (erp, free_port(erp + 1)?)).await?;
        let wiring = Wiring {
            store: &store.url,
            erp: &simulator.url,
            agents: &agents_file,
            tokens: &tokens_file,
            logs: &logs,
            temporary: &temporary,
        };
        let servers = Servers::start(args, &wiring, port, None).await?;
        let props = props(args, workload, &servers, &simulator, &tokens)?;
        props.stage.update(|scene| scene.worker(servers.pids().first().copied()));
        let page = free_port(erp + 2)?;
        let token = Tokens::one();
        let mut background = JoinSet::new();
        let (tell, commands) = stage::open(&mut background, &props, page, token.clone()).await?;
        seed(args, &props, &tell, &mut background);
        say_where(
            &props,
            &simulator,
            &servers,
            &tokens,
            &format!("http://127.0.0.1:{page}/demo#token={token}"),
        );
        Ok(Self {
            background,
            props,
            commands,
            servers,
            simulator,
            _store: store,
            _folder: folder,
            _scratch: scratch,
        })
    }

    /// Watches until a process ends by itself, and kills the worker when somebody asks for it.
    ///
    /// # Errors
    /// [`DemoError::Ended`]; it never returns otherwise. If the future is dropped, a worker that was killed may
    /// not have been started again.
    pub(super) async fn watch(&mut self) -> Result<(), DemoError> {
        loop {
            self.servers.check()?;
            self.simulator.check()?;
            tokio::select! {
                Some(Command::Kill) = self.commands.recv() => {
                    Director { props: &self.props, servers: &mut self.servers }.kill().await?;
                }
                () = sleep(Duration::from_millis(500)) => {}
            }
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

/// What the page shows and its buttons act on.
fn props(
    args: &Args,
    workload: Workload,
    servers: &Servers,
    simulator: &Simulator,
    tokens: &Tokens,
) -> Result<Props, DemoError> {
    let server = servers.urls().concat();
    let agent = workload.agents.first().cloned().ok_or_else(|| DemoError::Agent("nobody".to_owned()))?;
    let links = Links {
        app: format!("{server}/app#token={}", tokens.of(&agent)),
        board: format!("{server}/board?span=hour#token={}", tokens.operator),
        erp: format!("{}/", simulator.url),
        ledger: format!("{}/ledger", simulator.control_url),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(Props {
        stage: Stage::new(Scene::new(agent, &workload.agents, links)),
        api: Api::new(servers.urls(), tokens.clone())?,
        control: simulator.control.clone(),
        workload: Arc::new(workload),
        submitted: Arc::default(),
        prefix: format!("demo-{now}-"),
        latency_ms: args.latency_ms,
        faults: args.faults.clone(),
    })
}

/// Each agent's device, a second one of the first agent, and each agent's sync and orders. Their keys are of this
/// run: the file may hold those of earlier ones.
fn seed(args: &Args, props: &Props, tell: &mpsc::Sender<Heard>, tasks: &mut JoinSet<()>) {
    let sightings = Arc::new(Sightings::default());
    let device = |agent: &AgentId, name| Device {
        agent: agent.clone(),
        api: props.api.clone(),
        sightings: sightings.clone(),
        seed: args.seed,
        cuts: false,
        listener: stage::listener(name, tell),
    };
    for (agent, orders) in props.workload.by_agent() {
        if Some(&agent) == props.workload.agents.first() {
            tasks.spawn(follow(device(&agent, stage::TABLET)));
            // Of its own, so that it counts nothing twice.
            let second = Device { sightings: Arc::default(), ..device(&agent, stage::PHONE) };
            tasks.spawn(follow(second));
        } else {
            tasks.spawn(follow(device(&agent, stage::DESK)));
        }
        let submitter = Submitter {
            agent,
            orders,
            api: props.api.clone(),
            sightings: sightings.clone(),
            submitted: props.submitted.clone(),
            after: &["sync-products"],
            seed: args.seed,
            prefix: props.prefix.clone(),
            until: Some(Instant::now() + PATIENCE),
        };
        tasks.spawn(async move {
            if let Err(error) = submitter.run().await {
                progress(&error.in_full());
            }
        });
    }
}

fn say_where(props: &Props, simulator: &Simulator, servers: &Servers, tokens: &Tokens, stage: &str) {
    let page = servers.urls().concat();
    println!("Open this: what goes on, and buttons that make it go wrong\n  {stage}\n");
    println!("page     {page}/");
    println!("ERP      {}/ (users as the agents, password USER-secret)", simulator.url);
    println!("control  {}/ledger and /stats, what the ERP really did", simulator.control_url);
    if let Some(agent) = props.workload.agents.first() {
        println!("\nTwo devices of {agent}: open this in two windows");
        println!("  {page}/app#token={}", tokens.of(agent));
    }
    println!("Operator\n  {page}/board?span=hour#token={}", tokens.operator);
    println!("\nCtrl-C ends it.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_has_its_folder_to_itself_and_begins_with_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        let folder = Folder::take(&path).unwrap();
        folder.clear().unwrap();
        std::fs::write(folder.database(), "of an earlier run").unwrap();
        let taken = Folder::take(&path).unwrap_err().in_full();
        assert!(taken.contains("is another demo's"), "{taken}");
        assert!(folder.database().exists());
        let head = path.join("archibald.db.head");
        std::fs::write(&head, "of an earlier run").unwrap();
        folder.clear().unwrap();
        assert!(!folder.database().exists() && !head.exists());
        drop(folder);
        Folder::take(&path).unwrap();
    }
}

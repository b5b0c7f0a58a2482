//! The main job without a person: submit, kill, wait, compare.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::OperationId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::api::{Api, CallError, OperationState};
use super::args::Args;
use super::data::Workload;
use super::devices::{Device, follow};
use super::error::DemoError;
use super::family::Family;
use super::kills::{Killer, Kills, first_hold};
use super::redrive::redrive;
use super::report::{Outcome, progress};
use super::scratch::{Scratch, Tokens};
use super::servers::{Servers, Wiring};
use super::sightings::Sightings;
use super::simulator::Simulator;
use super::store::OpenStore;
use super::submit::{Acceptance, Submitted, Submitter};
use super::verdict::{Evidence, outcome};

/// Ports of the servers; each run looks from a place of its own, so that runs side by side rarely meet.
const PORTS: u16 = 20_000;
/// How long a request of the simulated ERP may go on after its client has gone, with a margin.
const AFTERMATH: Duration = Duration::from_secs(6);
/// What ends with its server may take so long to go.
const GOING: Duration = Duration::from_secs(5);
const CATCH_UP: Duration = Duration::from_secs(10);
/// How often the servers are asked whether all is done, in case a device is never told.
const DOUBLE_CHECK: Duration = Duration::from_secs(15);

/// Everything that the run holds on to. Fields are ended in this order.
struct Run<'a> {
    args: &'a Args,
    workload: &'a Workload,
    devices: JoinSet<()>,
    api: Api,
    sightings: Arc<Sightings>,
    submitted: Arc<Submitted>,
    family: Arc<Family>,
    servers: Servers,
    simulator: Simulator,
    store: OpenStore,
    /// Of the servers, in the scratch.
    temporary: PathBuf,
    // Last: the others have files in it.
    _scratch: Scratch,
}

/// Does it all, and answers what it came to.
///
/// If the future is dropped, every process that was started is ended and the folder removed.
///
/// # Errors
/// [`DemoError`] when it could not be carried through; what was found wrong is in the answer.
pub(super) async fn run(args: &Args) -> Result<Outcome, DemoError> {
    let workload = Workload::from(args)?;
    let mut run = start(args, &workload).await?;
    run.devices_placed().await?;
    progress(&format!("submitting {} orders of {} agents", workload.orders.len(), workload.agents.len()));
    let began = Instant::now();
    let (left, kills) = run.work(began + args.timeout()).await?;
    let makespan = began.elapsed();
    run.family.is_idle();
    progress(&format!("done after {:.1} s; comparing", makespan.as_secs_f64()));
    run.judge(kills, makespan, left).await
}

async fn start<'a>(args: &'a Args, workload: &'a Workload) -> Result<Run<'a>, DemoError> {
    let scratch = Scratch::create()?;
    let tokens = Tokens::random(&workload.agents);
    let (agents_file, tokens_file) = (scratch.write_agents(&workload.data)?, scratch.write_tokens(&tokens)?);
    let private = scratch.path("archibald.db");
    let store = OpenStore::open(args.store.as_ref(), &private, &private).await?;
    let logs = scratch.path("");
    let temporary = scratch.folder("browsers")?;
    let simulator = Simulator::start(args, workload, &logs, (0, 0)).await?;
    let wiring = Wiring {
        store: &store.url,
        erp: &simulator.url,
        agents: &agents_file,
        tokens: &tokens_file,
        logs: &logs,
        temporary: &temporary,
    };
    progress(&format!("starting {} server process(es) on {}", args.workers, store.name));
    let ports = PORTS + u16::try_from(std::process::id() * 37 % 9_000).unwrap_or(0);
    let servers = Servers::start(args, &wiring, ports, first_hold(seconds(args.kill_every))).await?;
    let api = Api::new(servers.urls(), tokens)?;
    let mut run = Run {
        args,
        workload,
        devices: JoinSet::new(),
        api,
        sightings: Arc::default(),
        submitted: Arc::default(),
        family: Arc::default(),
        servers,
        simulator,
        store,
        temporary,
        _scratch: scratch,
    };
    run.connect_devices();
    Ok(run)
}

impl Run<'_> {
    fn connect_devices(&mut self) {
        for (place, agent) in self.workload.agents.iter().enumerate() {
            let seed = self.args.seed.wrapping_add(place as u64 + 1);
            let (agent, api, sightings) = (agent.clone(), self.api.clone(), self.sightings.clone());
            self.devices.spawn(follow(Device { agent, api, sightings, seed, cuts: true, listener: None }));
        }
        let family = self.family.clone();
        family.set(self.servers.pids());
        self.devices.spawn(async move { family.watch().await });
    }

    /// Nothing is submitted before every device has its place: from there on it must see everything.
    async fn devices_placed(&mut self) -> Result<(), DemoError> {
        let within = Duration::from_secs(30);
        let agents = self.workload.agents.len();
        let placed = self.sightings.until(|report| report.placed.len() == agents);
        if timeout(within, placed).await.is_ok() {
            return Ok(());
        }
        self.servers.check()?;
        let trouble = self.sightings.read(|report| report.trouble.clone());
        let last = trouble.unwrap_or_else(|| "streams without a snapshot".to_owned());
        Err(DemoError::GaveUp { what: "connecting every device".to_owned(), within, last })
    }

    /// Submits, kills and waits. Answers what was left undone, if anything.
    async fn work(&mut self, until: Instant) -> Result<(Option<String>, Kills), DemoError> {
        let settled = CancellationToken::new();
        let submitters = self.submitters();
        let (api, sightings, submitted) = (self.api.clone(), self.sightings.clone(), self.submitted.clone());
        let (settled_then, over) = (settled.clone(), self.args.timeout());
        let workload = self.workload;
        let job = async move {
            let done = async {
                submit_and_wait(submitters, &api, &sightings, &submitted).await?;
                redrive(&api, workload, &submitted).await
            };
            let left = tokio::select! {
                done = done => done.map(|()| None)?,
                () = sleep_until(until) => Some(format!("not done after {over:?}")),
            };
            settled_then.cancel();
            Ok(left)
        };
        let killer = Killer {
            servers: &mut self.servers,
            family: &self.family,
            settled: &settled,
            seed: self.args.seed,
            every: seconds(self.args.kill_every),
            browser_every: seconds(self.args.kill_browser_every),
        };
        tokio::try_join!(job, killer.run())
    }

    fn submitters(&self) -> Vec<Submitter> {
        let mut seed = self.args.seed;
        let submitter = |(agent, orders)| {
            seed = seed.wrapping_add(1_000);
            let (api, sightings, submitted) =
                (self.api.clone(), self.sightings.clone(), self.submitted.clone());
            Submitter {
                agent,
                orders,
                api,
                sightings,
                submitted,
                seed,
                prefix: String::new(),
                until: None,
                after: &[],
            }
        };
        self.workload.by_agent().into_iter().map(submitter).collect()
    }

    async fn judge(
        mut self,
        kills: Kills,
        makespan: Duration,
        left: Option<String>,
    ) -> Result<Outcome, DemoError> {
        self.simulator.check()?;
        let operations = self.ask_for_all().await?;
        self.let_devices_catch_up(&operations).await;
        let logs = if left.is_some() { self.servers.log_ends() } else { String::new() };
        self.family.look_now();
        let drained = self.servers.drain().await?;
        let left_behind = left_behind(&self.family, &self.temporary).await;
        self.devices.shutdown().await;
        if self.args.faults != "none" {
            // The ERP finishes what it began, also for a client that has gone.
            sleep(AFTERMATH).await;
        }
        let evidence = Evidence {
            operations,
            ledger: self.simulator.control.ledger(0).await?,
            erp: self.simulator.control.stats().await?,
            kills,
            redriven: self.submitted.redriven(),
            must_kill: self.args.kill_every.is_some(),
            must_kill_browsers: self.args.kill_browser_every.is_some(),
            makespan,
            peak_rss_mb: self.family.peak_mb(),
            rss_quarters_mb: self.family.quarters_mb(),
            driver: self.args.driver.name(),
            store: self.store.name,
            left: left.map(|left| format!("{left}\n{logs}")),
            drained,
            left_behind,
        };
        Ok(self.sightings.read(|report| outcome(self.workload, evidence, report)))
    }

    /// What the servers say of every acknowledged operation, by then all of them up.
    async fn ask_for_all(&self) -> Result<Vec<(Acceptance, Option<OperationState>)>, DemoError> {
        let mut told = Vec::new();
        for acceptance in self.submitted.all() {
            let state = self.ask_for(&acceptance).await?;
            told.push((acceptance, state));
        }
        Ok(told)
    }

    async fn ask_for(&self, acceptance: &Acceptance) -> Result<Option<OperationState>, DemoError> {
        let Acceptance { agent, operation, .. } = acceptance;
        let (within, began) = (Duration::from_secs(30), Instant::now());
        loop {
            let what = format!("reading operation {operation} of {agent}");
            let last = match self.api.operation(0, agent, *operation).await {
                Ok(state) => return Ok(state),
                Err(CallError::Refused(status, text)) => {
                    return Err(DemoError::Refused { what, status: status.as_u16(), text });
                }
                Err(CallError::Unavailable(last)) => last,
            };
            if began.elapsed() > within {
                return Err(DemoError::GaveUp { what, within, last });
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn let_devices_catch_up(&self, operations: &[(Acceptance, Option<OperationState>)]) {
        let is_final = |(_, state): &&(Acceptance, Option<OperationState>)| {
            state.as_ref().is_some_and(OperationState::is_final)
        };
        let ended: Vec<OperationId> =
            operations.iter().filter(is_final).map(|(accepted, _)| accepted.operation).collect();
        let all = self.sightings.until(|report| ended.iter().all(|id| report.timeline.end_of(*id).is_some()));
        // Whatever they have not heard by then is a finding.
        let _ = timeout(CATCH_UP, all).await;
    }
}

async fn submit_and_wait(
    submitters: Vec<Submitter>,
    api: &Api,
    sightings: &Sightings,
    submitted: &Submitted,
) -> Result<(), DemoError> {
    let mut tasks: JoinSet<Result<(), DemoError>> = submitters.into_iter().map(Submitter::run).collect();
    while let Some(done) = tasks.join_next().await {
        // A task of ours is never cancelled, and a panic is a bug to be seen.
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    }
    let all = submitted.all();
    progress(&format!("{} operations acknowledged; waiting for their end", all.len()));
    let told =
        sightings.until(|report| all.iter().all(|one| report.timeline.end_of(one.operation).is_some()));
    tokio::select! {
        () = told => {}
        () = all_ended(api, &all) => {}
    }
    Ok(())
}

/// The answer of the servers themselves; a device that was not told by then shows up as a hole.
async fn all_ended(api: &Api, all: &[Acceptance]) {
    let mut open = all.to_vec();
    while !open.is_empty() {
        sleep(DOUBLE_CHECK).await;
        let mut still = Vec::new();
        for one in open {
            let state = api.operation(0, &one.agent, one.operation).await;
            let ended = matches!(state, Ok(Some(state)) if state.is_final() || state.state == "in_doubt");
            if !ended {
                still.push(one);
            }
        }
        open = still;
    }
}

/// Processes and profiles that are there though every server has ended.
async fn left_behind(family: &Family, temporary: &Path) -> Vec<String> {
    let processes = family.left(GOING).await.into_iter().map(|pid| format!("process {pid}"));
    let files: Vec<String> = match std::fs::read_dir(temporary) {
        Ok(files) => files.flatten().map(|file| file.path().display().to_string()).collect(),
        Err(error) => vec![format!("{} cannot be read: {error}", temporary.display())],
    };
    processes.chain(files).collect()
}

fn seconds(every: Option<u32>) -> Option<Duration> {
    every.map(|seconds| Duration::from_secs(seconds.into()))
}

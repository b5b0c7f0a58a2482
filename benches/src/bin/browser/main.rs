//! Agents at the ERP's pages in a real Chromium.
//!
//! - `tasks`: ten agents save orders, each one after the other: by the pool (`warm`), and by its parts with a login for
//!   each order (`fresh`).
//! - `login`: a context, a page and a login, thrown away.
//! - `memory`: browsers with nobody in them, with 60 agents logged in and parked, and with some at work.
//!
//! One JSON line for each part, kind of session and engine. A task that fails, an order that the ERP does not have and one
//! that it has twice fail instead of being printed; with `--peer` the tasks are somebody else's, whose errors are counted.
mod lines;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::browser::stage::{Driver, Memory, Size, Stage, Used};
use archibald_benches::browser::{Pool, Question, Report, Sessions, Took, client};
use archibald_benches::machine::Busy;
use archibald_benches::wait::{Waits, rounded};
use archibald_browser::PoolOptions;
use archibald_browser::launch::{Engine, EngineKind};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use self::lines::{Login, Resting, Tasks};

/// How often it is looked whether processes have come or gone, in how many looks they must not, and how long they may.
const LOOK: Duration = Duration::from_millis(200);
const ALIKE: u32 = 5;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
struct Options {
    /// Which parts
    #[arg(long, value_delimiter = ',', default_value = "tasks,login,memory")]
    parts: Vec<Part>,
    /// What becomes of a session after a task
    #[arg(long, value_delimiter = ',', default_value = "warm,fresh")]
    sessions: Vec<Sessions>,
    /// shell, chromium or a program; what the library takes if it is left out
    #[arg(long, value_delimiter = ',')]
    engine: Vec<String>,
    /// Agents who work together
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), default_value_t = 10)]
    agents: u16,
    /// Orders that they save
    #[arg(long, default_value_t = 200)]
    tasks: usize,
    /// Logins
    #[arg(long, default_value_t = 100)]
    logins: usize,
    /// Agents who are logged in and idle
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), default_value_t = 60)]
    idle: u16,
    /// Of them those who then work
    #[arg(long, default_value_t = 10)]
    busy: u16,
    /// Browsers of the pool; the library's own number if it is left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    browsers: Option<u16>,
    /// Milliseconds that the ERP takes for a request
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Seconds for which an idle session is trusted without a look; the library's own number if it is left out
    #[arg(long)]
    trust: Option<u64>,
    /// Seconds that whoever drives the browsers may take for an answer
    #[arg(long, default_value_t = 600)]
    within: u64,
    /// The folder of a peer's program: it saves the orders, in its own way, and nothing else is run
    #[arg(long)]
    peer: Option<PathBuf>,
    /// We are the one who drives the browsers
    #[arg(long, hide = true)]
    as_child: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Tasks,
    Login,
    Memory,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if options.as_child {
        return client::be().await;
    }
    for engine in engines(&options.engine)? {
        Run { options: &options, engine: &engine }.all().await?;
    }
    Ok(())
}

fn engines(named: &[String]) -> Result<Vec<Engine>, Failure> {
    if named.is_empty() {
        return Ok(vec![Engine::find()?]);
    }
    let find = |name: &String| match name.as_str() {
        "shell" => Engine::of_kind(EngineKind::HeadlessShell),
        "chromium" => Engine::of_kind(EngineKind::Chromium),
        path => Engine::at(path),
    };
    Ok(named.iter().map(find).collect::<Result<_, _>>()?)
}

/// One engine.
struct Run<'a> {
    options: &'a Options,
    engine: &'a Engine,
}

impl Run<'_> {
    async fn all(&self) -> Result<(), Failure> {
        if let Some(folder) = &self.options.peer {
            return print(&self.tasks(&Driver::Peer(folder.clone()), Sessions::Fresh).await?);
        }
        for part in &self.options.parts {
            match part {
                Part::Tasks => {
                    for sessions in &self.options.sessions {
                        print(&self.tasks(&Driver::Ours, *sessions).await?)?;
                    }
                }
                Part::Login => print(&self.login().await?)?,
                Part::Memory => print(&self.memory().await?)?,
            }
        }
        Ok(())
    }

    async fn tasks(&self, driver: &Driver, sessions: Sessions) -> Result<Tasks, Failure> {
        let options = self.options;
        eprintln!("tasks: {} with {sessions:?} sessions in {}", options.tasks, self.name());
        let size = self.size(options.agents, options.tasks);
        let work = async |stage: &mut Stage| {
            let (report, measured) = asked(stage, &Question::Save(sessions)).await?;
            Ok((stage.judge(&report)?, stage.served(), report, measured))
        };
        let (orders, (requests, logins), report, measured) = self.on_stage(driver, &size, work).await?;
        if let (Driver::Ours, Some(error)) = (driver, report.errors.first()) {
            return Err(format!("{} tasks failed, the first so: {error}", report.errors.len()).into());
        }
        report.errors.iter().for_each(|error| eprintln!("tasks: failed: {error}"));
        let Measured { used, took, load } = measured;
        let done = report.done.len() as f64;
        let waits = |is_wanted: fn(&Took) -> bool, of: fn(&Took) -> u64| {
            let wanted = report.done.iter().filter(|took| is_wanted(took));
            Waits::of(wanted.map(|took| Duration::from_micros(of(took))))
        };
        let acquired = waits(|_| true, |took| took.page_us);
        let (warm, cold) =
            (waits(|took| !took.cold, |took| took.ready_us), waits(|took| took.cold, |took| took.ready_us));
        let all = waits(|_| true, |took| took.all_us);
        Ok(Tasks {
            workload: "browser",
            part: "tasks",
            peer: matches!(driver, Driver::Peer(_)).then_some("puppeteer-cluster"),
            engine: self.name(),
            sessions,
            agents: options.agents,
            browsers: report.browsers,
            tasks: options.tasks,
            errors: report.errors.len(),
            orders,
            logins,
            requests_per_task: rounded(requests as f64 / done.max(1.0)),
            tasks_per_s: rounded(done / took.as_secs_f64()),
            acquire_p50_ms: acquired.percentile(50),
            acquire_p99_ms: acquired.percentile(99),
            warm_p50_ms: warm.percentile(50),
            warm_p99_ms: warm.percentile(99),
            cold_p50_ms: cold.percentile(50),
            cold_p99_ms: cold.percentile(99),
            task_p50_ms: all.percentile(50),
            task_p99_ms: all.percentile(99),
            client_cpu_s: rounded(used.client),
            browsers_cpu_s: rounded(used.browsers),
            cpu_ms_per_task: (done > 0.0).then(|| rounded(used.compared() * 1e3 / done)),
            tasks_per_cpu_s: rounded(done / used.compared()),
            load,
        })
    }

    async fn login(&self) -> Result<Login, Failure> {
        let options = self.options;
        eprintln!("login: {} in {}", options.logins, self.name());
        let size = self.size(options.agents, 0);
        let work = async |stage: &mut Stage| {
            let (report, measured) = asked(stage, &Question::LogIn(options.logins)).await?;
            Ok((stage.served().1, report, measured))
        };
        let (logins, report, measured) = self.on_stage(&Driver::Ours, &size, work).await?;
        if let Some(error) = report.errors.first() {
            return Err(format!("{} logins failed, the first so: {error}", report.errors.len()).into());
        }
        if usize::try_from(logins)? != options.logins {
            return Err(format!("the ERP saw {logins} logins instead of {}", options.logins).into());
        }
        let Measured { used, took, load } = measured;
        let waits =
            |of: fn(&Took) -> u64| Waits::of(report.done.iter().map(|took| Duration::from_micros(of(took))));
        let ready = waits(|took| took.ready_us);
        Ok(Login {
            workload: "browser",
            part: "login",
            engine: self.name(),
            agents: options.agents,
            logins: options.logins,
            logins_per_s: rounded(options.logins as f64 / took.as_secs_f64()),
            page_p50_ms: waits(|took| took.page_us).percentile(50),
            login_p50_ms: ready.percentile(50),
            login_p99_ms: ready.percentile(99),
            client_cpu_s: rounded(used.client),
            browsers_cpu_s: rounded(used.browsers),
            cpu_ms_per_login: rounded(used.compared() * 1e3 / options.logins.max(1) as f64),
            load,
        })
    }

    async fn memory(&self) -> Result<Resting, Failure> {
        let Options { idle, busy, .. } = *self.options;
        let busy = busy.min(idle);
        eprintln!("memory: {idle} agents in {}", self.name());
        let mut size = self.size(idle, idle.into());
        size.pool.contexts = usize::from(idle).div_ceil(size.pool.browsers);
        size.pool.park_ms = 500;
        let work = async |stage: &mut Stage| {
            stage.ask::<()>(&Question::Empty).await?;
            let empty = settled(stage, usize::MAX).await?;
            stage.ask::<()>(&Question::End).await?;
            stage.ask::<()>(&Question::Rest(idle.into())).await?;
            let idling = settled(stage, empty.renderers).await?;
            stage.ask::<()>(&Question::Work(busy.into())).await?;
            // Those who rested are logged in still, or there are more logins than agents.
            match stage.served() {
                (_, logins) if logins == u64::from(idle) => Ok((empty, idling, stage.memory())),
                (_, logins) => Err(format!("{logins} logins for {idle} agents").into()),
            }
        };
        let (empty, idling, working) = self.on_stage(&Driver::Ours, &size, work).await?;
        let mb = |bytes: f64| rounded(bytes / 1e6);
        let each = |more: &Memory, less: &Memory, of: u16| {
            mb((more.browsers as f64 - less.browsers as f64) / f64::from(of.max(1)))
        };
        Ok(Resting {
            workload: "browser",
            part: "memory",
            engine: self.name(),
            browsers: size.pool.browsers,
            empty_mb: mb(empty.browsers as f64),
            idle_agents: idle,
            idle_mb: mb(idling.browsers as f64),
            mb_per_idle_agent: each(&idling, &empty, idle),
            idle_processes: idling.processes,
            client_mb: mb(idling.client as f64),
            busy_agents: busy,
            mb_per_busy_agent: each(&working, &idling, busy),
        })
    }

    /// However the work ends, everything is ended in good order, so that nothing is left behind.
    async fn on_stage<T>(
        &self,
        driver: &Driver,
        size: &Size,
        work: impl AsyncFnOnce(&mut Stage) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut stage = Stage::set(driver, self.engine, size).await?;
        let outcome = work(&mut stage).await;
        let struck = stage.strike().await;
        let outcome = outcome?;
        struck.map(|()| outcome)
    }

    fn size(&self, agents: u16, orders: usize) -> Size {
        let (options, library) = (self.options, PoolOptions::default());
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let browsers = options.browsers.map_or(library.browsers, usize::from);
        let pool = Pool {
            browsers,
            contexts: library.contexts.max(usize::from(agents).div_ceil(browsers)),
            trust_ms: options.trust.map_or(millis(library.trust_for), |seconds| seconds * 1000),
            park_ms: millis(library.park_after),
        };
        Size {
            agents: agents.into(),
            orders,
            latency: Duration::from_millis(options.latency),
            pool,
            within: Duration::from_secs(options.within),
        }
    }

    fn name(&self) -> &'static str {
        match self.engine.kind {
            EngineKind::HeadlessShell => "headless-shell",
            EngineKind::Chromium => "chromium",
        }
    }
}

/// What an answer cost.
struct Measured {
    used: Used,
    took: Duration,
    load: f64,
}

/// Asks, and measures from before the first browser starts to the answer, when they still run.
async fn asked(stage: &mut Stage, question: &Question) -> Result<(Report, Measured), Failure> {
    let (busy, before, began) = (Busy::now(), stage.used(), Instant::now());
    let report = stage.ask(question).await?;
    let (took, used) = (began.elapsed(), stage.used().since(&before));
    let load = rounded(busy.of_others(used.compared() + used.ours));
    Ok((report, Measured { used, took, load }))
}

/// Waits until so many processes at the most show pages, and none came or went for some looks.
async fn settled(stage: &Stage, most: usize) -> Result<Memory, Failure> {
    let until = Instant::now() + SETTLED_WITHIN;
    let (mut last, mut alike) = (0, 0);
    loop {
        let now = stage.memory();
        alike = if now.processes == last { alike + 1 } else { 0 };
        last = now.processes;
        if now.renderers <= most && alike >= ALIKE {
            return Ok(now);
        }
        if Instant::now() >= until {
            return Err(format!("{} processes show pages after {SETTLED_WITHIN:?}", now.renderers).into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn print(line: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}

//! The ERP, whoever drives the browsers, what they use, and the judge.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use archibald_browser::launch::{Engine, EngineKind};
use archibald_browser::page_map::PageMap;
use archibald_core::erp::{WantedLine, WantedOrder};
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{
    Behaviour, EffectKind, ErpOptions, ErpSimulator, LedgerEntry, OrderContent, RunningErp,
};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Ordered, Pages, Person, Pool, Question, Report, Task, Typed};
use crate::Failure;
use crate::child::Child;
use crate::machine::{cpu_below, cpu_of, cpu_of_this_process, processes_below, proportional_bytes};

/// Who drives the browsers.
#[derive(Debug, Clone)]
pub enum Driver {
    /// The pool that is here.
    Ours,
    /// The program of somebody else in this folder, installed there with all that it needs.
    Peer(PathBuf),
}

/// How large everything is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Agents that work together.
    pub agents: usize,
    /// Orders of all of them.
    pub orders: usize,
    /// What the ERP takes for a request.
    pub latency: Duration,
    /// Our own pool.
    pub pool: Pool,
    /// How long one answer may take.
    pub within: Duration,
}

/// Everything that runs. Dropping it ends it, also what whoever drives the browsers left behind.
pub struct Stage {
    erp: Option<RunningErp>,
    child: Option<Child>,
    task: Task,
    within: Duration,
    /// The home of whoever drives the browsers.
    _home: TempDir,
}

/// Processor time so far, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// Of whoever drives the browsers.
    pub client: f64,
    /// Of the browsers, also of their processes that have ended.
    pub browsers: f64,
    /// Of the ERP, and of who watches.
    pub ours: f64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Of the browsers.
    pub browsers: u64,
    /// Of whoever drives them.
    pub client: u64,
    /// How many processes the browsers are.
    pub processes: usize,
    /// Those that show pages.
    pub renderers: usize,
}

impl Used {
    /// From then to now.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        Self {
            client: self.client - then.client,
            browsers: self.browsers - then.browsers,
            ours: self.ours - then.ours,
        }
    }

    /// What is compared: the ERP is not part of either.
    #[must_use]
    pub fn compared(&self) -> f64 {
        self.client + self.browsers
    }
}

impl Stage {
    /// Starts the ERP and whoever drives the browsers; no browser runs yet.
    ///
    /// # Errors
    /// Where one of them cannot be started.
    pub async fn set(driver: &Driver, engine: &Engine, size: &Size) -> Result<Self, Failure> {
        // What a child leaves behind when it ends becomes ours, to be counted and ended.
        set_child_subreaper(true)?;
        let data = DataSet::generate(1, size.agents, size.agents * 8);
        let behaviour = Behaviour { latency: size.latency, ..Behaviour::default() };
        let options = ErpOptions { data: data.clone(), behaviour, ..ErpOptions::default() };
        let erp = ErpSimulator::start(options).await?;
        let task = task(&erp, engine, &data, size)?;
        let home = tempfile::tempdir()?;
        let mut command = match driver {
            Driver::Ours => Command::new(std::env::current_exe()?),
            Driver::Peer(_) => Command::new("node"),
        };
        match driver {
            Driver::Ours => command.arg("--as-child"),
            Driver::Peer(folder) => command.arg(folder.join("main.mjs")).env("HOME", home.path()),
        };
        let child = Child::start(command)?;
        let mut stage = Self { erp: Some(erp), child: Some(child), task, within: size.within, _home: home };
        let begin = Question::Begin(Box::new(stage.task.clone()));
        stage.ask::<()>(&begin).await?;
        Ok(stage)
    }

    /// Asks whoever drives the browsers.
    ///
    /// # Errors
    /// What it says, and where it takes too long.
    pub async fn ask<A: DeserializeOwned>(&mut self, question: &Question) -> Result<A, Failure> {
        let child = self.child.as_mut().ok_or("whoever drives the browsers has ended")?;
        let answer = timeout(self.within, child.ask(question)).await;
        answer.map_err(|_| format!("no answer within {:?}", self.within))?
    }

    /// Processor time so far.
    #[must_use]
    pub fn used(&self) -> Used {
        let client = cpu_of(self.child());
        Used { client, browsers: cpu_below(std::process::id()) - client, ours: cpu_of_this_process() }
    }

    /// Memory now.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let browsers = processes_below(self.child());
        Memory {
            browsers: browsers.iter().filter_map(|process| proportional_bytes(*process)).sum(),
            client: proportional_bytes(self.child()).unwrap_or_default(),
            processes: browsers.len(),
            renderers: browsers.into_iter().filter(|process| shows_pages(*process)).count(),
        }
    }

    /// Requests that the ERP served so far, and logins.
    #[must_use]
    pub fn served(&self) -> (u64, u64) {
        self.erp.as_ref().map(RunningErp::stats).map_or((0, 0), |stats| (stats.requests, stats.logins))
    }

    /// Whether everything that counts as done was done, once and as it was wanted; how many orders there are.
    ///
    /// # Errors
    /// Where it was not, and where there is an order too many that no error explains.
    pub fn judge(&self, report: &Report) -> Result<usize, Failure> {
        let ledger = self.erp.as_ref().map(RunningErp::ledger).unwrap_or_default();
        let mut saved: HashMap<&str, Vec<&LedgerEntry>> = HashMap::new();
        for entry in &ledger {
            let order = entry.order.as_ref().filter(|_| entry.kind == EffectKind::OrderSaved);
            let order = order.ok_or_else(|| format!("nobody wanted {} of {}", entry.kind, entry.number))?;
            saved.entry(&order.reference).or_default().push(entry);
        }
        for took in &report.done {
            let wanted = &self.task.orders[took.order];
            let found = saved.get(&*wanted.wanted.reference).map(Vec::as_slice).unwrap_or_default();
            let [entry] = found else {
                return Err(format!("{} orders of {wanted:?}, which is said to be done", found.len()).into());
            };
            let user = &self.task.people[wanted.agent].user;
            if entry.user != *user || entry.order != Some(content(&wanted.wanted)?) {
                return Err(format!("{user} saved {wanted:?}, and the ERP has {entry:?}").into());
            }
        }
        if report.errors.is_empty() && ledger.len() != report.done.len() {
            return Err(format!("{} orders for {} tasks", ledger.len(), report.done.len()).into());
        }
        Ok(ledger.len())
    }

    /// Ends all of it.
    ///
    /// # Errors
    /// Where whoever drives the browsers ended badly, or took too long.
    pub async fn strike(mut self) -> Result<(), Failure> {
        self.ask::<()>(&Question::End).await?;
        if let Some(child) = self.child.take() {
            timeout(self.within, child.end())
                .await
                .map_err(|_| "whoever drives the browsers did not end")??;
        }
        if let Some(erp) = self.erp.take() {
            erp.stop().await;
        }
        Ok(())
    }

    fn child(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // All that is below us is the child's: a peer that is killed does not take its browser along.
        for process in processes_below(std::process::id()) {
            let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
        }
    }
}

fn shows_pages(process: u32) -> bool {
    // Chromium's own processes write their arguments in one.
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains("--type=renderer")
}

fn task(erp: &RunningErp, engine: &Engine, data: &DataSet, size: &Size) -> Result<Task, Failure> {
    let map = PageMap::simulator()?;
    let person = |user: &String| Person { user: user.clone(), password: password_of(user) };
    let orders = (0..size.orders).map(|number| {
        let agent = number % size.agents;
        let wanted = wanted(data, &data.agents[agent].user, number)?;
        Ok(Ordered { agent, typed: Typed::of(&wanted, &map)?, wanted })
    });
    Ok(Task {
        base: format!("{}/", erp.url()),
        engine: engine.path.clone(),
        headless_shell: engine.kind == EngineKind::HeadlessShell,
        people: data.agents.iter().map(|agent| person(&agent.user)).collect(),
        orders: orders.collect::<Result<_, Failure>>()?,
        pages: Pages::of(&map),
        pool: size.pool,
    })
}

/// An order of one line for a customer of the agent.
fn wanted(data: &DataSet, user: &str, number: usize) -> Result<WantedOrder, Failure> {
    let own: Vec<_> = data.orders.iter().filter(|order| order.agent == user).collect();
    let like = own.get(number % own.len().max(1)).ok_or_else(|| format!("{user} has no customer"))?;
    let products: Vec<_> = data.products.iter().filter(|product| !product.discontinued).collect();
    let product = products.get(number % products.len().max(1)).ok_or("there are no products")?;
    let quantity = u32::try_from(1 + number % 999)?;
    Ok(WantedOrder {
        customer: like.customer.clone(),
        date: like.date.to_string().parse()?,
        reference: format!("bench {number}"),
        note: "perché no".to_owned(),
        lines: vec![WantedLine { product: product.code.clone(), quantity, discount: "12.5".parse()? }],
    })
}

/// The same as the ERP keeps it.
fn content(wanted: &WantedOrder) -> Result<OrderContent, Failure> {
    Ok(serde_json::from_value(serde_json::to_value(wanted)?)?)
}

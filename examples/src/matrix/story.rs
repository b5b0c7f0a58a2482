//! The story of one cell: ask, strike, bring back, wait for the end, compare.

use std::path::PathBuf;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::actions::Case;
use super::cell::{Cell, Kind, Stage, Store, call};
use super::lane::Lane;
use super::server::{Server, Times};
use super::verdict::{Fault, Finding, OperationDoc, customers_made, judge};
use crate::demo::api::{Acknowledged, CallError};
use crate::demo::error::DemoError;

/// How often it is looked what has become of the cell.
const LOOK: Duration = Duration::from_millis(15);
/// How long a server may take for an answer about an operation: one that stands still gives none.
const ANSWER: Duration = Duration::from_millis(500);
/// What is held longer than a lease is held longer by this.
const MARGIN: Duration = Duration::from_millis(400);
/// How long one that stands still does so at most, while another one does its work.
const ZOMBIE: Duration = Duration::from_secs(12);
/// How long after its end an operation may still come by its point.
const STRAGGLE: Duration = Duration::from_millis(700);

/// What a cell came to.
#[derive(Debug)]
pub(super) struct Told {
    /// Empty where everything is as it must be.
    pub(super) findings: Vec<Finding>,
    pub(super) kills: u32,
    pub(super) took: Duration,
    /// The end of the server's log.
    pub(super) log: String,
}

struct Story<'a> {
    lane: &'a Lane,
    cell: &'a Cell,
    agent: AgentId,
    case: Case,
    server: Server,
    /// The server that stands still while another one has taken over.
    zombie: Option<Server>,
    file: PathBuf,
    struck: Struck,
    paused: bool,
    kills: u32,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Struck {
    NotYet,
    /// Held until then.
    Held(Instant),
    Over,
}

/// Why a story ended early.
enum Trouble {
    Found(Finding),
    Demo(DemoError),
}

impl From<DemoError> for Trouble {
    fn from(error: DemoError) -> Self {
        Self::Demo(error)
    }
}

type Asked = JoinHandle<Result<Acknowledged, CallError>>;

/// Runs a cell.
pub(super) async fn run(lane: &mut Lane, cell: &Cell, patience: Duration) -> Told {
    let began = Instant::now();
    let mut told = match begin(lane, cell, patience).await {
        Ok((mut story, before)) => {
            let ended = story.carry_out(before).await;
            let findings = ended.unwrap_or_else(|trouble| vec![trouble.into_finding()]);
            let log = story.server.log_end();
            story.end().await;
            Told { findings, kills: story.kills, took: Duration::ZERO, log }
        }
        Err(error) => {
            let findings = vec![Trouble::Demo(error).into_finding()];
            Told { findings, kills: 0, took: Duration::ZERO, log: String::new() }
        }
    };
    lane.clean(cell.store).await;
    told.took = began.elapsed();
    told
}

async fn begin<'a>(
    lane: &'a mut Lane,
    cell: &'a Cell,
    patience: Duration,
) -> Result<(Story<'a>, u64), DemoError> {
    lane.check()?;
    let (agent, case) = lane.prepare(cell).await?;
    let before = lane.simulator.control.ledger(0).await?.last().map_or(0, |entry| entry.seq);
    let lane: &'a Lane = lane;
    let wiring = lane.wiring(cell.store, "w1");
    if cell.store == Store::Postgres {
        lane.create_database().await?;
    }
    let file = lane.file("struck");
    let server = Server::start(&wiring, Some((format!("{}:{agent}", cell.spec()), &file))).await?;
    let (struck, until) = (Struck::NotYet, Instant::now() + patience);
    let (zombie, paused, kills) = (None, false, 0);
    let story = Story { lane, cell, agent, case, server, zombie, file, struck, paused, kills, until };
    Ok((story, before))
}

impl Story<'_> {
    async fn carry_out(&mut self, before: u64) -> Result<Vec<Finding>, Trouble> {
        let body = json!({ "kind": self.cell.action.kind, "payload": self.case.payload, "key": "cell" });
        let id = self.accepted(&body).await?;
        let told = self.over(id).await?;
        self.straggle().await?;
        let mut findings = Vec::new();
        if self.struck == Struck::NotYet {
            let attempts = told.attempts.len();
            findings.push(Finding(Fault::NotReached, format!("{} after {attempts} attempts", told.state)));
        }
        // Whatever happened, the agent has to be free again, and its server has to work.
        let next = json!({ "kind": "sync-customers", "payload": {}, "key": "next" });
        let next = self.accepted(&next).await?;
        let synced = self.over(next).await?;
        // It may have been struck after what we read.
        let told = self.over(id).await?;
        findings.extend(self.drained().await?);
        findings.extend(self.compared(before, &told, &synced).await?);
        Ok(findings)
    }

    /// What ledger and store tell, once nothing runs any more.
    async fn compared(
        &self,
        before: u64,
        told: &OperationDoc,
        synced: &OperationDoc,
    ) -> Result<Vec<Finding>, DemoError> {
        let ledger = self.lane.simulator.control.ledger(0).await?;
        let begin = ledger.iter().position(|entry| entry.seq > before).unwrap_or(ledger.len());
        let customers = Some(self.lane.customers(&self.agent) + customers_made(&self.agent, &ledger));
        let rows = customers.filter(|_| self.cell.action.kind == "sync-customers");
        let mut findings = judge(&self.case, &self.agent, told, &ledger[begin..], rows);
        let sync = Case { payload: Value::Null, wanted: None, repair: None };
        for Finding(fault, what) in judge(&sync, &self.agent, synced, &[], customers) {
            findings.push(Finding(fault, format!("the next sync: {what}")));
        }
        Ok(findings)
    }

    /// Asks until it is acknowledged, as a device does: the same body under the same key.
    async fn accepted(&mut self, body: &Value) -> Result<OperationId, Trouble> {
        let mut ticks = ticks();
        let mut asked: Option<Asked> = None;
        loop {
            ticks.tick().await;
            self.look(&mut asked).await?;
            match asked.take() {
                None => asked = Some(self.ask(body)),
                Some(waits) if !waits.is_finished() => asked = Some(waits),
                Some(answered) => match answered.await {
                    Ok(Ok(Acknowledged { id, .. })) => return Ok(id),
                    Ok(Err(CallError::Refused(status, text))) => {
                        return Err(Trouble::Found(Finding(Fault::Broken, format!("{status}: {text}"))));
                    }
                    Ok(Err(CallError::Unavailable(_))) | Err(_) => {}
                },
            }
        }
    }

    fn ask(&self, body: &Value) -> Asked {
        let (api, agent, body) = (self.server.api.clone(), self.agent.clone(), body.clone());
        tokio::spawn(async move { api.submit(0, &agent, &body).await })
    }

    /// Waits until the operation is over, whatever has to be done for it on the way.
    async fn over(&mut self, id: OperationId) -> Result<OperationDoc, Trouble> {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            self.look(&mut None).await?;
            if matches!(self.struck, Struck::Held(_)) && self.zombie.is_none() {
                continue;
            }
            let api = self.server.api.clone();
            match timeout(ANSWER, api.operation_as::<OperationDoc>(0, &self.agent, id)).await {
                Ok(Ok(Some(told))) if told.is_over() => return Ok(told),
                Ok(Ok(Some(told))) if told.state == "running" => self.pause().await,
                Ok(Ok(None)) => {
                    let what = format!("operation {id} was acknowledged and the server does not know it");
                    return Err(Trouble::Found(Finding(Fault::Lost, what)));
                }
                _ => {}
            }
        }
    }

    /// Where the cell needs a lease that is over: once, in the middle of the attempt.
    async fn pause(&mut self) {
        if self.cell.stage == Stage::Paused && !self.paused {
            self.paused = true;
            self.server.stop();
            sleep(self.times().lease + MARGIN).await;
            self.server.go_on();
        }
    }

    /// The end of an operation is told before the last points are passed.
    async fn straggle(&mut self) -> Result<(), Trouble> {
        if matches!(self.struck, Struck::Held(_)) && self.zombie.is_some() {
            // It comes back when all is done, and must not do anything any more.
            self.let_go();
            sleep(STRAGGLE).await;
        }
        let until = Instant::now() + STRAGGLE;
        while self.struck != Struck::Over && (Instant::now() < until || self.struck != Struck::NotYet) {
            self.look(&mut None).await?;
            sleep(LOOK).await;
        }
        // What it was struck by may have ended the server a moment later.
        while self.cell.kind == Kind::Kill && self.struck == Struck::Over && self.kills == 0 {
            self.look(&mut None).await?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Sees what has happened since, and does what the cell wants done about it.
    async fn look(&mut self, asked: &mut Option<Asked>) -> Result<(), Trouble> {
        if Instant::now() >= self.until {
            let what = format!("not over; the point was {:?}", self.struck);
            return Err(Trouble::Found(Finding(Fault::Unfinished, what)));
        }
        if self.server.has_ended() {
            return self.bring_back().await;
        }
        match self.struck {
            Struck::NotYet if self.file.exists() => self.struck(asked).await,
            Struck::Held(until) if Instant::now() >= until => {
                self.let_go();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn bring_back(&mut self) -> Result<(), Trouble> {
        if self.cell.kind != Kind::Kill || !self.file.exists() || self.kills > 0 {
            return Err(Trouble::Found(Finding(Fault::Broken, "the server ended by itself".to_owned())));
        }
        (self.struck, self.kills) = (Struck::Over, 1);
        self.lane.make_quick().await?;
        Ok(self.server.restart().await?)
    }

    async fn struck(&mut self, asked: &mut Option<Asked>) -> Result<(), Trouble> {
        let longer_than_the_lease = Instant::now() + self.times().lease + MARGIN;
        // A server that is killed finds a quick ERP when it is back.
        if self.cell.kind != Kind::Kill {
            self.lane.make_quick().await?;
        }
        self.struck = match (self.cell.kind, self.cell.store) {
            (Kind::Kill | Kind::Panic | Kind::Revoke, _) | (Kind::Disconnect, Store::Sqlite) => Struck::Over,
            (Kind::Disconnect, Store::Postgres) => {
                self.lane.disconnect().await?;
                Struck::Held(Instant::now())
            }
            (Kind::Drop, _) if call(self.cell.point) == "store.enqueue" => {
                // The device goes away, and its connection with it.
                if let Some(asked) = asked.take() {
                    asked.abort();
                }
                Struck::Held(Instant::now() + MARGIN)
            }
            (Kind::Stop, Store::Postgres) => {
                let wiring = self.lane.wiring(self.cell.store, "w2");
                let other = Server::start(&wiring, None).await?;
                self.zombie = Some(std::mem::replace(&mut self.server, other));
                // What waits for the one that stands still is asked of the other.
                if let Some(asked) = asked.take() {
                    asked.abort();
                }
                Struck::Held(Instant::now() + ZOMBIE)
            }
            (Kind::Stop | Kind::Drop, _) => Struck::Held(longer_than_the_lease),
        };
        Ok(())
    }

    fn let_go(&mut self) {
        match self.cell.kind {
            Kind::Stop => self.zombie.as_ref().unwrap_or(&self.server).go_on(),
            _ => {
                let _ = std::fs::remove_file(&self.file);
            }
        }
        self.struck = Struck::Over;
    }

    /// SIGTERM to all; what is wrong with how they end.
    async fn drained(&mut self) -> Result<Vec<Finding>, DemoError> {
        let within = self.times().drain;
        let mut wrong = Vec::new();
        for server in std::iter::once(&mut self.server).chain(&mut self.zombie) {
            wrong.extend(server.drain(within).await?.map(|how| Finding(Fault::Unfinished, how)));
        }
        Ok(wrong)
    }

    async fn end(&mut self) {
        for server in std::iter::once(&mut self.server).chain(&mut self.zombie) {
            server.end().await;
        }
    }

    fn times(&self) -> Times {
        Times::of(self.lane.driver)
    }
}

impl Trouble {
    fn into_finding(self) -> Finding {
        match self {
            Self::Found(finding) => finding,
            Self::Demo(error) => Finding(Fault::Broken, error.in_full()),
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use archibald_core::effect::EffectState;
use archibald_core::error::EnqueueError;
use archibald_core::id::{AgentId, OperationId, OperationKey, WorkerId};
use archibald_core::operation::OperationState;
use archibald_core::port::{AgentLock, BrowserPool, EnqueueRequest, EventBus, OperationStore};
use archibald_core::record::OperationRecord;
use tokio::time::{Instant, sleep};

use super::case::{Case, Sort, takes_time};
use super::incarnation::{Door, Incarnation};
use super::report::Violation;
use super::scratch::Scratch;
use super::{Erp, Fate, Ports, Request, Subject, Times};
use crate::clock::SystemClock;
use crate::credentials::FixedCredentials;
use crate::failpoint::{Failpoint, Kind, POINTS, Spec};
use crate::memory::MemoryStore;

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether something has come to be.
const LOOK: Duration = Duration::from_millis(5);

/// Where an ERP that takes its time does so.
const SLOW: &str = "pool.acquire.after";

/// The key of the operation that is struck.
pub(super) const FIRST: &str = "first";

/// One case under way: a store, an ERP and a process of its own.
pub(super) struct Trial {
    pub(super) subject: Arc<dyn Subject>,
    pub(super) case: Case,
    pub(super) erp: Arc<dyn Erp>,
    pub(super) memory: Arc<MemoryStore>,
    /// What the points say; kept as long as anything may be held by them.
    _scratch: Option<Scratch>,
    points: Vec<Arc<Failpoint>>,
    /// The file of the point that strikes.
    pub(super) armed: Option<PathBuf>,
    /// The file of the point at which the ERP takes its time.
    pub(super) slow: Option<PathBuf>,
    pub(super) has_struck: AtomicBool,
    pub(super) strike_is_over: AtomicBool,
    /// The operation that the case is about: the first one, and then the next.
    current: Mutex<Option<OperationId>>,
    /// The one that it was to give way for.
    pub(super) urgent: OnceLock<OperationId>,
    /// Whether it must not give way any more when it was asked to.
    pub(super) masked: OnceLock<bool>,
    life: Mutex<Option<Incarnation>>,
    lives: AtomicU32,
}

pub(super) fn agent() -> AgentId {
    AgentId::new("certified").expect("a valid name")
}

impl Trial {
    /// With the case's own point armed.
    pub(super) fn of(subject: Arc<dyn Subject>, case: Case) -> Result<Self, Violation> {
        let Some((strike, point)) = case.strike else { return Ok(Self::over(subject, case, vec![])) };
        let scratch = Scratch::new().map_err(|error| Violation::of_the_kit(&error.to_string()))?;
        let armed = |name: &str, point, kind| {
            let file = scratch.path().join(name);
            (Failpoint::armed(Spec { point, kind, agent: Some(agent()) }, file.clone()), file)
        };
        let (failpoint, file) = armed("struck", point, strike.kind());
        let mut trial = Self::over(subject, case, vec![failpoint]);
        trial.armed = Some(file);
        if let Some(session) = POINTS.iter().find(|other| takes_time(point) && other.name == SLOW) {
            let (failpoint, file) = armed("slow", session, Kind::Hold);
            trial.points.push(failpoint);
            trial.slow = Some(file);
        }
        trial._scratch = Some(scratch);
        Ok(trial)
    }

    /// With these points, one within the other.
    pub(super) fn over(subject: Arc<dyn Subject>, case: Case, points: Vec<Arc<Failpoint>>) -> Self {
        Self {
            erp: subject.erp(),
            subject,
            case,
            memory: Arc::new(MemoryStore::new(Arc::new(SystemClock))),
            _scratch: None,
            points,
            armed: None,
            slow: None,
            has_struck: AtomicBool::new(false),
            strike_is_over: AtomicBool::new(false),
            current: Mutex::new(None),
            urgent: OnceLock::new(),
            masked: OnceLock::new(),
            life: Mutex::new(None),
            lives: AtomicU32::new(0),
        }
    }

    /// What it counts as, if the point was come by, when all that has to hold does.
    pub(super) async fn run(self) -> Result<Option<Sort>, Violation> {
        let ended = match self.boot().await {
            Err(why) => Err(why),
            Ok(()) => {
                tokio::select! {
                    ended = self.story() => ended,
                    why = self.struck() => Err(why),
                    why = self.late() => Err(why),
                    why = self.takes_its_time() => Err(why),
                }
            }
        };
        match ended {
            Ok(()) => Ok(self.sort()),
            Err(broken) => Err(self.violation(broken).await),
        }
    }

    /// What a client sees: one operation, and another one after it.
    async fn story(&self) -> Result<(), String> {
        self.loses_an_answer();
        let first = self.accepted(FIRST, self.subject.request(1)).await?;
        self.is_about(first);
        self.done_once(first, 1).await?;
        if let Some(urgent) = self.urgent.get() {
            let record = self.ended(*urgent).await?;
            completed(&record).map_err(|why| format!("what it was to give way for {why}"))?;
            self.gave_way(first).await?;
        }
        // One that is not struck loses its answer too: it must not take the first one's doings for its own.
        if self.case.strike.is_none() {
            self.loses_an_answer();
        }
        let second = self.accepted("second", self.subject.request(2)).await?;
        self.is_about(second);
        self.done_once(second, 2).await.map_err(|why| format!("the agent's next operation: {why}"))?;
        // What was held or dropped must not have the last word.
        let until = Instant::now() + LIMIT;
        while self.is_reached() && !self.strike_is_over.load(SeqCst) && Instant::now() < until {
            sleep(LOOK).await;
        }
        // Nor what is late, if it was not waited for.
        if self.case.lost == Some(Fate::Late) {
            self.erp.catch_up().await;
        }
        self.applied(2)
    }

    fn loses_an_answer(&self) {
        if let Some(fate) = self.case.lost {
            self.erp.lose_next_answer(fate);
        }
    }

    fn is_about(&self, operation: OperationId) {
        *locked(&self.current) = Some(operation);
    }

    async fn done_once(&self, id: OperationId, in_all: usize) -> Result<(), String> {
        let record = tokio::select! {
            record = self.ended(id) => record?,
            why = self.overdone(in_all) => return Err(why),
        };
        self.applied(in_all)?;
        completed(&record)?;
        one_attempt_at_a_time(&record)?;
        nothing_is_open(&record)
    }

    /// Returns once more was done than was asked for: it will not become less.
    async fn overdone(&self, expected: usize) -> String {
        loop {
            let applied = self.erp.applied().len();
            if applied > expected {
                return format!("done twice: applied {applied} for {expected}");
            }
            sleep(LOOK).await;
        }
    }

    fn applied(&self, expected: usize) -> Result<(), String> {
        let applied = self.erp.applied().len();
        match applied.cmp(&expected) {
            std::cmp::Ordering::Less => Err(format!("lost: applied {applied} of {expected}")),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(format!("done twice: applied {applied} for {expected}")),
        }
    }

    /// It does where it can, and does not where it must not.
    async fn gave_way(&self, id: OperationId) -> Result<(), String> {
        let preemptions = self.ended(id).await?.operation.preemptions;
        match (self.masked.get(), preemptions) {
            (Some(false), 0) => Err("asked to give way before its intent, it did not".to_owned()),
            (Some(true), 1..) => Err("it gave way past its intent".to_owned()),
            _ => Ok(()),
        }
    }

    /// Asks under the same key until there is an answer.
    pub(super) async fn accepted(&self, key: &str, request: Request) -> Result<OperationId, String> {
        let request = EnqueueRequest {
            agent: agent(),
            kind: request.kind,
            payload: request.payload,
            key: OperationKey::new(key).map_err(|error| error.to_string())?,
            run_at: None,
            origin: None,
            trace: false,
        };
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            let answer = match self.door() {
                Some(door) => door.ask(request.clone()).await,
                None => None,
            };
            match answer {
                Some(Ok(id)) => return Ok(id),
                Some(Err(EnqueueError::Store(_))) | None => sleep(LOOK).await,
                Some(Err(refused)) => return Err(format!("operation {key} was refused: {refused}")),
            }
        }
        Err(format!("operation {key} was not accepted within {LIMIT:?}"))
    }

    /// Read from the store itself, whatever becomes of the process.
    async fn ended(&self, id: OperationId) -> Result<OperationRecord, String> {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            match self.record(id).await {
                None => return Err("lost: the store does not have what it accepted".to_owned()),
                Some(record) if record.operation.is_final() => return Ok(record),
                Some(record) => match record.operation.state {
                    OperationState::InDoubt { evidence } => return Err(format!("left in doubt: {evidence}")),
                    _ => sleep(LOOK).await,
                },
            }
        }
        Err(format!("not over within {LIMIT:?}"))
    }

    pub(super) async fn record(&self, id: OperationId) -> Option<OperationRecord> {
        self.memory.get(&agent(), id).await.ok().flatten()
    }

    /// The operation that the case is about, as it is now.
    pub(super) async fn current(&self) -> Option<OperationRecord> {
        let id = *locked(&self.current);
        self.record(id?).await
    }

    /// Starts a process over what there is.
    pub(super) async fn boot(&self) -> Result<(), String> {
        let life = Incarnation::start(self.subject.clone(), self.ports()?).await?;
        *self.life() = Some(life);
        Ok(())
    }

    pub(super) async fn crash(&self) {
        let life = self.life().take();
        if let Some(life) = life {
            life.crash().await;
        }
    }

    pub(super) fn door(&self) -> Option<Door> {
        self.life().as_ref()?.door()
    }

    pub(super) fn times(&self) -> Times {
        if self.case.lost == Some(Fate::Late) { Times::PATIENT } else { Times::SHORT }
    }

    fn ports(&self) -> Result<Ports, String> {
        let life = self.lives.fetch_add(1, SeqCst) + 1;
        let mut ports = Ports {
            store: self.memory.clone() as Arc<dyn OperationStore>,
            lock: self.memory.clone() as Arc<dyn AgentLock>,
            bus: self.memory.clone() as Arc<dyn EventBus>,
            pool: self.erp.pool() as Arc<dyn BrowserPool>,
            clock: Arc::new(SystemClock),
            credentials: Arc::new(FixedCredentials::new().with(agent(), "certified", "secret")),
            worker: WorkerId::new(format!("life-{life}")).map_err(|error| error.to_string())?,
            times: self.times(),
        };
        for point in &self.points {
            ports.store = point.store(ports.store);
            ports.lock = point.lock(ports.lock);
            ports.bus = point.bus(ports.bus);
            ports.pool = point.pool(ports.pool);
        }
        Ok(ports)
    }

    fn sort(&self) -> Option<Sort> {
        let sort = self.case.sort().filter(|_| self.is_reached());
        if self.masked.get() == Some(&true) { sort.map(|_| Sort::Masked) } else { sort }
    }

    fn is_reached(&self) -> bool {
        let file = self.armed.as_ref().is_some_and(|file| file.exists());
        self.case.strike.is_none() || file || self.has_struck.load(SeqCst)
    }

    async fn violation(&self, broken: String) -> Violation {
        let journal = self.current().await.map(Box::new);
        Violation { case: self.case.to_string(), broken, applied: self.erp.applied(), journal }
    }

    fn life(&self) -> MutexGuard<'_, Option<Incarnation>> {
        locked(&self.life)
    }
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn completed(record: &OperationRecord) -> Result<(), String> {
    match &record.operation.state {
        OperationState::Completed { .. } => Ok(()),
        other => Err(format!("ended otherwise than completed: {other:?}")),
    }
}

fn one_attempt_at_a_time(record: &OperationRecord) -> Result<(), String> {
    let overlap = record.attempts.windows(2).find(|pair| match pair {
        [earlier, later] => {
            earlier.token >= later.token || earlier.ended_at.is_none_or(|ended| ended > later.started_at)
        }
        _ => false,
    });
    overlap.map_or(Ok(()), |pair| Err(format!("attempts overlap: {pair:?}")))
}

fn nothing_is_open(record: &OperationRecord) -> Result<(), String> {
    let open = record.effects.iter().find(|effect| effect.state != EffectState::Recorded);
    open.map_or(Ok(()), |effect| Err(format!("completed with an effect that is not recorded: {effect:?}")))
}

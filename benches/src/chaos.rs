//! The event stream with everything going wrong: writers, devices on real sockets, and servers, connections, logs and
//! histories that are struck meanwhile; a judge holds what every device was told against what the store has.
//!
//! | where | what |
//! | --- | --- |
//! | `writer` | changes through the ports, some in transactions that are rolled back |
//! | `device`, `link` | devices that come, go, read slowly and forget, over three transports |
//! | `trouble`, `server` | what is killed, cut, pruned and restored, and who is started again |
//! | `judge`, `ledger` | what a device objects to; what was asked for, and what the logs say |
//! | `bug` | protocols that do not hold, which the judge has to object to |
//!
//! All chance comes from a seed; what the machine makes of it differs, so a seed that failed is likely to fail again
//! and not certain to.

mod bug;
mod chance;
mod device;
mod judge;
mod ledger;
mod link;
mod server;
mod stage;
mod told;
mod trouble;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use futures::future::{join_all, try_join_all};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::bug::Bug;
use self::bug::Faults;
use self::chance::Chance;
use self::device::{Device, Patience};
use self::judge::{Book, Floors, Sight};
pub use self::judge::{Check, Counts, Violation};
use self::ledger::Ledger;
pub use self::link::Transport;
use self::server::{Hands, Home, Open, Setting};
use self::stage::Stage;
use self::trouble::{Strike, Trouble, audit};
use self::writer::{Foreigner, Writer};
use crate::Failure;
use crate::work::agent;

/// Writers of each agent.
const WRITERS: usize = 2;
/// Longer than any run.
const SELDOM: Duration = Duration::from_secs(3600);
/// Changes of each agent in quick succession when all else is over.
const LAST: usize = 3;

/// Where a run keeps its events.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this file, which does not exist yet.
    Sqlite(PathBuf),
    /// In this database, which is empty.
    Postgres(String),
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// Where events are.
    pub store: Store,
    /// How devices follow, one after the other.
    pub transports: Vec<Transport>,
    /// Agents.
    pub agents: usize,
    /// Devices, over all agents.
    pub devices: usize,
    /// Changes that are acknowledged before all comes to an end.
    pub changes: u64,
    /// What goes wrong meanwhile, at least one of each sort.
    pub strikes: usize,
    /// What is wrong with the protocol.
    pub bug: Option<Bug>,
    /// Within this time every device has to know the end.
    pub bound: Duration,
    /// With nothing to tell, logs are read this often. Mostly so seldom that what nobody is woken for is never read.
    pub heartbeat: Duration,
    /// Servers of a database are processes: copies of this program, which has to do what [`serve`] does when it is
    /// started with `--serve URL --agents N --heartbeat-ms N`. Otherwise they are threads of this process.
    pub program: Option<PathBuf>,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Events that the store has written.
    pub events: u64,
    /// Histories.
    pub epochs: usize,
    /// What devices went through, together.
    pub counts: Counts,
    /// What went wrong on purpose.
    pub struck: BTreeMap<&'static str, u64>,
    /// From the last change until every device knew of it.
    pub to_current: Duration,
    /// From the beginning to the end.
    pub took: Duration,
    /// How often each check failed.
    pub failed: BTreeMap<Check, u64>,
    /// The first violations.
    pub violations: Vec<Violation>,
}

impl Plan {
    /// As small as it can be and still go through everything.
    #[must_use]
    pub fn small(seed: u64, store: Store, transports: &[Transport]) -> Self {
        Self {
            seed,
            store,
            transports: transports.to_vec(),
            agents: 4,
            devices: 12,
            changes: 1000,
            strikes: 12,
            bug: None,
            bound: Duration::from_secs(30),
            heartbeat: if seed % 2 == 1 { Duration::from_millis(150) } else { SELDOM },
            program: None,
        }
    }

    /// The same with this mistake in the protocol.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), changes: 500, bound: Duration::from_secs(1), heartbeat: SELDOM, ..self }
    }

    /// Carries it out and judges it.
    ///
    /// # Errors
    /// Where the machine does not do what a run needs; violations are no error.
    pub async fn run(&self) -> Result<Report, Failure> {
        let began = Instant::now();
        let mut run = Run::prepare(self).await?;
        run.until_written().await?;
        let to_current = run.end().await?;
        run.judge().await?;
        let report = run.report(to_current, began.elapsed());
        run.close().await?;
        Ok(report)
    }

    fn home(&self) -> Home {
        match &self.store {
            Store::Sqlite(path) => Home::Sqlite(path.clone()),
            Store::Postgres(url) => Home::Postgres(url.clone()),
        }
    }

    /// Seeds with an even number have writers in a process of their own, as far as the store can tell.
    fn is_apart(&self) -> bool {
        matches!(self.store, Store::Postgres(_)) && (self.program.is_some() || self.seed.is_multiple_of(2))
    }

    fn chance(&self, who: u64) -> Chance {
        Chance::of(self.seed, who)
    }
}

/// Is the server of a run whose servers are processes, until nobody holds its input any more.
///
/// # Errors
/// What the store or the network says.
pub async fn serve(url: String, agents: usize, heartbeat: Duration) -> Result<(), Failure> {
    let agents = (0..agents).map(agent).collect::<Result<Vec<_>, _>>()?;
    let home = Home::Postgres(url);
    server::serve_alone(Setting { home, agents, heartbeat, faults: None, program: None }).await
}

/// Who draws chances.
const STRIKES: u64 = 1;
const TROUBLE: u64 = 2;
const FOREIGNER: u64 = 3;
const WRITING: u64 = 1_000;
const DEVICES: u64 = 1_000_000;
const LAST_WORDS: u64 = 2_000_000;

struct Run<'a> {
    plan: &'a Plan,
    stage: Arc<Stage>,
    trouble: Trouble,
    devices: Vec<Device>,
    following: Vec<tokio::task::JoinHandle<()>>,
    quiet: CancellationToken,
    book: Arc<Book>,
}

impl<'a> Run<'a> {
    async fn prepare(plan: &'a Plan) -> Result<Self, Failure> {
        let agents = (0..plan.agents).map(agent).collect::<Result<Vec<_>, _>>()?;
        let (book, floors) = (Arc::new(Book::default()), Arc::new(Floors::default()));
        let faults = plan.bug.map(Faults::of).map(Arc::new);
        let mut apart = [None, None];
        for hands in apart.iter_mut().filter(|_| plan.is_apart()) {
            *hands = Some(Hands::open(&plan.home()).await?);
        }
        let ledger = Ledger::new(book.clone());
        let stage = Arc::new(Stage::new(agents.clone(), ledger, faults.clone(), apart));
        let (heartbeat, program) = (plan.heartbeat, plan.program.clone());
        let setting = Setting { home: plan.home(), agents, heartbeat, faults, program };
        let trouble =
            Trouble::start(stage.clone(), setting, floors.clone(), plan.chance(TROUBLE), plan.changes)
                .await?;
        let quiet = CancellationToken::new();
        let mut run = Self { plan, stage, trouble, devices: vec![], following: vec![], quiet, book };
        (0..plan.devices).for_each(|number| run.employ(number, &floors));
        Ok(run)
    }

    fn employ(&mut self, number: usize, floors: &Arc<Floors>) {
        let agent = self.stage.agents[number % self.stage.agents.len()].clone();
        let sight = Sight::new(format!("device {number}"), agent, self.book.clone(), floors.clone());
        let device = Device::new(sight, self.plan.transports[number % self.plan.transports.len()]);
        self.devices.push(device.clone());
        let chance = self.plan.chance(DEVICES + number as u64);
        let patience = Patience::of(self.plan.agents, self.plan.devices);
        let following = device.follow(self.stage.clone(), chance, patience, self.quiet.clone());
        self.following.push(tokio::spawn(following));
    }

    /// Until all changes are made, and everything went wrong that was to.
    async fn until_written(&mut self) -> Result<(), Failure> {
        let writing = self.write().await;
        let strikes = Strike::some(&self.plan.home(), self.plan.strikes, &mut self.plan.chance(STRIKES));
        let each = self.plan.changes / (strikes.len() as u64 + 1);
        for (strike, number) in strikes.into_iter().zip(1..) {
            self.stage.done.subscribe().wait_for(|done| *done >= each * number).await?;
            self.trouble.strike(strike).await?;
            if self.plan.program.is_some() {
                eprintln!("{strike:?} after {} changes", *self.stage.done.borrow());
            }
        }
        try_join_all(writing).await?;
        Ok(())
    }

    async fn write(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let until = self.plan.changes;
        let writers = (0..self.plan.agents * WRITERS).map(|number| {
            let agent = self.stage.agents[number / WRITERS].clone();
            let chance = self.plan.chance(WRITING + number as u64);
            tokio::spawn(Writer::new(self.stage.clone(), agent, chance).work(until))
        });
        let mut writing: Vec<_> = writers.collect();
        if let (Store::Postgres(url), Some(Hands { open: Open::Postgres(store), .. })) =
            (&self.plan.store, &self.stage.apart)
        {
            let (stage, chance) = (self.stage.clone(), self.plan.chance(FOREIGNER));
            let foreigner = Foreigner { stage, store: store.clone(), url: url.clone(), chance };
            writing.push(tokio::spawn(foreigner.work(until)));
        }
        writing
    }

    /// Devices are left in peace, all listeners are cut once more, and then comes what must not be missed.
    async fn end(&mut self) -> Result<Duration, Failure> {
        self.quiet.cancel();
        let ends = self.ends().await?;
        // Who is not current by now is told of below, and only once.
        timeout(self.plan.bound, self.arrivals(&ends)).await.ok();
        self.trouble.strike(Strike::Ear).await?;
        for _ in 0..LAST {
            let last = self.stage.agents.iter().zip(LAST_WORDS..).map(|(agent, who)| {
                let mut writer = Writer::new(self.stage.clone(), agent.clone(), self.plan.chance(who));
                async move { writer.once().await }
            });
            join_all(last).await;
        }
        let since = Instant::now();
        let ends = self.ends().await?;
        timeout(self.plan.bound, self.arrivals(&ends)).await.ok();
        let to_current = since.elapsed();
        for device in &self.devices {
            let sight = device.sight();
            let end = ends.get(&sight.agent).copied();
            if sight.place != end {
                sight.note(Check::Stale, format!("at {:?} and not at {end:?}", sight.place));
            }
        }
        Ok(to_current)
    }

    async fn arrivals(&self, ends: &BTreeMap<AgentId, Cursor>) {
        let arrivals = self.devices.iter().filter_map(|device| {
            let end = *ends.get(&device.sight().agent)?;
            Some(async move { device.arrives(end).await })
        });
        join_all(arrivals).await;
    }

    async fn ends(&self) -> Result<BTreeMap<AgentId, Cursor>, Failure> {
        audit(&self.stage).await?;
        let hands = self.stage.keeper().await.ok_or("no server is up at the end")?;
        let mut ends = BTreeMap::new();
        for agent in &self.stage.agents {
            let (bus, asked) = (hands.bus.clone(), agent.clone());
            let head =
                hands.run(async move { bus.head(&asked).await }).await.ok_or("the server is gone")??;
            ends.insert(agent.clone(), Cursor { epoch: head.epoch, seq: head.head });
        }
        Ok(ends)
    }

    async fn judge(&self) -> Result<(), Failure> {
        self.stage.ledger.judge();
        let (epochs, known) = (self.stage.ledger.epochs() as u64, 1 + self.trouble.histories());
        if epochs != known {
            self.book.note(Check::Reset, format_args!("{epochs} histories, and {known} were begun"));
        }
        let hands = self.stage.keeper().await.ok_or("no server is up at the end")?;
        let mut open = BTreeMap::new();
        for agent in &self.stage.agents {
            let (bus, asked) = (hands.bus.clone(), agent.clone());
            let snapshot = hands.run(async move { bus.snapshot(&asked, 0).await }).await;
            open.insert(agent.clone(), told::open(&snapshot.ok_or("the server is gone")??));
        }
        for device in &self.devices {
            let sight = device.sight();
            self.stage.ledger.judge_device(&sight);
            if open.get(&sight.agent) != Some(&sight.open) {
                sight.note(Check::Lost, "what it shows is not what there is");
            }
        }
        Ok(())
    }

    fn report(&self, to_current: Duration, took: Duration) -> Report {
        let (failed, violations) = self.book.read();
        let mut counts = Counts::default();
        for device in &self.devices {
            counts.add(device.sight().counts);
        }
        Report {
            events: self.stage.ledger.events(),
            epochs: self.stage.ledger.epochs(),
            counts,
            struck: self.trouble.struck.clone(),
            to_current,
            took,
            failed,
            violations,
        }
    }

    async fn close(&mut self) -> Result<(), Failure> {
        self.stage.over.cancel();
        self.following.iter().for_each(tokio::task::JoinHandle::abort);
        self.trouble.end().await?;
        for hands in [&self.stage.apart, &self.stage.keeper].into_iter().flatten() {
            hands.close().await;
        }
        Ok(())
    }
}

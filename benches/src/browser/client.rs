//! Our own driver of browsers, in a process of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_browser::driver::{Browser, Context, Limit, Page};
use archibald_browser::erp::{ErpClient, Site};
use archibald_browser::gate::{Gate, GateRules};
use archibald_browser::launch::LaunchOptions;
use archibald_browser::page_map::PageMap;
use archibald_browser::{ChromiumPool, PoolOptions};
use archibald_core::effect::ActOutcome;
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::operation::Class;
use archibald_core::port::{
    AcquireRequest, ArchibaldClient, BrowserPool, Credentials, Finish, Guard, LeaseLost, SessionLease,
};
use archibald_testing::credentials::FixedCredentials;
use futures::future::{join_all, try_join_all};

use super::journal::Journal;
use super::{Ordered, Question, Report, Sessions, Task, Took, micros};
use crate::Failure;
use crate::child::{Questions, answer};

/// What loading a page, and what waiting for a session may take.
const STEP: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(120);
/// What a browser gets to end by itself.
const CLOSING: Duration = Duration::from_secs(5);

/// Does what it is asked until nobody asks any more.
///
/// # Errors
/// Where the pipes are broken. What a question comes to is its answer.
pub async fn be() -> Result<(), Failure> {
    let mut questions = Questions::new();
    let mut client = None;
    while let Some(question) = questions.next::<Question>().await? {
        match (question, client.as_mut()) {
            (Question::Begin(task), _) => {
                let begun = Client::new(*task).map(|begun| client = Some(begun));
                answer(begun).await?;
            }
            (_, None) => answer::<()>(Err("nothing was begun".into())).await?,
            (Question::Save(sessions), Some(client)) => answer(client.save(sessions).await).await?,
            (Question::LogIn(count), Some(client)) => answer(client.log_in(count).await).await?,
            (Question::Empty, Some(client)) => answer(client.empty().await).await?,
            (Question::Rest(agents), Some(client)) => answer(client.rest(agents).await).await?,
            (Question::Work(agents), Some(client)) => answer(client.work(agents).await).await?,
            (Question::End, Some(client)) => answer(client.end().await).await?,
        }
    }
    match client {
        Some(mut client) => client.end().await,
        None => Ok(()),
    }
}

/// The browsers, and what they are for.
struct Client {
    task: Task,
    site: Arc<Site>,
    rules: Arc<GateRules>,
    journal: Journal,
    pool: Option<ChromiumPool>,
    browsers: Vec<Browser>,
    /// Sessions that are kept.
    leases: Vec<Box<dyn SessionLease>>,
}

/// A session that lasts for one task.
struct Once {
    context: Arc<Context>,
    page: Page,
    page_us: u64,
    ready_us: u64,
}

/// A lease that is never lost.
struct Forever;

impl Guard for Forever {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(WAIT)
    }
}

impl Client {
    fn new(task: Task) -> Result<Self, Failure> {
        let site = site(&task)?;
        let rules = Arc::new(site.map().gate_rules(site.base())?);
        let (journal, pool, browsers, leases) = (Journal::default(), None, vec![], vec![]);
        Ok(Self { task, site: Arc::new(site), rules, journal, pool, browsers, leases })
    }

    fn start(&mut self) -> Result<(), Failure> {
        if self.pool.is_none() {
            self.pool = Some(start(&self.task)?);
        }
        Ok(())
    }

    async fn save(&mut self, sessions: Sessions) -> Result<Report, Failure> {
        match sessions {
            Sessions::Warm => self.start()?,
            Sessions::Fresh => self.launch(1).await?,
        }
        let this = &*self;
        let agents = (0..this.task.people.len()).map(|agent| async move {
            let mut ended = vec![];
            let orders = this.task.orders.iter().enumerate().filter(|(_, order)| order.agent == agent);
            for (place, (number, order)) in orders.enumerate() {
                let took = match sessions {
                    Sessions::Warm => this.save_warm(order, place == 0).await,
                    Sessions::Fresh => this.save_fresh(order).await,
                };
                ended.push(took.map(|took| Took { order: number, ..took }));
            }
            ended
        });
        let ended = join_all(agents).await.into_iter().flatten();
        let browsers = this.pool.as_ref().map_or(this.browsers.len(), |pool| pool.occupancy().browsers);
        Ok(report(ended, browsers))
    }

    /// Through the pool. The first session of an agent is logged in for it.
    async fn save_warm(&self, order: &Ordered, is_first: bool) -> Result<Took, Failure> {
        let asked = Instant::now();
        let lease = self.acquire(order.agent).await?;
        let ready_us = micros(asked.elapsed());
        let saved = self.save_by(lease.client(), order).await;
        lease.finish(if saved.is_ok() { Finish::Clean } else { Finish::Dirty }).await;
        saved?;
        let all_us = micros(asked.elapsed());
        Ok(Took { order: 0, page_us: ready_us, ready_us, all_us, cold: is_first })
    }

    /// By the pool's own parts, as somebody would who keeps nothing.
    async fn save_fresh(&self, order: &Ordered) -> Result<Took, Failure> {
        let asked = Instant::now();
        let Once { context, page, page_us, ready_us } = self.once(order.agent, asked).await?;
        let user = self.task.people[order.agent].user.clone();
        let client = ErpClient::new(Arc::clone(&self.site), context, page, Arc::new(Forever), user);
        self.save_by(&client, order).await?;
        client.into_page().close(&Limit::budget(CLOSING)).await?;
        let all_us = micros(asked.elapsed());
        Ok(Took { order: 0, page_us, ready_us, all_us, cold: true })
    }

    async fn save_by(&self, client: &dyn ArchibaldClient, order: &Ordered) -> Result<(), Failure> {
        let (intent, gate) = self.journal.intend().await?;
        match client.create_order(&order.wanted, &order.wanted.reference, intent, gate).await {
            ActOutcome::Done(_) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// A context and a page that are logged in.
    async fn once(&self, agent: usize, asked: Instant) -> Result<Once, Failure> {
        let browser = self.browsers.first().ok_or("no browser runs")?;
        let gate = Gate::build(Arc::clone(&self.rules)).await?;
        let context = Arc::new(browser.new_context(Some(gate)).await?);
        let page = context.new_page().await?;
        let page_us = micros(asked.elapsed());
        let person = &self.task.people[agent];
        let who = Credentials { user: person.user.clone(), password: person.password.clone() };
        self.site.login(&page, &Limit::budget(STEP), &who).await?;
        Ok(Once { context, page, page_us, ready_us: micros(asked.elapsed()) })
    }

    async fn log_in(&mut self, count: usize) -> Result<Report, Failure> {
        self.launch(1).await?;
        let (this, agents) = (&*self, self.task.people.len());
        let together = (0..agents).map(|agent| async move {
            let mut ended = vec![];
            for order in (agent..count).step_by(agents) {
                let asked = Instant::now();
                ended.push(this.once(agent, asked).await.map(|once| {
                    let Once { page_us, ready_us, .. } = once;
                    Took { order, page_us, ready_us, all_us: micros(asked.elapsed()), cold: true }
                }));
            }
            ended
        });
        let ended = join_all(together).await.into_iter().flatten();
        Ok(report(ended, this.browsers.len()))
    }

    async fn empty(&mut self) -> Result<(), Failure> {
        self.launch(self.task.pool.browsers).await
    }

    async fn rest(&mut self, agents: usize) -> Result<(), Failure> {
        self.start()?;
        let this = &*self;
        // Ten at a time, as many as work together elsewhere: the machine is others' too.
        for first in (0..agents).step_by(10) {
            let together = (first..agents.min(first + 10)).map(|agent| this.acquire(agent));
            for lease in try_join_all(together).await? {
                lease.finish(Finish::Clean).await;
            }
        }
        Ok(())
    }

    async fn work(&mut self, agents: usize) -> Result<(), Failure> {
        let this = &*self;
        let working = (0..agents).map(|agent| async move {
            let lease = this.acquire(agent).await?;
            let order = this.task.orders.iter().find(|order| order.agent == agent);
            this.save_by(lease.client(), order.ok_or("an agent has no order")?).await?;
            Ok::<_, Failure>(lease)
        });
        self.leases = try_join_all(working).await?;
        Ok(())
    }

    async fn acquire(&self, agent: usize) -> Result<Box<dyn SessionLease>, Failure> {
        let pool = self.pool.as_ref().ok_or("the pool was not started")?;
        let request = AcquireRequest {
            agent: AgentId::new(&self.task.people[agent].user)?,
            token: FencingToken(1),
            class: Class::Interactive,
            guard: Arc::new(Forever),
            wait: WAIT,
            trace: false,
        };
        Ok(pool.acquire(request).await?)
    }

    async fn launch(&mut self, browsers: usize) -> Result<(), Failure> {
        let options = launch(&self.task);
        while self.browsers.len() < browsers {
            self.browsers.push(Browser::launch(&options).await?);
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        for lease in self.leases.drain(..) {
            lease.finish(Finish::Clean).await;
        }
        if let Some(pool) = self.pool.take() {
            pool.shutdown(CLOSING).await;
        }
        join_all(self.browsers.drain(..).map(|browser| browser.close(CLOSING))).await;
        Ok(())
    }
}

fn start(task: &Task) -> Result<ChromiumPool, Failure> {
    let credentials = FixedCredentials::new();
    for person in &task.people {
        credentials.set(AgentId::new(&person.user)?, &person.user, &person.password);
    }
    let options = PoolOptions {
        browsers: task.pool.browsers,
        contexts: task.pool.contexts,
        launch: launch(task),
        trust_for: Duration::from_millis(task.pool.trust_ms),
        park_after: Duration::from_millis(task.pool.park_ms),
        ..PoolOptions::default()
    };
    Ok(ChromiumPool::start(options, site(task)?, Arc::new(credentials))?)
}

fn site(task: &Task) -> Result<Site, Failure> {
    Ok(Site::new(PageMap::simulator()?, task.base.parse()?, STEP))
}

fn launch(task: &Task) -> LaunchOptions {
    LaunchOptions { engine: Some(task.engine.clone()), ..LaunchOptions::default() }
}

fn report(ended: impl Iterator<Item = Result<Took, Failure>>, browsers: usize) -> Report {
    let mut report = Report { browsers, ..Report::default() };
    for took in ended {
        match took {
            Ok(took) => report.done.push(took),
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    report
}

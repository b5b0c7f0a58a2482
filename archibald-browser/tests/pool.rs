//! The pool against the simulated ERP, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use archibald_browser::erp::Site;
use archibald_browser::launch::LaunchOptions;
use archibald_browser::page_map::PageMap;
use archibald_browser::{ChromiumPool, PoolError, PoolOptions, SessionVault, VaultKey};
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::operation::Class;
use archibald_core::port::{
    AcquireError, AcquireRequest, BrowserPool, ClientError, Finish, Guard, LeaseLost, LoginError,
    SessionLease,
};
use archibald_testing::credentials::{CorrectedCredentials, FixedCredentials};
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{Behaviour, ErpOptions, ErpSimulator, RunningErp};
use chromiumoxide::cdp::browser_protocol::target::{GetBrowserContextsParams, GetTargetsParams};
use common::{assert_nothing_left, eventually, processes_of};
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};

/// Holds until it is told otherwise.
#[derive(Default)]
struct Held(AtomicBool);

impl Guard for Held {
    fn check(&self) -> Result<Duration, LeaseLost> {
        // Short, so that a loss is noticed soon, as with a real lease.
        if self.0.load(Ordering::SeqCst) { Err(LeaseLost) } else { Ok(Duration::from_millis(200)) }
    }
}

struct Office {
    erp: RunningErp,
    pool: Arc<ChromiumPool>,
    credentials: Arc<FixedCredentials>,
    agents: Vec<AgentId>,
    profiles: tempfile::TempDir,
    options: PoolOptions,
}

impl Office {
    async fn open(browsers: usize, contexts: usize) -> Self {
        Self::with(browsers, contexts, |_| {}).await
    }

    async fn with(browsers: usize, contexts: usize, change: impl FnOnce(&mut PoolOptions)) -> Self {
        let data = DataSet::generate(3, 4, 40);
        let behaviour = Behaviour { latency: Duration::from_millis(1), ..Behaviour::default() };
        let users: Vec<_> = data.agents.iter().map(|agent| agent.user.clone()).collect();
        let erp = ErpSimulator::start(ErpOptions { data, behaviour, ..ErpOptions::default() }).await.unwrap();
        let credentials = Arc::new(FixedCredentials::new());
        let agents: Vec<_> = users.iter().map(|user| AgentId::new(user).unwrap()).collect();
        for agent in &agents {
            credentials.set(agent.clone(), agent.as_str(), password_of(agent.as_str()));
        }
        let profiles = tempfile::tempdir().unwrap();
        let mut options = PoolOptions {
            browsers,
            contexts,
            launch: LaunchOptions { profiles: profiles.path().into(), ..LaunchOptions::default() },
            trust_for: Duration::ZERO,
            ..PoolOptions::default()
        };
        change(&mut options);
        let pool = ChromiumPool::start(options.clone(), site(&erp.url()), credentials.clone()).unwrap();
        Self { erp, pool: Arc::new(pool), credentials, agents, profiles, options }
    }

    /// The pool ends, and another one starts in its place.
    async fn restart(&mut self, change: impl FnOnce(&mut PoolOptions)) {
        self.pool.shutdown(Duration::from_secs(5)).await;
        change(&mut self.options);
        let (site, credentials) = (site(&self.erp.url()), self.credentials.clone());
        self.pool = Arc::new(ChromiumPool::start(self.options.clone(), site, credentials).unwrap());
    }

    /// Logins at the ERP, and those that the pool counts.
    fn logins(&self) -> (u64, u64) {
        (self.erp.stats().logins, self.pool.occupancy().logins)
    }

    fn request(&self, agent: usize) -> AcquireRequest {
        AcquireRequest {
            agent: self.agents[agent].clone(),
            token: FencingToken(1),
            class: Class::Interactive,
            guard: Arc::new(Held::default()),
            wait: Duration::from_secs(60),
            trace: false,
        }
    }

    async fn acquire(&self, agent: usize) -> Result<Box<dyn SessionLease>, AcquireError> {
        self.pool.acquire(self.request(agent)).await
    }

    async fn rest(&self, agent: usize) {
        let lease = self.acquire(agent).await.unwrap();
        lease.client().check_health().await.unwrap();
        lease.finish(Finish::Clean).await;
    }

    async fn in_use(&self, count: usize) {
        eventually("so many are in use", || self.pool.occupancy().in_use == count).await;
    }

    /// Process ids of the browsers themselves.
    fn engines(&self) -> Vec<Pid> {
        let folders = self.profiles.path().read_dir().unwrap();
        let pid = |folder: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(folder.ok()?.path().join("engine.pid")).ok()?.parse().ok()
        };
        folders.filter_map(pid).map(Pid::from_raw).collect()
    }

    /// The processes that show pages, by the group of their engine.
    fn renderers(&self) -> Vec<Pid> {
        let engines = self.engines();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let shows_pages = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let group = getpgid(Some(Pid::from_raw(*pid)));
            String::from_utf8_lossy(&command).contains("--type=renderer")
                && group.is_ok_and(|group| engines.contains(&group))
        };
        pids.filter(shows_pages).map(Pid::from_raw).collect()
    }

    /// Contexts and pages that the browsers themselves know of.
    async fn contexts_and_pages(&self) -> (usize, usize) {
        let (mut contexts, mut pages) = (0, 0);
        for folder in self.profiles.path().read_dir().unwrap().flatten() {
            let port = std::fs::read_to_string(folder.path().join("profile/DevToolsActivePort")).unwrap();
            let address = format!("ws://127.0.0.1:{}", port.trim().replacen('\n', "", 1));
            let (browser, mut handler) = chromiumoxide::Browser::connect(address).await.unwrap();
            let driven = tokio::spawn(async move { while handler.next().await.is_some() {} });
            let known = browser.execute(GetBrowserContextsParams::default()).await.unwrap();
            contexts += known.result.browser_context_ids.len();
            let known = browser.execute(GetTargetsParams::default()).await.unwrap();
            pages += known.result.target_infos.iter().filter(|it| it.r#type == "page").count();
            driven.abort();
        }
        (contexts, pages)
    }

    /// What an expression is worth in the one page that there is, asked by somebody else than the pool.
    async fn in_page(&self, expression: &str) -> serde_json::Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(value) = self.try_in_page(expression).await {
                return value;
            }
            assert!(Instant::now() < until, "the page never answered");
        }
    }

    /// Now and then a second client is told of a page and then that it is not attached to it.
    async fn try_in_page(&self, expression: &str) -> Option<serde_json::Value> {
        let folder = self.profiles.path().read_dir().unwrap().next().unwrap().unwrap();
        let port = std::fs::read_to_string(folder.path().join("profile/DevToolsActivePort")).unwrap();
        let address = format!("ws://127.0.0.1:{}", port.trim().replacen('\n', "", 1));
        let (mut browser, mut handler) = chromiumoxide::Browser::connect(address).await.unwrap();
        let driven = tokio::spawn(async move { while handler.next().await.is_some() {} });
        browser.fetch_targets().await.unwrap();
        let until = Instant::now() + Duration::from_secs(2);
        let mut page = None;
        while page.is_none() && Instant::now() < until {
            page = browser.pages().await.unwrap().into_iter().next();
        }
        let answer = page?.evaluate(expression).await;
        driven.abort();
        answer.ok().map(|answer| answer.value().cloned().unwrap_or_default())
    }

    async fn picture(&self, agent: usize) -> Option<Arc<[u8]>> {
        self.pool.picture(&self.agents[agent]).await
    }

    /// A picture, once there is one: on a machine that is busy a look may come too late, and the next one is soon.
    async fn seen(&self, agent: usize) -> Arc<[u8]> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(picture) = self.picture(agent).await {
                return picture;
            }
            assert!(Instant::now() < until, "no picture");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn close(self) {
        self.pool.shutdown(Duration::from_secs(20)).await;
        assert!(matches!(self.acquire(0).await, Err(AcquireError::Draining)));
        eventually("no process is left", || processes_of(self.profiles.path()).is_empty()).await;
        assert_nothing_left(self.profiles.path());
        self.erp.stop().await;
    }
}

fn site(url: &str) -> Site {
    Site::new(PageMap::simulator().unwrap(), url.parse().unwrap(), Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_warm_and_the_one_idle_for_longest_makes_room() {
    let office = Office::open(1, 2).await;
    assert_eq!(office.pool.occupancy().browsers, 0, "none runs before one is needed");
    for agent in [0, 1, 0, 1, 0] {
        office.rest(agent).await;
    }
    assert_eq!(office.erp.stats().logins, 2);
    // Agent 1 was idle for longer than agent 0.
    office.rest(2).await;
    office.rest(0).await;
    office.in_use(0).await;
    let occupancy = office.pool.occupancy();
    assert_eq!((occupancy.logins, occupancy.evictions, occupancy.idle), (3, 1, 2));
    assert_eq!((occupancy.browsers, office.pool.capacity()), (1, 2));
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_every_context_in_use_waits_or_is_told() {
    let office = Office::open(1, 1).await;
    let first = office.acquire(0).await.unwrap();
    let hasty = AcquireRequest { wait: Duration::from_millis(200), ..office.request(1) };
    let error = office.pool.acquire(hasty).await.err().unwrap();
    assert!(matches!(error, AcquireError::Saturated { in_use: 1 }), "{error}");
    let (second, ()) = tokio::join!(office.acquire(1), first.finish(Finish::Clean));
    second.unwrap().client().check_health().await.unwrap();
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_tried_once_for_all_who_wait() {
    let office = Office::open(1, 2).await;
    office.credentials.set(office.agents[0].clone(), office.agents[0].as_str(), "wrong");
    let (one, two) = tokio::join!(office.acquire(0), office.acquire(0));
    for refused in [one, two] {
        let error = refused.err().unwrap();
        assert!(matches!(error, AcquireError::Login(LoginError::Refused { .. })), "{error}");
    }
    assert_eq!(office.erp.stats().logins_refused, 1);
    office.credentials.remove(&office.agents[1]);
    let error = office.acquire(1).await.err().unwrap();
    assert!(matches!(error, AcquireError::Login(LoginError::NoCredentials(_))), "{error}");
    // Nobody else is concerned.
    office.rest(2).await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_logged_in_again_before_it_is_lent() {
    let office = Office::open(1, 2).await;
    office.rest(0).await;
    office.erp.expire(None);
    office.rest(0).await;
    assert_eq!(office.erp.stats().logins, 2);
    // In the middle of a lease it is a typed error.
    let lease = office.acquire(0).await.unwrap();
    office.erp.expire(None);
    let error = lease.client().read_customers(1).await.unwrap_err();
    assert!(matches!(error, ClientError::SessionExpired), "{error}");
    lease.finish(Finish::Dirty).await;
    office.rest(0).await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_in_trouble_is_not_trusted_again() {
    let office = Office::with(1, 1, |options| options.trust_for = Duration::from_secs(600)).await;
    let lease = office.acquire(0).await.unwrap();
    office.erp.expire(None);
    let error = lease.client().check_health().await.unwrap_err();
    assert!(matches!(error, ClientError::SessionExpired), "{error}");
    lease.finish(Finish::Dirty).await;
    let lease = office.acquire(0).await.unwrap();
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_dropped_at_work_leaves_a_login_and_no_page() {
    let office = Office::open(1, 1).await;
    for millis in [0, 2, 10, 40, 150] {
        let lease = office.acquire(0).await.unwrap();
        office.erp.set_behaviour(Behaviour { latency: Duration::from_millis(100), ..office.erp.behaviour() });
        let work = lease.client().read_customers(1);
        let _ = tokio::time::timeout(Duration::from_millis(millis), work).await;
        drop(lease);
        office.erp.set_behaviour(Behaviour { latency: Duration::from_millis(1), ..office.erp.behaviour() });
        office.rest(0).await;
    }
    assert_eq!(office.erp.stats().logins, 1);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_ends_what_is_pending_and_gets_no_session() {
    let office = Office::open(1, 1).await;
    let guard = Arc::new(Held::default());
    let lease =
        office.pool.acquire(AcquireRequest { guard: guard.clone(), ..office.request(0) }).await.unwrap();
    office.erp.set_behaviour(Behaviour { latency: Duration::from_secs(5), ..office.erp.behaviour() });
    let began = Instant::now();
    let lose = async {
        tokio::task::yield_now().await;
        guard.0.store(true, Ordering::SeqCst);
    };
    let (read, ()) = tokio::join!(lease.client().read_customers(1), lose);
    assert!(matches!(read, Err(ClientError::LeaseLost(_))), "{read:?}");
    assert!(began.elapsed() < Duration::from_secs(4));
    lease.finish(Finish::Dirty).await;
    let error = office.pool.acquire(AcquireRequest { guard, ..office.request(0) }).await.err().unwrap();
    assert!(matches!(error, AcquireError::LeaseLost(_)), "{error}");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_browser_is_replaced_and_its_agents_log_in_again() {
    let office = Office::open(1, 2).await;
    office.rest(1).await;
    let lease = office.acquire(0).await.unwrap();
    office.erp.set_behaviour(Behaviour { latency: Duration::from_secs(30), ..office.erp.behaviour() });
    let engines = office.engines();
    let began = Instant::now();
    let read = lease.client().read_customers(1);
    let killed = async { engines.iter().for_each(|engine| kill(*engine, Signal::SIGKILL).unwrap()) };
    let (read, ()) = tokio::join!(read, killed);
    assert!(matches!(read, Err(ClientError::PageLost(_))), "{read:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let kept: Vec<_> = lease.client().capture().await.into_iter().map(|it| it.name).collect();
    assert_eq!(kept, ["requests"], "the road outlives the browser");
    lease.finish(Finish::Dirty).await;
    office.erp.set_behaviour(Behaviour { latency: Duration::from_millis(1), ..office.erp.behaviour() });
    let (zero, one) = tokio::join!(office.rest(0), office.rest(1));
    let ((), ()) = (zero, one);
    let occupancy = office.pool.occupancy();
    assert_eq!((occupancy.crashes, occupancy.browsers, occupancy.logins), (1, 1, 4));
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_nobody_waits_for_any_more_becomes_an_idle_session() {
    let office = Office::open(1, 1).await;
    let given_up = tokio::time::timeout(Duration::from_millis(50), office.acquire(0)).await;
    assert!(given_up.is_err());
    eventually("the login goes on", || office.pool.occupancy().idle == 1).await;
    office.rest(0).await;
    assert_eq!(office.erp.stats().logins, 1);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_leases_with_many_ends_leave_counts_as_they_were() {
    let office = Office::open(2, 1).await;
    for round in 0..10_u64 {
        let ends = [0, 1, 2, 3].map(|agent| {
            let office = &office;
            async move {
                let lease = match (round + agent as u64) % 4 {
                    0 => {
                        return drop(
                            tokio::time::timeout(Duration::from_millis(round * 7), office.acquire(agent))
                                .await,
                        );
                    }
                    _ => office.acquire(agent).await.unwrap(),
                };
                match (round + agent as u64) % 4 {
                    1 => lease.finish(Finish::Clean).await,
                    2 => lease.finish(Finish::Dirty).await,
                    _ => drop(lease),
                }
            }
        });
        futures::future::join_all(ends).await;
    }
    office.in_use(0).await;
    let occupancy = office.pool.occupancy();
    assert!(occupancy.idle <= 2 && occupancy.browsers <= 2, "{occupancy:?}");
    assert_eq!(occupancy.crashes, 0);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_its_pool_with_the_key_and_only_with_it() {
    let kept = tempfile::tempdir().unwrap();
    let vault = |digit: &str| {
        let key = digit.repeat(64).parse::<VaultKey>().unwrap();
        Some(SessionVault::open(kept.path(), &key).unwrap())
    };
    let mut office = Office::with(1, 2, |options| options.vault = vault("a")).await;
    office.rest(0).await;
    office.rest(1).await;
    assert_eq!(office.logins(), (2, 2));
    office.restart(|_| {}).await;
    office.rest(0).await;
    office.rest(1).await;
    assert_eq!(office.logins(), (2, 0), "nobody logs in again");
    office.restart(|options| options.vault = vault("b")).await;
    office.rest(0).await;
    assert_eq!(office.logins(), (3, 1), "another key opens nothing, and nothing fails");
    office.restart(|options| options.vault = None).await;
    office.rest(0).await;
    assert_eq!(office.logins(), (4, 1), "without a key nothing is kept");
    // What was kept before is no session of this key's holder either way; damaged files are new logins.
    for entry in kept.path().read_dir().unwrap().flatten() {
        std::fs::write(entry.path(), "damaged").unwrap();
    }
    office.restart(|options| options.vault = vault("b")).await;
    office.rest(0).await;
    office.rest(1).await;
    assert_eq!(office.logins(), (6, 2));
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_that_is_over_or_whose_password_changed_is_forgotten() {
    let kept = tempfile::tempdir().unwrap();
    let key = "c".repeat(64).parse::<VaultKey>().unwrap();
    let vault = SessionVault::open(kept.path(), &key).unwrap();
    let mut office = Office::with(1, 2, |options| options.vault = Some(vault)).await;
    let files = || kept.path().read_dir().unwrap().count();
    office.rest(0).await;
    // Logged out while nobody looked: one login, and what is kept is the new session.
    office.restart(|_| {}).await;
    office.erp.expire(None);
    office.rest(0).await;
    assert_eq!((office.logins(), files()), ((2, 1), 1));
    office.restart(|_| {}).await;
    office.rest(0).await;
    assert_eq!(office.logins(), (2, 0));
    // Logged out while it was warm: forgotten at once, not only when the login succeeded.
    office.erp.expire(None);
    office.credentials.remove(&office.agents[0]);
    assert!(office.acquire(0).await.is_err());
    assert_eq!(files(), 0);
    // Another password: the old session is not this login's any more, and the password is wrong.
    office.credentials.set(
        office.agents[0].clone(),
        office.agents[0].as_str(),
        password_of(office.agents[0].as_str()),
    );
    office.rest(0).await;
    office.credentials.set(office.agents[0].clone(), office.agents[0].as_str(), "changed");
    office.restart(|_| {}).await;
    let error = office.acquire(0).await.err().unwrap();
    assert!(matches!(error, AcquireError::Login(LoginError::Refused { .. })), "{error}");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_session_of_credentials_that_were_replaced_is_not_lent_any_more() {
    let kept = tempfile::tempdir().unwrap();
    let key = "e".repeat(64).parse::<VaultKey>().unwrap();
    let vault = SessionVault::open(kept.path(), &key).unwrap();
    let office = Office::with(1, 2, |options| {
        (options.vault, options.trust_for) = (Some(vault), Duration::from_secs(600));
    })
    .await;
    let files = || kept.path().read_dir().unwrap().count();
    let agent = office.agents[0].clone();
    office.rest(0).await;
    office.rest(0).await;
    assert_eq!((office.logins(), files()), ((1, 1), 1));
    // The ERP still takes the session; it is of a password that somebody took back.
    office.credentials.set(agent.clone(), agent.as_str(), "not the password");
    let error = office.acquire(0).await.err().unwrap();
    assert!(matches!(error, AcquireError::Login(LoginError::Refused { .. })), "{error}");
    assert_eq!((office.erp.stats().logins_refused, files()), (1, 0), "nothing of it is kept");
    office.credentials.set(agent.clone(), agent.as_str(), password_of(agent.as_str()));
    office.rest(0).await;
    assert_eq!(office.logins(), (2, 2));
    // Another person under the same name.
    let other = office.agents[1].as_str().to_owned();
    office.credentials.set(agent.clone(), &other, password_of(&other));
    let lease = office.acquire(0).await.unwrap();
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    assert_eq!(office.logins(), (3, 3));
    // Nobody, any more.
    office.credentials.remove(&agent);
    let error = office.acquire(0).await.err().unwrap();
    assert!(matches!(error, AcquireError::Login(LoginError::NoCredentials(_))), "{error}");
    assert_eq!(files(), 0);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_an_agent_that_is_removed_ends_and_nothing_is_kept_of_it() {
    let kept = tempfile::tempdir().unwrap();
    let key = "e".repeat(64).parse::<VaultKey>().unwrap();
    let vault = SessionVault::open(kept.path(), &key).unwrap();
    let mut office = Office::with(1, 3, |options| options.vault = Some(vault)).await;
    let files = || kept.path().read_dir().unwrap().count();
    for agent in 0..3 {
        office.rest(agent).await;
    }
    eventually("all are idle", || office.pool.occupancy().idle == 3).await;
    assert_eq!(files(), 3);
    let [here, elsewhere, third] = &office.agents[..3] else { panic!("three agents") };
    // Removed here: it is over when that is answered.
    office.pool.end(here).await;
    assert_eq!((office.pool.occupancy().idle, files()), (2, 2));
    office.pool.end(here).await;
    // Removed in another process: noticed by itself.
    office.credentials.remove(elsewhere);
    eventually("its session ends", || office.pool.occupancy().idle == 1 && files() == 1).await;
    // Removed while nothing ran here.
    let third = third.clone();
    office.pool.shutdown(Duration::from_secs(5)).await;
    office.credentials.remove(&third);
    assert_eq!(files(), 1);
    office.restart(|_| {}).await;
    eventually("its cookies are deleted", || files() == 0).await;
    office.close().await;
}

/// Else an operator who corrects a password while it is being tried would find the agent locked out by the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_that_was_replaced_meanwhile_locks_nobody_out() {
    let mut office = Office::open(1, 2).await;
    let agent = &office.agents[0];
    let right = FixedCredentials::new().with(agent.clone(), agent.as_str(), password_of(agent.as_str()));
    let corrected = Arc::new(CorrectedCredentials::new(right));
    office.pool.shutdown(Duration::from_secs(5)).await;
    let pool =
        ChromiumPool::start(office.options.clone(), site(&office.erp.url()), corrected.clone()).unwrap();
    office.pool = Arc::new(pool);
    office.rest(0).await;
    assert_eq!((office.logins(), office.erp.stats().logins_refused), ((1, 1), 1));
    // Nobody is lent a session, and nobody locked out, while it is not known whether it is theirs.
    corrected.unreadable(true);
    let error = office.acquire(0).await.err().unwrap();
    let AcquireError::Unusable(why) = &error else { panic!("{error}") };
    assert!(why.contains("credentials cannot be read: the store is unavailable"), "{why}");
    corrected.unreadable(false);
    office.rest(0).await;
    assert_eq!(office.logins(), (1, 1), "the session is still there");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_thrown_out_again_and_again_does_not_fight_over_the_session() {
    let office = Office::with(1, 2, |options| options.login_pause = Duration::from_secs(600)).await;
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(office.acquire(0).await.map(drop).map_err(|error| error.to_string()));
        office.erp.expire(None);
        office.in_use(0).await;
    }
    let (first, rest) = outcomes.split_at(4);
    assert!(first.iter().all(Result::is_ok), "{outcomes:?}");
    for told in rest {
        let told = told.as_ref().unwrap_err();
        assert!(told.contains("ended 4 sessions in a row soon after their login"), "{told}");
    }
    assert_eq!(office.erp.stats().logins, 4);
    // Nobody else waits for that.
    office.rest(1).await;
    office.close().await;
}

/// Each try is one request for the password; what comes next is a person's decision.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_refused_in_the_erps_words_and_tried_once() {
    let office = Office::open(1, 2).await;
    let right = password_of(office.agents[0].as_str());
    let tries = |password: &str| {
        office.credentials.set(office.agents[0].clone(), office.agents[0].as_str(), password);
        async { office.acquire(0).await.err().map(|error| error.to_string()) }
    };
    let mut told = String::new();
    for wrong in 1..=20_u64 {
        told = tries("wrong").await.unwrap();
        assert_eq!(office.erp.stats().logins_refused, wrong, "tried once");
        if told.contains("bloccato") {
            break;
        }
    }
    assert!(told.contains("bloccato"), "{told}");
    let told = tries(&right).await.unwrap();
    assert!(told.contains("bloccato"), "{told}");
    assert_eq!(office.erp.stats().logins, 0);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_is_parked_without_its_page_and_stays_logged_in() {
    let office = Office::with(1, 2, |options| options.park_after = Duration::from_millis(100)).await;
    office.rest(0).await;
    let pages =
        || processes_of(office.profiles.path()).iter().filter(|it| it.contains("--type=renderer")).count();
    eventually("its page is closed", || pages() == 0).await;
    let lease = office.acquire(0).await.unwrap();
    // One in use is not parked, however long it takes.
    assert!(!office.renderers().is_empty());
    tokio::time::sleep(Duration::from_millis(400)).await;
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    assert_eq!(office.logins(), (1, 1));
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_served_enough_is_replaced_and_the_kept_sessions_move() {
    let kept = tempfile::tempdir().unwrap();
    let key = "d".repeat(64).parse::<VaultKey>().unwrap();
    let vault = SessionVault::open(kept.path(), &key).unwrap();
    let change = |options: &mut PoolOptions| {
        (options.retire_sessions, options.vault) = (2, Some(vault));
        options.park_after = Duration::from_millis(100);
    };
    let office = Office::with(1, 2, change).await;
    let first = office.engines();
    assert_eq!(first.len(), 0);
    office.rest(0).await;
    let old = office.engines();
    let lease = office.acquire(1).await.unwrap();
    eventually("it retires", || office.pool.occupancy().idle == 0).await;
    // In use until its user is done, beside its successor.
    office.rest(0).await;
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    eventually("the old one is gone", || old.iter().all(|pid| !office.engines().contains(pid))).await;
    office.rest(1).await;
    let occupancy = office.pool.occupancy();
    assert_eq!((office.erp.stats().logins, occupancy.logins, occupancy.crashes), (2, 2, 0));
    office.close().await;
}

/// Everything that can end a lease, again and again; what is left is what was there.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_leases_under_crashes_leave_nothing_behind() {
    let change = |options: &mut PoolOptions| options.login_pause = Duration::ZERO;
    let office = Office::with(2, 2, change).await;
    for round in 0..75_u64 {
        let uses = [0, 1, 2, 3].map(|agent| {
            let office = &office;
            async move {
                let asked =
                    tokio::time::timeout(Duration::from_secs(90), office.acquire(agent)).await.unwrap();
                // Its browser may just have been killed, again and again: then the next round is as good.
                let Ok(lease) = asked else { return };
                match (round * 7 + agent as u64 * 3) % 11 {
                    0 => drop(lease),
                    1 => {
                        let work = lease.client().read_customers(1);
                        let _ = tokio::time::timeout(Duration::from_millis(round % 30), work).await;
                        drop(lease);
                    }
                    2 => {
                        let _ = lease.client().read_customers(1).await;
                        if let Some(page) = office.renderers().first() {
                            let _ = kill(*page, Signal::SIGKILL);
                        }
                        lease.finish(Finish::Dirty).await;
                    }
                    3 => lease.finish(Finish::Dirty).await,
                    4 if round % 4 == 0 => {
                        for engine in office.engines().into_iter().take(1) {
                            let _ = kill(engine, Signal::SIGKILL);
                        }
                        let _ = lease.client().check_health().await;
                        lease.finish(Finish::Dirty).await;
                    }
                    _ => {
                        let how = lease.client().check_health().await;
                        lease.finish(if how.is_ok() { Finish::Clean } else { Finish::Dirty }).await;
                    }
                }
            }
        });
        futures::future::join_all(uses).await;
        if round % 10 == 0 {
            office.erp.expire(None);
        }
    }
    office.in_use(0).await;
    assert!(office.pool.occupancy().crashes > 3, "{:?}", office.pool.occupancy());
    // As many browsers, profiles, contexts and pages as sessions that rest.
    let (rest, profiles) =
        (|| office.pool.occupancy(), || office.profiles.path().read_dir().unwrap().count());
    eventually("no browser and no profile more", || {
        (office.engines().len(), profiles()) == (rest().browsers, rest().browsers)
    })
    .await;
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (contexts, pages) = office.contexts_and_pages().await;
        if contexts == rest().idle && pages <= contexts {
            break;
        }
        assert!(Instant::now() < until, "{contexts} contexts, {pages} pages: {:?}", rest());
    }
    office.close().await;
}

#[tokio::test]
async fn a_pool_that_cannot_serve_is_refused_at_the_start() {
    let start = |options: PoolOptions, url: &str| {
        ChromiumPool::start(options, site(url), Arc::new(FixedCredentials::new())).map(drop).unwrap_err()
    };
    let empty = start(PoolOptions { contexts: 0, ..PoolOptions::default() }, "http://erp.test/");
    assert!(matches!(empty, PoolError::Empty { what: "contexts" }), "{empty}");
    let launch = LaunchOptions { engine: Some("/nowhere/chrome".into()), ..LaunchOptions::default() };
    let missing = start(PoolOptions { launch, ..PoolOptions::default() }, "http://erp.test/");
    assert!(matches!(missing, PoolError::Engine(_)), "{missing}");
    let neither = start(PoolOptions::default(), "ftp://erp.test/");
    assert!(matches!(neither, PoolError::Rules(_)), "{neither}");
    let options = PoolOptions { erp_ca: Some("no-such-file.pem".into()), ..PoolOptions::default() };
    let tls = start(options, "https://erp.test/");
    assert!(matches!(tls, PoolError::Tls(_)) && tls.to_string().contains("no-such-file.pem"), "{tls}");
}

/// Width and height of a JPEG, by the header of its frame.
fn size_of(jpeg: &[u8]) -> (u16, u16) {
    assert!(jpeg.starts_with(b"\xff\xd8\xff"), "no JPEG: {:?}", &jpeg[..8]);
    let mut at = 2;
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if (0xc0..=0xc2).contains(&jpeg[at + 1]) {
            let number = |from: usize| u16::from_be_bytes([jpeg[at + from], jpeg[at + from + 1]]);
            return (number(7), number(5));
        }
        at += 2 + length;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_small_what_a_session_in_use_shows_and_the_page_does_not_notice() {
    let office = Office::open(1, 1).await;
    assert!(office.picture(0).await.is_none(), "there is no session");
    let lease = office.acquire(0).await.unwrap();
    let watch = "window.resized = 0; addEventListener('resize', () => window.resized++); innerWidth";
    let width = office.in_page(watch).await;
    let picture = office.seen(0).await;
    assert!(picture.len() <= 32 * 1024, "{}", picture.len());
    let (wide, high) = size_of(&picture);
    assert_eq!((wide, high), (320, 200));
    assert!(office.picture(1).await.is_none(), "that agent has none");
    // Two frames later nothing would still be on its way.
    let told = "new Promise((told) => requestAnimationFrame(() => requestAnimationFrame(() =>
        told([window.resized, innerWidth]))))";
    assert_eq!(office.in_page(told).await, serde_json::json!([0, width]));
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    assert!(office.picture(0).await.is_none(), "nobody uses it");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_asked_for_its_password_shows_nothing() {
    let office = Office::open(1, 1).await;
    let lease = office.acquire(0).await.unwrap();
    office.erp.expire(None);
    let error = lease.client().read_customers(1).await.unwrap_err();
    assert!(matches!(error, ClientError::SessionExpired), "{error}");
    let login = "document.querySelectorAll('input[type=password]').length";
    assert_eq!(office.in_page(login).await, 1);
    assert!(office.picture(0).await.is_none());
    lease.finish(Finish::Dirty).await;
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_hangs_is_left_alone_and_goes_on_undisturbed() {
    let office = Office::open(1, 1).await;
    let lease = office.acquire(0).await.unwrap();
    let renderers = office.renderers();
    assert!(!renderers.is_empty());
    renderers.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    let asked = Instant::now();
    assert!(office.picture(0).await.is_none());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    renderers.iter().for_each(|pid| kill(*pid, Signal::SIGCONT).unwrap());
    assert!(office.picture(0).await.is_none(), "it is not asked again so soon");
    lease.client().check_health().await.unwrap();
    lease.finish(Finish::Clean).await;
    office.close().await;
}

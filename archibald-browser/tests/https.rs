//! An ERP at an https address: the flows and the pool against the simulated one behind TLS, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use archibald_browser::erp::Site;
use archibald_browser::gate::Tls;
use archibald_browser::launch::LaunchOptions;
use archibald_browser::page_map::PageMap;
use archibald_browser::{ChromiumPool, PoolError, PoolOptions, SessionVault, VaultKey};
use archibald_core::effect::ActOutcome;
use archibald_core::erp::differences;
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::operation::Class;
use archibald_core::port::{
    AcquireError, AcquireRequest, ArchibaldClient, BrowserPool, Finish, SessionLease,
};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{ErpOptions, ErpSimulator, Fault, RunningErp};
use common::office::{Forever, Office, told};
use common::seconds;
use common::tls::{Authority, Front};

const PAGE: &str = "Order.aspx";

const LOOK_UP: &str = "() => new Promise((done) => {
  const rows = document.getElementById('ctl00_Main_CustomerPopup_Rows');
  new MutationObserver(() => done(rows.children.length)).observe(rows, { childList: true });
  document.getElementById('ctl00_Main_CustomerLookup').click();
})";

#[tokio::test]
async fn an_order_is_saved_once_and_read_back_over_tls() {
    let office = Office::open_over_tls().await;
    let desk = office.desk().await;
    let wanted = office.wanted(3);
    let (outcome, reference) = desk.create(1, &wanted).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!(differences(&wanted, &reference, &order), Vec::<String>::new());
    assert_eq!(desk.numbers_with(1).await, std::slice::from_ref(&order.number));
    assert_eq!(desk.client.read_order(&order.number).await.unwrap(), Some(order.clone()));
    assert_eq!((office.posts(PAGE, "Save"), office.effects().len()), (1, 1));

    // The look-up: a callback of the page's own script.
    let page = desk.client.page();
    page.open(&seconds(20), office.site.base().join(PAGE).unwrap().as_str()).await.unwrap();
    let rows: usize = page.evaluate(&seconds(20), "looking up", LOOK_UP, &()).await.unwrap();
    assert!(rows > 0);
    assert_eq!(office.posts(PAGE, "CustomerPopup"), 1);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn over_tls_every_fault_of_a_save_is_one_post_and_told_apart() {
    let office = Office::open_over_tls().await;
    office.strike_every_save().await;
    office.close().await;
}

/// The simulated ERP behind TLS, for a pool.
struct House {
    erp: RunningErp,
    front: Front,
    authority: Authority,
    agent: AgentId,
    profiles: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let data = DataSet::generate(3, 2, 20);
        let agent = AgentId::new(&data.agents[0].user).unwrap();
        let erp = ErpSimulator::start(ErpOptions { data, ..ErpOptions::default() }).await.unwrap();
        let authority = Authority::new();
        let front = Front::before(&erp.url(), authority.vouches_for("127.0.0.1")).await;
        Self { erp, front, authority, agent, profiles: tempfile::tempdir().unwrap() }
    }

    fn pool(&self, change: impl FnOnce(&mut PoolOptions)) -> Result<ChromiumPool, PoolError> {
        let credentials = FixedCredentials::new();
        credentials.set(self.agent.clone(), self.agent.as_str(), password_of(self.agent.as_str()));
        let mut options = PoolOptions {
            browsers: 1,
            contexts: 1,
            launch: LaunchOptions { profiles: self.profiles.path().into(), ..LaunchOptions::default() },
            trust_for: Duration::ZERO,
            erp_ca: Some(self.authority.file().to_owned()),
            ..PoolOptions::default()
        };
        change(&mut options);
        let base = self.front.url("/").parse().unwrap();
        let site = Site::new(PageMap::simulator().unwrap(), base, Duration::from_secs(20));
        ChromiumPool::start(options, site, Arc::new(credentials))
    }

    async fn acquire(&self, pool: &ChromiumPool) -> Result<Box<dyn SessionLease>, AcquireError> {
        let request = AcquireRequest {
            agent: self.agent.clone(),
            token: FencingToken(1),
            class: Class::Interactive,
            guard: Arc::new(Forever),
            wait: Duration::from_secs(60),
            trace: false,
        };
        pool.acquire(request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_logs_in_over_tls_and_its_session_outlives_a_restart() {
    let house = House::open().await;
    let kept = tempfile::tempdir().unwrap();
    let vault = || {
        let key = "a".repeat(64).parse::<VaultKey>().unwrap();
        Some(SessionVault::open(kept.path(), &key).unwrap())
    };
    for logins in [1, 1] {
        let pool = house.pool(|options| options.vault = vault()).unwrap();
        let lease = house.acquire(&pool).await.unwrap();
        lease.client().check_health().await.unwrap();
        lease.finish(Finish::Clean).await;
        assert_eq!(house.erp.stats().logins, logins);
        pool.shutdown(Duration::from_secs(5)).await;
    }
    house.erp.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_says_what_is_wrong_with_the_erp_s_certificate() {
    let house = House::open().await;
    let stranger = Authority::new();
    let pool = house.pool(|options| options.erp_ca = Some(stranger.file().to_owned())).unwrap();
    let error = house.acquire(&pool).await.err().unwrap();
    let said = error.to_string();
    assert!(
        said.contains("the certificate of 127.0.0.1 comes from no authority that is trusted here"),
        "{said}"
    );
    assert_eq!(house.erp.stats().logins, 0);
    pool.shutdown(Duration::from_secs(5)).await;
    house.erp.stop().await;
}

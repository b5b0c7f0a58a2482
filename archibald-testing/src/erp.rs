//! A simulated ERP, as unpleasant as the real one: a slow WebForms site without an API that accepts everything
//! twice, with faults on demand and a ledger of what it really did.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use archibald_testing::erp::{ErpOptions, ErpSimulator, Fault, FaultRule};
//!
//! let erp = ErpSimulator::start(ErpOptions::default()).await?;
//! erp.script([FaultRule::next("Order.aspx", "Save", Fault::DropAfter)]);
//! println!("log in at {}", erp.url());
//! assert!(erp.ledger().is_empty());
//! erp.stop().await;
//! # Ok(())
//! # }
//! ```

mod client;
mod control;
mod fault;
mod front;
mod html;
mod ledger;
mod page;
mod server;
mod session;
mod site;
mod stats;
mod view_state;
mod web;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;

pub use client::{ControlError, ErpControl};
pub use control::{BehaviourChange, HandCustomer, HandOrder};
pub use fault::{Fault, FaultRule, FaultSpec, FaultSpecError};
pub use ledger::{EffectKind, LedgerEntry, OrderContent};
pub use site::{Site, SiteError};
pub use stats::ErpStats;
pub use world::{ErpOrder, OrderState, WRONG_PASSWORDS};

use crate::data::DataSet;
use fault::FaultDesk;
use front::{Books, Erp, House, lock};
use ledger::Ledger;
use server::Tasks;
use session::Sessions;
use view_state::ViewStateKey;
use world::World;

/// Starts simulated ERPs.
#[derive(Debug)]
pub struct ErpSimulator;

/// How a simulated ERP is set up.
#[derive(Clone, Debug)]
pub struct ErpOptions {
    /// Address of the ERP's pages; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the control port; port 0 takes a free one.
    pub control: SocketAddr,
    /// Agents, customers and products; its orders say who sees which customer.
    pub data: DataSet,
    /// Whether the data's orders are at the ERP already, under their ids; otherwise it has none.
    pub preload: bool,
    /// Decides about faults, together with the count of writes.
    pub seed: u64,
    /// What goes wrong by chance.
    pub faults: FaultSpec,
    /// Times and habits.
    pub behaviour: Behaviour,
    /// Whose pages it shows.
    pub site: Site,
}

/// Times and habits of the simulated server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Time that every request takes.
    pub latency: Duration,
    /// Idle time after which a session ends.
    pub idle: Duration,
    /// How late the answer of `slow` is.
    pub slow: Duration,
    /// How long a request may run: `hang-after` holds its session so long, `late` waits at most so long for its
    /// client to give up.
    pub request_limit: Duration,
    /// How long after its client gave up the effect of `late` is applied.
    pub late: Duration,
    /// How long lists lack the row of `stale-list`.
    pub stale: Duration,
    /// How long `maintenance` keeps everybody out.
    pub maintenance: Duration,
    /// Whether a login ends the user's other sessions.
    pub single_session: bool,
}

/// Why a simulated ERP did not start.
#[derive(Debug, thiserror::Error)]
pub enum ErpError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for the {port} port")]
    Listen {
        /// `ERP` or `control`.
        port: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// A simulated ERP that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningErp {
    erp: Arc<Erp>,
    tasks: Tasks,
    address: SocketAddr,
    control: SocketAddr,
}

impl ErpSimulator {
    /// Starts one. Must be called within a tokio runtime, in which it then runs. If the future is dropped, nothing
    /// is left running.
    pub async fn start(options: ErpOptions) -> Result<RunningErp, ErpError> {
        let (pages, address) = listen("ERP", options.listen).await?;
        let (control_listener, control) = listen("control", options.control).await?;
        let mut world = World::new(&options.data);
        if options.preload {
            world.preload(&options.data.orders);
        }
        let erp = Arc::new(Erp {
            site: options.site,
            seed: options.seed,
            books: Mutex::new(Books { world, ledger: Ledger::default() }),
            sessions: Sessions::default(),
            faults: Mutex::new(FaultDesk::new(options.seed, options.faults)),
            stats: Arc::default(),
            house: Mutex::new(House {
                behaviour: options.behaviour,
                key: ViewStateKey::random(),
                closed_until: None,
            }),
        });
        let tasks = Tasks::default();
        server::run_pages(pages, Arc::clone(&erp), &tasks);
        server::run_router(control_listener, control::router(Arc::clone(&erp)), &tasks);
        Ok(RunningErp { erp, tasks, address, control })
    }
}

impl RunningErp {
    /// Where the pages are, for example `http://127.0.0.1:8090`; no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the control port is; no slash at the end.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// Every effect so far.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.erp.books().ledger.after(0).to_vec()
    }

    /// The counts since the start.
    pub fn stats(&self) -> ErpStats {
        self.erp.stats.read()
    }

    /// Every order, of all agents.
    pub fn orders(&self) -> Vec<ErpOrder> {
        self.erp.books().world.orders().cloned().collect()
    }

    /// Adds rules to the script of faults.
    pub fn script(&self, rules: impl IntoIterator<Item = FaultRule>) {
        lock(&self.erp.faults).script(rules.into_iter().collect());
    }

    /// No more faults, neither by script nor by chance.
    pub fn clear_faults(&self) {
        lock(&self.erp.faults).clear();
    }

    /// Ends the sessions of a user, or of everybody; answers how many.
    pub fn expire(&self, user: Option<&str>) -> usize {
        self.erp.sessions.expire(user)
    }

    /// Ends all sessions and changes the view state keys, as when the application pool is recycled.
    pub fn recycle(&self) {
        self.erp.recycle();
    }

    /// How the server behaves now.
    pub fn behaviour(&self) -> Behaviour {
        self.erp.behaviour()
    }

    /// Changes how the server behaves, from the next request on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        lock(&self.erp.house).behaviour = behaviour;
    }

    /// Ends it and waits until nothing of it runs. If the future is dropped, it ends all the same.
    pub async fn stop(self) {
        self.tasks.stop.cancel();
        self.tasks.running.close();
        self.tasks.running.wait().await;
    }
}

impl Drop for RunningErp {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Default for ErpOptions {
    /// Free ports, nine agents with generated data, no faults.
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: free,
            control: free,
            data: DataSet::generate(1, 9, 60),
            preload: false,
            seed: 1,
            faults: FaultSpec::none(),
            behaviour: Behaviour::default(),
            site: Site::default(),
        }
    }
}

impl Default for Behaviour {
    /// Fast enough for tests: 40 ms a request. What is said to last lasts a second or so.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(40),
            idle: Duration::from_secs(20 * 60),
            slow: Duration::from_millis(500),
            request_limit: Duration::from_secs(5),
            late: Duration::from_millis(200),
            stale: Duration::from_secs(1),
            maintenance: Duration::from_secs(1),
            single_session: false,
        }
    }
}

async fn listen(port: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ErpError> {
    let failed = |source| ErpError::Listen { port, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

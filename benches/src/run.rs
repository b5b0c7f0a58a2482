//! A worker that runs what waits, and what it needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_core::id::AgentId;
use archibald_runtime::{Archibald, RuntimeConfig, Worker};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;

use crate::Failure;
use crate::machine::{Busy, cpu_of_this_process};
use crate::store::Three;
use crate::wait::Waits;
use crate::work::Ledger;

/// How long what runs at the end may take to be settled.
const DRAIN: Duration = Duration::from_secs(60);

/// A worker in this process.
pub struct Running {
    ledger: Arc<Ledger>,
    /// Kept as long as the worker, whose inbox it feeds.
    _archibald: Archibald,
    worker: Worker,
    began: Instant,
    cpu: f64,
    busy: Busy,
}

/// What it did until it was told to stop.
pub struct Drained {
    /// What it ran.
    pub ledger: Arc<Ledger>,
    /// When it was started.
    pub began: Instant,
    /// From its start until everything was settled.
    pub makespan: Duration,
    /// Processor time of this process, in seconds.
    pub cpu: f64,
    /// What others did meanwhile.
    pub busy: Busy,
}

/// A worker's settings: so many operations together, and no slot that is kept for some.
#[must_use]
pub fn config(concurrency: usize) -> RuntimeConfig {
    RuntimeConfig { concurrency, reserved_interactive: Some(0), ..RuntimeConfig::default() }
}

impl Running {
    /// Starts one that notes what it runs in a ledger.
    ///
    /// # Errors
    /// Where the settings are no good.
    pub fn start(ports: &Three, ledger: &Arc<Ledger>, config: RuntimeConfig) -> Result<Self, Failure> {
        let ports = ports.ports(FakeErp::new(config.concurrency), Arc::new(FixedCredentials::new()));
        let archibald = Archibald::builder(ports).config(config).action(ledger.action()).build()?;
        let (began, cpu, busy) = (Instant::now(), cpu_of_this_process(), Busy::now());
        let worker = archibald.start().ok_or("the worker was started before")?;
        Ok(Self { ledger: ledger.clone(), _archibald: archibald, worker, began, cpu, busy })
    }

    /// Lets what runs be settled, and takes nothing more.
    ///
    /// # Errors
    /// Where that takes too long, or a promise was broken.
    pub async fn end(self) -> Result<Drained, Failure> {
        if !self.worker.drain(DRAIN).await {
            return Err("what ran was not settled in time".into());
        }
        let (makespan, cpu) = (self.began.elapsed(), cpu_of_this_process() - self.cpu);
        self.ledger.broken().check()?;
        Ok(Drained { ledger: self.ledger, began: self.began, makespan, cpu, busy: self.busy })
    }
}

impl Drained {
    /// From the worker's start to the start of each operation whose agent is asked for.
    #[must_use]
    pub fn waits(&self, is_asked_for: impl Fn(&AgentId) -> bool) -> Waits {
        let starts = self.ledger.starts();
        let starts = starts.values().filter(|(agent, _)| is_asked_for(agent));
        Waits::of(starts.map(|(_, at)| at.duration_since(self.began)))
    }
}

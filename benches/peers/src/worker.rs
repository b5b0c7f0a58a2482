//! `graphile_worker`, set up as it is fastest: it fetches several hundred jobs at once, and completes in batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::meter::Cost;
use archibald_benches::work::takes;
use chrono::{TimeDelta, Utc};
use clap::Args;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, RefetchDelayConfig, TaskHandler, Worker,
    WorkerContext, WorkerOptions, WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::database::Database;
use crate::ledger::Ledger;

const SCHEMA: &str = "graphile_worker";
/// Jobs that are added by one statement.
const BATCH: usize = 1_000;
/// How long what runs at the end may take to be completed.
const DRAIN: Duration = Duration::from_secs(60);

/// What of it may be set.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Jobs that are fetched at once
    #[arg(long, default_value_t = 500)]
    pub local_queue: usize,
    /// Queues of that size
    #[arg(long, default_value_t = 1)]
    pub queue_count: usize,
    /// Milliseconds that completed jobs are collected
    #[arg(long, default_value_t = 2)]
    pub complete_delay: u64,
    /// Milliseconds after which it looks for jobs that nobody told it of
    #[arg(long, default_value_t = 1_000)]
    pub poll: u64,
    /// Milliseconds that it waits after it found nothing, unless it is told of something. 0 is not at all: it asks
    /// again at once, for ever, which is fastest, and so the default but in W4, where 1,000 costs least
    #[arg(long)]
    pub refetch_delay: Option<u64>,
    /// Connections that it may have
    #[arg(long, default_value_t = 20)]
    pub connections: u32,
}

impl Settings {
    fn queue(&self) -> LocalQueueConfig {
        let queue =
            LocalQueueConfig::default().with_size(self.local_queue).with_queue_count(self.queue_count);
        let wait = Duration::from_millis(self.refetch_delay.unwrap_or(0));
        if wait.is_zero() {
            return queue;
        }
        // The first that it is told of ends the wait.
        queue
            .with_refetch_delay(RefetchDelayConfig::default().with_duration(wait).with_max_abort_threshold(1))
    }
}

/// An operation as a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    /// Whose it is.
    pub agent: usize,
    /// Its place in the order in which all were asked for.
    pub number: usize,
    /// How long it takes.
    pub micros: u64,
}

impl TaskHandler for Operation {
    const IDENTIFIER: &'static str = "bench";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let Some(ledger) = context.get_ext::<Arc<Ledger>>() else {
            return Err("a worker without a ledger".to_owned());
        };
        ledger.start(self.agent, self.number);
        if self.micros > 0 {
            takes(Duration::from_micros(self.micros)).await;
        }
        ledger.end(self.agent);
        Ok(())
    }
}

impl Operation {
    /// Only what has a queue waits for others of it.
    fn spec(&self, has_queue: bool) -> JobSpec {
        let queue_name = has_queue.then(|| format!("agent-{:06}", self.agent));
        JobSpec { queue_name, ..JobSpec::default() }
    }
}

/// A worker that is ready and does not run yet.
pub struct Ready {
    worker: Worker,
    utils: WorkerUtils,
    pool: PgPool,
    ledger: Arc<Ledger>,
}

/// A worker that runs in this process.
pub struct Running {
    ready: Arc<Ready>,
    task: JoinHandle<Result<(), String>>,
    began: Instant,
    cpu: f64,
    busy: Busy,
    cost: Cost,
}

/// What it did until it was told to stop.
#[derive(Debug)]
pub struct Drained {
    /// When it was started.
    pub began: Instant,
    /// From its start until everything was completed.
    pub makespan: Duration,
    /// Processor time of this process, in seconds.
    pub cpu: f64,
    /// What it cost the database.
    pub cost: Cost,
    /// How much of the machine others used: 0 to 1.
    pub load: f64,
}

impl Ready {
    /// In an empty database.
    ///
    /// # Errors
    /// What the database or the worker says.
    pub async fn new(database: &Database, settings: &Settings, concurrency: usize) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new().max_connections(settings.connections);
        let pool = pool.connect_with(database.options()?).await?;
        let ledger = Arc::new(Ledger::default());
        let worker = WorkerOptions::default()
            .pg_pool(pool.clone())
            .schema(SCHEMA)
            .concurrency(concurrency)
            .poll_interval(Duration::from_millis(settings.poll))
            .local_queue(settings.queue())
            .complete_job_batch_delay(Duration::from_millis(settings.complete_delay))
            .listen_os_shutdown_signals(false)
            .add_extension(ledger.clone())
            .define_job::<Operation>()
            .init()
            .await?;
        let utils = worker.create_utils();
        Ok(Self { worker, utils, pool, ledger })
    }

    /// Adds all, in their order, which is that of `run_at`: of those that share one the database picks any.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add(&self, all: &[Operation], has_queue: bool) -> Result<(), Failure> {
        let first = Utc::now() - TimeDelta::hours(1);
        for batch in all.chunks(BATCH) {
            let mut jobs = vec![];
            for operation in batch {
                let run_at = first + TimeDelta::microseconds(i64::try_from(operation.number)?);
                let spec = JobSpec { run_at: Some(run_at), ..operation.spec(has_queue) };
                let payload = serde_json::to_value(operation)?;
                jobs.push(RawJobSpec { identifier: Operation::IDENTIFIER.to_owned(), payload, spec });
            }
            self.utils.add_raw_jobs(&jobs).await?;
        }
        // Nobody is to do that while it is measured.
        sqlx::query(AssertSqlSafe(format!("vacuum analyze {SCHEMA}._private_jobs")))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where the database does not say what it did so far.
    pub async fn start(self, database: &mut Database) -> Result<Running, Failure> {
        let (ready, cost) = (Arc::new(self), database.cost().await?);
        let (began, cpu, busy) = (Instant::now(), cpu_of_this_process(), Busy::now());
        let working = ready.clone();
        let task = tokio::spawn(async move { working.worker.run().await.map_err(|error| error.to_string()) });
        Ok(Running { ready, task, began, cpu, busy, cost })
    }

    async fn unfinished(&self) -> Result<i64, Failure> {
        let count = format!("select count(*) from {SCHEMA}._private_jobs");
        Ok(sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.pool).await?)
    }
}

impl Running {
    /// What it notes its runs in.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ready.ledger
    }

    /// The same, to be read when the worker is gone.
    #[must_use]
    pub fn shared_ledger(&self) -> Arc<Ledger> {
        self.ready.ledger.clone()
    }

    /// Adds one, which waits for those of its agent.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add_one(&self, operation: &Operation) -> Result<(), Failure> {
        self.ready.utils.add_job(operation.clone(), operation.spec(true)).await?;
        Ok(())
    }

    /// Measures from now on.
    ///
    /// # Errors
    /// Where the database does not say what it did so far.
    pub async fn measure_anew(&mut self, database: &mut Database) -> Result<(), Failure> {
        self.cost = database.cost().await?;
        (self.began, self.cpu, self.busy) = (Instant::now(), cpu_of_this_process(), Busy::now());
        Ok(())
    }

    /// What it did so far.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn so_far(&self, database: &mut Database) -> Result<Drained, Failure> {
        let (makespan, cpu) = (self.began.elapsed(), cpu_of_this_process() - self.cpu);
        let cost = database.cost().await?.since(&self.cost);
        let load = self.busy.of_others(cpu + cost.cpu.unwrap_or(0.0));
        Ok(Drained { began: self.began, makespan, cpu, cost, load })
    }

    /// Lets what runs be completed, and takes nothing more.
    ///
    /// # Errors
    /// Where that takes too long, something is left undone, or a promise was broken.
    pub async fn end(self, database: &mut Database) -> Result<Drained, Failure> {
        self.ready.worker.request_shutdown();
        let Self { ready, task, began, cpu, busy, cost } = self;
        let ended = tokio::time::timeout(DRAIN, task).await;
        ended.map_err(|_| "what ran was not completed in time")???;
        let (makespan, cpu) = (began.elapsed(), cpu_of_this_process() - cpu);
        let cost = database.cost().await?.since(&cost);
        let load = busy.of_others(cpu + cost.cpu.unwrap_or(0.0));
        let unfinished = ready.unfinished().await?;
        ready.pool.close().await;
        if unfinished > 0 {
            return Err(format!("{unfinished} operations were left undone").into());
        }
        ready.ledger.broken().check()?;
        Ok(Drained { began, makespan, cpu, cost, load })
    }
}

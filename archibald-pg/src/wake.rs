//! Wake-ups across processes: one background task tells, one listens, one looks.
//!
//! A notification is a hint and carries no data: who is woken reads the log. It is sent after the commit and
//! outside its transaction, several commits in one, because a commit with a notification takes a lock that
//! the whole database shares. A worker's heartbeat alone, one statement every half a minute, is one itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use archibald_core::id::AgentId;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Executor, PgPool, Postgres, Row};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::hub::{Hub, News};
use crate::options::{Listen, PgOptions};
use crate::sql::Sql;
use crate::store::{UNANSWERED, answered};
use crate::tx::{SILENCE, gone_silent};

/// What is committed this soon after something was told waits to be told together. The first word after a silence
/// waits for nothing.
const GATHER: Duration = Duration::from_millis(5);
/// How soon it is tried again to listen.
const RECONNECT: Duration = Duration::from_millis(200);
/// After how long without a notification it is seen whether any could come: a worker's heartbeats are heard by itself,
/// so that where one works as it does by default nobody has to ask.
const QUIET: Duration = Duration::from_secs(40);
/// How long a new listener waits for what it told itself.
const DEAF: Duration = Duration::from_secs(10);
/// Who listens to nothing looks for pauses and other workers with every so manieth look at the logs.
const SURVEY_EVERY: u32 = 5;
/// PostgreSQL takes just under 8,000 bytes in one notification.
const LONGEST: usize = 7_000;
/// Everybody is to read everything.
const EVERYBODY: &str = "*";
/// What every survey tells is to be read.
const SURVEY: &str = "=";
/// Said to ourselves alone: whether what is told is heard.
const TEST: &str = "?";

/// Starts the tasks; they end when they are aborted.
pub(crate) fn start(
    address: PgConnectOptions,
    pool: PgPool,
    sql: &Arc<Sql>,
    hub: &Arc<Hub>,
    options: &PgOptions,
) -> Vec<JoinHandle<()>> {
    let (schema, every) = (options.schema.clone(), options.poll_every);
    let address = match &options.listen {
        Listen::Here => Some(address),
        Listen::At(address) => Some(address.as_ref().clone()),
        Listen::Nowhere => None,
    };
    let ear = address.map(|address| Ear {
        address,
        channel: channel(&schema),
        pool: pool.clone(),
        sql: sql.clone(),
        hub: hub.clone(),
    });
    let mut tasks = vec![
        tokio::spawn(tell(pool.clone(), sql.clone(), hub.clone(), schema)),
        tokio::spawn(look(pool, sql.clone(), hub.clone(), every)),
    ];
    tasks.extend(ear.map(|ear| tokio::spawn(ear.listen())));
    tasks
}

/// Tells the other processes what they have not been told yet, if that is possible now.
pub(crate) async fn flush(pool: &PgPool, sql: &Arc<Sql>, hub: &Hub, schema: &str) -> bool {
    let news = hub.take_news();
    let payloads = payloads(&news, hub.id);
    if payloads.is_empty() {
        return true;
    }
    let notify = sql.notify.query().bind(channel(schema)).bind(payloads);
    let told = alone(pool, sql, UNANSWERED, notify).await;
    if let Err(error) = &told {
        tracing::debug!(%error, "other processes could not be notified yet");
        hub.put_back(news);
    }
    told.is_ok()
}

async fn tell(pool: PgPool, sql: Arc<Sql>, hub: Arc<Hub>, schema: String) {
    loop {
        hub.untold.notified().await;
        while !flush(&pool, &sql, &hub, &schema).await {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(GATHER).await;
    }
}

/// Who listens.
struct Ear {
    address: PgConnectOptions,
    channel: String,
    pool: PgPool,
    sql: Arc<Sql>,
    hub: Arc<Hub>,
}

/// Why it is listened no more.
enum Deaf {
    /// The connection is lost, or there was none.
    Lost(sqlx::Error),
    /// Nothing comes through: a pooler lends the connection that listens to others.
    Unheard,
}

impl From<sqlx::Error> for Deaf {
    fn from(error: sqlx::Error) -> Self {
        Self::Lost(error)
    }
}

impl Ear {
    async fn listen(self) {
        let mut was_garbled = false;
        loop {
            let heard = self.hear().await;
            self.hub.listening.store(false, Ordering::Relaxed);
            // What is told on the very connection that listens, lent to both, garbles the answer to it.
            let is_garbled = matches!(&heard, Err(Deaf::Lost(sqlx::Error::Protocol(_))));
            match heard {
                Err(Deaf::Lost(error)) if !(is_garbled && was_garbled) => {
                    tracing::info!(%error, "not listening for other processes; trying again");
                }
                Ok(()) => {}
                // To try again would hand more connections that listen to others.
                Err(Deaf::Unheard | Deaf::Lost(_)) => {
                    return tracing::error!(
                        "notifications do not come through: behind a pooler that lends connections for a \
                         transaction `PgOptions::listen` must be another address or `Nowhere`; the logs are looked at"
                    );
                }
            }
            was_garbled = is_garbled;
            sleep(RECONNECT).await;
        }
    }

    /// Listens until the connection is lost. What was sent before it listened, or is lost with it, is made up for
    /// by waking everybody once it listens.
    async fn hear(&self) -> Result<(), Deaf> {
        // Not of the other pool: its connections are rolled back, listen to nothing and are soon needed. And a new
        // one each time: a listener that was given up keeps its connection until the network says that it is lost.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.address.clone());
        let mut listener = answered(PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        answered(listener.listen(&self.channel)).await?;
        self.try_out(&mut listener).await?;
        self.hub.listening.store(true, Ordering::Relaxed);
        self.hub.wake_everybody();
        loop {
            // The other ways to receive hide that the connection was lost.
            match timeout(QUIET, listener.try_recv()).await {
                Ok(received) => match received? {
                    Some(notification) => {
                        self.hub.unheard.store(false, Ordering::Relaxed);
                        heard(&self.hub, notification.payload());
                    }
                    None => return Ok(()),
                },
                // A heartbeat was told and not heard: what is listened to here is not what is told any more.
                Err(_) if self.hub.unheard.swap(false, Ordering::Relaxed) => return Ok(()),
                // A network that forgot the connection tells nobody.
                Err(_) => answered(listener.execute("select 1")).await.map(|_| ())?,
            }
        }
    }

    /// Whether what is told on another connection is heard on this one.
    async fn try_out(&self, listener: &mut PgListener) -> Result<(), Deaf> {
        let test = format!("{} {TEST}{}", self.hub.id.simple(), Uuid::now_v7().simple());
        let notify = self.sql.notify.query().bind(self.channel.clone()).bind(vec![test.clone()]);
        alone(&self.pool, &self.sql, UNANSWERED, notify).await?;
        let heard_it = async {
            while let Some(notification) = listener.try_recv().await? {
                if notification.payload() == test {
                    return Ok(true);
                }
            }
            Ok::<_, sqlx::Error>(false)
        };
        match timeout(DEAF, heard_it).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(gone_silent().into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                answered(listener.execute("unlisten *")).await?;
                Err(Deaf::Unheard)
            }
        }
    }
}

/// One statement by itself, in a task of its own: what is cut off while it begins a transaction would leave that to
/// the next user of its connection.
async fn alone(
    pool: &PgPool,
    sql: &Arc<Sql>,
    limit: Duration,
    query: Query<'static, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let (pool, sql) = (pool.clone(), sql.clone());
    let done = tokio::spawn(async move {
        let acquired = timeout(limit, pool.acquire()).await;
        sql.fetch_all(acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut))?, limit, query).await
    });
    done.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Workers look by themselves too, in their sweeps: for them alone only where nothing is listened to.
async fn look(pool: PgPool, sql: Arc<Sql>, hub: Arc<Hub>, every: Duration) {
    let mut seen = HashMap::new();
    for looks in 1_u32.. {
        sleep(every).await;
        let subscribed = hub.subscribed();
        let all = subscribed.workers && !hub.listening.load(Ordering::Relaxed);
        if !all && subscribed.devices.is_empty() {
            continue;
        }
        let devices: Vec<_> = subscribed.devices.iter().map(AgentId::to_string).collect();
        let heads = sql.heads.query().bind(all).bind(devices);
        let heads = alone(&pool, &sql, SILENCE, heads).await;
        let Ok(heads) = heads else { continue };
        for row in heads {
            wake_if_new(&hub, &mut seen, &row);
        }
        if all && looks.is_multiple_of(SURVEY_EVERY) {
            hub.wake_for_survey();
        }
    }
}

/// A log that is seen for the first time may have grown since its followers read it.
fn wake_if_new(hub: &Hub, seen: &mut HashMap<AgentId, (Uuid, i64)>, row: &PgRow) {
    let read = || Some((AgentId::new(row.try_get::<&str, _>("agent").ok()?).ok()?, place(row)?));
    let Some((agent, place)) = read() else { return };
    if seen.insert(agent.clone(), place) != Some(place) {
        hub.wake(&agent, true);
    }
}

fn place(row: &PgRow) -> Option<(Uuid, i64)> {
    Some((row.try_get("epoch").ok()?, row.try_get("head").ok()?))
}

/// What a heartbeat says on which channel, where we listen: by whom it is, and nothing to anybody. Where it is not heard
/// here either, we are not told any more.
pub(crate) fn of_heartbeat(hub: &Hub, schema: &str) -> Option<(String, String)> {
    if !hub.listening.load(Ordering::Relaxed) {
        return None;
    }
    hub.unheard.store(true, Ordering::Relaxed);
    Some((channel(schema), hub.id.simple().to_string()))
}

/// As the schema, so that stores in different schemas do not wake each other.
fn channel(schema: &str) -> String {
    format!("{schema}_wakes")
}

/// Who tells, and names of agents or [`SURVEY`], one after the other; with `!` where workers are to wake too.
fn payloads(news: &News, from: Uuid) -> Vec<String> {
    if news.everybody {
        return vec![format!("{} {EVERYBODY}", from.simple())];
    }
    let agents =
        news.agents.iter().map(|(agent, workers)| format!(" {agent}{}", if *workers { "!" } else { "" }));
    let mut payloads: Vec<String> = vec![];
    for word in news.survey.then(|| format!(" {SURVEY}")).into_iter().chain(agents) {
        match payloads.last_mut().filter(|payload| payload.len() + word.len() < LONGEST) {
            Some(payload) => payload.push_str(&word),
            None => payloads.push(format!("{}{word}", from.simple())),
        }
    }
    payloads
}

fn heard(hub: &Hub, payload: &str) {
    let mut words = payload.split(' ');
    if words.next() == Some(&hub.id.simple().to_string()) {
        return;
    }
    for word in words.filter(|word| !word.starts_with(TEST)) {
        if word == SURVEY {
            hub.wake_for_survey();
            continue;
        }
        let (name, workers) = word.strip_suffix('!').map_or((word, false), |name| (name, true));
        match AgentId::new(name) {
            Ok(agent) => hub.wake(&agent, workers),
            // Everybody, or of a version that says more than we understand.
            Err(_) => hub.wake_everybody(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::port::{WorkerWake, WorkerWakeups};
    use futures::FutureExt;

    #[test]
    fn what_is_told_is_heard() {
        let (here, there) = (Hub::default(), Hub::default());
        for n in 0..1000 {
            let agent = AgentId::new(format!("agent-with-a-rather-long-name-{n}")).unwrap();
            here.committed(&agent, n % 2 == 0);
        }
        let told = payloads(&here.take_news(), here.id);
        assert!(told.len() > 1 && told.iter().all(|payload| payload.len() < 8000));
        let woken = |hub: &Hub| {
            let mut worker = hub.worker();
            told.iter().for_each(|payload| heard(hub, payload));
            std::iter::from_fn(move || worker.next().now_or_never()).count()
        };
        assert_eq!((woken(&there), woken(&here)), (500, 0), "who tells knows already");

        let mut worker = there.worker();
        here.committed_everything();
        payloads(&here.take_news(), here.id).iter().for_each(|payload| heard(&there, payload));
        assert_eq!(worker.next().now_or_never(), Some(Ok(WorkerWake::Lost)));

        here.committed_survey();
        payloads(&here.take_news(), here.id).iter().for_each(|payload| heard(&there, payload));
        assert_eq!(worker.next().now_or_never(), Some(Ok(WorkerWake::Survey)));
        heard(&there, &here.id.simple().to_string());
        heard(&there, &format!("{} {TEST}", here.id.simple()));
        assert_eq!(worker.next().now_or_never(), None);
    }
}

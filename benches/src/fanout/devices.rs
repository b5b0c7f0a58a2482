//! Those who follow, and what reaches them when.

mod sse;
mod ws;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Transport;
use crate::Failure;
use crate::child::{Questions, answer};
use crate::machine::now_ns;

/// Devices that connect at the same time.
const TOGETHER: usize = 64;

/// How long a device waits for its first place.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a device that stops reading lets the kernel keep for it.
const STALLED_BUFFER: u32 = 4 * 1024;

/// What devices are asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// To connect, all from the beginning; answered by [`Connected`].
    Connect(Connect),
    /// To wait until all have these places, one of each agent; answered by [`Followed`].
    Await {
        /// By the agents' numbers.
        heads: Vec<u64>,
        /// For how long at most.
        seconds: u64,
    },
}

/// More devices.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connect {
    /// Of the server.
    pub address: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// Device `n` is one of agent `n` modulo this.
    pub agents: usize,
    /// How many.
    pub count: usize,
    /// Whether they read nothing more once they have their first place.
    pub stalls: bool,
}

/// How that went.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Connected {
    /// Those that have a place.
    pub open: usize,
    /// Why the first of the others has not.
    pub refused: Option<String>,
}

/// What reached the devices since they were asked before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Followed {
    /// Frame by frame.
    pub arrivals: Vec<Arrival>,
    /// Frames that began after the place that the device had.
    pub holes: u64,
    /// Frames that began before it.
    pub repeats: u64,
    /// Devices that came too late, or whose stream ended; those that stopped reading do not count.
    pub behind: usize,
    /// Bytes of data that the first agent's devices read, all together.
    pub bytes_of_first: u64,
}

/// A frame with events.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Arrival {
    /// Whose.
    pub agent: usize,
    /// The place before it.
    pub from: u64,
    /// The place after it.
    pub to: u64,
    /// When it was whole, by the machine's clock.
    pub at: u64,
}

/// All devices of a process.
#[derive(Default)]
pub(super) struct Devices {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    moved: Notify,
}

#[derive(Default)]
struct Log {
    /// Of those that read on: whose they are, and where they are.
    places: Vec<(usize, u64)>,
    arrivals: Vec<Arrival>,
    holes: u64,
    repeats: u64,
    bytes_of_first: u64,
}

/// What is looked at of a frame.
#[derive(Deserialize)]
struct Frame {
    #[serde(skip)]
    bytes: u64,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
}

/// A connection that gives the data of one frame after another.
enum Wire {
    Sse(sse::Stream),
    Ws(Box<ws::Socket>),
}

impl Wire {
    async fn open(ask: &Connect, agent: usize) -> Result<Self, Failure> {
        let path = format!("/v1/agents/{}/", crate::work::agent(agent)?);
        let socket = TcpSocket::new_v4()?;
        if ask.stalls {
            socket.set_recv_buffer_size(STALLED_BUFFER)?;
        }
        let tcp: TcpStream = socket.connect(ask.address).await?;
        tcp.set_nodelay(true)?;
        Ok(match ask.transport {
            Transport::Sse => Self::Sse(sse::Stream::open(tcp, &format!("{path}events")).await?),
            Transport::Ws => Self::Ws(Box::new(ws::Socket::open(tcp, &format!("{path}ws")).await?)),
        })
    }

    /// `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        let data = match self {
            Self::Sse(stream) => stream.next().await?,
            Self::Ws(socket) => socket.next().await?,
        };
        let frame: Frame = serde_json::from_str(&data).ok()?;
        Some(Frame { bytes: data.len() as u64, ..frame })
    }

    /// The place after the snapshot.
    async fn first_place(&mut self) -> Option<u64> {
        loop {
            if let Some(cursor) = self.next().await?.cursor {
                return seq(&cursor);
            }
        }
    }
}

impl Devices {
    /// Does what it is asked until nobody asks any more.
    pub(super) async fn run() -> Result<(), Failure> {
        let mut devices = Self::default();
        let mut questions = Questions::new();
        while let Some(ask) = questions.next::<Ask>().await? {
            match ask {
                Ask::Connect(ask) => answer(Ok(devices.connect(&ask).await)).await?,
                Ask::Await { heads, seconds } => answer(Ok(devices.followed(&heads, seconds).await)).await?,
            }
        }
        devices.tasks.shutdown().await;
        Ok(())
    }

    async fn connect(&mut self, ask: &Connect) -> Connected {
        let opening = (0..ask.count).map(|number| async move {
            let agent = number % ask.agents;
            let begun = async {
                let mut wire = Wire::open(ask, agent).await?;
                let place = wire.first_place().await.ok_or("the stream ended before it had a place")?;
                Ok::<_, Failure>((wire, place))
            };
            let begun = tokio::time::timeout(PATIENCE, begun).await;
            begun.unwrap_or_else(|_| Err("no place in time".into())).map(|(wire, place)| (agent, place, wire))
        });
        let mut opening = futures::stream::iter(opening).buffer_unordered(TOGETHER);
        let mut connected = Connected::default();
        while let Some(opened) = opening.next().await {
            match opened {
                Ok((agent, place, wire)) => {
                    connected.open += 1;
                    self.follow(wire, agent, place, ask.stalls);
                }
                Err(error) => drop(connected.refused.get_or_insert(error.to_string())),
            }
        }
        connected
    }

    fn follow(&mut self, wire: Wire, agent: usize, place: u64, stalls: bool) {
        let shared = self.shared.clone();
        if stalls {
            self.tasks.spawn(async move {
                let _unread = wire;
                std::future::pending().await
            });
            return;
        }
        let mut log = shared.log();
        let index = log.places.len();
        log.places.push((agent, place));
        drop(log);
        self.tasks.spawn(async move {
            let mut wire = wire;
            while let Some(frame) = wire.next().await {
                let place = |text: Option<String>| text.as_deref().and_then(seq);
                if let (Some(from), Some(to)) = (place(frame.from), place(frame.to)) {
                    let mut log = shared.log();
                    log.arrived(index, from, to);
                    log.bytes_of_first += if agent == 0 { frame.bytes } else { 0 };
                    drop(log);
                    shared.moved.notify_one();
                }
            }
        });
    }

    async fn followed(&self, heads: &[u64], seconds: u64) -> Followed {
        let behind = |log: &Log| {
            log.places
                .iter()
                .filter(|(agent, place)| heads.get(*agent).is_some_and(|head| place < head))
                .count()
        };
        let all_there = async {
            while behind(&self.shared.log()) > 0 {
                self.shared.moved.notified().await;
            }
        };
        let _too_late_is_counted = tokio::time::timeout(Duration::from_secs(seconds), all_there).await;
        let mut log = self.shared.log();
        Followed {
            arrivals: std::mem::take(&mut log.arrivals),
            holes: std::mem::take(&mut log.holes),
            repeats: std::mem::take(&mut log.repeats),
            behind: behind(&log),
            bytes_of_first: std::mem::take(&mut log.bytes_of_first),
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn arrived(&mut self, device: usize, from: u64, to: u64) {
        let at = now_ns();
        let Some((agent, place)) = self.places.get_mut(device) else { return };
        self.holes += u64::from(from > *place);
        self.repeats += u64::from(from < *place);
        *place = to;
        self.arrivals.push(Arrival { agent: *agent, from, to, at });
    }
}

/// The number in a cursor.
fn seq(cursor: &str) -> Option<u64> {
    cursor.rsplit_once('.')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_follow_is_counted() {
        let mut log = Log { places: vec![(7, 3)], ..Log::default() };
        for (from, to) in [(3, 5), (6, 8), (7, 9), (9, 9)] {
            log.arrived(0, from, to);
        }
        assert_eq!((log.holes, log.repeats, log.places), (1, 1, vec![(7, 9)]));
        assert_eq!(log.arrivals.len(), 4);
        assert_eq!(seq("0123.45"), Some(45));
        assert_eq!(seq("45"), None);
    }
}

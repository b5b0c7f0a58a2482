//! A server, its devices and whoever writes, each a process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Transport;
use super::child::{Role, start};
use super::devices::{Ask, Connect, Connected, Followed};
use super::server::ServerRole;
use super::writer::{Committed, Plan};
use crate::Failure;
use crate::child::Child;
use crate::machine::{cpu_of, private_bytes};
use crate::meter::Cost;
use crate::store::{Opened, Place};
use crate::wait::Waits;

/// How long devices may take to have all that was committed, in seconds.
const PATIENCE: u64 = 60;

/// Connections beyond those of devices.
const SPARE: usize = 64;

/// All processes of a run.
pub struct Stage {
    /// Kept open where it can be, to see what it costs and to take it away at the end.
    store: Option<Opened>,
    address: SocketAddr,
    server: Child,
    writer: Option<Child>,
    devices: Child,
    /// How far each agent's log is.
    heads: Vec<u64>,
}

/// What the server used so far, and the store where it is a process of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Processor time of the server, in seconds.
    pub server: f64,
    /// Of the store.
    pub store: Option<f64>,
    /// Of all.
    pub all: f64,
}

impl Used {
    /// From then to now.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        let between = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Self {
            server: self.server - then.server,
            store: between(self.store, then.store),
            all: self.all - then.all,
        }
    }
}

/// What was committed, and what reached the devices.
pub struct Told {
    /// By whoever wrote.
    pub committed: Vec<Committed>,
    /// By the devices; none where nobody follows.
    pub followed: Option<Followed>,
}

impl Stage {
    /// Starts them on an empty store; with `across`, who writes is another process than the server.
    ///
    /// # Errors
    /// Where one does not start.
    pub async fn set(
        place: &Place,
        agents: usize,
        connections: usize,
        across: bool,
    ) -> Result<Self, Failure> {
        let opened = place.open().await?;
        let reach = opened.reach();
        // Only a database can be open twice.
        let store = match place {
            Place::Private(_) | Place::Given(_) => Some(opened),
            Place::Sqlite(..) | Place::Memory => {
                drop(opened.shut().await);
                None
            }
        };
        let role = |connections| ServerRole { reach: reach.clone(), agents, connections };
        let mut server = start(&Role::Server(role(connections + SPARE)))?;
        let address = server.answer::<Option<SocketAddr>>().await?.ok_or("the server does not listen")?;
        let mut writer = None;
        if across {
            let mut child = start(&Role::Server(role(0)))?;
            child.answer::<Option<SocketAddr>>().await?;
            writer = Some(child);
        }
        let devices = start(&Role::Devices)?;
        Ok(Self { store, address, server, writer, devices, heads: vec![0; agents] })
    }

    /// Connects devices, all of which have to come in.
    ///
    /// # Errors
    /// Where one did not.
    pub async fn connect(
        &mut self,
        transport: Transport,
        agents: usize,
        count: usize,
        stalls: bool,
    ) -> Result<(), Failure> {
        let ask = Connect { address: self.address, transport, agents, count, stalls };
        let connected: Connected = self.devices.ask(&Ask::Connect(ask)).await?;
        match connected.refused {
            Some(why) => Err(format!("{} of {count} devices connected: {why}", connected.open).into()),
            None => Ok(()),
        }
    }

    /// Has all of it written, and what follows told.
    ///
    /// # Errors
    /// Where something could not be written.
    pub async fn write(&mut self, plan: &Plan, follows: bool) -> Result<Told, Failure> {
        let writer = self.writer.as_mut().unwrap_or(&mut self.server);
        let committed: Vec<Committed> = writer.ask(plan).await?;
        for event in &committed {
            let head = self.heads.get_mut(event.agent).ok_or("an event of nobody")?;
            *head = (*head).max(event.seq);
        }
        let followed = if follows { Some(self.follow().await?) } else { None };
        Ok(Told { committed, followed })
    }

    async fn follow(&mut self) -> Result<Followed, Failure> {
        let ask = Ask::Await { heads: self.heads.clone(), seconds: PATIENCE };
        let followed: Followed = self.devices.ask(&ask).await?;
        match (followed.behind, followed.holes, followed.repeats) {
            (0, 0, 0) => Ok(followed),
            (behind, holes, repeats) => {
                Err(format!("{behind} devices came too late, {holes} holes, {repeats} repeats").into())
            }
        }
    }

    /// What was used so far.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn used(&mut self) -> Result<Used, Failure> {
        let store = match &mut self.store {
            Some(store) => store.cost().await?,
            None => Cost::default(),
        };
        let server = cpu_of(self.server.id());
        let others =
            self.writer.as_ref().map_or(0.0, |writer| cpu_of(writer.id())) + cpu_of(self.devices.id());
        Ok(Used { server, store: store.cpu, all: server + others + store.cpu.unwrap_or(0.0) })
    }

    /// The server's own memory, once it stays within a hundredth for a second; in bytes.
    ///
    /// # Errors
    /// Where it does not come to rest.
    pub async fn memory(&self) -> Result<u64, Failure> {
        let mut before = 0;
        for _ in 0..60 {
            let now = private_bytes(self.server.id()).ok_or("the server ended")?;
            if now.abs_diff(before) <= now / 100 {
                return Ok(now);
            }
            before = now;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err("the server's memory did not come to rest".into())
    }

    /// The server's own memory now, in bytes.
    #[must_use]
    pub fn memory_now(&self) -> u64 {
        private_bytes(self.server.id()).unwrap_or_default()
    }

    /// Ends all, and takes away what is not kept.
    ///
    /// # Errors
    /// Where one ended badly.
    pub async fn strike(self) -> Result<(), Failure> {
        self.devices.end().await?;
        self.server.end().await?;
        if let Some(writer) = self.writer {
            writer.end().await?;
        }
        match self.store {
            Some(store) => store.close().await,
            None => Ok(()),
        }
    }
}

impl Told {
    /// From a moment of each event of these agents to its arrival at each device that read on: from when it was asked
    /// for, or from when whoever asked knew that it is committed (a device may know before).
    #[must_use]
    pub fn delays(&self, whose: impl Fn(usize) -> bool, from: impl Fn(&Committed) -> u64) -> Waits {
        let theirs = self.committed.iter().filter(|event| whose(event.agent));
        let moments: HashMap<_, _> = theirs.map(|event| ((event.agent, event.seq), from(event))).collect();
        let arrivals = self.followed.iter().flat_map(|followed| &followed.arrivals);
        let delays = arrivals.flat_map(|frame| {
            let moments = &moments;
            let began = (frame.from + 1..=frame.to).filter_map(move |seq| moments.get(&(frame.agent, seq)));
            began.map(|began| Duration::from_nanos(frame.at.saturating_sub(*began)))
        });
        Waits::of(delays)
    }

    /// Events that reached a device, each once for every device.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        let arrivals = self.followed.iter().flat_map(|followed| &followed.arrivals);
        arrivals.map(|frame| frame.to - frame.from).sum()
    }

    /// Frames that began after the place that their device had.
    #[must_use]
    pub fn holes(&self) -> u64 {
        self.followed.as_ref().map_or(0, |followed| followed.holes)
    }

    /// Frames that began before it.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.followed.as_ref().map_or(0, |followed| followed.repeats)
    }

    /// Bytes that the first agent's devices read, all together.
    #[must_use]
    pub fn bytes_of_first(&self) -> u64 {
        self.followed.as_ref().map_or(0, |followed| followed.bytes_of_first)
    }

    /// From the first request to the last arrival.
    #[must_use]
    pub fn took(&self) -> Duration {
        let first = self.committed.iter().map(|event| event.asked).min().unwrap_or_default();
        let committed = self.committed.iter().map(|event| event.at);
        let arrived = self.followed.iter().flat_map(|followed| &followed.arrivals).map(|frame| frame.at);
        Duration::from_nanos(committed.chain(arrived).max().unwrap_or(first) - first)
    }
}

//! A device that comes and goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::event::Cursor;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::chance::Chance;
use super::judge::{Check, Sight};
use super::link::{Link, Transport, Way};
use super::stage::Stage;

/// How soon a device comes back that could not connect.
const AGAIN: Duration = Duration::from_millis(20);

/// How long devices stay, and stay away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Changes that a device misses at most while it is away, over all agents.
    away: u64,
    /// Of the times after which it is cut off.
    longer: u32,
}

impl Patience {
    /// So that each agent's devices miss about as much, and a server has about as many new connections a second,
    /// however many there are.
    pub(crate) fn of(agents: usize, devices: usize) -> Self {
        Self { away: 100 * agents as u64, longer: u32::try_from(devices / 12).unwrap_or(1).max(1) }
    }
}

/// What of a device others see.
#[derive(Clone)]
pub(crate) struct Device {
    sight: Arc<Mutex<Sight>>,
    place: watch::Sender<Option<Cursor>>,
    transport: Transport,
}

impl Device {
    pub(crate) fn new(sight: Sight, transport: Transport) -> Self {
        Self { sight: Arc::new(Mutex::new(sight)), place: watch::channel(None).0, transport }
    }

    pub(crate) fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is here.
    pub(crate) async fn arrives(&self, at: Cursor) {
        self.place.subscribe().wait_for(|place| *place == Some(at)).await.ok();
    }

    /// Follows until it is told to stop; from when it is `quiet` on it is not cut off any more.
    pub(crate) async fn follow(
        self,
        stage: Arc<Stage>,
        mut chance: Chance,
        patience: Patience,
        quiet: CancellationToken,
    ) {
        loop {
            let Some(up) = stage.up().await else { return };
            // After a loss that was not its own doing it also happens that a device has lost all that it knew.
            if !quiet.is_cancelled() && chance.happens(10) {
                self.sight().forget();
            }
            let (pause, cut) = self.mood(&mut chance, &quiet);
            let way = Way { address: up.address, agent: self.sight().agent.clone(), pause };
            let stay = async {
                self.stay(way).await;
                false
            };
            let cut = async {
                tokio::select! {
                    () = sleep(cut * patience.longer) => {}
                    () = quiet.cancelled() => std::future::pending().await,
                }
                true
            };
            let was_cut = tokio::select! { ended = stay => ended, cut = cut => cut };
            match was_cut {
                true => {
                    self.sight().counts.cuts += 1;
                    let changes = if chance.happens(40) { chance.below(patience.away) } else { 0 };
                    stay_away(&stage, changes, &quiet).await;
                }
                false => drop(timeout(AGAIN, stage.change(&up)).await),
            }
        }
    }

    /// How slowly it reads, and after how long it is cut off.
    fn mood(&self, chance: &mut Chance, quiet: &CancellationToken) -> (Option<Duration>, Duration) {
        let slow = !quiet.is_cancelled() && chance.happens(15);
        let cut = if chance.happens(50) { chance.millis(1..60) } else { chance.millis(60..900) };
        (slow.then(|| chance.millis(1..8)), cut)
    }

    /// Until the stream ends.
    async fn stay(&self, way: Way) {
        let place = self.sight().place;
        let Ok(mut link) = Link::open(self.transport, way, place).await else { return };
        self.sight().counts.connections += 1;
        loop {
            let place = self.sight().place;
            let frame = match link.next(place).await {
                Ok(Some(frame)) => frame,
                Err(failure) if failure.is::<serde_json::Error>() => {
                    return self.sight().note(Check::Hole, format!("a frame that cannot be read: {failure}"));
                }
                Ok(None) | Err(_) => return,
            };
            let place = {
                let mut sight = self.sight();
                sight.take(frame);
                sight.place
            };
            self.place.send_replace(place);
        }
    }
}

/// Until so much more has happened.
async fn stay_away(stage: &Stage, changes: u64, quiet: &CancellationToken) {
    let mut done = stage.done.subscribe();
    let until = *done.borrow() + changes;
    drop(quiet.run_until_cancelled(done.wait_for(|done| *done >= until)).await);
}

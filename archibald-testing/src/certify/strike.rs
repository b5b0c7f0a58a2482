use std::future::pending;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use archibald_core::port::Clock;
use tokio::time::{Instant, sleep};

use super::Fate;
use super::case::Strike;
use super::trial::{FIRST, Trial, agent};
use crate::clock::SystemClock;
use crate::failpoint::Point;

/// How often it is looked whether the point was come by.
const LOOK: Duration = Duration::from_millis(2);
/// The longest that the scheduler may take to notice something.
const NOTICE: Duration = Duration::from_secs(5);

/// What is done to the operation while its client waits.
impl Trial {
    /// Returns only why it could not be struck.
    pub(super) async fn struck(&self) -> String {
        match self.strike().await {
            Ok(()) => {
                self.strike_is_over.store(true, SeqCst);
                pending().await
            }
            Err(why) => why,
        }
    }

    async fn strike(&self) -> Result<(), String> {
        let Some((strike, point)) = self.case.strike else { return Ok(()) };
        self.comes_by().await;
        match strike {
            // The file stays, and so does whatever is held, until it is gone with its runtime.
            Strike::Crash => {
                self.crash().await;
                self.boot().await
            }
            // Held for longer than the lease, it goes on where nothing has dropped it.
            Strike::Drop => {
                sleep(self.times().lease * 5 / 4).await;
                self.lets_go();
                sleep(LOOK * 10).await;
                Ok(())
            }
            Strike::GiveWay => self.urge(point).await,
            Strike::Panic | Strike::Revoke | Strike::Fail => Ok(()),
        }
    }

    /// Somebody waits for the agent, and the worker knows it; only then it may go on.
    async fn urge(&self, point: &Point) -> Result<(), String> {
        let Some(request) = self.subject.urgent() else { return Ok(()) };
        let masked = self.is_past_its_last_chance(point).await?;
        let _ = self.masked.set(masked);
        let urgent = self.accepted("urgent", request).await?;
        let _ = self.urgent.set(urgent);
        let until = Instant::now() + NOTICE;
        while !self.is_urged(masked).await {
            if Instant::now() >= until {
                return Err(format!("not asked to give way within {NOTICE:?}; is it interactive itself?"));
            }
            sleep(LOOK).await;
        }
        self.lets_go();
        Ok(())
    }

    /// An intent is committed, or about to be with nobody asking before it.
    async fn is_past_its_last_chance(&self, point: &Point) -> Result<bool, String> {
        let first = self.accepted(FIRST, self.subject.request(1)).await?;
        let record = self.record(first).await.ok_or("lost: the store does not have what it accepted")?;
        Ok(point.name == "store.intend.before" || !record.effects.is_empty())
    }

    async fn is_urged(&self, masked: bool) -> bool {
        let Some(door) = self.door() else { return false };
        let Ok(seen) = door.operations().overview().await else { return false };
        if masked { seen.waiting.contains_key(&agent()) } else { seen.preemptions > 0 }
    }

    /// What the ERP does late it does when our side has given the request up for long enough to have looked for
    /// it in vain, and before that is settled.
    pub(super) async fn late(&self) -> String {
        if self.case.lost != Some(Fate::Late) {
            return pending().await;
        }
        let mut caught_up = None;
        loop {
            sleep(LOOK).await;
            let Some(record) = self.current().await else { continue };
            let over = record.effects.iter().filter_map(|effect| effect.act_until).max();
            let late = over.map(|over| over + self.times().settle_request / 2);
            if late.is_some() && late != caught_up && late <= Some(SystemClock.now()) {
                self.erp.catch_up().await;
                caught_up = late;
            }
        }
    }

    /// Until it is struck, a session is not ready.
    pub(super) async fn takes_its_time(&self) -> String {
        let Some(file) = &self.slow else { return pending().await };
        let until = Instant::now() + NOTICE;
        loop {
            sleep(LOOK).await;
            // Over and over: whoever comes by after the strike is not to wait at all.
            if self.strike_is_over.load(SeqCst) || Instant::now() >= until {
                let _ = std::fs::remove_file(file);
            }
        }
    }

    async fn comes_by(&self) {
        let Some(file) = &self.armed else { return pending().await };
        while !file.exists() {
            sleep(LOOK).await;
        }
        self.has_struck.store(true, SeqCst);
    }

    fn lets_go(&self) {
        if let Some(file) = &self.armed {
            let _ = std::fs::remove_file(file);
        }
    }
}

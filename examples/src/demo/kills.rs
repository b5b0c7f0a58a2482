//! Kills servers: first aimed at the moments that matter, then at random. Watches them in between.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::error::DemoError;
use super::family::Family;
use super::report::progress;
use super::servers::{Hold, Servers};

/// Where the aimed kills strike. Whatever is killed before it is recorded comes by again, so a single order is
/// enough for the first three; the last may find nothing left to record.
const AIMED: [Hold; 4] =
    [Hold("effect.released"), Hold("effect.released"), Hold("effect.answered"), Hold("effect.recorded")];
/// Aimed kills that a run must have had.
pub(super) const AIMED_AT_LEAST: u64 = 3;

/// What was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kills {
    /// While an attempt was held between release and commit.
    pub(super) aimed: u64,
    /// At any other moment.
    pub(super) random: u64,
    /// Of browsers, whose server went on.
    pub(super) browsers: u64,
}

/// Kills and watches for as long as there is work.
#[derive(Debug)]
pub(super) struct Killer<'a> {
    pub(super) servers: &'a mut Servers,
    /// Told which processes there are.
    pub(super) family: &'a Family,
    /// Cancelled when no work is left.
    pub(super) settled: &'a CancellationToken,
    pub(super) seed: u64,
    pub(super) every: Option<Duration>,
    /// How often a browser is killed.
    pub(super) browser_every: Option<Duration>,
}

/// How the servers of a run have to be started first.
pub(super) fn first_hold(every: Option<Duration>) -> Option<Hold> {
    every.map(|_| AIMED[0])
}

impl Killer<'_> {
    /// Returns once the work is done, with all servers up.
    ///
    /// # Errors
    /// [`DemoError::Ended`] when a server ended that was not killed, and as of starting it.
    pub(super) async fn run(mut self) -> Result<Kills, DemoError> {
        let mut kills = Kills::default();
        if self.every.is_some() {
            self.aimed(&mut kills).await?;
        }
        self.random(&mut kills).await?;
        Ok(kills)
    }

    /// Each time all servers: one that was told to hold would otherwise hold somebody for ever later on.
    async fn aimed(&mut self, kills: &mut Kills) -> Result<(), DemoError> {
        for (place, Hold(failpoint)) in AIMED.into_iter().enumerate() {
            if !self.wait_for_hold().await? {
                return Ok(());
            }
            for number in 0..self.servers.count() {
                self.servers.kill(number).await?;
                match self.servers.held(number) {
                    Some(operation) => {
                        kills.aimed += 1;
                        progress(&format!("kill -9 of w{} holding {operation} at {failpoint}", number + 1));
                    }
                    None => {
                        kills.random += 1;
                        progress(&format!("kill -9 of w{}, to have it hold elsewhere", number + 1));
                    }
                }
            }
            self.servers.restart_all(AIMED.get(place + 1).copied()).await?;
            self.family.set(self.servers.pids());
        }
        Ok(())
    }

    /// `false` when the work was done before anybody was held.
    async fn wait_for_hold(&mut self) -> Result<bool, DemoError> {
        loop {
            if (0..self.servers.count()).any(|number| self.servers.held(number).is_some()) {
                return Ok(true);
            }
            self.servers.check()?;
            tokio::select! {
                () = self.settled.cancelled() => return Ok(false),
                () = sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    async fn random(&mut self, kills: &mut Kills) -> Result<(), DemoError> {
        let mut dice = StdRng::seed_from_u64(self.seed);
        let mut next = self.every.map(|every| Instant::now() + every);
        let mut next_browser = self.browser_every.map(|every| Instant::now() + every);
        let mut look = interval(Duration::from_millis(200));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.settled.cancelled() => return Ok(()),
                _ = look.tick() => self.servers.check()?,
            }
            if next.is_some_and(|at| Instant::now() >= at) {
                let number = dice.random_range(0..self.servers.count());
                progress(&format!("kill -9 of w{}", number + 1));
                self.family.look_now();
                self.servers.kill(number).await?;
                kills.random += 1;
                self.servers.restart(number, None).await?;
                self.family.set(self.servers.pids());
                next = self.every.map(|every| Instant::now() + every);
            }
            if next_browser.is_some_and(|at| Instant::now() >= at) {
                let browsers = self.family.browsers();
                if !browsers.is_empty() {
                    let browser = browsers[dice.random_range(0..browsers.len())];
                    progress(&format!("kill -9 of browser {browser}, one of {}", browsers.len()));
                    kills.browsers += u64::from(kill_process(browser));
                }
                next_browser = self.browser_every.map(|every| Instant::now() + every);
            }
        }
    }
}

/// Whether it was there to be killed.
fn kill_process(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
}

//! A device of an agent: follows its stream, loses its connection now and then, and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::event::Event;
use archibald_core::id::AgentId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Response;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::Api;
use super::place::Place;
use super::sightings::Sightings;
use super::sse::SseParser;

/// Until the stream says how often it gives a sign of life.
const FIRST_SIGN: Duration = Duration::from_secs(20);

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) agent: AgentId,
    pub(super) api: Api,
    pub(super) sightings: Arc<Sightings>,
    /// Decides when it is cut off and to which server it connects.
    pub(super) seed: u64,
    /// Whether it is cut off by chance at all.
    pub(super) cuts: bool,
    /// Told of everything that the device sees.
    pub(super) listener: Option<Listener>,
}

/// Where a device tells what it sees, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) device: &'static str,
    pub(super) to: mpsc::Sender<Heard>,
}

/// What a device sees.
#[derive(Debug)]
pub(super) enum Heard {
    /// It has a stream, or lost it.
    Connected { device: &'static str, is: bool },
    /// An event of its agent.
    Event { device: &'static str, agent: AgentId, event: Event },
}

/// Follows the agent's stream for ever. Ends when it is dropped; everything reported stays reported.
pub(super) async fn follow(device: Device) {
    let mut dice = StdRng::seed_from_u64(device.seed);
    let mut place = Place::default();
    loop {
        let server = dice.random_range(0..device.api.servers().max(1));
        let cut = Duration::from_millis(dice.random_range(500..6_000));
        let cursor = place.cursor().map(|cursor| cursor.to_string());
        let pause = match device.api.events(server, &device.agent, cursor).await {
            Ok(response) => {
                device.tell_connected(true).await;
                let pause = device.connected(response, &mut place, cut).await;
                device.tell_connected(false).await;
                pause
            }
            Err(error) => {
                let trouble = format!("{}'s device: {}", device.agent, error.in_words());
                device.sightings.update(|report| report.trouble = Some(trouble));
                None
            }
        };
        // Devices that lost one server do not all come back in the same moment.
        let scattered = Duration::from_millis(dice.random_range(50..200));
        sleep(pause.unwrap_or(scattered)).await;
    }
}

impl Device {
    /// One connection, until it breaks, ends or is cut off; answers how long the server wants us to stay away.
    async fn connected(&self, mut response: Response, place: &mut Place, cut: Duration) -> Option<Duration> {
        let cut_at = Instant::now() + cut;
        let mut parser = SseParser::default();
        let (mut silence, mut counted) = (FIRST_SIGN, false);
        loop {
            let chunk = tokio::select! {
                chunk = timeout(silence, response.chunk()) => chunk,
                () = sleep_until(cut_at), if self.cuts => return None,
            };
            // Silent for too long, broken, or ended: all the same to a device.
            let Ok(Ok(Some(bytes))) = chunk else { return None };
            for frame in parser.push(&bytes) {
                let taken = place.take(&frame);
                if let Some(heartbeat) = taken.heartbeat_ms {
                    silence = Duration::from_millis(heartbeat.saturating_mul(3)).max(Duration::from_secs(3));
                }
                self.sightings.update(|report| {
                    report.connections += u64::from(!std::mem::replace(&mut counted, true));
                    taken.events.iter().for_each(|event| report.timeline.take(&self.agent, event));
                    report.holes.extend(taken.holes.iter().map(|hole| format!("{}: {hole}", self.agent)));
                    if place.cursor().is_some() && !report.placed.contains(&self.agent) {
                        report.placed.insert(self.agent.clone());
                    }
                });
                for event in taken.events {
                    self.tell(event).await;
                }
                if let Some(retry) = taken.bye {
                    return Some(Duration::from_millis(retry.min(5_000)));
                }
            }
        }
    }

    async fn tell_connected(&self, is: bool) {
        if let Some(Listener { device, to }) = &self.listener {
            // Nobody listens any more when the demo is being ended.
            let _ = to.send(Heard::Connected { device, is }).await;
        }
    }

    async fn tell(&self, event: Event) {
        if let Some(Listener { device, to }) = &self.listener {
            let _ = to.send(Heard::Event { device, agent: self.agent.clone(), event }).await;
        }
    }
}

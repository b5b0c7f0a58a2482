//! What the page shows, as it is sent to it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use archibald_core::event::Event;
use archibald_core::id::{AgentId, OperationId};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::devices::Heard;

/// Operations that a device's list shows.
const LISTED: usize = 7;
/// Faults that wait for the next save of an order: each ends with no rule left at the ERP, so there is one at a time.
const STRIKES: [&str; 2] = ["kill", "drop"];
/// Sentences that are kept.
const STORY: usize = 30;
/// The two devices of the first agent. What the other agents' own devices hear counts as well.
pub(in super::super) const TABLET: &str = "tablet";
pub(in super::super) const PHONE: &str = "phone";
pub(in super::super) const DESK: &str = "desk";

/// Where else to look.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Links {
    pub(in super::super) app: String,
    pub(in super::super) board: String,
    pub(in super::super) erp: String,
    pub(in super::super) ledger: String,
}

/// All that the page shows.
#[derive(Debug, Serialize)]
pub(in super::super) struct Scene {
    pub(super) links: Links,
    /// Whose two devices are shown.
    pub(super) agent: AgentId,
    pub(super) worker: Worker,
    pub(super) devices: BTreeMap<&'static str, Device>,
    pub(super) agents: BTreeMap<AgentId, Seat>,
    pub(super) erp: Erp,
    pub(super) figures: Figures,
    /// What is being made to go wrong just now.
    pub(super) under_way: Vec<&'static str>,
    /// Newest first.
    pub(super) story: VecDeque<Told>,
    #[serde(skip)]
    pub(super) known: BTreeMap<OperationId, Known>,
    /// Operations whose end is a part of the story.
    #[serde(skip)]
    pub(super) watched: BTreeMap<OperationId, Watched>,
}

/// The worker's process.
#[derive(Debug, Default, Serialize)]
pub(super) struct Worker {
    pub(super) up: bool,
    pub(super) pid: Option<u32>,
    pub(super) kills: u64,
}

/// One device of the agent.
#[derive(Debug, Default, Serialize)]
pub(super) struct Device {
    connected: bool,
    /// Newest first.
    operations: VecDeque<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: OperationId,
    kind: String,
    state: String,
    step: Option<String>,
    order: Option<String>,
}

/// What an agent does.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seat {
    running: Option<OperationId>,
    step: Option<String>,
    kind: Option<String>,
    waiting: i64,
    done: u64,
}

/// The ERP's own word.
#[derive(Debug, Default, Serialize)]
pub(super) struct Erp {
    pub(super) orders: Vec<Value>,
    pub(super) saved: u64,
    pub(super) logins: u64,
    pub(super) slow: bool,
}

/// The numbers that matter.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) asked: u64,
    pub(super) done: u64,
    pub(super) duplicates: usize,
    pub(super) lost: usize,
    pub(super) open: u64,
    pub(super) faults: u64,
}

/// A sentence: the page has the words.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    at_ms: u64,
    key: &'static str,
    words: Value,
}

/// What the devices know of an operation.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) agent: AgentId,
    pub(super) state: String,
    pub(super) order: Option<String>,
}

/// Which sentence tells the end of an operation, and the number under which the ERP has it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) key: &'static str,
    pub(super) number: String,
}

impl Scene {
    pub(in super::super) fn new(agent: AgentId, agents: &[AgentId], links: Links) -> Self {
        Self {
            links,
            agent,
            worker: Worker::default(),
            devices: [TABLET, PHONE].into_iter().map(|name| (name, Device::default())).collect(),
            agents: agents.iter().map(|agent| (agent.clone(), Seat::default())).collect(),
            erp: Erp::default(),
            figures: Figures::default(),
            under_way: Vec::new(),
            story: VecDeque::new(),
            known: BTreeMap::new(),
            watched: BTreeMap::new(),
        }
    }

    pub(in super::super) fn worker(&mut self, pid: Option<u32>) {
        self.worker.up = pid.is_some();
        self.worker.pid = pid.or(self.worker.pid);
    }

    pub(super) fn tell(&mut self, key: &'static str, words: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.story.push_front(Told { at_ms, key, words });
        self.story.truncate(STORY);
    }

    /// It is under way from now on, unless it is already or another one is in the way.
    ///
    /// # Errors
    /// The name of what is in the way.
    pub(super) fn begin(&mut self, what: &'static str) -> Result<(), &'static str> {
        let strikes = |what: &str| STRIKES.contains(&what);
        let is_in_the_way = |other: &str| other == what || strikes(other) && strikes(what);
        match self.under_way.iter().find(|other| is_in_the_way(other)) {
            Some(other) => Err(other),
            None => {
                self.under_way.push(what);
                Ok(())
            }
        }
    }

    pub(super) fn end(&mut self, what: &'static str) {
        self.under_way.retain(|other| *other != what);
    }

    /// Whether something is on its way for the ERP.
    pub(super) fn is_busy(&self) -> bool {
        let orders = self.agents.values().any(|seat| seat.waiting > 0);
        let runs = |seat: &Seat| seat.kind.as_deref() == Some("submit-order") && seat.running.is_some();
        orders || self.agents.values().any(runs)
    }

    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Connected { device, is } => {
                if let Some(device) = self.devices.get_mut(device) {
                    device.connected = is;
                }
            }
            Heard::Event { device, agent, event } => {
                if let Some(device) = self.devices.get_mut(device) {
                    device.hear(&event);
                }
                if device != PHONE {
                    self.count(&agent, &event);
                }
            }
        }
    }

    fn count(&mut self, agent: &AgentId, event: &Event) {
        let Some(id) = event.event.operation else { return };
        let Some(state) = text(event, "state") else { return };
        let order = event.event.data.get("result").and_then(|result| result["order"].as_str());
        let known = Known { agent: agent.clone(), state, order: order.map(str::to_owned) };
        let before = self.known.insert(id, known.clone()).map(|known| known.state);
        if let Some(seat) = self.agents.get_mut(agent) {
            seat.count(before.as_deref(), &known.state, id, event);
        }
        if known.state == "completed" {
            self.conclude(id, &known);
        }
    }

    /// The end of an operation that something had happened to.
    fn conclude(&mut self, id: OperationId, known: &Known) {
        let Some(Watched { key, number }) = self.watched.remove(&id) else { return };
        let found = known.order.as_deref() == Some(number.as_str());
        let words = json!({ "order": known.order, "agent": known.agent, "number": number });
        self.tell(if found { key } else { "otherwise" }, words);
    }
}

impl Device {
    fn hear(&mut self, event: &Event) {
        let (Some(id), Some(state)) = (event.event.operation, text(event, "state")) else { return };
        // By their age and not by when they were heard of: one device may have come later than the other.
        let place = self.operations.partition_point(|listed| listed.id > id);
        if self.operations.get(place).is_none_or(|listed| listed.id != id) {
            let kind = text(event, "kind").unwrap_or_default();
            self.operations.insert(place, Listed { id, kind, state: String::new(), step: None, order: None });
        }
        let listed = &mut self.operations[place];
        listed.step = text(event, "step").filter(|_| state == "running");
        listed.state = state;
        if let Some(order) = event.event.data.get("result").and_then(|result| result["order"].as_str()) {
            listed.order = Some(order.to_owned());
        }
        self.operations.truncate(LISTED);
    }
}

impl Seat {
    fn count(&mut self, before: Option<&str>, now: &str, id: OperationId, event: &Event) {
        self.waiting += i64::from(now == "available") - i64::from(before == Some("available"));
        self.done += u64::from(now == "completed" && before != Some("completed"));
        if now == "running" {
            self.running = Some(id);
            self.kind = text(event, "kind");
            self.step = text(event, "step");
        } else if self.running == Some(id) {
            (self.running, self.kind, self.step) = (None, None, None);
        }
    }
}

fn text(event: &Event, name: &str) -> Option<String> {
    event.event.data.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::event::NewEvent;
    use archibald_core::time::Timestamp;

    fn scene() -> Scene {
        let nancy = AgentId::new("nancy").unwrap();
        let none = String::new;
        let links = Links { app: none(), board: none(), erp: none(), ledger: none() };
        Scene::new(nancy.clone(), &[nancy], links)
    }

    fn heard(device: &'static str, number: u128, kind: &str, data: Value) -> Heard {
        let mut event = NewEvent::plain(&format!("operation.{kind}"), data);
        event.operation = Some(format!("00000000-0000-7000-8000-{number:012}").parse().unwrap());
        let event = Event { seq: 1, at: Timestamp::EPOCH, event };
        Heard::Event { device, agent: AgentId::new("nancy").unwrap(), event }
    }

    #[test]
    fn two_devices_show_the_same_and_count_once() {
        let mut scene = scene();
        for device in [TABLET, PHONE] {
            let of = |state: &str| json!({ "kind": "submit-order", "state": state });
            scene.hear(heard(device, 1, "queued", of("available")));
            scene.hear(heard(device, 2, "queued", of("available")));
            scene.hear(heard(device, 1, "started", of("running")));
            let mut done = of("completed");
            done["result"] = json!({ "order": "1042" });
            scene.hear(heard(device, 1, "completed", done));
        }
        let value = serde_json::to_value(&scene).unwrap();
        assert_eq!(value["devices"]["tablet"], value["devices"]["phone"]);
        assert_eq!(value["devices"]["phone"]["operations"][1]["order"], "1042");
        let seat = &value["agents"]["nancy"];
        assert_eq!((&seat["waiting"], &seat["done"], &seat["running"]), (&json!(1), &json!(1), &Value::Null));
        assert!(scene.is_busy());
    }

    #[test]
    fn a_device_that_came_later_lists_the_same() {
        let events = [(1, "available"), (2, "available"), (1, "running")];
        let mut scene = scene();
        for (device, from) in [(TABLET, 0), (PHONE, 1)] {
            for (number, state) in &events[from..] {
                scene.hear(heard(device, *number, state, json!({ "kind": "submit-order", "state": state })));
            }
        }
        let value = serde_json::to_value(&scene).unwrap();
        assert_eq!(value["devices"]["tablet"], value["devices"]["phone"]);
    }

    #[test]
    fn nothing_begins_twice_and_one_strikes_at_a_time() {
        let mut scene = scene();
        assert_eq!((scene.begin("kill"), scene.begin("slow")), (Ok(()), Ok(())));
        let refused = ["kill", "drop", "slow"].map(|what| scene.begin(what));
        assert_eq!(refused, [Err("kill"), Err("kill"), Err("slow")], "what is in the way is named");
        scene.end("kill");
        assert_eq!((scene.begin("drop"), scene.begin("kill")), (Ok(()), Err("drop")));
        assert_eq!(scene.under_way, ["slow", "drop"]);
    }

    #[test]
    fn the_story_says_whether_the_order_was_found_again() {
        for (number, told) in [("1042", "kill.found"), ("1043", "otherwise")] {
            let mut scene = scene();
            let done = json!({ "kind": "submit-order", "state": "completed", "result": { "order": "1042" } });
            let Heard::Event { event, .. } = heard(TABLET, 1, "completed", done.clone()) else {
                unreachable!()
            };
            let watched = Watched { key: "kill.found", number: number.into() };
            scene.watched.insert(event.event.operation.unwrap(), watched);
            scene.hear(heard(TABLET, 1, "completed", done));
            assert_eq!(scene.story[0].key, told);
        }
    }
}

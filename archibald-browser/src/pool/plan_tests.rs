//! Stories of the plan, told in one line an input.

use super::*;
use archibald_core::port::LoginError;

struct Story {
    plan: Plan,
    waiters: u64,
    told: Vec<Command>,
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

impl Story {
    fn new(browsers: usize, contexts: usize) -> Self {
        Self { plan: Plan::new(browsers, contexts), waiters: 0, told: Vec::new() }
    }

    fn give(&mut self, input: Input) -> &[Command] {
        self.told = self.plan.handle(input);
        let occupancy = self.plan.occupancy();
        let retiring = usize::from(self.plan.retiring.is_some());
        assert!(self.plan.browsers.len() <= self.plan.max_browsers + retiring);
        for id in self.plan.browsers.keys() {
            assert!(self.plan.agents_in(*id).len() <= self.plan.contexts_each, "a browser is too full");
        }
        assert!(occupancy.in_use <= self.plan.sessions.len());
        &self.told
    }

    fn ask_as(&mut self, name: &str, class: Class) -> &[Command] {
        self.waiters += 1;
        self.give(Input::Asked { waiter: WaiterId(self.waiters), agent: agent(name), class })
    }

    fn ask(&mut self, name: &str) -> &[Command] {
        self.ask_as(name, Class::Interactive)
    }

    fn state(&self, name: &str) -> Option<State> {
        self.plan.sessions.get(&agent(name)).map(|held| held.state)
    }

    fn ticket_of(&self, name: &str) -> Option<Ticket> {
        match self.state(name)? {
            State::Opening(ticket) | State::Leased(ticket) | State::Cleaning(ticket) => Some(ticket),
            State::Idle { .. } => None,
        }
    }

    fn ticket(&self, name: &str) -> Ticket {
        self.ticket_of(name).unwrap_or_else(|| panic!("{name} is idle, or has none"))
    }

    fn opened(&mut self, name: &str) -> &[Command] {
        self.give(Input::Opened(agent(name), self.ticket(name), Came::LoggedIn))
    }

    fn returned(&mut self, name: &str, how: How) -> &[Command] {
        self.give(Input::Returned(agent(name), self.ticket(name), how))
    }

    /// Asks, starts what is needed and opens.
    fn lease(&mut self, name: &str) {
        for command in self.ask(name).to_vec() {
            if let Command::StartBrowser(id) = command {
                self.give(Input::BrowserUp(id));
            }
        }
        if matches!(self.plan.sessions[&agent(name)].state, State::Opening(_)) {
            self.opened(name);
        }
        assert!(matches!(self.plan.sessions[&agent(name)].state, State::Leased(_)), "{name} has no lease");
    }

    fn rest(&mut self, name: &str) {
        self.lease(name);
        self.returned(name, How::Clean);
    }
}

fn granted(commands: &[Command]) -> Vec<u64> {
    let waiter = |command: &Command| match command {
        Command::Grant(waiter, ..) => Some(waiter.0),
        _ => None,
    };
    commands.iter().filter_map(waiter).collect()
}

fn forgotten(commands: &[Command]) -> Vec<String> {
    let name = |command: &Command| match command {
        Command::Forget(agent) => Some(agent.to_string()),
        _ => None,
    };
    commands.iter().filter_map(name).collect()
}

#[test]
fn a_session_that_nobody_is_to_use_ends_when_it_is_at_rest() {
    let mut story = Story::new(1, 2);
    assert_eq!(story.give(Input::Over(agent("nancy"))), [], "whom nobody knows");
    story.ask("nancy");
    story.give(Input::BrowserUp(BrowserId(1)));
    assert_eq!(story.give(Input::Over(agent("nancy"))), [], "it is being opened");
    story.opened("nancy");
    assert_eq!(story.give(Input::Over(agent("nancy"))), [], "it is in use");
    let ticket = story.ticket("nancy");
    story.give(Input::Returned(agent("nancy"), ticket, How::Clean));
    assert_eq!(story.give(Input::Over(agent("nancy"))), [Command::Forget(agent("nancy"))]);
    assert_eq!((story.state("nancy"), story.plan.occupancy().evictions), (None, 0));
}

#[test]
fn the_first_lease_starts_a_browser_and_logs_in_and_the_next_is_warm() {
    let mut story = Story::new(2, 2);
    assert_eq!(story.ask("nancy"), [Command::StartBrowser(BrowserId(1))]);
    assert!(matches!(story.give(Input::BrowserUp(BrowserId(1))), [Command::Open(..)]));
    assert_eq!(granted(story.opened("nancy")), [1]);
    story.returned("nancy", How::Clean);
    assert_eq!(granted(story.ask("nancy")), [2]);
    assert_eq!(story.plan.occupancy().logins, 1);
}

#[test]
fn one_login_serves_all_who_wait_for_it_one_after_another() {
    let mut story = Story::new(1, 2);
    story.ask("nancy");
    story.ask("nancy");
    let opens = story.give(Input::BrowserUp(BrowserId(1))).len();
    assert_eq!(opens, 1);
    assert_eq!(granted(story.opened("nancy")), [1]);
    assert_eq!(granted(story.returned("nancy", How::Clean)), [2]);
}

#[test]
fn the_one_idle_for_longest_is_evicted_and_one_in_use_never() {
    let mut story = Story::new(1, 3);
    story.rest("nancy");
    story.rest("andrew");
    story.lease("janet");
    // Used again, nancy is younger than andrew.
    story.rest("nancy");
    let commands = story.ask("laura").to_vec();
    assert_eq!(forgotten(&commands), ["andrew"]);
    assert!(matches!(commands.as_slice(), [Command::Forget(_), Command::Open(..)]));
    story.opened("laura");
    assert_eq!(forgotten(story.ask("anne")), ["nancy"]);
    story.opened("anne");
    // All three are in use now.
    assert_eq!(story.ask("steven"), []);
    assert_eq!(story.plan.occupancy().in_use, 3);
    // One comes back: its place, not its session, is what steven needs.
    let commands = story.returned("janet", How::Clean).to_vec();
    assert_eq!(forgotten(&commands), ["janet"]);
    assert_eq!(story.plan.occupancy().evictions, 3);
}

#[test]
fn interactive_comes_first_and_who_left_is_not_served() {
    let mut story = Story::new(1, 1);
    story.lease("nancy");
    story.ask_as("andrew", Class::Background);
    story.ask("janet");
    story.ask("laura");
    story.give(Input::GaveUp(WaiterId(3)));
    let commands = story.returned("nancy", How::Expired).to_vec();
    assert!(matches!(&commands[..], [Command::Forget(_), Command::Open(who, ..)] if *who == agent("laura")));
    story.opened("laura");
    let commands = story.returned("laura", How::Clean).to_vec();
    assert!(matches!(&commands[..], [Command::Forget(_), Command::Open(who, ..)] if *who == agent("andrew")));
}

#[test]
fn a_login_that_nobody_waits_for_any_more_becomes_an_idle_session() {
    let mut story = Story::new(1, 1);
    story.ask("nancy");
    story.give(Input::BrowserUp(BrowserId(1)));
    story.give(Input::GaveUp(WaiterId(1)));
    assert_eq!(story.opened("nancy"), []);
    assert_eq!(story.plan.occupancy().idle, 1);
}

#[test]
fn a_dirty_page_is_destroyed_before_the_next_use() {
    let mut story = Story::new(1, 1);
    story.lease("nancy");
    let stale = story.ticket("nancy");
    assert!(matches!(story.returned("nancy", How::Dirty), [Command::Clean(..)]));
    assert_eq!(story.ask("nancy"), []);
    // What comes back twice is not listened to.
    assert_eq!(story.give(Input::Returned(agent("nancy"), stale, How::Clean)), []);
    let ticket = story.ticket("nancy");
    assert_eq!(granted(story.give(Input::Cleaned(agent("nancy"), ticket, true))), [2]);
    // Where it cannot be destroyed, its context goes.
    story.returned("nancy", How::Dirty);
    let ticket = story.ticket("nancy");
    assert_eq!(forgotten(story.give(Input::Cleaned(agent("nancy"), ticket, false))), ["nancy"]);
}

#[test]
fn a_refused_login_is_told_once_to_all_and_not_tried_again() {
    let mut story = Story::new(1, 1);
    story.ask("nancy");
    story.ask("nancy");
    story.give(Input::BrowserUp(BrowserId(1)));
    let refused =
        OpenError::Login(LoginError::Refused { user: "nancy".into(), text: "no".into(), tried: None });
    let ticket = story.ticket("nancy");
    let commands = story.give(Input::OpenFailed(agent("nancy"), ticket, refused));
    assert!(matches!(commands, [Command::Refuse(..), Command::Refuse(..)]), "{commands:?}");
    assert_eq!(story.plan.sessions.len(), 0);
}

#[test]
fn a_dead_browser_is_replaced_and_who_waited_is_served_by_the_new_one() {
    let mut story = Story::new(1, 3);
    story.lease("nancy");
    story.rest("andrew");
    story.ask("janet");
    let commands = story.give(Input::BrowserLost(BrowserId(1))).to_vec();
    assert_eq!(forgotten(&commands), ["andrew"]);
    let Some(Command::StartBrowser(id)) = commands.last() else { panic!("{commands:?}") };
    // The leased one is forgotten when its holder gives it back.
    assert_eq!(forgotten(story.returned("nancy", How::Clean)), ["nancy"]);
    story.give(Input::BrowserUp(*id));
    assert_eq!(granted(story.opened("janet")), [4 - 1]);
    assert_eq!(story.plan.occupancy().crashes, 1);
}

#[test]
fn a_browser_that_always_dies_is_told_in_the_end() {
    let mut story = Story::new(1, 1);
    let mut commands = story.ask("nancy").to_vec();
    for _ in 0..TRIES {
        let Some(Command::StartBrowser(id)) = commands.last().cloned() else { panic!("{commands:?}") };
        story.give(Input::BrowserUp(id));
        commands = story.give(Input::BrowserLost(id)).to_vec();
    }
    assert!(matches!(&commands[..], [Command::Refuse(_, Refusal::Open(OpenError::Lost(_)))]), "{commands:?}");
    // One that cannot even be started is told at once.
    let Some(Command::StartBrowser(id)) = story.ask("nancy").last().cloned() else { panic!() };
    let commands = story.give(Input::BrowserFailed(id, "no Chromium".into()));
    assert!(matches!(commands, [Command::Refuse(_, Refusal::Launch(_))]), "{commands:?}");
    assert!(story.plan.browsers.is_empty());
}

#[test]
fn a_full_browser_makes_the_next_one_start() {
    let mut story = Story::new(2, 2);
    for name in ["nancy", "andrew", "janet"] {
        story.lease(name);
    }
    assert_eq!(story.plan.browsers.len(), 2);
    // While a browser starts, those who come are promised places in it, and no third is asked for.
    let mut story = Story::new(3, 2);
    assert!(matches!(story.ask("nancy"), [Command::StartBrowser(_)]));
    assert_eq!(story.ask("andrew"), []);
    assert!(matches!(story.ask("janet"), [Command::StartBrowser(_)]));
}

#[test]
fn draining_refuses_all_who_wait_and_come() {
    let mut story = Story::new(1, 1);
    story.lease("nancy");
    story.ask("andrew");
    assert_eq!(story.give(Input::Drain), [Command::Refuse(WaiterId(2), Refusal::Draining)]);
    assert_eq!(story.ask("janet"), [Command::Refuse(WaiterId(3), Refusal::Draining)]);
    assert_eq!(story.returned("nancy", How::Clean), []);
}

#[test]
fn a_browser_retires_when_its_last_user_is_done_and_nobody_waits_for_that() {
    let mut story = Story::new(1, 2);
    for name in ["andrew", "nancy"] {
        story.ask(name);
    }
    let old = *story.plan.browsers.keys().next().unwrap();
    story.give(Input::BrowserUp(old));
    story.opened("andrew");
    story.opened("nancy");
    story.returned("andrew", How::Clean);
    assert_eq!(story.give(Input::Retire(old)), [Command::Forget(agent("andrew"))]);
    assert_eq!(story.give(Input::Retire(old)), []);
    // A new browser takes those who come meanwhile.
    story.ask("andrew");
    let new = *story.plan.browsers.keys().last().unwrap();
    assert_ne!(new, old);
    story.give(Input::BrowserUp(new));
    story.opened("andrew");
    assert_eq!(
        story.returned("nancy", How::Clean),
        [Command::Forget(agent("nancy")), Command::EndBrowser(old)]
    );
    assert_eq!(story.give(Input::BrowserLost(old)), []);
    assert_eq!((story.plan.occupancy().crashes, story.plan.occupancy().browsers), (0, 1));
}

/// How a story comes to a state of nancy's place, in a pool of one.
type Way = fn(&mut Story);

fn states() -> [(&'static str, Way); 9] {
    [
        ("nobody's", |_| {}),
        ("browser starts", |story| drop(story.ask("nancy").to_vec())),
        ("opening", |story| {
            let started = story.ask("nancy").to_vec();
            let [Command::StartBrowser(id)] = started[..] else { panic!("{started:?}") };
            story.give(Input::BrowserUp(id));
        }),
        ("leased", |story| story.lease("nancy")),
        ("leased, awaited", |story| {
            story.lease("nancy");
            story.ask("nancy");
        }),
        ("cleaning", |story| {
            story.lease("nancy");
            story.returned("nancy", How::Dirty);
        }),
        ("idle", |story| story.rest("nancy")),
        ("leased, retiring", |story| {
            story.lease("nancy");
            story.give(Input::Retire(BrowserId(1)));
        }),
        ("leased, draining", |story| {
            story.lease("nancy");
            story.give(Input::Drain);
        }),
    ]
}

fn inputs(ticket: Ticket, browser: BrowserId) -> Vec<(&'static str, Input)> {
    let (nancy, late) = (agent("nancy"), Ticket(ticket.0 + 1_000));
    let asked =
        |name, id| Input::Asked { waiter: WaiterId(id), agent: agent(name), class: Class::Interactive };
    let returned = |ticket, how| Input::Returned(nancy.clone(), ticket, how);
    vec![
        ("asked", asked("nancy", 8)),
        ("asked by another", asked("janet", 9)),
        ("gave up", Input::GaveUp(WaiterId(1))),
        ("browser up", Input::BrowserUp(browser)),
        ("browser failed", Input::BrowserFailed(browser, "no memory".into())),
        ("browser lost", Input::BrowserLost(browser)),
        ("opened", Input::Opened(nancy.clone(), ticket, Came::LoggedIn)),
        ("opened, late", Input::Opened(nancy.clone(), late, Came::LoggedIn)),
        ("open failed", Input::OpenFailed(nancy.clone(), ticket, OpenError::Lost("gone".into()))),
        ("returned clean", returned(ticket, How::Clean)),
        ("returned dirty", returned(ticket, How::Dirty)),
        ("returned expired", returned(ticket, How::Expired)),
        ("returned, late", returned(late, How::Clean)),
        ("cleaned", Input::Cleaned(nancy.clone(), ticket, true)),
        ("not cleaned", Input::Cleaned(nancy.clone(), ticket, false)),
        ("retire", Input::Retire(browser)),
        ("drain", Input::Drain),
    ]
}

fn short(command: &Command) -> String {
    match command {
        Command::StartBrowser(_) => "start a browser".into(),
        Command::Open(agent, ..) => format!("open {agent}"),
        Command::Grant(waiter, ..) => format!("grant {}", waiter.0),
        Command::Refuse(waiter, why) => {
            let why = match why {
                Refusal::Open(_) => "open",
                Refusal::Launch(_) => "launch",
                Refusal::Draining => "draining",
            };
            format!("refuse {}: {why}", waiter.0)
        }
        Command::Clean(agent, _) => format!("clean {agent}"),
        Command::Forget(agent) => format!("forget {agent}"),
        Command::EndBrowser(_) => "end the browser".into(),
    }
}

/// Every input in every state of a place.
#[test]
fn the_whole_place() {
    let mut table = String::new();
    for (state, way) in states() {
        let count = inputs(Ticket(0), BrowserId(0)).len();
        for n in 0..count {
            let mut story = Story::new(1, 1);
            way(&mut story);
            let ticket = story.ticket_of("nancy").unwrap_or(Ticket(0));
            let browser = story.plan.browsers.keys().next().copied().unwrap_or(BrowserId(1));
            let (name, input) = inputs(ticket, browser).swap_remove(n);
            let told: Vec<_> = story.give(input).iter().map(short).collect();
            let place = match story.state("nancy") {
                Some(State::Opening(_)) => "opening",
                Some(State::Leased(_)) => "leased",
                Some(State::Cleaning(_)) => "cleaning",
                Some(State::Idle { .. }) => "idle",
                None => "-",
            };
            let line = format!("{state:<16} {name:<16} -> {place:<8} {}", told.join(", "));
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

//! The scheduler alone, with as many agents and operations as are asked for: what one operation costs from
//! waiting to settled, what it and its agent take of memory, and how that grows.
//!
//! With `--order random` every operation meets a lane that the processor has forgotten, which no day at work
//! does; with `--order turn` agents ask one after another, as the turns that they get. The
//! identifiers are made beforehand and shared, so all memory that is counted is the scheduler's.
//!
//! Prints `{"agents":…,"ops":…,"ns_per_op":…,…}`.
#![allow(missing_docs)]

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{Class, Step};
use archibald_core::scheduler::{Command, Input, Scheduler, SchedulerConfig, Ticket};
use archibald_core::time::Timestamp;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use uuid::Uuid;

use self::stopwatch::Stopwatch;

mod counting;
mod stopwatch;

#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many agents
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    agents: u64,
    /// How many operations wait all the time
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    ops: u64,
    /// How many agents the growth is measured from, with as many operations for each
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// How many operations run together
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    slots: u64,
    /// How many operations of a thousand have a target of their own
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    targets: u64,
    /// Who asks next
    #[arg(long, value_enum, default_value_t = Order::Turn)]
    order: Order,
    /// Tickets that come together, as a read of the store brings them
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Operations a round; the best round counts
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    round: u64,
    /// How many rounds
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
}

#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// One after another.
    Turn,
    /// Anybody.
    Random,
}

#[derive(Debug, Serialize)]
struct Outcome {
    order: Order,
    agents: u64,
    ops: u64,
    /// The best round of enqueue, start and finish, in ns for each operation.
    ns_per_op: f64,
    ns_per_op_median: f64,
    /// What it costs to take one in while everything is filled.
    ns_per_enqueue: f64,
    ns_per_op_of_few: f64,
    growth: f64,
    bytes_per_op: f64,
    bytes_per_agent: f64,
    /// While it goes on: what waits stays as much.
    allocations_per_op: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let each = (options.ops / options.agents).max(1);
    let few = Options { agents: options.from, ops: options.from * each, ..options.clone() };
    let few = measure(&few)?;
    let all = measure(&options)?;
    let outcome = Outcome {
        order: options.order,
        agents: options.agents,
        ops: options.ops,
        ns_per_op: rounded(all.best),
        ns_per_op_median: rounded(all.median),
        ns_per_enqueue: rounded(all.enqueue),
        ns_per_op_of_few: rounded(few.best),
        growth: rounded(all.best / few.best),
        bytes_per_op: rounded(all.bytes_per_op),
        bytes_per_agent: rounded(all.bytes_per_agent),
        allocations_per_op: all.allocations,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

struct Measured {
    best: f64,
    median: f64,
    enqueue: f64,
    bytes_per_op: f64,
    bytes_per_agent: f64,
    allocations: f64,
}

fn measure(options: &Options) -> Result<Measured, Box<dyn Error>> {
    eprintln!("{} agents, {} operations", options.agents, options.ops);
    let names = Names::new(options)?;
    let empty = counting::bytes();
    let mut work = Work::new(options, &names)?;
    work.come(options.agents, Order::Turn);
    let (of_one_each, began) = (counting::bytes(), Stopwatch::start());
    let rest = options.ops.saturating_sub(options.agents);
    work.come(rest, options.order);
    let enqueue = began.nanos() / rest.max(1) as f64;
    let full = counting::bytes();
    let bytes_per_op = (full - of_one_each) as f64 / rest.max(1) as f64;
    let bytes_per_agent = (of_one_each - empty) as f64 / options.agents as f64 - bytes_per_op;

    work.go_on(options.round);
    let allocations = counting::allocations();
    let mut rounds: Vec<f64> = (0..options.rounds).map(|_| work.timed(options.round)).collect();
    let allocations = (counting::allocations() - allocations) as f64;
    rounds.sort_by(f64::total_cmp);
    work.check(options)?;
    Ok(Measured {
        best: rounds[0],
        median: rounds[rounds.len() / 2],
        enqueue,
        bytes_per_op,
        bytes_per_agent,
        allocations: allocations / (options.round * options.rounds) as f64,
    })
}

/// What the tickets share.
struct Names {
    agents: Vec<AgentId>,
    kind: OperationKind,
    targets: Vec<Target>,
}

impl Names {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let agents = (0..options.agents).map(|n| AgentId::new(format!("agent-{n}")));
        let targets = if options.targets == 0 { 0 } else { options.ops.min(1 << 20) };
        let targets = (0..targets).map(|n| Target::new(format!("order:{n}")));
        Ok(Self {
            agents: agents.collect::<Result<_, _>>()?,
            kind: OperationKind::new("submit-order")?,
            targets: targets.collect::<Result<_, _>>()?,
        })
    }
}

/// A scheduler that is kept busy: for each operation that ends another one comes.
struct Work<'a> {
    names: &'a Names,
    order: Order,
    targets: u64,
    batch: u64,
    scheduler: Scheduler,
    /// What runs, the oldest first.
    running: VecDeque<(AgentId, OperationId)>,
    chance: u64,
    last: u64,
    now: Timestamp,
}

/// What passes with each operation that ends: with a hundred slots one takes as long as a turn lasts at least, as in
/// life, where each agent has one start in its turn.
const TICK: Duration = Duration::from_millis(1);

impl<'a> Work<'a> {
    fn new(options: &Options, names: &'a Names) -> Result<Self, Box<dyn Error>> {
        let slots = usize::try_from(options.slots)?;
        let scheduler =
            Scheduler::new(SchedulerConfig { slots, reserved_interactive: 0, ..Default::default() })?;
        let running = VecDeque::with_capacity(slots + 1);
        let Options { order, targets, batch, .. } = *options;
        let batch = batch.min(options.agents);
        Ok(Self {
            names,
            order,
            targets,
            batch,
            scheduler,
            running,
            chance: 1,
            last: 0,
            now: Timestamp::EPOCH,
        })
    }

    fn come(&mut self, operations: u64, order: Order) {
        self.each(operations, order, |work, ticket| work.says(Input::Waiting(ticket)));
    }

    /// Tickets come together and are taken in one by one.
    fn each(&mut self, operations: u64, order: Order, take: impl Fn(&mut Self, Ticket)) {
        let mut tickets = Vec::with_capacity(self.batch as usize);
        let mut left = operations;
        while left > 0 {
            let together = left.min(self.batch);
            tickets.extend((0..together).map(|_| self.another(order)));
            if together > 1 {
                self.scheduler.expect(&tickets);
            }
            tickets.drain(..).for_each(|ticket| take(self, ticket));
            left -= together;
        }
    }

    fn another(&mut self, order: Order) -> Ticket {
        let agent = match order {
            Order::Turn => self.last,
            Order::Random => self.random(),
        };
        let agent = agent % self.names.agents.len() as u64;
        self.last += 1;
        let target = match self.targets {
            0 => None,
            share => (self.random() % 1000 < share)
                .then(|| self.names.targets[self.last as usize % self.names.targets.len()].clone()),
        };
        Ticket {
            operation: OperationId(self.operation()),
            agent: self.names.agents[agent as usize].clone(),
            kind: self.names.kind.clone(),
            class: if self.last.is_multiple_of(4) { Class::Background } else { Class::Interactive },
            position: self.last,
            at: Timestamp::EPOCH,
            step: Step::Act,
            target,
            preemptions: 9,
        }
    }

    /// As a UUIDv7 is: a time, and luck.
    fn operation(&mut self) -> Uuid {
        let luck = self.random();
        Uuid::from_u64_pair((self.last << 16) | 0x7000 | (luck >> 52), luck | 1 << 63)
    }

    fn go_on(&mut self, operations: u64) {
        self.each(operations, self.order, |work, ticket| {
            work.now = work.now + TICK;
            if let Some((agent, operation)) = work.running.pop_front() {
                work.says(Input::Settled { agent, operation, next: None });
            }
            work.says(Input::Waiting(ticket));
        });
    }

    fn timed(&mut self, operations: u64) -> f64 {
        let began = Stopwatch::start();
        self.go_on(operations);
        began.nanos() / operations as f64
    }

    fn says(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        while let Some(command) = self.scheduler.poll_command() {
            if let Command::Lease { agent, operation, .. } = command {
                self.running.push_back((agent.clone(), operation));
                self.scheduler.handle(self.now, Input::Leased { agent, operation });
            }
        }
    }

    fn check(&self, options: &Options) -> Result<(), String> {
        let counts = self.scheduler.counts();
        let waiting: u64 = counts.waiting.values().sum();
        let all = waiting + counts.running.len() as u64;
        let expected = options.ops.max(options.agents);
        match all == expected && counts.starting.is_empty() {
            true => Ok(()),
            false => Err(format!("{all} operations wait or run, should be {expected}")),
        }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

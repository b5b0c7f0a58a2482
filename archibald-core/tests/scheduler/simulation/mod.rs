//! Many workers over one store, and an ERP that does what it is told as often as it is told: what must
//! never happen does not, under faults drawn from a seed; once they stop, everything comes to its end.

mod accepting;
mod attempt;
mod chance;
mod erp;
mod handing_on;
mod invariants;
mod messages;
mod mutant;
mod people;
mod statements;
mod store;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::chance::Rates;
pub(crate) use self::mutant::Mutant;
use self::world::World;

/// Enough for any seed to come to its end once the faults are over.
const CALM: Duration = Duration::from_secs(400);
const STORM: Duration = Duration::from_secs(90);

/// How often something rare happened.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counters(pub(crate) BTreeMap<&'static str, u64>);

/// All that decides what happens: the same plan is the same run, to the letter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// With the model beside every scheduler.
    pub(crate) checked: bool,
    pub(crate) mutant: Option<Mutant>,
    /// No more operations than this.
    pub(crate) operations: Option<u64>,
    /// Faults that never happen.
    pub(crate) without: BTreeSet<String>,
}

/// What one plan came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) steps: u64,
    pub(crate) counters: Counters,
}

/// A plan that breaks a rule.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) plan: Plan,
    /// Steps until it did.
    pub(crate) steps: u64,
    pub(crate) why: String,
}

impl Plan {
    /// A seed, with the model beside one of eight.
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, checked: seed.is_multiple_of(8), ..Self::default() }
    }

    pub(crate) fn run(&self) -> Result<Run, Failure> {
        self.watch(|_, _| ())
    }

    /// A storm, and then calm: in it everything must come to its end. Each step is shown before it is taken.
    pub(crate) fn watch(&self, mut see: impl FnMut(u64, &World)) -> Result<Run, Failure> {
        let mut world = World::new(self);
        let mut steps = 0;
        let failed = |steps, why| Failure { plan: self.clone(), steps, why };
        let begin = world.now;
        let mut go_on = |world: &mut World| {
            see(steps, world);
            steps += 1;
            world.step().map_err(|why| failed(steps, why))
        };
        while world.now < begin + STORM && go_on(&mut world)? {}
        world.calm_down();
        while !(world.all_final() && world.everything_was_asked_for()) {
            if world.now > begin + STORM + CALM {
                let left = world.what_is_left();
                return Err(failed(steps, format!("not at its end after {CALM:?} without faults: {left}")));
            }
            go_on(&mut world)?;
        }
        world.check_the_end().map_err(|why| failed(steps, why))?;
        Ok(Run { steps, counters: world.counters })
    }
}

impl Failure {
    /// The smallest plan that was found to break a rule too: faults that it can do without are switched off,
    /// and operations that it can do without are never asked for, where it fails no later then.
    pub(crate) fn shrunk(self) -> Self {
        let mut smallest = self;
        for rate in Rates::NAMES {
            let mut plan = smallest.plan.clone();
            plan.without.insert((*rate).to_owned());
            smallest = smallest.no_later(&plan).unwrap_or(smallest);
        }
        let fewer = |operations| Plan { operations: Some(operations), ..smallest.plan.clone() };
        (1..22).find_map(|operations| smallest.no_later(&fewer(operations))).unwrap_or(smallest)
    }

    /// How a plan fails, if it does so after no more steps.
    fn no_later(&self, plan: &Plan) -> Option<Self> {
        plan.run().err().filter(|failure| failure.steps <= self.steps)
    }
}

//! Cases that have a formula.

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::operation::Class;
use archibald_core::scheduler::SchedulerConfig;
use archibald_examples::simulate::{Job, Policy, Workload, simulate};

/// Operations, each of an agent of its own so that nobody waits for himself.
const COUNT: u32 = 200_000;
const SERVICE_MS: f64 = 10_000.0;

/// The mean wait for a slot, in units of the mean service.
fn mean_wait(slots: usize, load: f64, service: impl Fn(&mut Draws) -> f64) -> f64 {
    let (mut draws, mut at_ms) = (Draws(1), 0.0);
    let agents: Vec<_> = (0..COUNT).map(|n| AgentId::new(format!("a{n}")).unwrap()).collect();
    let kind = OperationKind::new("any").unwrap();
    let job = |agent| {
        at_ms += draws.exponential() * SERVICE_MS / load / slots as f64;
        let requests_ms = vec![(service(&mut draws) * SERVICE_MS).round() as u64];
        Job { at_ms: at_ms as u64, agent, class: Class::Interactive, kind: kind.clone(), requests_ms }
    };
    let workload = Workload::new(agents, (0..COUNT).map(job).collect());
    let config = SchedulerConfig { slots, reserved_interactive: 0, ..SchedulerConfig::default() };
    let policy = Policy { login_requests: 0, ..Policy::new(config, slots, 1) };
    let outcome = simulate(&workload, &policy).unwrap();
    assert_eq!(outcome.violations, [""; 0]);
    outcome.told.iter().map(|told| told.slot_ms as f64).sum::<f64>() / f64::from(COUNT) / SERVICE_MS
}

/// M/D/1: half of ρ / (1 − ρ).
#[test]
fn one_slot_and_operations_of_one_length_wait_as_pollaczek_and_khinchine_say() {
    for load in [0.5, 0.8] {
        let (theory, seen) = (load / (2.0 * (1.0 - load)), mean_wait(1, load, |_| 1.0));
        assert!((seen / theory - 1.0).abs() < 0.05, "load {load}: {seen}, by theory {theory}");
    }
}

/// M/M/c: the share that waits at all, over c (1 − ρ).
#[test]
fn several_slots_and_exponential_operations_wait_as_erlang_says() {
    for (slots, load) in [(4, 0.7), (10, 0.85)] {
        let theory = erlang_c(slots, load) / (slots as f64 * (1.0 - load));
        let seen = mean_wait(slots, load, Draws::exponential);
        assert!((seen / theory - 1.0).abs() < 0.05, "{slots} slots, load {load}: {seen}, by theory {theory}");
    }
}

fn erlang_c(slots: usize, load: f64) -> f64 {
    let offered = load * slots as f64;
    let busy = (1..=slots).fold(1.0, |blocked, n| offered * blocked / (n as f64 + offered * blocked));
    busy / (1.0 - load * (1.0 - busy))
}

/// Of the test's own, so that the program's are not judged by themselves.
struct Draws(u64);

impl Draws {
    fn exponential(&mut self) -> f64 {
        // Marsaglia's xorshift64*.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let share = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - share).ln()
    }
}

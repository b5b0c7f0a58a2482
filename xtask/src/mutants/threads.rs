//! The rules of what threads share.

use super::Mutant;

/// In many orders of threads.
const THREADS: &[&str] = &["--test", "orders_of_threads"];

/// A row between a look and what is written by it.
const LOOKED: &[&str] = &["--lib", "looked_tests"];

/// One for each rule that some order of threads would break.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a lane begins by an old count",
        file: "archibald-pg/src/gathering.rs",
        changes: &[
            (
                "        let mut state = self.state();\n        state.waiting.push_back(job);\n",
                "        let running = self.state().lanes;\n        let mut state = self.state();\n        state.waiting.push_back(job);\n",
            ),
            ("let begins = state.lanes < lanes;", "let begins = running < lanes;"),
        ],
        package: "archibald-pg",
        tests: THREADS,
    },
    Mutant {
        name: "a gate is taken down by an old count",
        file: "archibald-pg/src/gate.rs",
        changes: &[(
            "        let mut all = self.gates.all();\n        if all.get(&self.agent).is_some_and(|gate| Arc::strong_count(gate) == 1) {\n            all.remove",
            "        let is_last = |gate: &Arc<_>| Arc::strong_count(gate) == 1;\n        let is_last = self.gates.all().get(&self.agent).is_some_and(is_last);\n        if is_last {\n            self.gates.all().remove",
        )],
        package: "archibald-pg",
        tests: THREADS,
    },
    Mutant {
        name: "told before it is noted",
        file: "archibald-pg/src/hub.rs",
        changes: &[(
            "        *self.lock().news.agents.entry(agent.clone()).or_default() |= workers;\n        self.untold.notify_one();\n",
            "        self.untold.notify_one();\n        *self.lock().news.agents.entry(agent.clone()).or_default() |= workers;\n",
        )],
        package: "archibald-pg",
        tests: THREADS,
    },
    Mutant {
        name: "a renewal goes by an old deadline",
        file: "archibald-runtime/src/guard.rs",
        changes: &[(
            "        let mut deadline = self.deadline();\n        *deadline = renewed.max(*deadline);\n",
            "        let before = *self.deadline();\n        *self.deadline() = renewed.max(before);\n",
        )],
        package: "archibald-runtime",
        tests: THREADS,
    },
    Mutant {
        name: "the end that was is not looked at again",
        file: "archibald-runtime/src/guard.rs",
        changes: &[("if *self.deadline() <= Instant::now() {", "if deadline <= Instant::now() {")],
        package: "archibald-runtime",
        tests: THREADS,
    },
    Mutant {
        name: "what was lost can be renewed",
        file: "archibald-runtime/src/guard.rs",
        changes: &[("if left.is_zero() || self.lost.is_cancelled() {", "if left.is_zero() {")],
        package: "archibald-runtime",
        tests: THREADS,
    },
    Mutant {
        name: "a renewal is counted from its answer",
        file: "archibald-runtime/src/renewal.rs",
        changes: &[
            ("    let asked = Instant::now();\n", ""),
            (
                "        Ok(survivors) => {\n",
                "        Ok(survivors) => {\n            let asked = Instant::now();\n",
            ),
        ],
        package: "archibald-runtime",
        tests: THREADS,
    },
    Mutant {
        name: "what is taken during a renewal is lost by it",
        file: "archibald-runtime/src/renewal.rs",
        changes: &[("            for guard in guards {", "            for guard in holdings.all() {")],
        package: "archibald-runtime",
        tests: THREADS,
    },
    Mutant {
        name: "a sleeper is called by an old count",
        file: "archibald-sqlite/src/queue.rs",
        changes: &[
            (
                "        let mut held = self.lock();\n        if held.closed {",
                "        let idle = self.lock().idle;\n        let mut held = self.lock();\n        if held.closed {",
            ),
            ("        if held.idle > 0 {", "        if idle.min(held.idle) > 0 {"),
        ],
        package: "archibald-sqlite",
        tests: THREADS,
    },
    Mutant {
        name: "what is let in is dropped at the end",
        file: "archibald-sqlite/src/queue.rs",
        changes: &[(
            "        while held.waiting.is_empty() {\n            if held.closed {\n                return Taken::End;\n            }\n",
            "        while held.waiting.is_empty() || held.closed {\n            if held.closed {\n                return Taken::End;\n            }\n",
        )],
        package: "archibald-sqlite",
        tests: THREADS,
    },
    Mutant {
        name: "a worker is woken before it is told",
        file: "archibald-sqlite/src/hub.rs",
        changes: &[(
            "            effects.workers.iter().for_each(|agent| worker.push(agent));\n            worker.lock().survey |= effects.survey;\n            worker.notify.notify_one();\n",
            "            worker.notify.notify_one();\n            effects.workers.iter().for_each(|agent| worker.push(agent));\n            worker.lock().survey |= effects.survey;\n",
        )],
        package: "archibald-sqlite",
        tests: THREADS,
    },
    Mutant {
        name: "who subscribes at the end is not told of it",
        file: "archibald-sqlite/src/hub.rs",
        changes: &[(
            "        let mut inner = self.lock();\n        queue.lock().closed = inner.closed;\n",
            "        queue.lock().closed = self.lock().closed;\n        let mut inner = self.lock();\n",
        )],
        package: "archibald-sqlite",
        tests: THREADS,
    },
    Mutant {
        name: "a lease that changed since the look is written",
        file: "archibald-pg/sql/group_write.sql",
        changes: &[("(select count(*) from agents_seen) = cardinality($43::text[])", "true")],
        package: "archibald-pg",
        tests: LOOKED,
    },
    Mutant {
        name: "an operation that changed since the look is written",
        file: "archibald-pg/sql/group_write.sql",
        changes: &[("(select count(*) from operations_seen) = cardinality($45::uuid[])", "true")],
        package: "archibald-pg",
        tests: LOOKED,
    },
    Mutant {
        name: "a counter that changed since the look is written",
        file: "archibald-pg/sql/group_write.sql",
        changes: &[("(select count(*) from streams_seen) = cardinality($47::text[])", "true")],
        package: "archibald-pg",
        tests: LOOKED,
    },
];

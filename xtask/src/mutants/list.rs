use super::Mutant;

const CORE: &[&str] = &["--lib", "record"];
const STORIES: &[&str] = &["--test", "stories"];
pub(super) const MEMORY: &[&str] = &["--test", "memory"];

/// One for each rule of the protocol.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no intent",
        file: "archibald-core/src/record/journal.rs",
        changes: &[(
            "if effect.state != EffectState::Intended || effect.token != request.lease.token {",
            "if false {",
        )],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "no release mark",
        file: "archibald-core/src/record/journal.rs",
        changes: &[(
            "        effect.state = EffectState::Released;\n        effect.released_at = Some(now);\n",
            "",
        )],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "no token check",
        file: "archibald-core/src/record.rs",
        changes: &[(
            "if self.is_held_under(lease) { Ok(())",
            "if lease.agent == self.operation.agent { Ok(())",
        )],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "token not renewed at the next start",
        file: "archibald-testing/src/memory/lock.rs",
        changes: &[("FencingToken(agent.token + 1)", "FencingToken(agent.token.max(1))")],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "settle only for absent",
        file: "archibald-runtime/src/attempt/effect.rs",
        changes: &[(
            "filter(|over| *over > self.store_time) {",
            "filter(|over| *over > self.store_time && matches!(verdict, Verdict::Absent)) {",
        )],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "probe as soon as the context closes",
        file: "archibald-runtime/src/attempt/effect.rs",
        changes: &[("filter(|over| *over > self.store_time) {", "filter(|over| *over > Timestamp::MAX) {")],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "no baseline",
        file: "archibald-runtime/src/actions/create_customer.rs",
        changes: &[(
            "Baseline::Known(known) => look(context, &wanted, known, effect).await,",
            "Baseline::Known(_) => look(context, &wanted, BTreeSet::new(), effect).await,",
        )],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "what an answer showed is forgotten",
        file: "archibald-runtime/src/actions/customers.rs",
        changes: &[("whole.or_insert(&field, &wanted);", "let _ = wanted;")],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "fingerprint fallback behind a mark",
        file: "archibald-runtime/src/actions/submit_order.rs",
        changes: &[(
            "            [] => Observed::LookAlike(order.number),",
            "            [] => Observed::Bearer(order),",
        )],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "mark from the key",
        file: "archibald-runtime/src/actions/submit_order.rs",
        changes: &[
            ("Some(Mark::of(operation.id))", "Some(of_key(operation))"),
            ("let mark = Mark::of(context.operation.id);", "let mark = of_key(context.operation);"),
            ("let reference = Mark::of(operation.id)", "let reference = of_key(operation)"),
            ("== Some(Mark::of(context.operation.id));", "== Some(of_key(context.operation));"),
            (
                "/// What a probe saw.\n",
                "fn of_key(operation: &Operation) -> Mark {
    let bytes = operation.key.as_str().bytes();
    let hash = bytes.fold(7_u128, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    Mark::of(archibald_core::id::OperationId(uuid::Uuid::from_u128(hash)))
}\n\n/// What a probe saw.\n",
            ),
        ],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "no ownership rule",
        file: "archibald-runtime/src/actions/create_customer.rs",
        changes: &[(
            "origin[\"operation\"] != json!(context.operation.id)",
            "origin[\"operation\"] == Value::Null && code.is_empty()",
        )],
        package: "archibald-runtime",
        tests: STORIES,
    },
    Mutant {
        name: "act instead of probe",
        file: "archibald-core/src/record/disposition.rs",
        changes: &[(
            "        if has(EffectState::Released) {\n            Step::Probe",
            "        if has(EffectState::Released) {\n            Step::Act",
        )],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "second repair allowed",
        file: "archibald-core/src/record/journal.rs",
        changes: &[("                return Err(JournalError::RepairedOnce(self.name.to_string()));\n", "")],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "same-target rule off",
        file: "archibald-core/src/record.rs",
        changes: &[("&& this.target == other.target", "&& this.target != other.target")],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "prune before commit",
        file: "archibald-core/src/record/journal.rs",
        changes: &[(
            "        effect.state = EffectState::Recorded;\n        effect.receipt = Some(receipt.clone());\n        Ok(())",
            "        self.effects.clear();\n        Ok(())",
        )],
        package: "archibald-core",
        tests: CORE,
    },
    Mutant {
        name: "done without read-back",
        file: "archibald-testing/src/direct/write.rs",
        changes: &[(
            "    let differences = write.differences(&observed);\n    if differences.is_empty() {",
            "    let differences = write.differences(&observed);\n    if differences.is_empty() || true {",
        )],
        package: "archibald-testing",
        tests: &["--test", "direct", "fault"],
    },
    Mutant {
        name: "done without read-back in the browser",
        file: "archibald-browser/src/erp/order_acts.rs",
        changes: &[(
            "    if differences.is_empty() {\n        ActOutcome::Done(order)",
            "    if differences.is_empty() || true {\n        ActOutcome::Done(order)",
        )],
        package: "archibald-browser",
        tests: &["--test", "orders", "every_fault_of_a_change"],
    },
    Mutant {
        name: "one submit a draft not held",
        file: "archibald-testing/src/memory/state.rs",
        changes: &[("&& other.state.holds_target()", "&& other.state.holds_target() && but.0.is_nil()")],
        package: "archibald-testing",
        tests: MEMORY,
    },
];

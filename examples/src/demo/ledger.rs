//! The judge: what was asked for against what the ERP did.

use std::collections::BTreeMap;

use archibald_core::effect::Mark;
use archibald_core::id::{AgentId, OperationId};
use archibald_testing::data::Order;
use archibald_testing::erp::{EffectKind, LedgerEntry, OrderContent};

/// An order that the server acknowledged, and how its operation ended.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Under which the server knows it.
    pub(super) operation: OperationId,
    /// Whose.
    pub(super) agent: AgentId,
    /// What was asked for.
    pub(super) order: Order,
    /// Whether the ERP must refuse it.
    pub(super) refusable: bool,
    /// The operation's state as the server tells it; `None` where it knows of no such operation.
    pub(super) state: Option<String>,
}

/// What the comparison found. Each finding is a sentence for a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Orders that the ERP saved.
    pub(super) effects_applied: u64,
    /// Orders that the ERP changed after that.
    pub(super) edits: u64,
    /// Saves beyond the first of an operation.
    pub(super) duplicates: Vec<String>,
    /// Acknowledged and forgotten, or completed without the effect, or with another content.
    pub(super) lost: Vec<String>,
    /// Effects that no operation accounts for.
    pub(super) phantoms: Vec<String>,
    /// Orders that the ERP must refuse and that did not end rejected.
    pub(super) not_rejected: Vec<String>,
}

/// What became of one order at the ERP.
#[derive(Debug, Default)]
struct Effect<'a> {
    numbers: Vec<&'a str>,
    now: BTreeMap<&'a str, &'a OrderContent>,
}

/// Compares. `ledger` is whole and in order.
pub(super) fn judge(asked: &[Asked], ledger: &[LedgerEntry]) -> Judgement {
    let mut found = Judgement::default();
    let by_mark: BTreeMap<String, &Asked> =
        asked.iter().map(|asked| (Mark::of(asked.operation).to_string(), asked)).collect();
    let effects = gather(&by_mark, ledger, &mut found);
    let nothing = Effect::default();
    for asked in asked {
        let effect = effects.get(&asked.operation).unwrap_or(&nothing);
        compare(asked, effect, &mut found);
    }
    found
}

fn gather<'a>(
    by_mark: &BTreeMap<String, &Asked>,
    ledger: &'a [LedgerEntry],
    found: &mut Judgement,
) -> BTreeMap<OperationId, Effect<'a>> {
    let mut effects: BTreeMap<OperationId, Effect<'a>> = BTreeMap::new();
    let mut owners: BTreeMap<&str, OperationId> = BTreeMap::new();
    for entry in ledger {
        let owner = match entry.kind {
            EffectKind::OrderSaved => {
                found.effects_applied += 1;
                owner_of(by_mark, entry).inspect(|owner| {
                    owners.insert(&entry.number, *owner);
                    effects.entry(*owner).or_default().numbers.push(&entry.number);
                })
            }
            EffectKind::OrderEdited => {
                found.edits += 1;
                owners.get(entry.number.as_str()).copied()
            }
            // Nobody asks for these here.
            EffectKind::OrderDeleted | EffectKind::OrderSent => None,
            EffectKind::CustomerSaved | EffectKind::CustomerEdited => None,
        };
        let effect = owner.and_then(|owner| effects.get_mut(&owner));
        match (effect, &entry.order) {
            (Some(effect), Some(content)) => {
                effect.now.insert(&entry.number, content);
            }
            _ => found.phantoms.push(format!(
                "{} of {} by {} (ledger entry {}) belongs to no operation",
                entry.kind, entry.number, entry.user, entry.seq
            )),
        }
    }
    effects
}

/// Whose mark the order bears, if the ERP knows its bearer as that agent.
fn owner_of(by_mark: &BTreeMap<String, &Asked>, entry: &LedgerEntry) -> Option<OperationId> {
    let mark = Mark::read(&entry.order.as_ref()?.reference)?;
    let asked = by_mark.get(&mark.to_string())?;
    (asked.agent.as_str() == entry.user).then_some(asked.operation)
}

fn compare(asked: &Asked, effect: &Effect<'_>, found: &mut Judgement) {
    let Asked { operation, agent, order, state, .. } = asked;
    let name = format!("order {} of {agent} ({operation})", order.id);
    for number in effect.numbers.iter().skip(1) {
        found.duplicates.push(format!("{name} was saved as {} and again as {number}", effect.numbers[0]));
    }
    if asked.refusable && state.as_deref() != Some("rejected") {
        let state = state.as_deref().unwrap_or("unknown");
        found.not_rejected.push(format!("{name} has a discontinued product and is {state}"));
    }
    match state.as_deref() {
        Some("completed") => {
            found.lost.extend(effect.lacks(order).map(|what| format!("{name} is completed and {what}")))
        }
        Some(state @ ("rejected" | "failed" | "cancelled")) => {
            let yet = effect
                .numbers
                .iter()
                .map(|number| format!("{name} is {state} and yet the ERP has it as {number}"));
            found.phantoms.extend(yet);
        }
        None => found.lost.push(format!("{name} was acknowledged and the server does not know it")),
        // Not final: that is counted as such.
        Some(_) => {}
    }
}

impl Effect<'_> {
    /// What a completed order lacks at the ERP, if anything.
    fn lacks(&self, wanted: &Order) -> Option<String> {
        if self.numbers.is_empty() {
            return Some("the ERP has no such order".to_owned());
        }
        let as_wanted = self.now.values().any(|content| fits(wanted, content));
        (!as_wanted).then(|| format!("reads otherwise at the ERP ({})", self.numbers.join(", ")))
    }
}

/// Customer, date, products, quantities and discounts. Prices are the ERP's own.
fn fits(wanted: &Order, content: &OrderContent) -> bool {
    wanted.customer == content.customer && wanted.date == content.date && wanted.lines == content.lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_testing::data::DataSet;

    const NANCY: &str = "nancy";

    fn asked(number: u128, state: Option<&str>) -> Asked {
        let data = DataSet::generate(1, 1, 20);
        Asked {
            operation: format!("00000000-0000-7000-8000-{number:012}").parse().unwrap(),
            agent: AgentId::new(NANCY).unwrap(),
            order: data.workload(false)[usize::try_from(number).unwrap()].clone(),
            refusable: false,
            state: state.map(str::to_owned),
        }
    }

    fn content(asked: &Asked) -> OrderContent {
        OrderContent {
            customer: asked.order.customer.clone(),
            date: asked.order.date,
            reference: Mark::of(asked.operation).stamp("").unwrap(),
            note: String::new(),
            lines: asked.order.lines.clone(),
        }
    }

    /// An effect of nancy's, with what `change` makes of the content that was asked for.
    fn entry(
        kind: EffectKind,
        number: &str,
        asked: &Asked,
        change: impl Fn(&mut OrderContent),
    ) -> LedgerEntry {
        let mut order = content(asked);
        change(&mut order);
        LedgerEntry {
            seq: 1,
            at_ms: 0,
            user: NANCY.into(),
            kind,
            number: number.into(),
            order: Some(order),
            customer: None,
            request: 1,
            fault: None,
            by_hand: false,
        }
    }

    fn saved(number: &str, asked: &Asked) -> LedgerEntry {
        entry(EffectKind::OrderSaved, number, asked, |_| {})
    }

    /// How many duplicates, losses, phantoms.
    fn counts(asked: &[Asked], ledger: &[LedgerEntry]) -> (usize, usize, usize) {
        let found = judge(asked, ledger);
        (found.duplicates.len(), found.lost.len(), found.phantoms.len())
    }

    #[test]
    fn each_asked_for_and_done_once_is_what_we_want() {
        let (one, two) = (asked(1, Some("completed")), asked(2, Some("completed")));
        let ledger = [saved("1001", &one), saved("1002", &two)];
        let found = judge(&[one, two], &ledger);
        assert_eq!(found, Judgement { effects_applied: 2, ..Judgement::default() });
    }

    #[test]
    fn a_second_save_is_a_duplicate_whatever_became_of_it() {
        let one = asked(1, Some("completed"));
        let twice = [saved("1001", &one), saved("1002", &one)];
        assert_eq!(counts(std::slice::from_ref(&one), &twice), (1, 0, 0));
        let thrice = [saved("1001", &one), saved("1002", &one), saved("1003", &one)];
        assert_eq!(counts(std::slice::from_ref(&one), &thrice), (2, 0, 0));
    }

    #[test]
    fn completed_without_the_effect_or_with_another_content_is_lost() {
        let one = asked(1, Some("completed"));
        assert_eq!(counts(std::slice::from_ref(&one), &[]), (0, 1, 0));
        type Change = fn(&mut OrderContent);
        let changes: [(&str, Change); 5] = [
            ("customer", |order| order.customer.push('X')),
            ("date", |order| order.date = order.date.tomorrow().unwrap()),
            ("no lines", |order| order.lines.clear()),
            ("quantity", |order| order.lines[0].quantity += 1),
            ("discount", |order| order.lines[0].discount.0 += 1),
        ];
        for (name, change) in changes {
            let ledger = [entry(EffectKind::OrderSaved, "1001", &one, change)];
            assert_eq!(counts(std::slice::from_ref(&one), &ledger), (0, 1, 0), "{name}");
        }
    }

    #[test]
    fn what_counts_is_how_the_order_stands_at_the_end() {
        let one = asked(1, Some("completed"));
        let half = entry(EffectKind::OrderSaved, "1001", &one, |order| order.lines.clear());
        let repaired = entry(EffectKind::OrderEdited, "1001", &one, |_| {});
        let spoilt = entry(EffectKind::OrderEdited, "1001", &one, |order| order.lines[0].quantity += 1);
        assert_eq!(counts(std::slice::from_ref(&one), &[half.clone(), repaired]), (0, 0, 0));
        assert_eq!(counts(std::slice::from_ref(&one), &[saved("1001", &one), spoilt]), (0, 1, 0));
    }

    #[test]
    fn an_effect_that_no_operation_accounts_for_is_a_phantom() {
        let one = asked(1, Some("completed"));
        let stranger = asked(9, Some("completed"));
        let unmarked = entry(EffectKind::OrderSaved, "1002", &one, |order| order.reference.clear());
        let foreign_edit = entry(EffectKind::OrderEdited, "77", &one, |_| {});
        let other_user = LedgerEntry { user: "anne".into(), ..saved("1002", &one) };
        let deleted = entry(EffectKind::OrderDeleted, "1001", &one, |_| {});
        let customer = LedgerEntry { order: None, ..entry(EffectKind::CustomerSaved, "C1", &one, |_| {}) };
        for extra in [saved("1002", &stranger), unmarked, foreign_edit, other_user, deleted, customer] {
            let ledger = [saved("1001", &one), extra.clone()];
            assert_eq!(counts(std::slice::from_ref(&one), &ledger), (0, 0, 1), "{extra:?}");
        }
    }

    #[test]
    fn an_order_that_ended_without_effect_and_is_there_all_the_same_is_a_phantom() {
        for state in ["rejected", "failed", "cancelled"] {
            let one = asked(1, Some(state));
            assert_eq!(counts(std::slice::from_ref(&one), &[saved("1001", &one)]), (0, 0, 1), "{state}");
            assert_eq!(counts(std::slice::from_ref(&one), &[]), (0, 0, 0), "{state}");
        }
    }

    #[test]
    fn acknowledged_and_forgotten_is_lost_and_not_final_is_counted_elsewhere() {
        assert_eq!(counts(&[asked(1, None)], &[]), (0, 1, 0));
        assert_eq!(counts(&[asked(1, Some("in_doubt"))], &[]), (0, 0, 0));
        let running = asked(1, Some("running"));
        assert_eq!(counts(std::slice::from_ref(&running), &[saved("1001", &running)]), (0, 0, 0));
    }

    #[test]
    fn what_the_erp_must_refuse_must_end_rejected() {
        let refusable = |state| Asked { refusable: true, ..asked(1, Some(state)) };
        assert_eq!(judge(&[refusable("rejected")], &[]).not_rejected.len(), 0);
        assert_eq!(judge(&[refusable("failed")], &[]).not_rejected.len(), 1);
    }
}

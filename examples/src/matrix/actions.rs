//! The actions: what has to be at the ERP before, what is asked for, what has to be there after.

use std::collections::BTreeSet;

use EffectKind::{CustomerEdited, OrderEdited};
use archibald_core::effect::OWN_TEXT_LIMIT;
use archibald_core::id::AgentId;
use archibald_testing::data::{Customer, Line, Order};
use archibald_testing::erp::{
    ControlError, EffectKind, ErpControl, HandCustomer, HandOrder, LedgerEntry, OrderContent, OrderState,
};
use serde_json::{Value, json};

/// An operation's kind and what the matrix has to know of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// As a client names it.
    pub(super) kind: &'static str,
    pub(super) sort: Sort,
    /// Whether it reads local rows.
    pub(super) rows: bool,
    /// Whether it types an order's lines, which ask for pages of their own.
    pub(super) lines: bool,
    /// Of which calls of the client it makes one, before it acts or when it probes.
    pub(super) asks: &'static [&'static str],
    /// What a repair of it is in the ledger, where the ERP can save it otherwise than asked for.
    pub(super) repair: Option<EffectKind>,
}

/// What an action does at the ERP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// It changes something, once.
    Write,
    /// It only reads.
    Sync,
}

/// Every action that there is to be. What the server does not know yet is left out when it says so.
pub(super) const ACTIONS: &[Action] = &[
    Action {
        rows: true,
        lines: true,
        ..write("submit-order", &["client.find_orders", "client.read_order"], Some(OrderEdited))
    },
    Action { lines: true, ..write("edit-order", &["client.read_order"], Some(OrderEdited)) },
    write("delete-order", &["client.read_order"], None),
    write("send-to-verona", &["client.read_order"], None),
    write("create-customer", &["client.find_customers", "client.read_customer"], Some(CustomerEdited)),
    write("update-customer", &["client.read_customer"], Some(CustomerEdited)),
    sync("sync-customers"),
    sync("sync-products"),
    sync("sync-prices"),
    sync("sync-orders"),
];

const fn write(kind: &'static str, asks: &'static [&'static str], repair: Option<EffectKind>) -> Action {
    Action { kind, sort: Sort::Write, rows: false, lines: false, asks, repair }
}

const fn sync(kind: &'static str) -> Action {
    Action { kind, sort: Sort::Sync, rows: true, lines: false, asks: &[], repair: None }
}

/// An action with everything that one cell makes different.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) payload: Value,
    /// The one effect that there has to be, if any.
    pub(super) wanted: Option<Wanted>,
    /// What has to have been done after it, since it was saved otherwise than wanted.
    pub(super) repair: Option<EffectKind>,
}

/// An effect as it has to stand in the ledger.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: EffectKind,
    /// Of what; `None` where it is new.
    number: Option<String>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Any,
    Order(OrderContent),
    Customer(Customer),
}

/// Puts at the ERP what has to be there. `order` is what an agent wants; `place` makes each case its own.
///
/// # Errors
/// [`ControlError`].
pub(super) async fn prepare(
    action: &Action,
    erp: &ErpControl,
    agent: &AgentId,
    order: &Order,
    place: u64,
) -> Result<Case, ControlError> {
    let wanted = content(order, place);
    let case = match action.kind {
        "submit-order" => {
            Case::of(payload(&wanted, None), EffectKind::OrderSaved, None, Content::Order(wanted))
        }
        "edit-order" => {
            let number = put_order(erp, agent, &before(&wanted)).await?;
            let payload = payload(&wanted, Some(&number));
            Case::of(payload, EffectKind::OrderEdited, Some(number), Content::Order(wanted))
        }
        "delete-order" => {
            let number = put_order(erp, agent, &wanted).await?;
            Case::of(json!({ "order": number }), EffectKind::OrderDeleted, Some(number), Content::Any)
        }
        "send-to-verona" => {
            let number = put_order(erp, agent, &wanted).await?;
            Case::of(json!({ "order": number }), EffectKind::OrderSent, Some(number), Content::Order(wanted))
        }
        "create-customer" => {
            let new = customer(place, "Main Street 1");
            Case::of(of_customer(&new), EffectKind::CustomerSaved, None, Content::Customer(new))
        }
        "update-customer" => {
            let mut there = customer(place, "Old Street 9");
            there.code = put_customer(erp, agent, &there).await?;
            let wanted = Customer { street: "Main Street 1".into(), ..there };
            let payload = json!({ "customer": wanted.code, "street": wanted.street });
            let code = Some(wanted.code.clone());
            Case::of(payload, EffectKind::CustomerEdited, code, Content::Customer(wanted))
        }
        _ => Case { payload: json!({}), wanted: None, repair: None },
    };
    Ok(case)
}

impl Case {
    /// Whether it is the effect that was asked for, or the repair of one.
    pub(super) fn is_ours(&self, entry: &LedgerEntry) -> bool {
        let is_repair = |wanted: &Wanted| self.repair == Some(entry.kind) && wanted.is_of(entry);
        self.wanted.as_ref().is_some_and(|wanted| wanted.is(entry) || is_repair(wanted))
    }

    /// Whether there is more of anything than has to be: of `ours`, the effect and its repair.
    pub(super) fn is_exceeded(&self, ours: &[&LedgerEntry]) -> bool {
        let has_to_be = self.has_to_be();
        let count = |kinds: &[EffectKind], kind| kinds.iter().filter(|other| **other == kind).count();
        let kinds: Vec<_> = ours.iter().map(|entry| entry.kind).collect();
        let numbers: BTreeSet<&str> = ours.iter().map(|entry| entry.number.as_str()).collect();
        numbers.len() > 1 || kinds.iter().any(|kind| count(&kinds, *kind) > count(&has_to_be, *kind))
    }

    /// Whether `ours` are all that has to be, in order.
    pub(super) fn is_whole(&self, ours: &[&LedgerEntry]) -> bool {
        ours.iter().map(|entry| entry.kind).eq(self.has_to_be())
    }

    fn has_to_be(&self) -> Vec<EffectKind> {
        self.wanted.iter().map(|wanted| wanted.kind).chain(self.repair).collect()
    }

    fn of(payload: Value, kind: EffectKind, number: Option<String>, content: Content) -> Self {
        Self { payload, wanted: Some(Wanted { kind, number, content }), repair: None }
    }
}

#[cfg(test)]
impl Case {
    /// One effect of a kind, whatever it says.
    pub(super) fn any(kind: EffectKind) -> Self {
        Self::of(Value::Null, kind, None, Content::Any)
    }
}

#[cfg(test)]
impl Wanted {
    pub(super) fn of_number(self, number: &str) -> Self {
        Self { number: Some(number.to_owned()), ..self }
    }
}

impl Wanted {
    /// Whether it is the effect that was asked for, whatever it says in full.
    pub(super) fn is(&self, entry: &LedgerEntry) -> bool {
        entry.kind == self.kind && self.is_of(entry)
    }

    /// Whether it is of the same order or customer, as far as that is known.
    fn is_of(&self, entry: &LedgerEntry) -> bool {
        self.number.as_ref().is_none_or(|number| *number == entry.number)
    }

    /// Whether it says what was asked for.
    pub(super) fn fits(&self, entry: &LedgerEntry) -> bool {
        match &self.content {
            Content::Any => true,
            Content::Order(wanted) => entry.order.as_ref().is_some_and(|order| {
                let text = order.reference.starts_with(&wanted.reference);
                text && (&order.customer, order.date, &order.lines, &order.note)
                    == (&wanted.customer, wanted.date, &wanted.lines, &wanted.note)
            }),
            Content::Customer(wanted) => entry.customer.as_ref().is_some_and(|customer| {
                Customer { code: String::new(), ..customer.clone() }
                    == Customer { code: String::new(), ..wanted.clone() }
            }),
        }
    }
}

fn content(order: &Order, place: u64) -> OrderContent {
    let reference: String = format!("cell {place}").chars().take(OWN_TEXT_LIMIT).collect();
    let (customer, lines) = (order.customer.clone(), order.lines.clone());
    OrderContent { customer, date: order.date, reference, note: String::new(), lines }
}

/// The same order before it is edited: its first line has more pieces.
fn before(wanted: &OrderContent) -> OrderContent {
    let mut before = wanted.clone();
    if let Some(Line { quantity, .. }) = before.lines.first_mut() {
        *quantity += 1;
    }
    before
}

fn payload(order: &OrderContent, number: Option<&str>) -> Value {
    let line = |line: &Line| json!({ "product": line.product, "quantity": line.quantity, "discount": line.discount });
    let lines: Vec<Value> = order.lines.iter().map(line).collect();
    let mut payload = json!({
        "customer": order.customer, "date": order.date, "reference": order.reference, "lines": lines,
    });
    if let Some(number) = number {
        payload["order"] = number.into();
    }
    payload
}

async fn put_order(
    erp: &ErpControl,
    agent: &AgentId,
    content: &OrderContent,
) -> Result<String, ControlError> {
    let (agent, content) = (agent.to_string(), content.clone());
    let order = HandOrder { number: None, agent, state: OrderState::Open, content };
    erp.put_order(&order).await.map(|number| number.to_string())
}

async fn put_customer(
    erp: &ErpControl,
    agent: &AgentId,
    customer: &Customer,
) -> Result<String, ControlError> {
    let agents = vec![agent.to_string()];
    erp.put_customer(&HandCustomer { agents, customer: customer.clone() }).await
}

fn customer(place: u64, street: &str) -> Customer {
    Customer {
        name: format!("Company of cell {place}"),
        vat: format!("IT{place:011}"),
        street: street.to_owned(),
        city: "Verona".to_owned(),
        ..Customer::default()
    }
}

fn of_customer(customer: &Customer) -> Value {
    json!({ "name": customer.name, "vat": customer.vat, "street": customer.street, "city": customer.city })
}

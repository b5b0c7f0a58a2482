//! The ERP's data and its rules: what may be saved, what it costs, what is refused. No HTTP here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ledger::{Applied, EffectKind, OrderContent};
use crate::data::{Agent, Cents, Customer, DataSet, Line, Order, Product, password_of};

/// Characters that the reference of an order may have.
pub(crate) const REFERENCE_LIMIT: usize = 40;
const FIRST_NUMBER: u64 = 20_001;

/// Wrong passwords in a row, at whichever login page, after which an account is locked until the control port
/// unlocks it.
pub const WRONG_PASSWORDS: u32 = 5;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// Editable.
    Open,
    /// At headquarters: neither edited nor deleted any more.
    Sent,
}

/// An order as the ERP keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErpOrder {
    /// Assigned on the first save.
    pub number: u64,
    /// User name of the agent who sees it.
    pub agent: String,
    /// `open` or `sent`.
    pub state: OrderState,
    /// What it says.
    #[serde(flatten)]
    pub content: OrderContent,
    /// Lists leave it out until then (the `stale-list` fault).
    #[serde(skip)]
    pub(crate) unlisted_until: Option<Instant>,
}

/// A change that a page asks for.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    SaveOrder { number: Option<u64>, content: OrderContent },
    DeleteOrder { number: u64 },
    SendOrder { number: u64 },
    SaveCustomer { code: Option<String>, customer: Customer },
}

/// What a login page makes of a user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogIn {
    Fits,
    Wrong,
    Locked,
}

/// Why something is not saved: `field` names the control that the message stands beside, empty for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) field: &'static str,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct World {
    agents: BTreeMap<String, Agent>,
    passwords: BTreeMap<String, String>,
    /// Wrong ones in a row.
    wrong_passwords: BTreeMap<String, u32>,
    customers: BTreeMap<String, Customer>,
    seen_by: BTreeMap<String, BTreeSet<String>>,
    /// Lists leave these customers out until then (the `stale-list` fault).
    unlisted_customers: BTreeMap<String, Instant>,
    products: BTreeMap<String, Product>,
    orders: BTreeMap<u64, ErpOrder>,
    last_customer: u64,
    last_number: u64,
}

impl World {
    pub(crate) fn new(data: &DataSet) -> Self {
        Self {
            agents: data.agents.iter().map(|a| (a.user.clone(), a.clone())).collect(),
            passwords: data.agents.iter().map(|a| (a.user.clone(), password_of(&a.user))).collect(),
            wrong_passwords: BTreeMap::new(),
            unlisted_customers: BTreeMap::new(),
            customers: data.customers.iter().map(|c| (c.code.clone(), c.clone())).collect(),
            seen_by: data.assignments(),
            products: data.products.iter().map(|p| (p.code.clone(), p.clone())).collect(),
            orders: BTreeMap::new(),
            last_customer: 0,
            last_number: FIRST_NUMBER - 1,
        }
    }

    /// Puts the data's orders there as if they had been saved long ago, under their ids; not in the ledger.
    pub(crate) fn preload(&mut self, orders: &[Order]) {
        for order in orders {
            let content = OrderContent {
                customer: order.customer.clone(),
                date: order.date,
                reference: String::new(),
                note: String::new(),
                lines: order.lines.clone(),
            };
            self.put(order.id, &order.agent, content, OrderState::Open);
        }
    }

    pub(crate) fn agent(&self, user: &str) -> Option<&Agent> {
        self.agents.get(user)
    }

    /// Tries a password, which counts. An unknown user has no account that could be locked.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> LogIn {
        let Some(known) = self.passwords.get(user) else { return LogIn::Wrong };
        let wrong = self.wrong_passwords.entry(user.to_owned()).or_default();
        match (*wrong >= WRONG_PASSWORDS, known == password) {
            (true, _) => return LogIn::Locked,
            (false, true) => *wrong = 0,
            (false, false) => *wrong += 1,
        }
        match *wrong {
            0 => LogIn::Fits,
            WRONG_PASSWORDS.. => LogIn::Locked,
            _ => LogIn::Wrong,
        }
    }

    /// Forgets the wrong passwords; whether there is such a user.
    pub(crate) fn unlock(&mut self, user: &str) -> bool {
        self.wrong_passwords.remove(user);
        self.passwords.contains_key(user)
    }

    pub(crate) fn set_password(&mut self, user: &str, password: &str) -> bool {
        let known = self.passwords.get_mut(user);
        known.map(|known| password.clone_into(known)).is_some()
    }

    pub(crate) fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    pub(crate) fn product(&self, code: &str) -> Option<&Product> {
        self.products.get(code)
    }

    /// Every customer that the agent sees, by code.
    pub(crate) fn customers_of(&self, user: &str) -> impl Iterator<Item = &Customer> {
        self.seen_by.get(user).into_iter().flatten().filter_map(|code| self.customers.get(code))
    }

    pub(crate) fn customer_of(&self, user: &str, code: &str) -> Option<&Customer> {
        let seen = self.seen_by.get(user)?.contains(code);
        if seen { self.customers.get(code) } else { None }
    }

    pub(crate) fn order_of(&self, user: &str, number: u64) -> Option<&ErpOrder> {
        self.orders.get(&number).filter(|order| order.agent == user)
    }

    pub(crate) fn orders(&self) -> impl DoubleEndedIterator<Item = &ErpOrder> {
        self.orders.values()
    }

    /// The orders that the agent's lists show, newest first.
    pub(crate) fn listed_orders(&self, user: &str) -> impl Iterator<Item = &ErpOrder> {
        let now = Instant::now();
        let listed = move |order: &&ErpOrder| order.unlisted_until.is_none_or(|until| until <= now);
        self.orders.values().rev().filter(move |order| order.agent == user).filter(listed)
    }

    /// The customers that the agent's list shows, by code.
    pub(crate) fn listed_customers(&self, user: &str) -> impl Iterator<Item = &Customer> {
        let now = Instant::now();
        let listed = move |customer: &&Customer| {
            self.unlisted_customers.get(&customer.code).is_none_or(|until| *until <= now)
        };
        self.customers_of(user).filter(listed)
    }

    /// Keeps what was just applied out of the lists until then.
    pub(crate) fn unlist(&mut self, applied: &Applied, until: Instant) {
        if applied.customer.is_some() {
            self.unlisted_customers.insert(applied.number.clone(), until);
        }
        let number = applied.number.parse().ok().filter(|_| applied.order.is_some());
        if let Some(order) = number.and_then(|number: u64| self.orders.get_mut(&number)) {
            order.unlisted_until = Some(until);
        }
    }

    pub(crate) fn line_total(&self, line: &Line) -> Cents {
        self.product(&line.product).map_or(Cents(0), |p| p.price.times(line.quantity, line.discount))
    }

    pub(crate) fn total(&self, lines: &[Line]) -> Cents {
        Cents(lines.iter().map(|line| self.line_total(line).0).sum())
    }

    /// Why a line naming this product cannot be added.
    pub(crate) fn refuse_product(&self, code: &str) -> Option<&'static str> {
        match self.product(code) {
            None => Some("Articolo sconosciuto."),
            Some(product) if product.discontinued => Some("Articolo fuori produzione."),
            Some(_) => None,
        }
    }

    /// The rules that hold for an order being saved by `user`, whatever page or port it came by.
    pub(crate) fn check_order(
        &self,
        user: &str,
        number: Option<u64>,
        content: &OrderContent,
    ) -> Result<(), Vec<Refusal>> {
        let mut refusals = Vec::new();
        if self.customer_of(user, &content.customer).is_none() {
            refusals.push(Refusal::at("Customer", "Cliente sconosciuto."));
        }
        if content.reference.chars().count() > REFERENCE_LIMIT {
            refusals.push(Refusal::at("Reference", "Il riferimento supera i 40 caratteri."));
        }
        if content.lines.is_empty() {
            refusals.push(Refusal::at("Lines", "Inserire almeno una riga."));
        }
        let stored = number.and_then(|number| self.order_of(user, number));
        let old = |line: &Line| stored.is_some_and(|order| order.content.lines.contains(line));
        let new_lines = content.lines.iter().filter(|line| !old(line));
        if let Some(text) = new_lines.filter_map(|line| self.refuse_product(&line.product)).next() {
            refusals.push(Refusal::at("Lines", text));
        }
        if refusals.is_empty() { Ok(()) } else { Err(refusals) }
    }

    /// Changes the data. The content is taken as it is: [`World::check_order`] comes before.
    pub(crate) fn apply(&mut self, user: &str, effect: Effect) -> Result<Applied, Refusal> {
        match effect {
            Effect::SaveOrder { number: None, content } => {
                let number = self.last_number + 1;
                self.put(number, user, content.clone(), OrderState::Open);
                Ok(Applied::order(EffectKind::OrderSaved, number, content))
            }
            Effect::SaveOrder { number: Some(number), content } => {
                self.open_order(user, number)?.content = content.clone();
                Ok(Applied::order(EffectKind::OrderEdited, number, content))
            }
            Effect::DeleteOrder { number } => {
                let content = self.open_order(user, number)?.content.clone();
                self.orders.remove(&number);
                Ok(Applied::order(EffectKind::OrderDeleted, number, content))
            }
            Effect::SendOrder { number } => {
                let order = self.open_order(user, number)?;
                order.state = OrderState::Sent;
                Ok(Applied::order(EffectKind::OrderSent, number, order.content.clone()))
            }
            Effect::SaveCustomer { code: None, customer } => Ok(self.create_customer(user, customer)),
            Effect::SaveCustomer { code: Some(code), customer } => self.edit_customer(user, code, customer),
        }
    }

    /// Puts an order there under a number of the caller's choice, whatever was there before.
    pub(crate) fn put(&mut self, number: u64, agent: &str, content: OrderContent, state: OrderState) {
        self.last_number = self.last_number.max(number);
        let order = ErpOrder { number, agent: agent.to_owned(), state, content, unlisted_until: None };
        self.orders.insert(number, order);
    }

    pub(crate) fn order(&self, number: u64) -> Option<&ErpOrder> {
        self.orders.get(&number)
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<ErpOrder> {
        self.orders.remove(&number)
    }

    pub(crate) fn put_customer(&mut self, agents: &[String], customer: Customer) {
        for agent in agents {
            self.seen_by.entry(agent.clone()).or_default().insert(customer.code.clone());
        }
        self.customers.insert(customer.code.clone(), customer);
    }

    pub(crate) fn next_code(&mut self) -> String {
        self.last_customer += 1;
        format!("N{:04}", self.last_customer)
    }

    pub(crate) fn knows_customer(&self, code: &str) -> bool {
        self.customers.contains_key(code)
    }

    fn open_order(&mut self, user: &str, number: u64) -> Result<&mut ErpOrder, Refusal> {
        let order = self.orders.get_mut(&number).filter(|order| order.agent == user);
        let order = order.ok_or_else(|| Refusal::of_page("Ordine non trovato."))?;
        match order.state {
            OrderState::Open => Ok(order),
            OrderState::Sent => Err(Refusal::of_page("L'ordine è già stato inviato a Verona.")),
        }
    }

    fn create_customer(&mut self, user: &str, mut customer: Customer) -> Applied {
        customer.code = self.next_code();
        self.put_customer(&[user.to_owned()], customer.clone());
        Applied::customer(EffectKind::CustomerSaved, customer)
    }

    fn edit_customer(&mut self, user: &str, code: String, customer: Customer) -> Result<Applied, Refusal> {
        if self.customer_of(user, &code).is_none() {
            return Err(Refusal::of_page("Cliente non trovato."));
        }
        let customer = Customer { code: code.clone(), ..customer };
        self.customers.insert(code, customer.clone());
        Ok(Applied::customer(EffectKind::CustomerEdited, customer))
    }
}

impl ErpOrder {
    pub(crate) fn is_sent(&self) -> bool {
        self.state == OrderState::Sent
    }
}

impl Refusal {
    pub(crate) fn at(field: &'static str, text: &str) -> Self {
        Self { field, text: text.to_owned() }
    }

    pub(crate) fn of_page(text: &str) -> Self {
        Self::at("", text)
    }
}

impl Applied {
    fn order(kind: EffectKind, number: u64, content: OrderContent) -> Self {
        Self { kind, number: number.to_string(), order: Some(content), customer: None }
    }

    fn customer(kind: EffectKind, customer: Customer) -> Self {
        Self { kind, number: customer.code.clone(), order: None, customer: Some(customer) }
    }
}

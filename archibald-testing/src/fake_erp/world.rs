use std::collections::{BTreeMap, BTreeSet, VecDeque};

use archibald_core::erp::{
    Customer, Order, OrderLine, OrderSummary, Price, Product, WantedCustomer, WantedOrder,
    customer_differences, differences,
};
use archibald_core::id::AgentId;
use archibald_core::port::Credentials;
use rust_decimal::Decimal;

use super::SaveFault;

/// What the ERP holds. A person at the ERP may change all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// Orders with whose they are, in the order of saving.
    pub orders: Vec<(AgentId, Order)>,
    /// Everybody's customers.
    pub customers: Vec<Customer>,
    /// The catalogue.
    pub products: Vec<Product>,
    /// What products cost.
    pub prices: Vec<Price>,
}

/// A change that was applied, with the number of the order or the code of the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A new order.
    OrderCreated(String),
    /// An order was saved again.
    OrderEdited(String),
    /// An order is gone.
    OrderDeleted(String),
    /// An order was sent to Verona.
    OrderSent(String),
    /// A new customer.
    CustomerCreated(String),
    /// A customer was saved again.
    CustomerUpdated(String),
}

/// How well the ERP keeps what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quality {
    Whole,
    Altered,
    Half,
}

/// What a page shows after a save, and where that is not what was typed.
pub(super) struct Saved<R> {
    pub(super) shown: R,
    pub(super) differences: Vec<String>,
}

/// A save that is applied later.
pub(super) type Deed = Box<dyn FnOnce(&mut World) + Send>;

#[derive(Default)]
pub(super) struct World {
    pub(super) records: Records,
    pub(super) writes: Vec<Write>,
    pub(super) late: Vec<(u32, Deed)>,
    pub(super) hidden: BTreeSet<String>,
    pub(super) faults: VecDeque<SaveFault>,
    pub(super) refused_logins: BTreeMap<AgentId, (String, Option<Credentials>)>,
    /// Whose sessions were ended.
    pub(super) ended: Vec<AgentId>,
    pub(super) logins: u64,
    pub(super) reads: u64,
    pub(super) opened: Vec<String>,
    pub(super) in_use: usize,
    orders_made: u64,
    customers_made: u64,
}

impl World {
    pub(super) fn order(&self, agent: &AgentId, number: &str) -> Option<&Order> {
        let mine = self.records.orders.iter().find(|(owner, order)| owner == agent && order.number == number);
        mine.map(|(_, order)| order)
    }

    fn order_mut(&mut self, agent: &AgentId, number: &str) -> Option<&mut Order> {
        let all = self.records.orders.iter_mut();
        all.filter(|(owner, _)| owner == agent).map(|(_, order)| order).find(|order| order.number == number)
    }

    pub(super) fn customer(&self, code: &str) -> Option<&Customer> {
        self.records.customers.iter().find(|customer| customer.code == code)
    }

    /// Why an order cannot be changed, in the ERP's words.
    pub(super) fn refuses_change(&self, agent: &AgentId, number: &str) -> Option<&'static str> {
        match self.order(agent, number) {
            None => Some("Ordine non trovato."),
            Some(order) if order.sent => Some("L'ordine è già stato inviato."),
            Some(_) => None,
        }
    }

    pub(super) fn create_order(
        &mut self,
        agent: &AgentId,
        wanted: &WantedOrder,
        reference: &str,
        quality: Quality,
    ) -> Saved<Order> {
        self.orders_made += 1;
        let order = made(format!("O-{}", self.orders_made), wanted, reference, quality);
        self.writes.push(Write::OrderCreated(order.number.clone()));
        self.records.orders.push((agent.clone(), order.clone()));
        Saved { differences: differences(wanted, reference, &order), shown: order }
    }

    pub(super) fn edit_order(
        &mut self,
        agent: &AgentId,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        quality: Quality,
    ) -> Option<Saved<Order>> {
        let order = self.order_mut(agent, number)?;
        *order = made(number.to_owned(), wanted, reference, quality);
        let order = order.clone();
        self.writes.push(Write::OrderEdited(number.to_owned()));
        Some(Saved { differences: differences(wanted, reference, &order), shown: order })
    }

    pub(super) fn delete_order(&mut self, agent: &AgentId, number: &str) -> Option<Saved<()>> {
        self.order(agent, number)?;
        self.records.orders.retain(|(owner, order)| owner != agent || order.number != number);
        self.writes.push(Write::OrderDeleted(number.to_owned()));
        Some(Saved { shown: (), differences: vec![] })
    }

    pub(super) fn send_order(&mut self, agent: &AgentId, number: &str) -> Option<Saved<Order>> {
        let order = self.order_mut(agent, number)?;
        order.sent = true;
        let shown = order.clone();
        self.writes.push(Write::OrderSent(number.to_owned()));
        Some(Saved { shown, differences: vec![] })
    }

    pub(super) fn create_customer(&mut self, wanted: &WantedCustomer, quality: Quality) -> Saved<Customer> {
        self.customers_made += 1;
        let mut customer = nobody(format!("N{:04}", self.customers_made));
        fill(&mut customer, wanted, quality);
        self.writes.push(Write::CustomerCreated(customer.code.clone()));
        self.records.customers.push(customer.clone());
        Saved { differences: customer_differences(wanted, &customer), shown: customer }
    }

    pub(super) fn update_customer(
        &mut self,
        code: &str,
        wanted: &WantedCustomer,
        quality: Quality,
    ) -> Option<Saved<Customer>> {
        let customer = self.records.customers.iter_mut().find(|customer| customer.code == code)?;
        let whole = wanted.completed(customer);
        fill(customer, wanted, quality);
        let shown = customer.clone();
        self.writes.push(Write::CustomerUpdated(code.to_owned()));
        Some(Saved { differences: customer_differences(&whole, &shown), shown })
    }

    /// A page is read: what comes late comes a page nearer.
    pub(super) fn read(&mut self) {
        self.reads += 1;
        for (reads, _) in &mut self.late {
            *reads = reads.saturating_sub(1);
        }
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(reads, _)| *reads == 0);
        self.late = waiting;
        for (_, deed) in due {
            deed(self);
        }
    }

    /// The agent's orders as lists show them.
    pub(super) fn listed_orders(&self, agent: &AgentId) -> Vec<OrderSummary> {
        let mine = self.records.orders.iter().filter(|(owner, _)| owner == agent);
        let shown = mine.map(|(_, order)| order).filter(|order| !self.hidden.contains(&order.number));
        shown.map(summary).collect()
    }

    /// Customers as lists show them: without what takes the detail page to see.
    pub(super) fn listed_customers(&self) -> Vec<Customer> {
        let shown = self.records.customers.iter().filter(|customer| !self.hidden.contains(&customer.code));
        shown
            .map(|customer| Customer {
                code: customer.code.clone(),
                name: customer.name.clone(),
                vat: customer.vat.clone(),
                city: customer.city.clone(),
                country: customer.country.clone(),
                ..nobody(String::new())
            })
            .collect()
    }
}

fn made(number: String, wanted: &WantedOrder, reference: &str, quality: Quality) -> Order {
    let mut lines: Vec<_> = wanted
        .lines
        .iter()
        .map(|line| OrderLine {
            product: line.product.clone(),
            quantity: line.quantity,
            unit_price: 1.into(),
            discount: line.discount,
        })
        .collect();
    match quality {
        Quality::Whole => {}
        Quality::Altered => lines.iter_mut().take(1).for_each(|line| line.discount += Decimal::ONE),
        Quality::Half => lines.clear(),
    }
    Order {
        number,
        customer: wanted.customer.clone(),
        date: wanted.date,
        reference: reference.to_owned(),
        note: wanted.note.clone(),
        sent: false,
        lines,
    }
}

fn summary(order: &Order) -> OrderSummary {
    OrderSummary {
        number: order.number.clone(),
        customer: order.customer.clone(),
        date: order.date,
        reference: order.reference.clone(),
        sent: order.sent,
        total: order.lines.iter().map(|line| line.unit_price * Decimal::from(line.quantity)).sum(),
    }
}

fn nobody(code: String) -> Customer {
    Customer {
        code,
        name: String::new(),
        vat: String::new(),
        street: String::new(),
        city: String::new(),
        postal_code: String::new(),
        country: String::new(),
        email: String::new(),
        phone: String::new(),
    }
}

/// Half of it is name, VAT number and city, and another value is another city.
fn fill(customer: &mut Customer, wanted: &WantedCustomer, quality: Quality) {
    let put = |field: &mut String, text: &Option<String>| {
        if let Some(text) = text {
            field.clone_from(text);
        }
    };
    put(&mut customer.name, &wanted.name);
    put(&mut customer.vat, &wanted.vat);
    put(&mut customer.city, &wanted.city);
    if quality == Quality::Half {
        return;
    }
    put(&mut customer.street, &wanted.street);
    put(&mut customer.postal_code, &wanted.postal_code);
    put(&mut customer.country, &wanted.country);
    put(&mut customer.email, &wanted.email);
    put(&mut customer.phone, &wanted.phone);
    if quality == Quality::Altered {
        customer.city.push_str(" (?)");
    }
}

//! What the simulated ERP knows and what agents want of it: agents, customers, products, orders.
//!
//! A [`DataSet`] comes from the Northwind CSV files ([`DataSet::northwind`]) or from a seed
//! ([`DataSet::generate`]). Its orders are the *workload*, what agents will submit; the ERP starts empty of them
//! unless told otherwise.

mod amount;
mod dice;
mod generate;
mod northwind;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use amount::{AmountError, Cents, Percent};
pub(crate) use dice::Dice;
pub use dice::mix;
pub use generate::Generator;
pub use northwind::DataError;

/// A sales agent with a login at the ERP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Login name, lower case; the agent's identity.
    pub user: String,
    /// Name that pages show.
    pub full_name: String,
}

/// A customer as the ERP keeps it. Empty text means "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Customer {
    /// Assigned by the ERP; empty until then.
    pub code: String,
    /// Company name.
    pub name: String,
    /// VAT number; the ERP does not keep it unique.
    pub vat: String,
    /// Street and house number.
    pub street: String,
    /// City.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country: String,
    /// E-mail address.
    pub email: String,
    /// Phone number.
    pub phone: String,
}

/// A product with its list price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// `A0001` style.
    pub code: String,
    /// Description.
    pub description: String,
    /// Packaging, for example `24 - 12 oz bottles`.
    pub unit: String,
    /// List price.
    pub price: Cents,
    /// A discontinued product is refused on new lines.
    pub discontinued: bool,
}

/// One line of an order: what is wanted, not what it costs (the ERP prices it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Product code.
    pub product: String,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Discount on the list price.
    #[serde(default)]
    pub discount: Percent,
}

/// An order that an agent wants to submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Identity in the data; the ERP assigns a number of its own.
    pub id: u64,
    /// User name of the agent who submits it.
    pub agent: String,
    /// Customer code.
    pub customer: String,
    /// Order date.
    pub date: Date,
    /// Lines in order.
    pub lines: Vec<Line>,
}

/// Agents, customers, products and the orders that the agents want to submit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataSet {
    /// In the data's order.
    pub agents: Vec<Agent>,
    /// By code.
    pub customers: Vec<Customer>,
    /// By code.
    pub products: Vec<Product>,
    /// By id.
    pub orders: Vec<Order>,
}

/// The password of a simulated user: `USER-secret`. A rule and not a list, so that whoever sets up a server for
/// the simulator can write its credentials without asking it.
pub fn password_of(user: &str) -> String {
    format!("{user}-secret")
}

impl DataSet {
    /// The orders in order of id. Those with a discontinued product, which the ERP must refuse, are left out
    /// unless `rejects`.
    pub fn workload(&self, rejects: bool) -> Vec<&Order> {
        let discontinued: BTreeSet<&str> =
            self.products.iter().filter(|p| p.discontinued).map(|p| p.code.as_str()).collect();
        let refused = |order: &Order| order.lines.iter().any(|l| discontinued.contains(l.product.as_str()));
        let mut orders: Vec<&Order> = self.orders.iter().filter(|o| rejects || !refused(o)).collect();
        orders.sort_by_key(|o| o.id);
        orders
    }

    /// The same data for `count` agents. Equal to what the data names: nothing changes. Otherwise the first
    /// `count` are kept, or agents `agent10`, `agent11`, … invented, and the orders dealt round-robin.
    pub fn with_agents(mut self, count: usize) -> Self {
        if count == self.agents.len() || count == 0 {
            return self;
        }
        self.agents.truncate(count);
        while self.agents.len() < count {
            self.agents.push(invented(self.agents.len() + 1));
        }
        for (place, order) in self.orders.iter_mut().enumerate() {
            order.agent.clone_from(&self.agents[place % count].user);
        }
        self
    }

    /// Which customers (by code) each agent sees: those of the agent's orders. A customer without orders goes to
    /// one agent, dealt round-robin, so that everybody is somebody's.
    pub fn assignments(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut seen: BTreeMap<String, BTreeSet<String>> =
            self.agents.iter().map(|a| (a.user.clone(), BTreeSet::new())).collect();
        for order in &self.orders {
            seen.entry(order.agent.clone()).or_default().insert(order.customer.clone());
        }
        let taken: BTreeSet<String> = seen.values().flatten().cloned().collect();
        let free = self.customers.iter().filter(|c| !taken.contains(&c.code));
        for (customer, agent) in free.zip(self.agents.iter().cycle()) {
            seen.entry(agent.user.clone()).or_default().insert(customer.code.clone());
        }
        seen
    }
}

/// The first nine agents carry Northwind's first names, later ones are numbered.
pub(crate) fn invented(number: usize) -> Agent {
    const NAMED: [&str; 9] =
        ["nancy", "andrew", "janet", "margaret", "steven", "michael", "robert", "laura", "anne"];
    let user = NAMED.get(number - 1).map_or_else(|| format!("agent{number}"), |name| (*name).to_owned());
    Agent { full_name: user.clone(), user }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_agents_than_the_data_names_are_invented_and_share_the_orders() {
        let data = DataSet::generate(1, 9, 30).with_agents(12);
        assert_eq!(data.agents[8].user, "anne");
        assert_eq!(data.agents[11].user, "agent12");
        assert_eq!(data.orders[11].agent, "agent12");
        assert_eq!(data.orders[12].agent, "nancy");
    }

    #[test]
    fn fewer_agents_get_all_the_orders() {
        let data = DataSet::generate(1, 9, 30).with_agents(2);
        assert!(data.orders.iter().all(|o| ["nancy", "andrew"].contains(&o.agent.as_str())));
        assert_eq!(data.agents.len(), 2);
    }

    #[test]
    fn every_customer_is_somebodys_and_every_order_names_a_customer_its_agent_sees() {
        let data = DataSet::generate(3, 5, 40);
        let seen = data.assignments();
        assert!(data.customers.iter().all(|c| seen.values().any(|codes| codes.contains(&c.code))));
        assert!(data.orders.iter().all(|o| seen[&o.agent].contains(&o.customer)));
    }

    #[test]
    fn the_workload_leaves_refusals_out_unless_asked() {
        let data = DataSet::generate(7, 3, 200);
        let (all, clean) = (data.workload(true), data.workload(false));
        assert_eq!(all.len(), 200);
        assert!(clean.len() < all.len() && !clean.is_empty());
        assert!(all.is_sorted_by_key(|o| o.id));
    }
}

//! Data from a seed, for machines without the CSV files and for any size.

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use super::{Cents, Customer, DataSet, Dice, Line, Order, Percent, Product, invented};

/// How much data to make. The same values always give the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    /// Changes everything but the counts.
    pub seed: u64,
    /// Agents; the first nine are called as in Northwind, later ones `agent10`, ….
    pub agents: usize,
    /// Customers.
    pub customers: usize,
    /// Products; every eighth is discontinued.
    pub products: usize,
    /// Orders, dealt round-robin to the agents, ids from 1.
    pub orders: usize,
}

impl DataSet {
    /// Data of ordinary shape: ten customers an agent, 80 products.
    pub fn generate(seed: u64, agents: usize, orders: usize) -> Self {
        Generator { seed, agents, customers: agents * 10, products: 80, orders }.generate()
    }
}

impl Generator {
    /// Makes the data. Orders need at least one agent, customer and product each: without, there are none.
    pub fn generate(self) -> DataSet {
        let mut dice = Dice::new(self.seed);
        let agents = (1..=self.agents).map(invented).collect();
        let customers = (1..=self.customers).map(|n| customer(n, &mut dice)).collect();
        let products = (1..=self.products).map(|n| product(n, &mut dice)).collect();
        let mut data = DataSet { agents, customers, products, orders: Vec::new() };
        if self.agents > 0 && self.customers > 0 && self.products > 0 {
            data.orders = (0..self.orders).map(|place| order(place, &data, &mut dice)).collect();
        }
        data
    }
}

fn customer(number: usize, dice: &mut Dice) -> Customer {
    let trade =
        dice.pick(&["Alimentari", "Bar", "Enoteca", "Ferramenta", "Forno", "Macelleria", "Trattoria"]);
    let place =
        dice.pick(&["del Borgo", "del Ponte", "della Piazza", "della Stazione", "del Porto", "al Molo"]);
    let (city, postal_code) =
        dice.pick(&[("Verona", "37121"), ("Trento", "38122"), ("Bologna", "40121"), ("Ancona", "60121")]);
    Customer {
        code: format!("C{number:04}"),
        name: format!("{trade} {place} {number}"),
        vat: format!("IT{:011}", 10_000_000_000 + dice.below(89_999_999_999)),
        street: format!("Via Roma {}", 1 + dice.below(200)),
        city: (*city).to_owned(),
        postal_code: (*postal_code).to_owned(),
        country: "Italia".to_owned(),
        email: format!("ordini{number}@example.com"),
        phone: format!("045 {:07}", dice.below(10_000_000)),
    }
}

fn product(number: usize, dice: &mut Dice) -> Product {
    let kind =
        dice.pick(&["Vite", "Bullone", "Dado", "Rondella", "Cerniera", "Maniglia", "Staffa", "Tassello"]);
    let cents = i64::try_from(50 + dice.below(20_000)).unwrap_or(50);
    Product {
        code: format!("A{number:04}"),
        description: format!("{kind} {number}"),
        unit: format!("conf. da {}", dice.pick(&[1, 6, 12, 24, 100])),
        price: Cents(cents),
        discontinued: number.is_multiple_of(8),
    }
}

fn order(place: usize, data: &DataSet, dice: &mut Dice) -> Order {
    let days: Span = i64::try_from(dice.below(365)).unwrap_or(0).days();
    let date = Date::constant(2026, 1, 1).saturating_add(days);
    let lines = (0..1 + dice.below(5)).map(|_| line(data, dice)).collect();
    Order {
        id: place as u64 + 1,
        agent: data.agents[place % data.agents.len()].user.clone(),
        customer: dice.pick(&data.customers).code.clone(),
        date,
        lines,
    }
}

/// One line in fifty names any product, discontinued ones included: those orders are the refusals.
fn line(data: &DataSet, dice: &mut Dice) -> Line {
    let any = dice.below(50) == 0;
    let mut product = dice.pick(&data.products);
    while product.discontinued && !any && data.products.iter().any(|p| !p.discontinued) {
        product = dice.pick(&data.products);
    }
    Line {
        product: product.code.clone(),
        quantity: u32::try_from(1 + dice.below(60)).unwrap_or(1),
        discount: *dice.pick(&[
            Percent(0),
            Percent(0),
            Percent(500),
            Percent(1000),
            Percent(1250),
            Percent(2500),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_promise() {
        assert_eq!(DataSet::generate(4, 3, 50), DataSet::generate(4, 3, 50));
        assert_ne!(DataSet::generate(4, 3, 50), DataSet::generate(5, 3, 50));
    }

    #[test]
    fn data_without_products_has_no_orders() {
        let data = Generator { seed: 1, agents: 1, customers: 1, products: 0, orders: 5 }.generate();
        assert!(data.orders.is_empty());
    }
}

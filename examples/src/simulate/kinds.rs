//! The kinds of operation: how many requests to the ERP each of them makes, counted in the flows of
//! `archibald-browser` and the actions of `archibald-runtime`.

use archibald_core::id::OperationKind;

use super::dice::Dice;

/// Requests of a login: the form, what is typed, and the page that it leads to.
pub(super) const LOGIN: u64 = 3;

/// Lines of an order: Northwind's 830 orders have 2,155.
const LINES: f64 = 2.6;
const MOST_LINES: u64 = 25;

/// Per hundred interactive operations, and requests: an order is opened, each line is two postbacks, and it is
/// saved.
const WRITES: [(&str, u64, Requests); 6] = [
    ("submit-order", 60, Requests::Order),
    ("send-to-verona", 15, Requests::Fixed(3)),
    ("edit-order", 10, Requests::Fixed(6)),
    ("update-customer", 8, Requests::Fixed(3)),
    ("create-customer", 4, Requests::Fixed(6)),
    ("delete-order", 3, Requests::Fixed(3)),
];

/// One round of syncs and the pages of each, 20 rows a page: 160 customers, 260 products, 260 prices, 120 orders of
/// which 3 are opened.
pub(super) const SYNCS: [(&str, u64); 4] =
    [("sync-orders", 9), ("sync-customers", 8), ("sync-products", 13), ("sync-prices", 13)];

enum Requests {
    Order,
    Fixed(u64),
}

/// One of the kinds that somebody waits for, and its number of requests.
pub(super) fn a_write(dice: &mut Dice) -> (OperationKind, u64) {
    let mut drawn = dice.among(&(0..=99));
    for (name, share, requests) in &WRITES {
        if drawn < *share {
            let requests = match requests {
                Requests::Order => of_order(dice.at_least_one(LINES, MOST_LINES)),
                Requests::Fixed(requests) => *requests,
            };
            return (kind(name), requests);
        }
        drawn -= share;
    }
    (kind("submit-order"), of_order(1))
}

/// Requests that submitting an order takes.
pub(super) fn of_order(lines: u64) -> u64 {
    2 + 2 * lines
}

pub(super) fn kind(name: &str) -> OperationKind {
    OperationKind::new(name).expect("the names above are made of letters and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_per_hundred() {
        assert_eq!(WRITES.iter().map(|(_, share, _)| share).sum::<u64>(), 100);
    }
}

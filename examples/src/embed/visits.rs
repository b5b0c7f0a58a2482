//! The service's own table. It knows nothing of Archibald.

use std::collections::BTreeMap;

/// A visit as this service keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// Whom.
    pub(crate) customer: String,
    /// What is to be remembered.
    pub(crate) note: String,
    /// Under which number the ERP has it, once it has.
    pub(crate) logged: Option<String>,
}

/// All visits by their number.
#[derive(Debug, Default)]
pub(crate) struct Visits(BTreeMap<u32, Visit>);

impl Visits {
    /// Keeps one, and returns its number.
    pub(crate) fn add(&mut self, customer: &str, note: &str) -> u32 {
        let number = self.0.len() as u32 + 1;
        let visit = Visit { customer: customer.to_owned(), note: note.to_owned(), logged: None };
        self.0.insert(number, visit);
        number
    }

    /// Those that are not known to be at the ERP, with their numbers.
    pub(crate) fn open(&self) -> Vec<(u32, Visit)> {
        let open = self.0.iter().filter(|(_, visit)| visit.logged.is_none());
        open.map(|(number, visit)| (*number, visit.clone())).collect()
    }

    /// The ERP has it.
    pub(crate) fn log(&mut self, number: u32, order: &str) {
        if let Some(visit) = self.0.get_mut(&number) {
            visit.logged = Some(order.to_owned());
        }
    }

    /// Every visit.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&u32, &Visit)> {
        self.0.iter()
    }
}

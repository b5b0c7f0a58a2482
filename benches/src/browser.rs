//! Agents at the ERP's pages in a real Chromium: by the pool that is here, or by others.
//!
//! Who drives the browsers is a process of its own, which is told what to do line by line ([`child`](crate::child)), and
//! the simulated ERP is in ours. So whoever it is, what it used is measured from outside and alike, and the ERP's own
//! ledger judges what it says that it did.
//!
//! | where | what |
//! | --- | --- |
//! | [`stage`] | the ERP, whoever drives the browsers, what they use, and the judge |
//! | [`client`] | our own: the pool, and its parts without it |
//! | [`journal`] | intents and their gate, from a store in memory |

pub mod client;
pub mod journal;
pub mod stage;

use std::path::PathBuf;
use std::time::Duration;

use archibald_browser::page_map::PageMap;
use archibald_core::erp::WantedOrder;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// Where, as whom and what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The ERP's address.
    pub base: String,
    /// The Chromium to run.
    pub engine: PathBuf,
    /// Whether it is the one without a user interface.
    pub headless_shell: bool,
    /// Agents with their passwords, by their numbers.
    pub people: Vec<Person>,
    /// What is ordered, in order for each agent; the agents work together.
    pub orders: Vec<Ordered>,
    /// Addresses and selectors.
    pub pages: Pages,
    /// How our own pool is set up.
    pub pool: Pool,
}

/// Who logs in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// An order to be saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ordered {
    /// The number of the agent.
    pub agent: usize,
    /// What it is.
    pub wanted: WantedOrder,
    /// The same for whoever only types: the order's head and its one line, as the site writes them.
    pub typed: Typed,
}

/// What is typed into the fields of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Typed {
    /// The head's fields.
    pub customer: String,
    /// As the site writes dates.
    pub date: String,
    /// Tells the order from all others.
    pub reference: String,
    /// Free text.
    pub note: String,
    /// The line's fields.
    pub product: String,
    /// Pieces.
    pub quantity: String,
    /// Per cent, as the site writes numbers.
    pub discount: String,
}

/// Of the page map what a task needs, for those who cannot read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pages {
    login: [String; 4],
    user: String,
    order: String,
    head: [String; 4],
    line: [String; 3],
    add: String,
    save: String,
    number: String,
    validation: String,
}

/// How our own pool is set up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pool {
    /// Browsers.
    pub browsers: usize,
    /// Contexts in each.
    pub contexts: usize,
    /// A session that was idle for longer is looked at before it is lent.
    pub trust_ms: u64,
    /// A session that was idle for longer is parked.
    pub park_ms: u64,
}

/// What whoever drives the browsers is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Question {
    /// To get ready; no browser runs yet.
    Begin(Box<Task>),
    /// To save all orders; answered by [`Report`]. The browsers run on.
    Save(Sessions),
    /// To log in so often in all, each time anew; answered by [`Report`].
    LogIn(usize),
    /// To start all browsers, with nobody in them.
    Empty,
    /// To log in the first so many agents, and leave their sessions alone.
    Rest(usize),
    /// To take the sessions of the first so many agents, save an order in each, and keep them.
    Work(usize),
    /// To end all browsers.
    End,
}

/// What becomes of a session after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// It is its agent's next time too.
    Warm,
    /// It is thrown away: the next task logs in.
    Fresh,
}

/// What was done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// One for each that ended well.
    pub done: Vec<Took>,
    /// One for each that did not: why.
    pub errors: Vec<String>,
    /// Browsers that ran at its end.
    pub browsers: usize,
}

/// How long something took, in microseconds from when it was asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Took {
    /// Which order.
    pub order: usize,
    /// Until there was a page, be it blank.
    pub page_us: u64,
    /// Until the agent was logged in on it.
    pub ready_us: u64,
    /// Until the session was given back.
    pub all_us: u64,
    /// Whether it was logged in for this.
    pub cold: bool,
}

impl Pages {
    /// Those of this site.
    #[must_use]
    pub fn of(map: &PageMap) -> Self {
        let (login, form) = (&map.login, &map.order);
        let all = |texts: [&String; 4]| texts.map(String::clone);
        Self {
            login: all([&login.path, &login.user, &login.password, &login.submit]),
            user: map.frame.user.clone(),
            order: form.path.clone(),
            head: all([&form.customer, &form.date, &form.reference, &form.note]),
            line: [&form.line_product, &form.line_quantity, &form.line_discount].map(String::clone),
            add: form.line_add.clone(),
            save: form.save.clone(),
            number: form.number.clone(),
            validation: form.validation.clone(),
        }
    }
}

impl Typed {
    /// An order of one line as it is typed.
    ///
    /// # Errors
    /// Where it has none, or several.
    pub fn of(wanted: &WantedOrder, map: &PageMap) -> Result<Self, Failure> {
        let [line] = wanted.lines.as_slice() else { return Err("an order of one line is wanted".into()) };
        Ok(Self {
            customer: wanted.customer.clone(),
            date: map.formats.write_date(wanted.date),
            reference: wanted.reference.clone(),
            note: wanted.note.clone(),
            product: line.product.clone(),
            quantity: line.quantity.to_string(),
            discount: map.formats.write_number(line.discount),
        })
    }
}

/// A span as it is told.
fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

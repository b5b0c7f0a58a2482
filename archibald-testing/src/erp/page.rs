//! The pages: one form each, one file each. A page reads the world and says what it shows or wants written.

mod catalogue;
mod customer;
mod customers;
mod home;
mod login;
mod order;
mod order_form;
pub(crate) mod order_view;
pub(crate) mod orders;
pub(crate) mod shell;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::WriteKind;
use super::html::MAIN;
use super::ledger::Applied;
use super::site::Site;
use super::view_state::{ViewStateKey, generator};
use super::web::{Answer, Form};
use super::world::{Effect, World};
use crate::data::Agent;

pub(crate) use login::{LOCKED, WRONG, refused as login_refused};

/// A page of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Login,
    Default,
    Customers,
    Customer,
    Products,
    Prices,
    Orders,
    Order,
}

/// Who looks at which page.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) site: Site,
    pub(crate) page: Page,
    pub(crate) query: Form,
    /// Path and query, where the page's form posts to.
    pub(crate) url: String,
    /// Nobody only at the login page.
    pub(crate) agent: Option<Agent>,
    pub(crate) key: ViewStateKey,
    pub(crate) session: String,
}

/// A postback whose hidden fields are ours.
#[derive(Debug)]
pub(crate) struct Post {
    /// Control that caused it, in full and as the first site calls it; empty if the form names none.
    pub(crate) control: String,
    /// `__EVENTARGUMENT` or `__CALLBACKPARAM`.
    pub(crate) argument: String,
    pub(crate) form: Form,
    /// By `__CALLBACKID`: answered with text for a script, and the view state stays as it is.
    is_callback: bool,
    state: Value,
}

/// A page to be shown.
#[derive(Debug, Default)]
pub(crate) struct Show {
    pub(crate) title: &'static str,
    /// HTML of the page's own part.
    pub(crate) main: String,
    /// What travels in the view state.
    pub(crate) state: Value,
    /// Leaving it may lose something: `beforeunload` asks once something was typed.
    pub(crate) guarded: bool,
    /// Something is unsaved already.
    pub(crate) dirty: bool,
    /// Script of the page's own, after everything else.
    pub(crate) script: String,
}

/// What a page makes of a postback.
#[derive(Debug)]
pub(crate) enum Reaction {
    Show(Show),
    Callback(String),
    /// One panel of the page anew, for a postback that leaves the rest where it is.
    Panel {
        id: &'static str,
        html: String,
        state: Value,
    },
    Write(Effect),
    LogIn {
        user: String,
        password: String,
        /// Where to go on to.
        to: String,
    },
    LogOut,
    Invalid,
}

/// Shows the page as a GET gets it.
pub(crate) fn load(visit: &Visit, world: &World) -> Show {
    match visit.page {
        Page::Login => login::show(visit.site),
        Page::Default => home::show(visit),
        Page::Customers => customers::load(visit, world),
        Page::Customer => customer::load(visit, world),
        Page::Products | Page::Prices => catalogue::show(visit, world, 1),
        Page::Orders => orders::load(visit, world),
        Page::Order => order::load(visit, world),
    }
}

/// Reacts to a postback. Nothing is changed here.
pub(crate) fn post(visit: &Visit, world: &World, post: &Post) -> Reaction {
    if post.control == "ctl00$Logout" {
        return Reaction::LogOut;
    }
    match visit.page {
        Page::Login => login::post(visit, post),
        Page::Default => Reaction::Invalid,
        Page::Customers => customers::post(visit, world, post),
        Page::Customer => customer::post(visit, world, post),
        Page::Products | Page::Prices => catalogue::post(visit, world, post),
        Page::Orders => orders::post(visit, world, post),
        Page::Order => order::post(visit, world, post),
    }
}

/// What kind of write the postback asks for, if any.
pub(crate) fn write_kind(visit: &Visit, post: &Post) -> Option<WriteKind> {
    match (visit.page, post.name()) {
        (Page::Order, "Save") => Some(order::save_kind(post)),
        (Page::Order, "SaveAnyway") => Some(WriteKind::ConfirmedOrder),
        (Page::Order, "Delete") => Some(WriteKind::DeletedOrder),
        (Page::Order, "Send") => Some(WriteKind::SentOrder),
        (Page::Customer, "Save") => Some(customer::save_kind(post)),
        _ => None,
    }
}

/// Shows the page after its write.
pub(crate) fn written(visit: &Visit, world: &World, applied: &Applied) -> Show {
    match visit.page {
        Page::Customer => customer::written(visit, world, applied),
        _ => order::written(visit, world, applied),
    }
}

/// Shows the page with what was typed and the reason why nothing was done.
pub(crate) fn refused(visit: &Visit, world: &World, post: &Post, text: &str) -> Show {
    match visit.page {
        Page::Customer => customer::refused(visit, world, post, text),
        Page::Order => order::refused(visit, world, post, text),
        Page::Login => login::refused(visit.site, "", login::WRONG),
        _ => {
            let show = load(visit, world);
            Show { main: visit.site.refusal(text) + &show.main, ..show }
        }
    }
}

/// Shows the question whether a similar order is meant; only where an order is being saved and that was not asked.
pub(crate) fn similar(visit: &Visit, world: &World, post: &Post) -> Option<Show> {
    let asks = visit.page == Page::Order && post.name() == "Save";
    asks.then(|| order::similar(visit, world, post))
}

impl Page {
    pub(crate) const ALL: [Self; 8] = [
        Self::Login,
        Self::Default,
        Self::Customers,
        Self::Customer,
        Self::Products,
        Self::Prices,
        Self::Orders,
        Self::Order,
    ];

    /// Name at the first site, by which faults and counts know it at every site.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "Login.aspx",
            Self::Default => "Default.aspx",
            Self::Customers => "Customers.aspx",
            Self::Customer => "Customer.aspx",
            Self::Products => "Products.aspx",
            Self::Prices => "Prices.aspx",
            Self::Orders => "Orders.aspx",
            Self::Order => "Order.aspx",
        }
    }
}

impl Visit {
    /// User name; empty at the login page.
    pub(crate) fn user(&self) -> &str {
        self.agent.as_ref().map_or("", |agent| &agent.user)
    }

    /// The page as HTML, hidden fields and all.
    pub(crate) fn render(&self, show: &Show) -> Answer {
        shell::render(self, show)
    }

    /// One panel and the hidden fields, in the format of asynchronous postbacks.
    pub(crate) fn render_panel(&self, id: &str, html: &str, state: &Value) -> Answer {
        shell::render_panel(self, id, html, state)
    }

    /// The login page comes before there is a session worth the name, so nothing there is bound to one.
    fn seal_session(&self) -> &str {
        if self.page == Page::Login { "" } else { &self.session }
    }
}

impl Post {
    /// Reads a posted form; `None` if its hidden fields were not issued to this session by this page.
    pub(crate) fn open(visit: &Visit, form: Form) -> Option<Self> {
        let (page, form) = (visit.site.file(visit.page), visit.site.read_form(form));
        let state = visit.key.open(page, visit.seal_session(), form.get("__VIEWSTATE"))?;
        visit.key.open(page, visit.seal_session(), form.get("__EVENTVALIDATION"))?;
        if form.get("__VIEWSTATEGENERATOR") != generator(page) {
            return None;
        }
        let (control, argument) = cause(&form);
        let is_callback = !form.get("__CALLBACKID").is_empty();
        Some(Self { control, argument, form, is_callback, state })
    }

    /// Last part of the control's name.
    pub(crate) fn name(&self) -> &str {
        self.control.strip_prefix(MAIN).unwrap_or("")
    }

    /// The view state; what cannot be read as it is as if the page were new.
    pub(crate) fn state<T: DeserializeOwned + Default>(&self) -> T {
        serde_json::from_value(self.state.clone()).unwrap_or_default()
    }
}

/// Control and argument: a callback's, a link's, or the button that is in the form because it was pressed.
fn cause(form: &Form) -> (String, String) {
    const BUTTONS: [&str; 6] = ["LoginButton", "Search", "AddLine", "Save", "Delete", "Send"];
    let callback = form.get("__CALLBACKID");
    if !callback.is_empty() {
        return (callback.to_owned(), form.get("__CALLBACKPARAM").to_owned());
    }
    let target = form.get("__EVENTTARGET");
    if !target.is_empty() {
        return (target.to_owned(), form.get("__EVENTARGUMENT").to_owned());
    }
    let mut buttons = BUTTONS.iter().map(|button| format!("{MAIN}{button}"));
    (buttons.find(|button| form.has(button)).unwrap_or_default(), String::new())
}

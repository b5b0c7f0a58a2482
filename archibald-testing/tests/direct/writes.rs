//! Every write of the port by name, so that tables can go through them.

use std::fmt;
use std::time::Duration;

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{WantedCustomer, WantedOrder};
use archibald_core::port::SessionLease;
use archibald_testing::erp::OrderState;

use crate::stage::{Stage, data, wanted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NewOrder,
    EditOrder,
    DeleteOrder,
    SendOrder,
    NewCustomer,
    EditCustomer,
}

/// What an act reports, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Done,
    Differs,
    Refused,
    /// Ambiguous, and a whole answer came.
    Answered,
    /// Ambiguous, and none came.
    Unanswered,
    NotSent,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::NewOrder,
        Self::EditOrder,
        Self::DeleteOrder,
        Self::SendOrder,
        Self::NewCustomer,
        Self::EditCustomer,
    ];

    /// The page and the button that change the ERP.
    pub(crate) fn press(self) -> (&'static str, &'static str) {
        match self {
            Self::NewOrder | Self::EditOrder => ("Order.aspx", "Save"),
            Self::DeleteOrder => ("Order.aspx", "Delete"),
            Self::SendOrder => ("Order.aspx", "Send"),
            Self::NewCustomer | Self::EditCustomer => ("Customer.aspx", "Save"),
        }
    }

    /// Does it, with everything before it in place: what was seen, and the outcome in words.
    pub(crate) async fn act(
        self,
        stage: &Stage,
        session: &dyn SessionLease,
        budget: Duration,
    ) -> (Seen, String) {
        let (client, gate) = (session.client(), stage.gate());
        let (intent, reference) = stage.intent(budget).await;
        match self {
            Self::NewOrder => seen(&client.create_order(&wanted(2), &reference, intent, gate).await),
            Self::EditOrder => {
                let number = stage.put_as("nancy", &before(&reference), OrderState::Open).await;
                seen(&client.edit_order(&number, &wanted(2), &reference, intent, gate).await)
            }
            Self::DeleteOrder => {
                let number = stage.put_as("nancy", &before(&reference), OrderState::Open).await;
                seen(&client.delete_order(&number, intent, gate).await)
            }
            Self::SendOrder => {
                let number = stage.put_as("nancy", &before(&reference), OrderState::Open).await;
                seen(&client.send_order(&number, intent, gate).await)
            }
            Self::NewCustomer => seen(&client.create_customer(&baker(), intent, gate).await),
            Self::EditCustomer => {
                let phone = WantedCustomer { phone: Some("045 1".to_owned()), ..WantedCustomer::default() };
                seen(&client.update_customer(&some_customer(), &phone, intent, gate).await)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NewOrder => "new order",
            Self::EditOrder => "edit order",
            Self::DeleteOrder => "delete order",
            Self::SendOrder => "send order",
            Self::NewCustomer => "new customer",
            Self::EditCustomer => "edit customer",
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Differs => "differs",
            Self::Refused => "refused",
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
            Self::NotSent => "not sent",
        })
    }
}

pub(crate) fn seen<R: fmt::Debug>(outcome: &ActOutcome<R>) -> (Seen, String) {
    let seen = match outcome {
        ActOutcome::Done(_) => Seen::Done,
        ActOutcome::Differs { .. } => Seen::Differs,
        ActOutcome::Refused(_) => Seen::Refused,
        ActOutcome::Ambiguous { answered: true, .. } => Seen::Answered,
        ActOutcome::Ambiguous { answered: false, .. } => Seen::Unanswered,
        ActOutcome::NotSent(_) => Seen::NotSent,
    };
    (seen, format!("{outcome:?}"))
}

/// A customer that the ERP takes.
pub(crate) fn baker() -> WantedCustomer {
    let text = |text: &str| Some(text.to_owned());
    WantedCustomer {
        name: text("Forno \"Due <Torri>\" & figli"),
        vat: text("IT01234567890"),
        street: text("Via Mazzini, 3"),
        city: text("Verona"),
        postal_code: text("37121"),
        country: text("Italia"),
        email: text("forno@example.com"),
        phone: None,
    }
}

/// The code of one that Nancy sees.
pub(crate) fn some_customer() -> String {
    data().assignments()["nancy"].first().unwrap().clone()
}

/// What an order says before it is edited to [`wanted`]`(2)`: one line to go, one to come.
fn before(reference: &str) -> WantedOrder {
    let mut order = WantedOrder { reference: reference.to_owned(), note: String::new(), ..wanted(2) };
    order.lines[1].quantity += 1;
    order
}

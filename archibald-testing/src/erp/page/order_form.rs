//! What an order's form carries: the draft in the view state and the typed text in the fields.

use serde::{Deserialize, Serialize};

use super::Visit;
use crate::data::{Line, Percent};
use crate::erp::ledger::OrderContent;
use crate::erp::site::Site;
use crate::erp::web::Form;
use crate::erp::world::{ErpOrder, Refusal, World};

/// What travels in the view state: lines are typed one by one, so they live there and not in fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Draft {
    /// Of a saved order.
    pub(crate) number: Option<u64>,
    pub(crate) lines: Vec<Line>,
    /// Page of the lines' grid.
    pub(crate) page: usize,
    /// Lines were added or removed since the last save.
    pub(crate) dirty: bool,
}

/// The text in the fields, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) customer: String,
    pub(crate) date: String,
    pub(crate) reference: String,
    pub(crate) note: String,
    pub(crate) product: String,
    pub(crate) quantity: String,
    pub(crate) discount: String,
}

impl Draft {
    pub(crate) fn of(order: &ErpOrder) -> Self {
        Self { number: Some(order.number), lines: order.content.lines.clone(), page: 1, dirty: false }
    }
}

impl Typed {
    pub(crate) fn of(order: &ErpOrder, site: Site) -> Self {
        let content = &order.content;
        Self {
            customer: content.customer.clone(),
            date: site.date(content.date),
            reference: content.reference.clone(),
            note: content.note.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn read(form: &Form) -> Self {
        Self {
            customer: form.field("Customer"),
            date: form.field("Date"),
            reference: form.field("Reference"),
            note: form.field("Note").replace("\r\n", "\n"),
            product: form.field("LineProduct"),
            quantity: form.field("LineQuantity"),
            discount: form.field("LineDiscount"),
        }
    }

    pub(crate) fn without_line(self) -> Self {
        Self { product: String::new(), quantity: String::new(), discount: String::new(), ..self }
    }

    /// The line in the editor, or what is wrong with it.
    pub(crate) fn line(&self, site: Site, world: &World) -> Result<Line, Vec<Refusal>> {
        let quantity: Option<u32> =
            self.quantity.parse().ok().filter(|quantity| (1..=99_999).contains(quantity));
        let discount =
            if self.discount.is_empty() { Ok(Percent(0)) } else { site.parse_percent(&self.discount) };
        let discount = discount.ok().filter(|discount| (0..=10_000).contains(&discount.0));
        let wrong_product = world.refuse_product(&self.product);
        let (Some(quantity), Some(discount), None) = (quantity, discount, wrong_product) else {
            let refusals = [
                wrong_product.map(|text| Refusal::at("LineProduct", text)),
                quantity.is_none().then(|| Refusal::at("LineQuantity", "Quantità non valida.")),
                discount.is_none().then(|| Refusal::at("LineDiscount", "Sconto non valido.")),
            ];
            return Err(refusals.into_iter().flatten().collect());
        };
        Ok(Line { product: self.product.clone(), quantity, discount })
    }

    /// The order as it would be saved, or every reason why not.
    pub(crate) fn content(
        &self,
        visit: &Visit,
        draft: &Draft,
        world: &World,
    ) -> Result<OrderContent, Vec<Refusal>> {
        let date = visit.site.parse_date(&self.date);
        let content = OrderContent {
            customer: self.customer.clone(),
            date: date.unwrap_or_default(),
            reference: self.reference.clone(),
            note: self.note.clone(),
            lines: draft.lines.clone(),
        };
        let mut refusals = world.check_order(visit.user(), draft.number, &content).err().unwrap_or_default();
        if date.is_none() {
            refusals.push(Refusal::at("Date", "Data non valida (gg/mm/aaaa)."));
        }
        if refusals.is_empty() { Ok(content) } else { Err(refusals) }
    }
}

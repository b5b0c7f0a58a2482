//! What changes orders, from the first page to the verdict about the last.

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{Order, OrderLine, WantedLine, WantedOrder, differences};

use super::ErpClient;
use super::write::{Answer, Ended, Shown, Write};
use crate::driver::Limit;
use crate::gate::Fence;

type Acted<R> = Result<ActOutcome<R>, Ended>;

impl ErpClient {
    pub(super) async fn save_new_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        fence: Fence,
    ) -> Acted<Order> {
        let limit = self.begin();
        self.typed(self.site().type_order(self.at(&limit), wanted, reference).await)?;
        let answer = self.write(self.order_write("order.save"), fence, &limit).await?;
        self.judge_saved(&answer, None, wanted, reference, &limit).await
    }

    pub(super) async fn save_changed_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        fence: Fence,
    ) -> Acted<Order> {
        let limit = self.begin();
        let order = self.open_unsent(number, "changed", &limit).await?;
        self.typed(self.site().type_changes(self.at(&limit), &order, wanted, reference).await)?;
        let answer = self.write(self.order_write("order.save"), fence, &limit).await?;
        self.judge_saved(&answer, Some(number), wanted, reference, &limit).await
    }

    pub(super) async fn delete_known_order(&self, number: &str, fence: Fence) -> Acted<()> {
        let limit = self.begin();
        self.open_unsent(number, "deleted", &limit).await?;
        let answer = self.write(self.order_write("order.delete"), fence, &limit).await?;
        let head = self.site().read_order_head(self.page(), &limit).await.map_err(Ended::answered)?;
        let (message, still_shown) = (head.get("message"), head.get("number"));
        let shown = Shown { key: still_shown.unwrap_or_default(), message };
        self.expect_no_objection(&answer, Some(number), &shown)?;
        let words = self.site().map().order.deleted.replace("{number}", number);
        let is_gone = head.get("not_found").is_some() || message == Some(&words);
        match still_shown {
            None if is_gone => Ok(ActOutcome::Done(())),
            _ => Err(Ended::answered(format!("the answer says {message:?}, not {words:?}"))),
        }
    }

    pub(super) async fn send_known_order(&self, number: &str, fence: Fence) -> Acted<Order> {
        let limit = self.begin();
        let before = self.open_unsent(number, "sent", &limit).await?;
        let answer = self.write(self.order_write("order.send"), fence, &limit).await?;
        let order = self.read_answer(&answer, Some(number), None, &limit).await?;
        if !order.sent {
            return Err(Ended::unsaid("an order that is not sent"));
        }
        let differences = differences(&wanted_of(&before), &before.reference, &order);
        Ok(judged(order, differences))
    }

    async fn judge_saved(
        &self,
        answer: &Answer,
        known: Option<&str>,
        wanted: &WantedOrder,
        reference: &str,
        limit: &Limit,
    ) -> Acted<Order> {
        let order = self.read_answer(answer, known, Some(&self.site().map().order.saved), limit).await?;
        let differences = differences(wanted, reference, &order);
        Ok(judged(order, differences))
    }

    /// The order that the answer shows, if it says that it did what was asked of it: in `words`, or for the
    /// caller to see.
    async fn read_answer(
        &self,
        answer: &Answer,
        known: Option<&str>,
        words: Option<&str>,
        limit: &Limit,
    ) -> Result<Order, Ended> {
        let head = self.site().read_order_head(self.page(), limit).await.map_err(Ended::answered)?;
        let Some(number) = head.get("number") else { return Err(Ended::unsaid("no order")) };
        let shown = Shown { key: number, message: head.get("message") };
        match words {
            Some(words) => self.expect_saved(answer, known, &shown, &words.replace("{number}", number))?,
            None => self.expect_no_objection(answer, known, &shown)?,
        }
        let order = self.site().read_order_shown(self.at(limit), &head).await.map_err(Ended::answered)?;
        match known {
            Some(known) if order.number != known => Err(Ended::unsaid("another order")),
            _ => Ok(order),
        }
    }

    /// Shows an order that can still be changed, on the last page of its lines.
    async fn open_unsent(&self, number: &str, what: &str, limit: &Limit) -> Result<Order, Ended> {
        match self.typed(self.site().read_order(self.at(limit), number).await)? {
            None => Err(Ended::Refused(format!("there is no order {number}"))),
            Some(order) if order.sent => {
                Err(Ended::Refused(format!("order {number} is sent to Verona and cannot be {what} any more")))
            }
            Some(order) => Ok(order),
        }
    }

    fn order_write(&self, name: &'static str) -> Write<'_> {
        let form = &self.site().map().order;
        let (control, question) = match name {
            "order.delete" => (&form.delete, &*form.delete_question),
            "order.send" => (&form.send, &*form.send_question),
            _ => (&form.save, ""),
        };
        Write { name, control, question, validation: &form.validation }
    }
}

fn judged(order: Order, differences: Vec<String>) -> ActOutcome<Order> {
    if differences.is_empty() {
        ActOutcome::Done(order)
    } else {
        ActOutcome::Differs { observed: order, differences }
    }
}

/// The order as it is, as what is wanted.
fn wanted_of(order: &Order) -> WantedOrder {
    let line = |line: &OrderLine| WantedLine {
        product: line.product.clone(),
        quantity: line.quantity,
        discount: line.discount,
    };
    WantedOrder {
        customer: order.customer.clone(),
        date: order.date,
        reference: order.reference.clone(),
        note: order.note.clone(),
        lines: order.lines.iter().map(line).collect(),
    }
}

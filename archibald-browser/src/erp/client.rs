use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::erp::{CustomerPage, Order, OrderQuery, OrderSummary, WantedOrder, differences};
use archibald_core::error::FenceError;
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, GateRefused, Guard};
use archibald_core::record::Evidence;
use async_trait::async_trait;
use futures::FutureExt;

use super::Site;
use super::order::Typing;
use crate::driver::{Context, Dialog, DriverError, Limit, Page};
use crate::gate::{Fence, Gate, SendOutcome};

/// The ERP in one agent's session, under one lease.
#[derive(Debug)]
pub struct ErpClient {
    site: Arc<Site>,
    context: Arc<Context>,
    page: Page,
    guard: GuardHandle,
    user: String,
    /// The page of the list of customers that is shown; 0 when something else is.
    customers_shown: AtomicU32,
}

/// A guard that can be printed.
struct GuardHandle(Arc<dyn Guard>);

impl std::fmt::Debug for GuardHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl ErpClient {
    /// A client over a page of a context that is logged in as `user`.
    pub fn new(
        site: Arc<Site>,
        context: Arc<Context>,
        page: Page,
        guard: Arc<dyn Guard>,
        user: String,
    ) -> Self {
        Self { site, context, page, guard: GuardHandle(guard), user, customers_shown: AtomicU32::new(0) }
    }

    /// The page, for its next user.
    #[must_use]
    pub fn into_page(self) -> Page {
        self.page
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Bounded by the lease alone; every step that loads a page is bounded by the site's step besides.
    fn limit(&self) -> Limit {
        Limit::leased(self.guard.0.clone(), self.site.step() * 60)
    }

    fn gate(&self) -> Result<&Gate, NotSent> {
        self.context.gate().ok_or_else(|| NotSent::Other("the context has no commit gate".to_owned()))
    }

    fn told<T>(&self, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        outcome.map_err(|error| self.explained(error))
    }

    /// What the gate refused explains a page that is not what was expected better than the page does.
    fn explained(&self, error: ClientError) -> ClientError {
        let refusals = self.context.gate().map(Gate::take_refusals).unwrap_or_default();
        match (&error, refusals.last()) {
            (ClientError::Unrecognised { .. } | ClientError::Unavailable(_), Some(refusal)) => {
                ClientError::Unrecognised {
                    page: refusal.page.clone(),
                    key: "writes or harmless".to_owned(),
                    selector: refusal.control.clone(),
                    detail: format!("the gate refused it: {}", refusal.why),
                }
            }
            _ => error,
        }
    }

    async fn save(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        fence: Fence,
        limit: &Limit,
    ) -> ActOutcome<Order> {
        let armed = match self.gate() {
            Ok(gate) => gate.arm("order.save", fence),
            Err(error) => return ActOutcome::NotSent(error),
        };
        let save = self.site.map().order.save.clone();
        let clicked = self.page.click_through(&limit.within(self.site.step()), &save).await;
        let outcome = armed.outcome().await;
        match outcome.as_deref() {
            None => not_sent(clicked, self.gate().map(Gate::take_refusals).unwrap_or_default()),
            Some(SendOutcome::Fenced(refused)) => ActOutcome::NotSent(fenced(refused)),
            // Released by the journal, and yet nothing left: a probe need wait for no request.
            Some(SendOutcome::NotSent(why)) => ambiguous(format!("not sent: {why}"), true),
            Some(SendOutcome::Lost(why)) => ambiguous(format!("the answer was lost: {why}"), false),
            Some(SendOutcome::Answered { status }) => match clicked {
                Ok(()) => self.read_answer(wanted, reference, *status, limit).await,
                Err(error) => {
                    ambiguous(format!("answered with {status}, but the page was not shown: {error}"), true)
                }
            },
        }
    }

    /// The request is over at the ERP; what it did is told by the page alone.
    async fn read_answer(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        status: u16,
        limit: &Limit,
    ) -> ActOutcome<Order> {
        let look = match self.site.look(&self.page, limit).await {
            Ok(look) => look,
            Err(error) => return ambiguous(error.to_string(), true),
        };
        if let Err(error) = look.expect_user(&self.site, &self.user) {
            return ambiguous(format!("answered with {status}: {error}"), true);
        }
        match self.site.read_shown(&self.page, limit, &self.user).await {
            Ok(Some(order)) if order.number.is_empty() && !look.validation.is_empty() => {
                ActOutcome::Refused(look.validation.join(" "))
            }
            Ok(Some(order)) if order.number.is_empty() => {
                ambiguous("the answer shows neither a number nor a complaint".to_owned(), true)
            }
            Ok(Some(order)) => {
                let differences = differences(wanted, reference, &order);
                if differences.is_empty() {
                    ActOutcome::Done(order)
                } else {
                    ActOutcome::Differs { observed: order, differences }
                }
            }
            Ok(None) => ambiguous("the answer shows no order".to_owned(), true),
            Err(error) => ambiguous(error.to_string(), true),
        }
    }
}

fn ambiguous(evidence: String, answered: bool) -> ActOutcome<Order> {
    ActOutcome::Ambiguous { evidence, answered }
}

fn fenced(refused: &GateRefused) -> NotSent {
    match &refused.0 {
        FenceError::Superseded => NotSent::LeaseLost,
        other => NotSent::Other(other.to_string()),
    }
}

/// No request came to the gate, and none will get through any more.
fn not_sent(clicked: Result<(), DriverError>, refusals: Vec<crate::gate::GateRefusal>) -> ActOutcome<Order> {
    let why = match (clicked, refusals.last()) {
        (_, Some(refusal)) => NotSent::Other(refusal.to_string()),
        (Err(DriverError::LeaseLost { .. }), None) => NotSent::LeaseLost,
        (Err(error), None) => NotSent::Other(error.to_string()),
        (Ok(()), None) => NotSent::Other("the click sent no request".to_owned()),
    };
    ActOutcome::NotSent(why)
}

fn before_the_gate(error: ClientError) -> NotSent {
    match error {
        ClientError::SessionExpired => NotSent::SessionExpired,
        ClientError::LeaseLost(_) => NotSent::LeaseLost,
        other => NotSent::Other(other.to_string()),
    }
}

#[async_trait]
impl ArchibaldClient for ErpClient {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        self.customers_shown.store(0, Relaxed);
        let limit = self.limit();
        match self.site.type_order(&self.page, &limit, &self.user, wanted, reference).await {
            Ok(()) => {}
            Err(Typing::Refused(text)) => return ActOutcome::Refused(text),
            Err(Typing::Client(error)) => {
                return ActOutcome::NotSent(before_the_gate(self.explained(error)));
            }
        }
        let fence: Fence =
            Box::new(move || async move { gate.open(intent).await.map(|permit| permit.budget) }.boxed());
        self.save(wanted, reference, fence, &limit).await
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        self.customers_shown.store(0, Relaxed);
        self.told(self.site.find_orders(&self.page, &self.limit(), &self.user, query).await)
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        self.customers_shown.store(0, Relaxed);
        self.told(self.site.read_order(&self.page, &self.limit(), &self.user, number).await)
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        let shown = self.customers_shown.swap(0, Relaxed);
        let read = self.site.read_customers(&self.page, &self.limit(), &self.user, page, shown).await;
        let read = self.told(read)?;
        self.customers_shown.store(page.min(read.pages), Relaxed);
        Ok(read)
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        self.customers_shown.store(0, Relaxed);
        self.site.validate(&self.page, &self.limit(), &self.user).await
    }

    async fn capture(&self) -> Vec<Evidence> {
        let limit = self.limit().within(self.site.step().min(std::time::Duration::from_secs(5)));
        let mut evidence = Vec::new();
        if let Ok(bytes) = self.page.screenshot(&limit).await {
            evidence.push(Evidence {
                name: "screenshot".to_owned(),
                media_type: "image/png".to_owned(),
                bytes,
            });
        }
        if let Ok(html) = self.page.content(&limit).await {
            let bytes = html.into_bytes();
            evidence.push(Evidence { name: "page".to_owned(), media_type: "text/html".to_owned(), bytes });
        }
        let dialogs = self.page.take_dialogs();
        if !dialogs.is_empty() {
            let said = |it: &Dialog| format!("{:?}, accepted: {}: {}\n", it.kind, it.accepted, it.text);
            let bytes = dialogs.iter().map(said).collect::<String>().into_bytes();
            evidence.push(Evidence {
                name: "dialogs".to_owned(),
                media_type: "text/plain".to_owned(),
                bytes,
            });
        }
        evidence
    }
}

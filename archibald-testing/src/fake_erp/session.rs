use std::sync::{Arc, Mutex, MutexGuard};

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::erp::{
    Customer, CustomerPage, Order, OrderLine, OrderPage, OrderQuery, OrderSummary, PricePage, ProductPage,
    WantedCustomer, WantedLine, WantedOrder,
};
use archibald_core::id::AgentId;
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, Finish, Guard, SessionLease};
use archibald_core::record::Evidence;
use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;

use super::world::{Quality, Saved, World};
use super::{Pauses, SaveFault, lock};

/// Rows on a page of a list.
const PAGE: usize = 20;

pub(super) struct FakeSession {
    pub(super) agent: AgentId,
    pub(super) guard: Arc<dyn Guard>,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) pauses: Arc<Pauses>,
    /// Whether a trace with pictures was asked for.
    pub(super) pictures: bool,
    pub(super) _slot: OwnedSemaphorePermit,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        lock(&self.world).in_use -= 1;
    }
}

#[async_trait]
impl SessionLease for FakeSession {
    fn client(&self) -> &dyn ArchibaldClient {
        self
    }

    async fn finish(self: Box<Self>, _how: Finish) {}
}

impl FakeSession {
    /// One save through the gate, as well as the next fault lets it.
    async fn save<R>(
        &self,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
        apply: impl FnOnce(&mut World, Quality) -> Option<Saved<R>> + Send + 'static,
    ) -> ActOutcome<R> {
        let fault = lock(&self.world).faults.pop_front();
        if fault == Some(SaveFault::Expired) {
            return ActOutcome::NotSent(NotSent::SessionExpired);
        }
        if let Err(error) = gate.open(intent).await {
            return ActOutcome::NotSent(NotSent::Other(error.to_string()));
        }
        let answered = matches!(fault, Some(SaveFault::ServerError { .. } | SaveFault::Half));
        let ambiguous = ActOutcome::Ambiguous { evidence: format!("{fault:?}"), answered };
        let mut world = lock(&self.world);
        match fault {
            None | Some(SaveFault::Expired) => answer(apply(&mut world, Quality::Whole)),
            Some(SaveFault::Altered) => answer(apply(&mut world, Quality::Altered)),
            Some(SaveFault::Half) => {
                apply(&mut world, Quality::Half);
                ambiguous
            }
            Some(SaveFault::Refused(text)) => ActOutcome::Refused(text),
            Some(SaveFault::Lost { applied } | SaveFault::ServerError { applied }) => {
                if applied {
                    apply(&mut world, Quality::Whole);
                }
                ambiguous
            }
            Some(SaveFault::Late { reads }) => {
                let deed = move |world: &mut World| drop(apply(world, Quality::Whole));
                world.late.push((reads, Box::new(deed)));
                ambiguous
            }
            Some(SaveFault::Panic) => {
                apply(&mut world, Quality::Whole);
                drop(world);
                std::panic::resume_unwind(Box::new("the client panics, as it was told to"))
            }
        }
    }

    /// What the page says before anything is saved, where it lets nobody save.
    fn refusal<R>(
        &self,
        look: impl FnOnce(&World, &AgentId) -> Option<&'static str>,
    ) -> Option<ActOutcome<R>> {
        if self.guard.check().is_err() {
            return Some(ActOutcome::NotSent(NotSent::LeaseLost));
        }
        let refusal = look(&lock(&self.world), &self.agent)?;
        Some(ActOutcome::Refused(refusal.to_owned()))
    }

    /// Says so of every line that would have to be typed, and of their end.
    fn fill_in(&self, there: &[OrderLine], wanted: &WantedOrder) {
        let as_wanted = |(is, want): &(&OrderLine, &WantedLine)| {
            (&is.product, is.quantity, is.discount) == (&want.product, want.quantity, want.discount)
        };
        let kept = there.iter().zip(&wanted.lines).take_while(as_wanted).count();
        let lines = wanted.lines.len();
        (kept + 1..=lines).for_each(|line| self.guard.filling_line(line, lines));
        self.guard.filled_in(lines);
    }

    fn read(&self) -> Result<MutexGuard<'_, World>, ClientError> {
        self.guard.check()?;
        let mut world = lock(&self.world);
        world.read();
        Ok(world)
    }

    /// One page of a list, once nobody holds the lists back. Whoever wants another than the first is taken to
    /// walk there, and asked on the way whether to give way.
    async fn page<T: Clone>(
        &self,
        wanted: u32,
        list: impl FnOnce(&World) -> Vec<T>,
    ) -> Result<(Vec<T>, u32), ClientError> {
        self.pauses.lists.passed().await;
        if wanted > 1 && self.guard.should_yield() {
            return Err(ClientError::GaveWay);
        }
        let rows = list(&*self.read()?);
        let first = wanted.saturating_sub(1) as usize * PAGE;
        let pages = u32::try_from(rows.len().div_ceil(PAGE)).unwrap_or(u32::MAX).max(1);
        Ok((rows.into_iter().skip(first).take(PAGE).collect(), pages))
    }
}

fn answer<R>(saved: Option<Saved<R>>) -> ActOutcome<R> {
    match saved {
        Some(Saved { shown, differences }) if differences.is_empty() => ActOutcome::Done(shown),
        Some(Saved { shown, differences }) => ActOutcome::Differs { observed: shown, differences },
        None => ActOutcome::Ambiguous { evidence: "it was gone meanwhile".to_owned(), answered: true },
    }
}

#[async_trait]
impl ArchibaldClient for FakeSession {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        if let Some(refusal) = self.refusal(|_, _| None) {
            return refusal;
        }
        self.fill_in(&[], wanted);
        let (agent, wanted, reference) = (self.agent.clone(), wanted.clone(), reference.to_owned());
        self.save(intent, gate, move |world, quality| {
            Some(world.create_order(&agent, &wanted, &reference, quality))
        })
        .await
    }

    async fn edit_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        if let Some(refusal) = self.refusal(|world, agent| world.refuses_change(agent, number)) {
            return refusal;
        }
        let there = lock(&self.world).order(&self.agent, number).map(|order| order.lines.clone());
        self.fill_in(&there.unwrap_or_default(), wanted);
        let (agent, number) = (self.agent.clone(), number.to_owned());
        let (wanted, reference) = (wanted.clone(), reference.to_owned());
        self.save(intent, gate, move |world, quality| {
            world.edit_order(&agent, &number, &wanted, &reference, quality)
        })
        .await
    }

    async fn delete_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<()> {
        if let Some(refusal) = self.refusal(|world, agent| world.refuses_change(agent, number)) {
            return refusal;
        }
        let (agent, number) = (self.agent.clone(), number.to_owned());
        self.save(intent, gate, move |world, _| world.delete_order(&agent, &number)).await
    }

    async fn send_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<Order> {
        if let Some(refusal) = self.refusal(|world, agent| world.refuses_change(agent, number)) {
            return refusal;
        }
        let (agent, number) = (self.agent.clone(), number.to_owned());
        self.save(intent, gate, move |world, _| world.send_order(&agent, &number)).await
    }

    async fn create_customer(
        &self,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        if let Some(refusal) = self.refusal(|_, _| None) {
            return refusal;
        }
        let wanted = wanted.clone();
        self.save(intent, gate, move |world, quality| Some(world.create_customer(&wanted, quality))).await
    }

    async fn update_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        let missing = |world: &World, _: &AgentId| match world.customer(code) {
            Some(_) => None,
            None => Some("Cliente non trovato."),
        };
        if let Some(refusal) = self.refusal(missing) {
            return refusal;
        }
        let (code, wanted) = (code.to_owned(), wanted.clone());
        self.save(intent, gate, move |world, quality| world.update_customer(&code, &wanted, quality)).await
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        let mut found = self.read()?.listed_orders(&self.agent);
        found.retain(|order| {
            query.reference.as_ref().is_none_or(|text| order.reference.contains(text))
                && query.customer.as_ref().is_none_or(|code| order.customer == *code)
                && query.date.is_none_or(|date| order.date == date)
        });
        Ok(found)
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        self.pauses.details.passed().await;
        let mut world = self.read()?;
        world.opened.push(number.to_owned());
        Ok(world.order(&self.agent, number).cloned())
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        let (customers, pages) = self.page(page, World::listed_customers).await?;
        Ok(CustomerPage { customers, pages })
    }

    async fn find_customers(&self, text: &str) -> Result<Vec<Customer>, ClientError> {
        let text = text.to_lowercase();
        let mut found = self.read()?.listed_customers();
        found.retain(|customer| {
            let searched = [&customer.code, &customer.name, &customer.vat];
            searched.into_iter().any(|field| field.to_lowercase().contains(&text))
        });
        Ok(found)
    }

    async fn read_customer(&self, code: &str) -> Result<Option<Customer>, ClientError> {
        self.pauses.details.passed().await;
        let mut world = self.read()?;
        world.opened.push(code.to_owned());
        Ok(world.customer(code).cloned())
    }

    async fn read_products(&self, page: u32) -> Result<ProductPage, ClientError> {
        let (products, pages) = self.page(page, |world| world.records.products.clone()).await?;
        Ok(ProductPage { products, pages })
    }

    async fn read_prices(&self, page: u32) -> Result<PricePage, ClientError> {
        let (prices, pages) = self.page(page, |world| world.records.prices.clone()).await?;
        Ok(PricePage { prices, pages })
    }

    async fn read_orders(&self, page: u32) -> Result<OrderPage, ClientError> {
        let (orders, pages) = self.page(page, |world| world.listed_orders(&self.agent)).await?;
        Ok(OrderPage { orders, pages })
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        self.read().map(drop)
    }

    async fn capture(&self) -> Vec<Evidence> {
        vec![]
    }

    /// Says no more than whether there would be pictures.
    async fn trace(&self) -> Option<Evidence> {
        let told: &[u8] = if self.pictures { b"with pictures" } else { b"in words" };
        Some(Evidence { name: "trace".into(), media_type: "text/plain".into(), bytes: told.into() })
    }
}

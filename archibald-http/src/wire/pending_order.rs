use archibald_core::event::Origin;
use archibald_core::id::{AgentId, OperationId, PendingOrderId};
use archibald_core::pending_order::{OrderContent, PendingOrder, PendingOrderState, SubmitProblem};
use archibald_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An order in the making. Absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PendingOrderView {
    /// UUIDv7.
    #[schema(value_type = String)]
    pub id: PendingOrderId,
    /// Whose.
    #[schema(value_type = String)]
    pub agent: AgentId,
    /// Grows by one with every change; the `ETag` is this, in quotes.
    pub version: u64,
    /// `editing`, `submitting` (nobody changes it, also while it is in doubt) or `submitted`.
    #[schema(value_type = PendingOrderStateName)]
    pub state: &'static str,
    /// What it says so far.
    #[schema(value_type = OrderContentSchema)]
    pub content: OrderContent,
    /// The operation that has it, or that made an order of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
    /// The order's number, once it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What became of its last submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SubmitProblemSchema>)]
    pub problem: Option<SubmitProblem>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The device and mutation that caused the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OriginSchema>)]
    pub origin: Option<Origin>,
}

/// The states by their names on the wire.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) enum PendingOrderStateName {
    Editing,
    Submitting,
    Submitted,
}

/// How an [`OrderContent`] looks: an order that may be incomplete.
#[derive(ToSchema)]
#[schema(as = OrderContent)]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) struct OrderContentSchema {
    /// The customer's code.
    #[schema(max_length = 200)]
    customer: Option<String>,
    /// The order's date.
    #[schema(value_type = Option<String>, format = Date)]
    date: Option<String>,
    /// The agent's own text.
    #[schema(max_length = 200)]
    reference: Option<String>,
    /// Free text.
    #[schema(max_length = 200)]
    note: Option<String>,
    /// What is ordered, in order.
    #[schema(max_items = 500)]
    #[schema(required = false)]
    lines: Vec<OrderContentLineSchema>,
}

/// A line of it, which may be incomplete too.
#[derive(ToSchema)]
#[schema(as = OrderContentLine)]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) struct OrderContentLineSchema {
    /// The product's code.
    #[schema(max_length = 200)]
    product: Option<String>,
    /// Pieces.
    quantity: Option<u32>,
    /// Per cent, as a decimal text.
    discount: Option<String>,
}

/// How a [`SubmitProblem`] looks.
#[derive(ToSchema)]
#[schema(as = SubmitProblem)]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) struct SubmitProblemSchema {
    /// The operation that was to submit it.
    operation: String,
    /// `rejected`, `failed` or `cancelled`.
    outcome: String,
    /// In the words of who said so.
    detail: String,
    /// The version in which it was noted.
    version: u64,
}

/// How an [`Origin`] looks.
#[derive(ToSchema)]
#[schema(as = Origin)]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) struct OriginSchema {
    /// The request's `X-Device-Id`.
    device: Option<String>,
    /// The request's `X-Mutation-Id`.
    mutation: Option<String>,
}

impl From<PendingOrder> for PendingOrderView {
    fn from(pending: PendingOrder) -> Self {
        let (state, operation, order, problem) = match pending.state {
            PendingOrderState::Editing { problem } => ("editing", None, None, problem),
            PendingOrderState::Submitting { operation } => ("submitting", Some(operation), None, None),
            PendingOrderState::Submitted { operation, order } => ("submitted", Some(operation), order, None),
        };
        Self {
            id: pending.id,
            agent: pending.agent,
            version: pending.version,
            state,
            content: pending.content,
            operation,
            order,
            problem,
            created_at: pending.created_at,
            updated_at: pending.updated_at,
            origin: pending.origin,
        }
    }
}

impl PendingOrderView {
    /// Its `ETag`.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    /// Where it is read.
    pub(crate) fn path(&self) -> String {
        format!("/v1/agents/{}/pending-orders/{}", self.agent, self.id)
    }
}

//! `/v1/agents/{agent}/pending-orders/…`: orders in the making, which the agent's devices edit together.

use std::sync::Arc;

use archibald_core::event::Origin;
use archibald_core::id::{OperationKey, PendingOrderId};
use archibald_core::pending_order::{NewPendingOrder, OrderContent, PendingOrder, PendingOrderEdit};
use archibald_core::port::{PendingOrders, SubmitRequest};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::enqueue::waited_for;
use super::operations::{Named, PathPart, page_size};
use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::{JsonBody, OriginHeaders, Query, idempotency_key, if_match, origin};
use crate::state::ApiState;
use crate::wire::{OperationView, OrderContentSchema, PendingOrderView};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    after: Option<PendingOrderId>,
}

/// A page of pending orders, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PendingOrderList {
    items: Vec<PendingOrderView>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What it says from now on, all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PendingOrderBody {
    #[schema(value_type = OrderContentSchema)]
    content: OrderContent,
}

/// Pending orders of the agent, newest first.
#[utoipa::path(
    get,
    path = "/pending-orders",
    operation_id = "list_pending_orders",
    params(ListQuery),
    responses((status = 200, body = PendingOrderList)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Query(query): Query<ListQuery>,
) -> Result<Json<PendingOrderList>, Problem> {
    let page = kept(&state)?.page(&agent, query.after, page_size(query.limit)?).await?;
    let items = page.orders.into_iter().map(PendingOrderView::from).collect();
    Ok(Json(PendingOrderList { items, next: page.next.map(|next| next.to_string()) }))
}

/// Begins an order. The same `Idempotency-Key`, or the same device and mutation, twice is one pending order.
#[utoipa::path(
    post,
    path = "/pending-orders",
    operation_id = "create_pending_order",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$",
            description = "This is needed, or the two below"),
        OriginHeaders,
    ),
    request_body = PendingOrderBody,
    responses(
        (status = 200, description = "It existed before", body = PendingOrderView,
            headers(("Location" = String), ("ETag" = String), ("Idempotency-Replayed" = String))),
        (status = 201, description = "It is on disk", body = PendingOrderView,
            headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The agent has too many", body = Problem),
        (status = 422, description = "It cannot be accepted, or the key was used otherwise", body = Problem),
    ),
)]
pub(crate) async fn create(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PendingOrderBody>,
) -> Result<Response, Problem> {
    let origin = origin(&headers)?;
    let key = match idempotency_key(&headers)? {
        Some(key) => key,
        None => key_of(origin.as_ref())?,
    };
    let new =
        NewPendingOrder { id: PendingOrderId(Uuid::now_v7()), agent, key, content: body.content, origin };
    let created = kept(&state)?.create(new).await?;
    let status = if created.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let view = PendingOrderView::from(created.order);
    let location = HeaderValue::from_str(&view.path());
    let location = location.expect("agent names and UUIDs are printable ASCII");
    let mut response = shown(status, view);
    response.headers_mut().insert(header::LOCATION, location);
    if created.replayed {
        let replayed = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(replayed, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// One pending order.
#[utoipa::path(
    get,
    path = "/pending-orders/{id}",
    operation_id = "get_pending_order",
    params(("id" = String, Path)),
    responses((status = 200, body = PendingOrderView, headers(("ETag" = String)))),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<PendingOrderId>,
) -> Result<Response, Problem> {
    let found = kept(&state)?.find(&agent, id).await?;
    Ok(shown(StatusCode::OK, found.ok_or_else(Problem::not_found)?))
}

/// Changes what it says. The same mutation of the same device again changes nothing.
#[utoipa::path(
    put,
    path = "/pending-orders/{id}",
    operation_id = "edit_pending_order",
    params(
        ("id" = String, Path),
        ("If-Match" = String, Header, pattern = r#"^"[0-9]{1,18}"$"#, description = "The `ETag` of the version that was edited"),
        OriginHeaders,
    ),
    request_body = PendingOrderBody,
    responses(
        (status = 200, body = PendingOrderView, headers(("ETag" = String))),
        (status = 409, description = "An operation has it, or made an order of it", body = Problem),
        (status = 412, description = "It has another version by now, which is `current`", body = Problem),
        (status = 422, body = Problem),
        (status = 428, description = "`If-Match` is missing", body = Problem),
    ),
)]
pub(crate) async fn edit(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<PendingOrderId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PendingOrderBody>,
) -> Result<Response, Problem> {
    let expected = if_match(&headers)?.ok_or_else(Problem::version_needed)?;
    let edit = PendingOrderEdit { expected, content: body.content, origin: origin(&headers)? };
    Ok(shown(StatusCode::OK, kept(&state)?.edit(&agent, id, &edit).await?))
}

/// Deletes one that is not submitted.
#[utoipa::path(
    delete,
    path = "/pending-orders/{id}",
    operation_id = "delete_pending_order",
    params(
        ("id" = String, Path),
        ("If-Match" = String, Header, pattern = r#"^"[0-9]{1,18}"$"#, description = "The `ETag` of the version that was looked at"),
        OriginHeaders,
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "An operation has it, or made an order of it", body = Problem),
        (status = 412, description = "It has another version by now, which is `current`", body = Problem),
        (status = 428, description = "`If-Match` is missing", body = Problem),
    ),
)]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<PendingOrderId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = if_match(&headers)?.ok_or_else(Problem::version_needed)?;
    kept(&state)?.discard(&agent, id, expected, origin(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an operation of it, once, whoever asks how often.
#[utoipa::path(
    post,
    path = "/pending-orders/{id}/submit",
    operation_id = "submit_pending_order",
    params(
        ("id" = String, Path),
        ("If-Match" = Option<String>, Header, pattern = r#"^"[0-9]{1,18}"$"#, description = "The `ETag` of the version that is meant"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$",
            description = "Made of id and version when absent"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` waits up to N seconds (at most 60)"),
        OriginHeaders,
    ),
    responses(
        (status = 200, description = "It was submitted before, or was waited for and is final",
            body = OperationView, headers(("Location" = String), ("Idempotency-Replayed" = String))),
        (status = 202, description = "The operation is on disk", body = OperationView,
            headers(("Location" = String))),
        (status = 409, description = "The agent's queue is full", body = Problem),
        (status = 412, description = "It has another version by now, which is `current`", body = Problem),
        (status = 422, description = "An order cannot have what it says", body = Problem),
    ),
)]
pub(crate) async fn submit(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<PendingOrderId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = SubmitRequest {
        agent: agent.clone(),
        id,
        expected: if_match(&headers)?,
        key: idempotency_key(&headers)?,
        origin: origin(&headers)?,
    };
    let enqueued = kept(&state)?.submit(request).await?;
    waited_for(&state, &agent, enqueued, &headers).await
}

fn kept(state: &ApiState) -> Result<Arc<dyn PendingOrders>, Problem> {
    state.operations.pending_orders().ok_or_else(Problem::not_found)
}

fn shown(status: StatusCode, order: impl Into<PendingOrderView>) -> Response {
    let view = order.into();
    let etag = HeaderValue::from_str(&view.etag()).expect("a number in quotes is printable ASCII");
    (status, [(header::ETAG, etag)], Json(view)).into_response()
}

/// A device's name for the creation. In short: two names of 200 characters are more than a key may have.
fn key_of(origin: Option<&Origin>) -> Result<OperationKey, Problem> {
    let named = origin.and_then(|origin| Some((origin.device.as_ref()?, origin.mutation.as_ref()?)));
    let (device, mutation) = named.ok_or_else(|| {
        Problem::bad_request(
            "a write needs a key: send the header Idempotency-Key, or X-Device-Id and X-Mutation-Id",
        )
    })?;
    let digest = Sha256::digest(format!("{}:{device}{mutation}", device.len()));
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(OperationKey::new(format!("mutation-{digest}")).expect("it is short and printable"))
}

impl PathPart for PendingOrderId {
    const NAME: &'static str = "id";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl From<Box<PendingOrder>> for PendingOrderView {
    fn from(order: Box<PendingOrder>) -> Self {
        Self::from(*order)
    }
}

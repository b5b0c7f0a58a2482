//! `/v1/agents/{agent}/operations/…`: what there is, and what a person does to it.

use archibald_core::effect::Receipt;
use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::operation::OperationState;
use archibald_core::port::OperationFilter;
use archibald_core::record::{Evidence, OperationRecord, Resolution};
use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::{JsonBody, Query};
use crate::state::ApiState;
use crate::wire::{OperationView, StateName};

/// The longest note to a decision.
const NOTE_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only in this state.
    state: Option<StateName>,
    /// Only of this kind.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9-]+$")]
    kind: Option<OperationKind>,
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}$")]
    after: Option<u64>,
}

/// A page of operations, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Operations {
    pub(super) items: Vec<OperationView>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// What a person decided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveBody {
    /// `applied`: it happened, and is completed with the receipt as it is given, unasked; `not_applied`: started
    /// again with a look at the ERP, and acted again where nothing bears its mark; `abandon`: failed.
    outcome: OutcomeName,
    /// What the ERP called the effect, for example `{"order": "1042"}`: needed with `applied`, not allowed without.
    #[serde(default)]
    receipt: Option<Value>,
    /// For the audit.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeName {
    Applied,
    NotApplied,
    Abandon,
}

/// Operations of the agent, newest first.
#[utoipa::path(
    get,
    path = "/operations",
    params(ListQuery),
    responses((status = 200, body = Operations)),
)]
pub(crate) async fn list(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Query(query): Query<ListQuery>,
) -> Result<Json<Operations>, Problem> {
    let filter = OperationFilter {
        state: query.state.map(|state| state.on_the_wire().to_owned()),
        kind: query.kind,
        target: None,
        before: query.after,
        limit: page_size(query.limit)?,
    };
    let page = state.operations.list(&agent, &filter).await?;
    let mut items = Vec::with_capacity(page.records.len());
    for record in page.records {
        items.push(view(&state, record).await);
    }
    Ok(Json(Operations { items, next: page.next.map(|next| next.to_string()) }))
}

/// One operation, and why it waits.
#[utoipa::path(
    get,
    path = "/operations/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = OperationView), (status = 404, body = Problem)),
)]
pub(crate) async fn get(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    let record = state.operations.get(&agent, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(view(&state, record).await))
}

/// Withdraws an operation that waits and has no effect.
#[utoipa::path(
    post,
    path = "/operations/{id}/cancel",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = OperationView),
        (status = 409, description = "Its state does not allow it", body = Problem),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    AgentAccess { agent, principal, .. }: AgentAccess,
    Named(id): Named<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    let record = state.operations.cancel(&agent, id, &principal.name).await?;
    Ok(Json(view(&state, record).await))
}

/// Starts a rejected or failed operation again.
#[utoipa::path(
    post,
    path = "/operations/{id}/retry",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = OperationView),
        (status = 409, description = "Its state does not allow it", body = Problem),
    ),
)]
pub(crate) async fn retry(
    State(state): State<ApiState>,
    AgentAccess { agent, principal, .. }: AgentAccess,
    Named(id): Named<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    let record = state.operations.retry(&agent, id, &principal.name).await?;
    Ok(Json(view(&state, record).await))
}

/// Decides a doubt.
#[utoipa::path(
    post,
    path = "/operations/{id}/resolve",
    params(("id" = String, Path)),
    request_body = ResolveBody,
    responses(
        (status = 200, body = OperationView),
        (status = 409, description = "Its state does not allow it", body = Problem),
        (status = 422, body = Problem),
    ),
)]
pub(crate) async fn resolve(
    State(state): State<ApiState>,
    AgentAccess { agent, principal, .. }: AgentAccess,
    Named(id): Named<OperationId>,
    JsonBody(body): JsonBody<ResolveBody>,
) -> Result<Json<OperationView>, Problem> {
    let by = signed(&principal.name, body.note.as_deref())?;
    let how = body.resolution()?;
    let record = state.operations.resolve(&agent, id, &by, &how).await?;
    Ok(Json(view(&state, record).await))
}

/// What a page of the ERP looked like.
#[utoipa::path(
    get,
    path = "/operations/{id}/evidence/{n}",
    params(("id" = String, Path), ("n" = u32, Path)),
    responses((status = 200, description = "The thing itself, in its own media type", content_type = "*/*")),
)]
pub(crate) async fn evidence(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    Named(id): Named<OperationId>,
    Named(Nth(n)): Named<Nth>,
) -> Result<Response, Problem> {
    let evidence = state.operations.evidence(&agent, id, n).await?.ok_or_else(Problem::not_found)?;
    Ok(shown(evidence))
}

/// An operation as clients read it, with its progress and why it waits.
pub(super) async fn view(state: &ApiState, record: OperationRecord) -> OperationView {
    let operation = &record.operation;
    let (agent, id) = (&operation.agent, operation.id);
    let (progress, why) = match operation.state {
        OperationState::Available { .. } => (vec![], state.operations.explain(agent, id).await),
        OperationState::Running { .. } => (state.bus.progress(agent), vec![]),
        _ => (vec![], vec![]),
    };
    OperationView::new(record, &progress, why)
}

/// How many items a page has: 50 unless asked otherwise.
pub(super) fn page_size(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(50) {
        limit @ 1..=500 => Ok(limit),
        _ => Err(Problem::bad_request("query parameter limit must be 1 to 500")),
    }
}

impl ResolveBody {
    fn resolution(self) -> Result<Resolution, Problem> {
        match (self.outcome, self.receipt) {
            (OutcomeName::Applied, Some(receipt)) => Ok(Resolution::Applied { receipt: Receipt(receipt) }),
            (OutcomeName::Applied, None) => {
                let detail = "is needed: what the ERP called the effect, such as {\"order\": \"1042\"}";
                Err(Problem::invalid_field("/receipt", detail))
            }
            (OutcomeName::NotApplied | OutcomeName::Abandon, Some(_)) => {
                Err(Problem::invalid_field("/receipt", "is only for the outcome applied"))
            }
            (OutcomeName::NotApplied, None) => Ok(Resolution::NotApplied),
            (OutcomeName::Abandon, None) => Ok(Resolution::Abandon),
        }
    }
}

/// Who decided, and their note: the audit keeps both as one text.
fn signed(name: &str, note: Option<&str>) -> Result<String, Problem> {
    match note.map(str::trim).filter(|note| !note.is_empty()) {
        None => Ok(name.to_owned()),
        Some(note) if note.chars().count() > NOTE_LIMIT => {
            Err(Problem::invalid_field("/note", format!("may have {NOTE_LIMIT} characters")))
        }
        Some(note) => Ok(format!("{name}: {note}")),
    }
}

/// What a page of the ERP looked like is foreign content: it may be looked at and must not run.
fn shown(evidence: Evidence) -> Response {
    let media_type = HeaderValue::from_str(&evidence.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let disposition = if evidence.media_type.starts_with("image/") { "inline" } else { "attachment" };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
        ),
    ];
    (headers, evidence.bytes).into_response()
}

/// A part of the path by its name; what cannot be one names nothing, so it is 404.
pub(crate) struct Named<T>(pub(super) T);

pub(crate) struct Nth(u32);

pub(crate) trait PathPart: Sized {
    const NAME: &'static str;
    fn read(text: &str) -> Option<Self>;
}

impl PathPart for OperationId {
    const NAME: &'static str = "id";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl PathPart for AgentId {
    const NAME: &'static str = "agent";
    fn read(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl PathPart for Nth {
    const NAME: &'static str = "n";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl<T: PathPart> FromRequestParts<ApiState> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::not_found())?;
        let text = params.iter().find(|(name, _)| *name == T::NAME).map(|(_, text)| text);
        text.and_then(T::read).map(Self).ok_or_else(Problem::not_found)
    }
}

//! Every error as RFC 9457 `application/problem+json`.

use std::time::Duration;

use archibald_core::error::{EnqueueError, FieldError, StoreError};
use archibald_core::id::OperationId;
use archibald_core::pending_order::PendingOrderError;
use archibald_core::port::{AdminError, CredentialError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::PendingOrderView;

/// An error as clients get it. `type` is stable: programs decide by it, people read `detail`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Its type: `key-reused` is `urn:archibald:problem:key-reused` on the wire.
    #[serde(rename = "type", serialize_with = "as_urn")]
    pub kind: &'static str,
    /// The same for every problem of the type.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    pub status: StatusCode,
    /// What is the matter this time.
    pub detail: String,
    /// Field by field, where fields are the matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<FieldErrorSchema>)]
    pub errors: Vec<FieldError>,
    /// The operation that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
    /// What there is, where the request spoke of an older version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Box<PendingOrderView>>,
    /// Sent as `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

/// How a [`FieldError`] looks.
#[derive(ToSchema)]
#[schema(as = FieldError)]
#[allow(dead_code, reason = "it is there for its schema")]
struct FieldErrorSchema {
    /// A JSON pointer into the body.
    pointer: String,
    /// What was expected there.
    detail: String,
}

impl Problem {
    /// A problem of the type `urn:archibald:problem:{kind}`.
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status,
            detail: detail.into(),
            errors: vec![],
            operation: None,
            current: None,
            retry_after: None,
        }
    }

    /// 400: the request cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read", detail)
    }

    /// 422: it can be read, and these fields cannot be accepted.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let words: Vec<_> = errors.iter().map(|e| format!("{} {}", e.pointer, e.detail)).collect();
        let detail = words.join("; ").trim_start().to_owned();
        let title = "The request cannot be accepted";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail) }
    }

    /// 422 for one field, by its JSON pointer.
    pub(crate) fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// 401, the same for a missing and a refused token.
    pub(crate) fn unauthorized() -> Self {
        let detail = "send a valid token as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who asks is not known", detail)
    }

    /// 428: a change has to say of which version.
    pub(crate) fn version_needed() -> Self {
        let detail = "send the header If-Match with the ETag of the version that was looked at";
        let title = "The version is missing";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "version-needed", title, detail)
    }

    /// 403: a cookie came with a request that no page of ours sent.
    pub(crate) fn foreign_origin() -> Self {
        let title = "The request comes from a foreign page";
        let detail = "with a session's cookie the header Origin must name this host; or send a bearer token";
        Self::new(StatusCode::FORBIDDEN, "foreign-origin", title, detail)
    }

    /// 426: this is a WebSocket.
    pub(crate) fn upgrade_required() -> Self {
        let detail = "this URL speaks WebSocket: open it with `new WebSocket(…)` or another client of it";
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", "It is a WebSocket", detail)
    }

    /// 429, and when to come back.
    pub(crate) fn too_often(wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
        let detail = format!("come back in {seconds} s; nothing was done");
        let problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", "That is asked too often", detail);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// 404, and not worth asking again.
    pub(crate) fn no_pictures() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-pictures",
            "There are no pictures",
            "what drives the ERP in this process takes no pictures",
        )
    }

    /// 404, the same for what does not exist and for what the caller may not see.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            "nothing is found at this URL",
        )
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let title = "The method is not allowed here";
        let detail = "this URL does not answer to this method; the header Allow names those that it does";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title, detail)
    }

    /// 500. What went wrong is logged, not told.
    pub(crate) fn internal() -> Self {
        let detail = "something went wrong here; the log has it under this answer's X-Request-Id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
    }

    /// 503: the same request may succeed soon.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The server cannot do it now";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail);
        Self { retry_after: Some(1), ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "the store failed");
        match error {
            StoreError::Unavailable { .. } => Self::unavailable("the store is unavailable; try again"),
            _ => Self::internal(),
        }
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        let detail = error.to_string();
        match error {
            EnqueueError::Invalid(fields) => Self::invalid(fields.into_iter().map(in_payload).collect()),
            EnqueueError::UnknownKind { .. } => Self::invalid_field("/kind", detail),
            EnqueueError::UnknownAgent(_) => Self::not_found(),
            EnqueueError::KeyReused { operation, .. } => {
                let title = "The key was used for something else";
                let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", title, detail);
                let errors = vec![FieldError::new("/key", "was used before with another kind or payload")];
                Self { errors, operation: Some(operation), ..problem }
            }
            EnqueueError::TargetTaken { operation, .. } => {
                let title = "It was submitted before";
                let problem = Self::new(StatusCode::CONFLICT, "target-taken", title, detail);
                Self { operation: Some(operation), ..problem }
            }
            EnqueueError::QueueFull { .. } => {
                Self::new(StatusCode::CONFLICT, "queue-full", "The agent's queue is full", detail)
            }
            EnqueueError::NoPendingOrder(_) => Self::invalid_field("/payload/pending_order", detail),
            EnqueueError::PendingOrderChanged(_) => {
                let title = "The pending order says something else";
                Self::new(StatusCode::CONFLICT, "pending-order-changed", title, detail)
            }
            EnqueueError::Store(error) => error.into(),
            other => unknown(&other),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(_) => Self::not_found(),
            AdminError::State(error) => {
                let title = "The operation's state does not allow it";
                Self::new(StatusCode::CONFLICT, "wrong-state", title, error.to_string())
            }
            AdminError::TargetTaken { by, .. } => {
                let title = "Another operation took its place";
                let problem = Self::new(StatusCode::CONFLICT, "target-taken", title, error.to_string());
                Self { operation: Some(by), ..problem }
            }
            AdminError::Invalid(field) => Self::invalid(vec![field]),
            AdminError::Store(error) => error.into(),
            other => unknown(&other),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        let conflict = |kind, title, error: &CredentialError| {
            Self::new(StatusCode::CONFLICT, kind, title, error.to_string())
        };
        match error {
            CredentialError::Unknown(_) => Self::not_found(),
            CredentialError::Exists(_) => conflict("agent-exists", "There is such an agent", &error),
            CredentialError::Fixed(_) => conflict("agent-fixed", "The agent is not changed here", &error),
            CredentialError::Unreadable(_) => {
                conflict("agent-unreadable", "The agent cannot be read with this key", &error)
            }
            CredentialError::Busy { operation, .. } => {
                let problem = conflict("agent-busy", "The agent has something to do", &error);
                Self { operation: Some(operation), ..problem }
            }
            CredentialError::Full { .. } => conflict("too-many-agents", "There are too many agents", &error),
            CredentialError::Invalid(fields) => Self::invalid(fields),
            CredentialError::Store(error) => error.into(),
            other => unknown(&other),
        }
    }
}

impl From<PendingOrderError> for Problem {
    fn from(error: PendingOrderError) -> Self {
        let detail = error.to_string();
        let of_operation = |kind, title, operation| {
            let problem = Self::new(StatusCode::CONFLICT, kind, title, detail.clone());
            Self { operation: Some(operation), ..problem }
        };
        match error {
            PendingOrderError::NotFound(_) => Self::not_found(),
            PendingOrderError::Conflict { current, .. } => {
                let title = "Somebody changed it meanwhile";
                let problem = Self::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", title, detail);
                Self { current: Some(Box::new(current.into())), ..problem }
            }
            PendingOrderError::Submitting { operation, .. } => {
                of_operation("being-submitted", "An operation has it", operation)
            }
            PendingOrderError::Submitted { operation, .. } => {
                of_operation("already-submitted", "It is an order already", operation)
            }
            PendingOrderError::KeyReused { .. } => {
                let title = "The key was used for something else";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", title, detail)
            }
            PendingOrderError::Full { .. } => {
                let title = "The agent has too many pending orders";
                Self::new(StatusCode::CONFLICT, "too-many-pending-orders", title, detail)
            }
            PendingOrderError::Invalid(fields)
            | PendingOrderError::Enqueue(EnqueueError::Invalid(fields)) => {
                Self::invalid(fields.into_iter().map(in_content).collect())
            }
            PendingOrderError::Enqueue(error) => error.into(),
            PendingOrderError::Store(error) => error.into(),
            other => unknown(&other),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let etag = self.current.as_ref().and_then(|current| HeaderValue::from_str(&current.etag()).ok());
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn unknown(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "an error without a status of its own");
    Problem::internal()
}

/// Actions speak of their payload; clients of the body that it came in.
fn in_payload(error: FieldError) -> FieldError {
    FieldError { pointer: format!("/payload{}", error.pointer), ..error }
}

/// The same of what a pending order says.
fn in_content(error: FieldError) -> FieldError {
    FieldError { pointer: format!("/content{}", error.pointer), ..error }
}

fn as_urn<S: serde::Serializer>(kind: &&'static str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("urn:archibald:problem:{kind}"))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

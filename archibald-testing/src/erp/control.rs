//! The control port: what tests and demos read and steer. JSON; a body that cannot be followed is answered with
//! `{"error": "…"}`.
//!
//! It asks for no password, so it serves no page: whatever a browser sends for a page that somebody has open, from
//! anywhere or by a name that was made to lead here, is refused.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::FaultRule;
use super::front::{Erp, lock};
use super::ledger::{Applied, Cause, EffectKind, OrderContent};
use super::world::{ErpOrder, OrderState};
use crate::data::Customer;

/// The hosts by which it may be asked, at any port.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// An order put there by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOrder {
    /// Replaces what is there under this number; absent: the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Whose it is.
    pub agent: String,
    /// `open` if absent.
    #[serde(default = "open")]
    pub state: OrderState,
    /// What it says. Not checked: people find ways.
    pub content: OrderContent,
}

/// A customer put there by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandCustomer {
    /// Who sees it; with nobody named, those who do already.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Replaces what is there under its code; an empty code gets the next one.
    pub customer: Customer,
}

/// Changes of behaviour; what is absent stays. Milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviourChange {
    /// Time that every request takes.
    pub latency_ms: Option<u64>,
    /// Idle time after which a session ends.
    pub idle_ms: Option<u64>,
    /// How late the answer of `slow` is.
    pub slow_ms: Option<u64>,
    /// How long `hang-after` holds its session, and `late` waits at most for its client to give up.
    pub request_limit_ms: Option<u64>,
    /// How long after its client gave up the effect of `late` is applied.
    pub late_ms: Option<u64>,
    /// How long lists lack the row of `stale-list`.
    pub stale_ms: Option<u64>,
    /// How long `maintenance` keeps everybody out.
    pub maintenance_ms: Option<u64>,
    /// Whether a login ends the user's other sessions.
    pub single_session: Option<bool>,
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    user: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    user: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    #[serde(default)]
    script: Vec<FaultRule>,
    spec: Option<String>,
}

pub(crate) fn router(erp: Arc<Erp>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/ledger", get(ledger))
        .route("/stats", get(async |State(erp): State<Arc<Erp>>| axum::Json(erp.stats.read())))
        .route("/faults", post(set_faults).delete(clear_faults))
        .route("/expire", post(expire))
        .route("/recycle", post(recycle))
        .route("/config", post(configure))
        .route("/passwords", post(set_password))
        .route("/unlock", post(unlock))
        .route("/orders", get(orders).post(put_order))
        .route("/orders/{number}", delete(delete_order))
        .route("/customers", post(put_customer))
        .layer(from_fn(guard))
        .with_state(erp)
}

/// Browsers name the page that asks, except where it is looked at itself, and the host by which they came.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Bad(StatusCode::FORBIDDEN, "pages are not served: there is an Origin".to_owned())
            .into_response();
    }
    if !is_local(headers) {
        let expected = "Host must be 127.0.0.1, localhost or [::1]".to_owned();
        return Bad(StatusCode::FORBIDDEN, expected).into_response();
    }
    next.run(request).await
}

fn is_local(headers: &HeaderMap) -> bool {
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let [host] = hosts.as_slice() else { return false };
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| !host.as_str().contains('@') && LOCAL.contains(&host.host()))
}

/// What went wrong with a control request: always the caller's doing.
struct Bad(StatusCode, String);

type Answered = Result<axum::Json<Value>, Bad>;

async fn ledger(State(erp): State<Arc<Erp>>, Query(place): Query<After>) -> Response {
    axum::Json(erp.books().ledger.after(place.after)).into_response()
}

/// A list of rules, or `{"script": […], "spec": "…"}`. Rules are added, a spec replaces.
async fn set_faults(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let faults = match body.first() {
        Some(b'[') => Faults { script: read(&body)?, spec: None },
        _ => read(&body)?,
    };
    let spec = faults.spec.map(|spec| spec.parse()).transpose();
    let spec = spec.map_err(|error| Bad(StatusCode::BAD_REQUEST, format!("{error}")))?;
    let mut desk = lock(&erp.faults);
    if let Some(spec) = spec {
        desk.respecify(spec);
    }
    desk.script(faults.script);
    done()
}

async fn clear_faults(State(erp): State<Arc<Erp>>) -> Answered {
    lock(&erp.faults).clear();
    done()
}

async fn expire(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let ended = match read(&body)? {
        Expire { user: Some(user), all: false } => erp.sessions.expire(Some(&user)),
        Expire { user: None, all: true } => erp.sessions.expire(None),
        _ => {
            return Err(Bad(StatusCode::BAD_REQUEST, "expected {\"user\": …} or {\"all\": true}".to_owned()));
        }
    };
    Ok(axum::Json(json!({ "ended": ended })))
}

async fn recycle(State(erp): State<Arc<Erp>>) -> Answered {
    erp.recycle();
    done()
}

async fn configure(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let change: BehaviourChange = read(&body)?;
    let mut house = lock(&erp.house);
    let behaviour = &mut house.behaviour;
    let set = |to: &mut Duration, ms: Option<u64>| {
        if let Some(ms) = ms {
            *to = Duration::from_millis(ms);
        }
    };
    set(&mut behaviour.latency, change.latency_ms);
    set(&mut behaviour.idle, change.idle_ms);
    set(&mut behaviour.slow, change.slow_ms);
    set(&mut behaviour.request_limit, change.request_limit_ms);
    set(&mut behaviour.late, change.late_ms);
    set(&mut behaviour.stale, change.stale_ms);
    set(&mut behaviour.maintenance, change.maintenance_ms);
    behaviour.single_session = change.single_session.unwrap_or(behaviour.single_session);
    done()
}

async fn set_password(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let Password { user, password } = read(&body)?;
    known(erp.books().world.set_password(&user, &password), || format!("there is no user {user:?}"))
}

async fn unlock(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let User { user } = read(&body)?;
    known(erp.books().world.unlock(&user), || format!("there is no user {user:?}"))
}

async fn orders(State(erp): State<Arc<Erp>>) -> Response {
    let books = erp.books();
    axum::Json(books.world.orders().collect::<Vec<&ErpOrder>>()).into_response()
}

async fn put_order(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let HandOrder { number, agent, state, content } = read(&body)?;
    let mut books = erp.books();
    if books.world.agent(&agent).is_none() {
        return Err(Bad(StatusCode::NOT_FOUND, format!("there is no user {agent:?}")));
    }
    let existed = number.is_some_and(|number| books.world.order(number).is_some());
    let number = number.unwrap_or_else(|| books.world.next_number());
    books.world.put(number, &agent, content.clone(), state);
    let kind = match (existed, state) {
        (_, OrderState::Sent) => EffectKind::OrderSent,
        (true, OrderState::Open) => EffectKind::OrderEdited,
        (false, OrderState::Open) => EffectKind::OrderSaved,
    };
    let applied = Applied { kind, number: number.to_string(), order: Some(content), customer: None };
    books.ledger.record(by_hand(&agent), &applied);
    Ok(axum::Json(json!({ "number": number })))
}

async fn delete_order(State(erp): State<Arc<Erp>>, Path(number): Path<u64>) -> Answered {
    let mut books = erp.books();
    let removed = books.world.remove(number);
    if let Some(order) = &removed {
        let kind = EffectKind::OrderDeleted;
        let content = Some(order.content.clone());
        let applied = Applied { kind, number: number.to_string(), order: content, customer: None };
        books.ledger.record(by_hand(&order.agent), &applied);
    }
    known(removed.is_some(), || format!("there is no order {number}"))
}

async fn put_customer(State(erp): State<Arc<Erp>>, body: Bytes) -> Answered {
    let HandCustomer { agents, mut customer } = read(&body)?;
    let mut books = erp.books();
    let existed = books.world.knows_customer(&customer.code);
    if customer.code.is_empty() {
        customer.code = books.world.next_code();
    }
    let code = customer.code.clone();
    books.world.put_customer(&agents, customer.clone());
    let kind = if existed { EffectKind::CustomerEdited } else { EffectKind::CustomerSaved };
    let user = agents.first().map_or("", String::as_str);
    let applied = Applied { kind, number: code.clone(), order: None, customer: Some(customer) };
    books.ledger.record(by_hand(user), &applied);
    Ok(axum::Json(json!({ "code": code })))
}

fn by_hand(user: &str) -> Cause<'_> {
    Cause { user, request: 0, fault: None }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Bad> {
    serde_json::from_slice(body).map_err(|error| Bad(StatusCode::BAD_REQUEST, format!("body: {error}")))
}

fn known(is: bool, otherwise: impl FnOnce() -> String) -> Answered {
    if is { done() } else { Err(Bad(StatusCode::NOT_FOUND, otherwise())) }
}

fn done() -> Answered {
    Ok(axum::Json(json!({})))
}

fn open() -> OrderState {
    OrderState::Open
}

impl IntoResponse for Bad {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

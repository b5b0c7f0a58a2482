//! The page's own small server: files, the scene as it changes, and the buttons.

use std::convert::Infallible;
use std::time::Duration;

use archibald_core::id::AgentId;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::super::report::progress;
use super::{Command, Props, Stage, faults, orders};

/// Faster than this nobody reads; slower would look asleep.
const SCENES: Duration = Duration::from_millis(150);
const FAULTS: [&str; 4] = ["kill", "drop", "expire", "slow"];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Desk {
    props: Props,
    ask: mpsc::Sender<Command>,
    token: String,
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, props: Props, ask: mpsc::Sender<Command>, token: String) {
    let desk = Desk { props, ask, token };
    let controls = Router::new()
        .route("/demo/scene", get(scene))
        .route("/demo/order/{agent}", post(order))
        .route("/demo/orders", post(orders))
        .route("/demo/fault/{name}", post(fault))
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk);
    let router = controls.route("/", get(async || Redirect::to("/demo"))).fallback(file);
    if let Err(error) = axum::serve(listener, router).await {
        progress(&format!("the demo's page ended: {error}"));
    }
}

/// Nobody but the page of this run, which has the token from its link.
async fn guard(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|given| given.strip_prefix("Bearer ")) == Some(desk.token.as_str()) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "this page needs the link that the demo printed").into_response()
    }
}

async fn file(request: Request) -> Response {
    let Some((media_type, bytes)) = archibald_http::page_file(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, "there is no such thing here").into_response();
    };
    let mut headers = HeaderMap::new();
    let fixed = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    (headers, bytes).into_response()
}

/// The scene, and again whenever it changed.
async fn scene(State(desk): State<Desk>) -> Response {
    let stage = desk.props.stage;
    let changed = stage.changed.subscribe();
    let scenes = stream::unfold((stage, changed, true), |(stage, mut changed, first)| async move {
        if !first {
            sleep(SCENES).await;
            changed.changed().await.ok()?;
        }
        let bytes = told(&stage, &mut changed)?;
        Some((Ok::<_, Infallible>(bytes), (stage, changed, false)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(scenes)).into_response()
}

fn told(stage: &Stage, changed: &mut watch::Receiver<()>) -> Option<Bytes> {
    changed.mark_unchanged();
    let scene = stage.read(serde_json::to_string).ok()?;
    Some(Bytes::from(format!("data: {scene}\n\n")))
}

async fn order(State(desk): State<Desk>, Path(agent): Path<AgentId>) -> StatusCode {
    if !desk.props.workload.agents.contains(&agent) {
        return StatusCode::NOT_FOUND;
    }
    orders::place_one(&desk.props, agent);
    StatusCode::ACCEPTED
}

/// One order of every agent.
async fn orders(State(desk): State<Desk>) -> StatusCode {
    let count = desk.props.workload.agents.len();
    desk.props.stage.update(|scene| scene.tell("orders.placed", json!({ "count": count })));
    for agent in desk.props.workload.agents.clone() {
        tokio::spawn(orders::place(desk.props.clone(), agent));
    }
    StatusCode::ACCEPTED
}

/// Begins it here and not where it is done: who presses twice has it once, however long the first one takes. A
/// refusal names what is in the way.
async fn fault(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    let Some(what) = FAULTS.into_iter().find(|known| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Desk { props, ask, .. } = desk;
    if let Err(other) = props.stage.update(|scene| scene.begin(what)) {
        return (StatusCode::CONFLICT, other).into_response();
    }
    match what {
        "drop" => drop(tokio::spawn(faults::drop_answer(props))),
        "expire" => drop(tokio::spawn(faults::expire(props))),
        "slow" => drop(tokio::spawn(faults::slow(props))),
        _ => {
            if ask.try_send(Command::Kill).is_err() {
                props.stage.update(|scene| scene.end(what));
                return (StatusCode::CONFLICT, what).into_response();
            }
        }
    }
    StatusCode::ACCEPTED.into_response()
}

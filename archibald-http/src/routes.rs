//! Everything that has a URL.

mod admin;
mod enqueue;
mod events;
mod health;
mod me;
mod operations;
mod rows;

use axum::Router;
use axum::middleware::{from_extractor_with_state, from_fn_with_state};
use axum::routing::{get, post};

use crate::auth::{AgentAccess, OperatorAccess};
use crate::middleware::{authenticate, envelope};
use crate::page;
use crate::problem::Problem;
use crate::state::ApiState;

/// The whole API and its page. Every route under `/v1` asks for a token, those that do not exist too.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .nest("/v1", v1(&state))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), envelope))
        .with_state(state)
}

fn v1(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/me", get(me::me))
        .nest("/agents/{agent}", of_agent(state))
        .nest("/admin", of_operator(state))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), authenticate))
}

fn of_agent(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/operations", post(enqueue::enqueue).get(operations::list))
        .route("/operations/{id}", get(operations::get))
        .route("/operations/{id}/cancel", post(operations::cancel))
        .route("/operations/{id}/retry", post(operations::retry))
        .route("/operations/{id}/resolve", post(operations::resolve))
        .route("/operations/{id}/evidence/{n}", get(operations::evidence))
        .route("/customers", get(rows::customers))
        .route("/products", get(rows::products))
        .route("/prices", get(rows::prices))
        .route("/orders", get(rows::orders))
        .route("/snapshot", get(events::snapshot))
        .route("/events", get(events::follow))
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_extractor_with_state::<AgentAccess, _>(state.clone()))
}

fn of_operator(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/overview", get(admin::overview))
        .route("/pause", post(admin::pause))
        .route("/resume", post(admin::resume))
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_extractor_with_state::<OperatorAccess, _>(state.clone()))
}

async fn not_found() -> Problem {
    Problem::not_found()
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

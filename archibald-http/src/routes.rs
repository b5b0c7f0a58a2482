//! Everything that has a URL.

mod admin;
mod enqueue;
mod events;
mod health;
mod me;
mod operations;
mod pending_orders;
mod rows;
mod session;

use axum::middleware::{from_extractor_with_state, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{AgentAccess, OperatorAccess};
use crate::middleware::{admit, authenticate, envelope};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::{openapi, web};

/// The whole API and its pages. Every route under `/v1` but the one that
/// signs in asks for a token, those that do not exist too.
pub fn router(state: ApiState) -> Router {
    let (router, document) = with_document(&state);
    router
        .route("/openapi.json", get(move || async move { Json(document) }))
        .merge(web::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(compression())
        .layer(from_fn_with_state(state.clone(), envelope))
        .with_state(state)
}

/// A route is registered together with its description, so that none can be without one.
fn with_document(state: &ApiState) -> (Router<ApiState>, Value) {
    let (v1, described) = v1(state);
    let (open, document) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .split_for_parts();
    (open.nest("/v1", v1), openapi::finished(document.nest("/v1", described)))
}

fn v1(state: &ApiState) -> (Router<ApiState>, OpenApi) {
    let (of_agent, agents) = of_agent(state);
    let (of_operator, admin) = of_operator(state);
    let (me, mut document) = OpenApiRouter::new().routes(routes!(me::me)).split_for_parts();
    let (session, of_session) =
        OpenApiRouter::new().routes(routes!(session::sign_in, session::sign_out)).split_for_parts();
    let router = me
        .nest("/agents/{agent}", of_agent)
        .nest("/admin", of_operator)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), authenticate))
        .merge(session.method_not_allowed_fallback(method_not_allowed))
        .layer(from_fn_with_state(state.clone(), admit));
    document = document.nest("/agents/{agent}", openapi::of_agent(agents)).nest("/admin", admin);
    document = openapi::behind_a_token(document);
    document.merge(of_session);
    (router, document)
}

fn of_agent(state: &ApiState) -> (Router<ApiState>, OpenApi) {
    let (router, document) = OpenApiRouter::new()
        .routes(routes!(enqueue::enqueue, operations::list))
        .routes(routes!(operations::get))
        .routes(routes!(operations::cancel))
        .routes(routes!(operations::retry))
        .routes(routes!(operations::resolve))
        .routes(routes!(operations::evidence))
        .routes(routes!(pending_orders::list, pending_orders::create))
        .routes(routes!(pending_orders::get, pending_orders::edit, pending_orders::delete))
        .routes(routes!(pending_orders::submit))
        .routes(routes!(rows::customers))
        .routes(routes!(rows::products))
        .routes(routes!(rows::prices))
        .routes(routes!(rows::orders))
        .routes(routes!(events::snapshot))
        .routes(routes!(events::follow))
        .routes(routes!(events::follow_by_ws))
        .split_for_parts();
    let guard = from_extractor_with_state::<AgentAccess, _>(state.clone());
    (router.method_not_allowed_fallback(method_not_allowed).route_layer(guard), document)
}

fn of_operator(state: &ApiState) -> (Router<ApiState>, OpenApi) {
    let (router, document) = OpenApiRouter::new()
        .routes(routes!(admin::overview))
        .routes(routes!(admin::pause))
        .routes(routes!(admin::drain))
        .routes(routes!(admin::resume))
        .routes(routes!(admin::agents::agents, admin::credentials::add))
        .routes(routes!(admin::agents::agent, admin::credentials::remove))
        .routes(routes!(admin::credentials::change_password))
        .routes(routes!(admin::credentials::unlock))
        .routes(routes!(admin::operations::operations))
        .routes(routes!(admin::operations::doubts))
        .routes(routes!(admin::process::workers))
        .routes(routes!(admin::process::pool))
        .routes(routes!(admin::process::picture))
        .routes(routes!(admin::process::end))
        .routes(routes!(admin::events::follow))
        .routes(routes!(admin::events::activity))
        .routes(routes!(admin::sessions::revoke))
        .split_for_parts();
    let guard = from_extractor_with_state::<OperatorAccess, _>(state.clone());
    (router.method_not_allowed_fallback(method_not_allowed).route_layer(guard), document)
}

/// Not of what is small, or compressed already, or has to go out event by event.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(1024).and(NotForContentType::IMAGES).and(NotForContentType::SSE);
    CompressionLayer::new().compress_when(worth_it)
}

async fn not_found() -> Problem {
    Problem::not_found()
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

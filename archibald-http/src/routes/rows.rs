//! `/v1/agents/{agent}/customers`, `products`, `prices` and `orders`: what the syncs brought.

use archibald_core::id::Collection;
use archibald_core::port::RowQuery;
use archibald_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::operations::page_size;
use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::Query;
use crate::state::ApiState;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowsQuery {
    /// Only rows that contain this text, upper and lower case alike.
    #[param(pattern = r"^[^\u0000]*$")]
    search: Option<String>,
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = r"^[^\u0000]*$")]
    after: Option<String>,
}

/// A page of rows, by id.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rows {
    items: Vec<Row>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A row and its age.
#[derive(Serialize, ToSchema)]
pub(crate) struct Row {
    id: String,
    /// When a sync or an operation last wrote it.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    data: Value,
}

macro_rules! collections {
    ($($name:ident $path:literal),+) => {
        $(
            /// What the syncs brought.
            #[utoipa::path(get, path = $path, params(RowsQuery), responses((status = 200, body = Rows)))]
            pub(crate) async fn $name(
                State(state): State<ApiState>,
                access: AgentAccess,
                Query(query): Query<RowsQuery>,
            ) -> Result<Json<Rows>, Problem> {
                rows(&state, access, stringify!($name), query).await
            }
        )+
    };
}

collections!(customers "/customers", products "/products", prices "/prices", orders "/orders");

async fn rows(
    state: &ApiState,
    AgentAccess { agent, .. }: AgentAccess,
    collection: &str,
    query: RowsQuery,
) -> Result<Json<Rows>, Problem> {
    let collection = Collection::new(collection).map_err(|_| Problem::not_found())?;
    let limit = page_size(query.limit)?;
    let search = query.search.filter(|text| !text.is_empty());
    let query = RowQuery { collection, search, after: query.after, limit };
    let page = state.operations.rows(&agent, &query).await?;
    let items = page.rows.into_iter().map(|(id, data, updated_at)| Row { id, updated_at, data });
    Ok(Json(Rows { items: items.collect(), next: page.next }))
}

use axum::extract::State;
use axum::response::Response;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::routes::events::seated;
use crate::state::ApiState;
use crate::stream::{Holder, follow_overview};
use crate::time::time_left;

/// The overview, whenever it changed, and not more often than once a second: server-sent events `overview`,
/// `heartbeat` and `bye`. None has an id: whoever comes again gets the overview as it is then.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "follow_overview",
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream")),
)]
pub(crate) async fn follow(
    State(state): State<ApiState>,
    OperatorAccess { principal, session }: OperatorAccess,
) -> Result<Response, Problem> {
    let expiry = principal.expires_at.map(time_left);
    let ending = seated(&state, None, Holder { principal, session }, expiry)?;
    Ok(follow_overview(&state, ending))
}

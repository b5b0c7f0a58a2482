use archibald_core::id::AgentId;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::{Principal, Scope, SessionKey};
use crate::problem::Problem;
use crate::state::ApiState;

/// The right to the paths of one configured agent, the one that the path names.
///
/// Whatever does not give it looks the same from outside: an agent of somebody else, one that does not
/// exist, and a text that cannot be an agent are all 404.
#[derive(Clone)]
pub(crate) struct AgentAccess {
    pub(crate) agent: AgentId,
    pub(crate) principal: Principal,
    /// Where they signed in with a browser.
    pub(crate) session: Option<SessionKey>,
}

impl FromRequestParts<ApiState> for AgentAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let principal = principal(parts)?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::not_found())?;
        let text = params.iter().find(|(name, _)| *name == "agent").map(|(_, text)| text);
        let agent = text.and_then(|text| AgentId::new(text).ok()).ok_or_else(Problem::not_found)?;
        if !principal.reaches(&agent) || !state.operations.knows(&agent) {
            return Err(Problem::not_found());
        }
        let session = parts.extensions.get::<SessionKey>().copied();
        Ok(Self { agent, principal, session })
    }
}

/// The right to what is of no agent alone. To anybody else these paths do not exist.
pub(crate) struct OperatorAccess {
    pub(crate) principal: Principal,
    pub(crate) session: Option<SessionKey>,
}

impl FromRequestParts<ApiState> for OperatorAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let principal = principal(parts)?;
        let session = parts.extensions.get::<SessionKey>().copied();
        match principal.scope {
            Scope::Operator => Ok(Self { principal, session }),
            Scope::Agent(_) => Err(Problem::not_found()),
        }
    }
}

/// Put there by the layer around `/v1`; a route outside of it reaches nothing.
fn principal(parts: &Parts) -> Result<Principal, Problem> {
    parts.extensions.get::<Principal>().cloned().ok_or_else(Problem::unauthorized)
}

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::limit::peer;

/// The network that a request comes from, as [`peer`] has it.
pub(crate) struct PeerNetwork(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for PeerNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer(&parts.extensions)))
    }
}

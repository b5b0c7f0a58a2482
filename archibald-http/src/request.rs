//! What a request says, checked: its body, its query and the headers that mean something.

mod body;
mod headers;
mod peer;
mod query;

use std::time::Duration;

pub(crate) use self::body::{JsonBody, SecretBody};
pub(crate) use self::headers::{
    OriginHeaders, idempotency_key, if_match, last_event_id, origin, preferred_wait, wants_json,
};
pub(crate) use self::peer::PeerNetwork;
pub(crate) use self::query::{Query, cut_wait};

/// The longest that a client may ask to wait.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

use std::time::Duration;

use archibald_core::event::{Cursor, Origin};
use archibald_core::id::OperationKey;
use axum::http::{HeaderMap, header};
use utoipa::IntoParams;

use super::cut_wait;
use crate::problem::Problem;

/// The longest device or mutation id.
const ORIGIN_LIMIT: usize = 200;

/// The header `Idempotency-Key`, which is the same thing as the body's `key`.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<OperationKey>, Problem> {
    let name = "Idempotency-Key";
    let Some(text) = one(headers, name)? else { return Ok(None) };
    let key = OperationKey::new(text).map_err(|error| in_header(name, &error.to_string()))?;
    Ok(Some(key))
}

/// The version that `If-Match` names. One, as its `ETag` gave it: `*` would overwrite what nobody has seen.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let name = "If-Match";
    let Some(text) = one(headers, name)? else { return Ok(None) };
    let version = text.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let version = version.and_then(|digits| digits.parse().ok());
    version.map(Some).ok_or_else(|| in_header(name, "must be one ETag as it was given, such as \"3\""))
}

/// `Prefer: wait=N` (RFC 7240). What cannot be read is ignored, as preferences are.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|one| {
        let (name, value) = one.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        value.trim().trim_matches('"').parse().ok()
    })?;
    Some(cut_wait(seconds))
}

/// What [`origin`] reads, as it is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "a description; the headers are read one by one")]
pub(crate) struct OriginHeaders {
    /// Echoed in `origin`
    #[param(rename = "X-Device-Id", min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$")]
    device: Option<String>,
    /// Echoed in `origin`
    #[param(rename = "X-Mutation-Id", min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$")]
    mutation: Option<String>,
}

/// `X-Device-Id` and `X-Mutation-Id`, echoed in events.
pub(crate) fn origin(headers: &HeaderMap) -> Result<Option<Origin>, Problem> {
    let device = origin_part(headers, "X-Device-Id")?;
    let mutation = origin_part(headers, "X-Mutation-Id")?;
    if device.is_none() && mutation.is_none() {
        return Ok(None);
    }
    Ok(Some(Origin { device, mutation }))
}

/// Where a stream goes on. An empty header is what browsers send before the first event.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let name = "Last-Event-ID";
    let Some(text) = one(headers, name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| in_header(name, &format!("{error}")))
}

/// Whether JSON is asked for, and not a stream.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = |media_type: &str| {
        headers.get_all(header::ACCEPT).iter().any(|value| {
            let value = value.to_str().unwrap_or_default();
            value.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == media_type)
        })
    };
    accepts("application/json") && !accepts("text/event-stream")
}

fn origin_part(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(text) = one(headers, name)? else { return Ok(None) };
    if text.is_empty() || text.len() > ORIGIN_LIMIT {
        return Err(in_header(name, &format!("must have 1 to {ORIGIN_LIMIT} characters")));
    }
    Ok(Some(text.to_owned()))
}

/// The header's text, where it is there once and printable ASCII.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(in_header(name, "is there more than once")),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| in_header(name, "must be printable ASCII"))
        }
    }
}

fn in_header(name: &str, detail: &str) -> Problem {
    Problem::bad_request(format!("header {name}: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_version_is_named_as_it_was_given() {
        let version = |value| if_match(&headers("if-match", value)).ok();
        assert_eq!(if_match(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(version("\"3\""), Some(Some(3)));
        for other in ["3", "*", "W/\"3\"", "\"3\", \"4\"", "\"\"", "\"-1\"", ""] {
            assert_eq!(version(other), None, "{other}");
        }
    }

    #[test]
    fn a_preferred_wait_is_cut_and_nonsense_ignored() {
        let wait = |value| preferred_wait(&headers("prefer", value)).map(|wait| wait.as_secs());
        assert_eq!(wait("wait=20"), Some(20));
        assert_eq!(wait("respond-async, WAIT = \"5\""), Some(5));
        assert_eq!(wait("wait=100000"), Some(60));
        assert_eq!(wait("wait=-1"), None);
        assert_eq!(wait("return=minimal"), None);
    }

    #[test]
    fn a_stream_is_the_default() {
        let json = |value| wants_json(&headers("accept", value));
        assert!(json("application/json") && json("text/html, application/json;q=0.9"));
        assert!(!json("*/*") && !json("text/event-stream") && !json("application/json, text/event-stream"));
    }
}

use archibald_core::error::FieldError;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::Problem;
use crate::state::ApiState;

/// A JSON body of exactly this shape.
///
/// 415 for another media type, 413 when it is too large, 408 when it is too slow, 400 for what is not
/// JSON, 422 for JSON of another shape or with NUL characters, with a pointer to the place.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(wrong_media_type());
        }
        let read = read(request, state.config.body_limit);
        let bytes = tokio::time::timeout(state.config.body_time, read).await.map_err(|_| too_slow())??;
        parse(&bytes).map(Self)
    }
}

/// The same of a body with secrets in it: what is wrong with it is told without what was given.
pub(crate) struct SecretBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for SecretBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        match JsonBody::from_request(request, state).await {
            Ok(JsonBody(body)) => Ok(Self(body)),
            Err(problem) => Err(discreet(problem)),
        }
    }
}

/// What serde and our own types say is told only as far as it is ours: none of what was sent, nor a name of a field
/// that is not known.
fn discreet(problem: Problem) -> Problem {
    if problem.status != StatusCode::UNPROCESSABLE_ENTITY {
        return problem;
    }
    Problem::invalid(problem.errors.into_iter().map(fixed).collect())
}

/// What was expected comes last in serde's words, and is ours; what was sent comes before and may contain anything.
fn fixed(FieldError { pointer, detail }: FieldError) -> FieldError {
    let expected = || {
        let (_, expected) = detail.rsplit_once(", expected ")?;
        Some(expected.split_once(" at line ").map_or(expected, |(expected, _)| expected))
    };
    let is_ours = ["missing field `", "duplicate field `", "must not contain the NUL character"];
    if detail.starts_with("unknown field `") {
        let (parent, _) = pointer.rsplit_once('/').unwrap_or_default();
        let expected = expected().unwrap_or("no more fields");
        return FieldError::new(parent, format!("has a field that is not known: expected {expected}"));
    }
    if let Some(expected) = expected().filter(|_| detail.starts_with("invalid ")) {
        return FieldError::new(pointer, format!("must be {expected}"));
    }
    if detail.starts_with("agent must be ")
        && let Some((ours, _)) = detail.split_once(", got ")
    {
        return FieldError::new(pointer, ours);
    }
    if is_ours.iter().any(|begin| detail.starts_with(begin)) {
        return FieldError { pointer, detail };
    }
    FieldError::new(pointer, "cannot be accepted")
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), limit);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(_) => Err(Problem::bad_request("the body broke off")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        if error.is_data() { Problem::invalid_field(&pointer, error.to_string()) } else { not_json(&error) }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    refuse_nul(bytes)?;
    Ok(value)
}

/// No store keeps NUL in text. In JSON it is always written as an escape, so most bodies are cleared by
/// one look at their bytes.
fn refuse_nul(bytes: &[u8]) -> Result<(), Problem> {
    if !bytes.windows(6).any(|six| six == b"\\u0000") {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    let mut found = Vec::new();
    find_nul(&value, String::new(), &mut found);
    if found.is_empty() { Ok(()) } else { Err(Problem::invalid(found)) }
}

fn find_nul(value: &Value, at: String, found: &mut Vec<FieldError>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(FieldError::new(at, "must not contain the NUL character"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nul(item, format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                if name.contains('\0') {
                    found.push(FieldError::new(at.clone(), "has a field with the NUL character in its name"));
                } else {
                    find_nul(item, format!("{at}/{}", escaped(name)), found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not JSON: {error}"))
}

fn wrong_media_type() -> Problem {
    let title = "The media type is not supported";
    let detail = "send `Content-Type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", title, detail)
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("a body may have {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
}

fn too_slow() -> Problem {
    let detail = "the body did not arrive in time; nothing was done";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body is too slow", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(body: &str) -> Vec<String> {
        let problem = parse::<Value>(body.as_bytes()).unwrap_err();
        problem.errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn nul_is_found_wherever_it_hides() {
        assert_eq!(errors(r#"{"a":["x","\u0000"],"b/c":{"d":"y\u0000"}}"#), ["/a/1", "/b~1c/d"]);
        assert_eq!(errors(r#"{"a":{"\u0000":1}}"#), ["/a"]);
        assert_eq!(errors(r#""\u0000""#), [""]);
        assert_eq!(parse::<Value>(br#""a\\u0000""#).unwrap(), "a\\u0000");
    }

    #[test]
    fn what_is_not_json_is_400_and_what_is_of_another_shape_422() {
        for body in ["", "{", "nope", "[1]]", "\"\\ud800\"", "\u{7}", "1e999"] {
            let problem = parse::<Value>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{body}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(parse::<Value>(deep.as_bytes()).unwrap_err().status, StatusCode::BAD_REQUEST);
        let shape = parse::<Vec<u8>>(b"[1,\"x\"]").unwrap_err();
        assert_eq!((shape.status.as_u16(), shape.errors[0].pointer.as_str()), (422, "/1"));
    }
}

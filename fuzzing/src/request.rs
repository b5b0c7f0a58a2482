//! Requests, through the front door: a line with method and path, headers, an empty line, the body.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_core::id::AgentId;
use archibald_http::{ApiConfig, ApiState, Rate, TokenEntry, TokenSet, router};
use archibald_runtime::{Archibald, Ports, SystemClock};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(super) const WORDS: &[&str] = &[
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "/v1/agents/nancy/",
    "operations",
    "pending-orders",
    "events",
    "snapshot",
    "?cursor=",
    "?limit=",
    "&after=",
    "?wait=1",
    "idempotency-key: ",
    "if-match: \"1\"",
    "last-event-id: ",
    "accept: application/json",
    "prefer: wait=5",
    "x-device-id: ",
    "cookie: archibald_session=",
    "origin: http://x",
    "\n",
    "\n\n",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u0000",
    "null",
    "1e999",
    "-1",
    "submit-order",
    "%2F",
    "%00",
    "18446744073709551616",
    "content-type: application/json",
];

/// After so many requests the server begins anew, so that what they left does not grow for ever.
const REQUESTS: usize = 500;

const PATIENCE: Duration = Duration::from_secs(5);

struct Door {
    runtime: Runtime,
    router: Router,
    left: usize,
}

thread_local! {
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

pub(super) fn read(bytes: &[u8]) {
    let Some(request) = request(bytes) else { return };
    DOOR.with_borrow_mut(|door| {
        let open = door.take().filter(|door| door.left > 0).or_else(Door::open);
        let Some(mut open) = open else { panic!("no door") };
        open.left -= 1;
        let began = Instant::now();
        open.runtime.block_on(answered(open.router.clone(), request));
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        *door = Some(open);
    });
}

impl Door {
    fn open() -> Option<Self> {
        // With time standing still: whoever asks to wait is answered at once.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().ok()?;
        let router = runtime.block_on(async { served() })?;
        Some(Self { runtime, router, left: REQUESTS })
    }
}

fn served() -> Option<Router> {
    let (store, nancy) = (Arc::new(MemoryStore::default()), AgentId::new("nancy").ok()?);
    let credentials = FixedCredentials::new().with(nancy.clone(), "nancy", "secret");
    let ports = Ports {
        store: store.clone(),
        lock: store.clone(),
        bus: store.clone(),
        pool: FakeErp::new(10),
        credentials: Arc::new(credentials),
        clock: Arc::new(SystemClock),
    };
    let archibald = Archibald::builder(ports).pending_orders(store.clone()).build().ok()?;
    let tokens = TokenSet::new([TokenEntry::agent(nancy, "n"), TokenEntry::operator("o")]).ok()?;
    let often = Rate { burst: u32::MAX, per_second: 1e9 };
    let config = ApiConfig { rate: often, sign_in_rate: often, ..ApiConfig::default() };
    let state = ApiState::new(Arc::new(archibald), store, Arc::new(tokens), config, CancellationToken::new());
    Some(router(state))
}

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = first.split_once(' ')?;
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = method.parse::<Method>().ok()?;
    *request.uri_mut() = path.parse::<Uri>().ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

/// No request is the server's fault, and one that is refused is told why in the way of all refusals.
async fn answered(router: Router, request: Request<Body>) {
    let asked = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
    let Ok(answer) = router.oneshot(request).await;
    let (parts, body) = answer.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(parts.status.as_u16() < 500, "{asked}: {}", parts.status);
    if header("content-type") == "text/event-stream" {
        return;
    }
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => panic!("{asked}: {error}"),
    };
    if !parts.status.is_client_error() {
        return;
    }
    // To HEAD there is no body.
    if body.is_empty() && asked.starts_with("HEAD ") {
        return;
    }
    assert_eq!(header("content-type"), "application/problem+json", "{asked}: {}", parts.status);
    let problem: Value = match serde_json::from_slice(&body) {
        Ok(problem) => problem,
        Err(error) => panic!("{asked}: {error}"),
    };
    assert_eq!(problem["status"], parts.status.as_u16(), "{asked}: {problem}");
    let filled = |field: &str| problem[field].as_str().is_some_and(|text| !text.is_empty());
    assert!(filled("type") && filled("title") && filled("detail"), "{asked}: {problem}");
    let is_pointer =
        |error: &Value| error["pointer"].as_str().is_some_and(|p| p.is_empty() || p.starts_with('/'));
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(errors.iter().all(is_pointer), "{asked}: {problem}");
}

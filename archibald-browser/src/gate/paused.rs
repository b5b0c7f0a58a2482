//! A request that Chromium holds for us.

use base64::Engine as _;
use chromiumoxide::cdp::browser_protocol::network::GetCookiesParams;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::driver::{Cookie, DriverError, Limit, PageCore};

/// The part of `Fetch.requestPaused` that we need.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
    /// `None`: it has a body, but Chromium does not show it (a file, a stream).
    pub(super) body: Option<Vec<u8>>,
}

impl Paused {
    /// A request that cannot be read stays held for ever, which is on the safe side, and is reported.
    pub(super) fn read(params: Value) -> Option<Self> {
        serde_json::from_value::<Event>(params)
            .inspect_err(|error| tracing::error!(%error, "a held request could not be read; it stays held"))
            .ok()
            .map(|event| {
                let body = event.request.body();
                let Request { method, url, headers, .. } = event.request;
                Self { id: event.request_id, method, url, headers, body }
            })
    }

    pub(super) fn content_type(&self) -> &str {
        let is_it = |name: &String| name.eq_ignore_ascii_case("content-type");
        self.headers.iter().find(|(name, _)| is_it(name)).map_or("", |(_, value)| value)
    }
}

/// The cookies that this page would send to this address.
pub(super) async fn cookies(page: &PageCore, url: &str) -> Result<Vec<Cookie>, DriverError> {
    let command = GetCookiesParams { urls: Some(vec![url.into()]) };
    let answer = page.call::<_, Cookies>(command);
    Ok(Limit::budget(Duration::from_secs(10)).run("reading cookies", answer).await?.cookies)
}

#[derive(Deserialize)]
struct Cookies {
    cookies: Vec<Cookie>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_id: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    post_data: Option<String>,
    #[serde(default)]
    has_post_data: bool,
    post_data_entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    bytes: Option<String>,
}

impl Request {
    /// The entries are the bytes as they are; the text form is only right where they are text.
    fn body(&self) -> Option<Vec<u8>> {
        let decode =
            |entry: &Entry| base64::engine::general_purpose::STANDARD.decode(entry.bytes.as_ref()?).ok();
        match (&self.post_data_entries, &self.post_data) {
            (Some(entries), _) => {
                entries.iter().map(decode).collect::<Option<Vec<_>>>().map(|it| it.concat())
            }
            (None, Some(text)) => Some(text.clone().into_bytes()),
            (None, None) => (!self.has_post_data).then(Vec::new),
        }
    }
}

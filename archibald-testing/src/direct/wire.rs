//! One request, one connection, one answer: nothing is reused and nothing is sent again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, LOCATION, SET_COOKIE,
    TRANSFER_ENCODING,
};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Bytes of an answer; a page of the ERP has some hundred kilobytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) url: Url,
    /// The body of a posted form; without one it is a GET.
    pub(super) form: Option<String>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What was asked for.
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// No whole answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("no connection to {at}")]
    Connect {
        at: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("nothing was sent: its time was over")]
    TooLate,
    #[error("the connection broke before an answer")]
    Broken(#[source] hyper::Error),
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn Error + Send + Sync>),
    #[error("the answer does not tell its length, so that its end proves nothing")]
    Unframed,
    #[error("the request cannot be written")]
    Request(#[source] hyper::http::Error),
}

/// Cookies of one session.
#[derive(Debug, Default)]
pub(super) struct Jar(Mutex<BTreeMap<String, String>>);

/// Sends it on a fresh connection and waits for the whole answer. Dropped, it closes the connection. Where it
/// has to leave `before` a time, it does or never.
pub(super) async fn exchange(asked: &Asked, jar: &Jar, before: Option<Instant>) -> Result<Answer, WireError> {
    let host = asked.url.host_str().unwrap_or_default();
    let at = format!("{host}:{}", asked.url.port_or_known_default().unwrap_or(80));
    let request = asked.request(jar).map_err(WireError::Request)?;
    let stream = TcpStream::connect(&at).await.map_err(|cause| WireError::Connect { at, cause })?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(WireError::Broken)?;
    if before.is_some_and(|before| Instant::now() >= before) {
        return Err(WireError::TooLate);
    }
    let answer = async {
        let response = sender.send_request(request).await.map_err(WireError::Broken)?;
        let (head, body) = response.into_parts();
        if !is_framed(&head.headers) {
            return Err(WireError::Unframed);
        }
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(WireError::BrokenOff)?;
        jar.store(&head.headers);
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { url: asked.url.clone(), status: head.status.as_u16(), location, body })
    };
    // Driven here and not in a task of its own, so that the connection ends with this future.
    tokio::pin!(answer, connection);
    tokio::select! {
        done = &mut answer => return done,
        _ = &mut connection => {}
    }
    answer.await
}

/// The error and its causes in one line.
pub(super) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

impl Asked {
    pub(super) fn get(url: Url) -> Self {
        Self { url, form: None }
    }

    fn request(&self, jar: &Jar) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(self.method())
            .uri(path)
            .header(HOST, self.url.authority())
            .header(CONNECTION, "close");
        let cookies = jar.header();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if self.form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request.body(Full::from(self.form.clone().unwrap_or_default()))
    }

    fn method(&self) -> Method {
        if self.form.is_some() { Method::POST } else { Method::GET }
    }
}

/// `GET /Order.aspx`: no query and no body, so nothing that should not be shown.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method(), self.url.path())
    }
}

impl Jar {
    fn header(&self) -> String {
        let cookies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn store(&self, headers: &HeaderMap) {
        let mut cookies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            let is_over = attributes.split(';').any(|one| one.trim().eq_ignore_ascii_case("max-age=0"));
            if is_over {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Whether the end of the answer can be told from a connection that broke.
fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_until_they_are_taken_back() {
        let jar = Jar::default();
        let mut headers = HeaderMap::new();
        for line in ["a=1; path=/; HttpOnly", "b=x=y", "nonsense"] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        jar.store(&headers);
        assert_eq!(jar.header(), "a=1; b=x=y");
        headers.clear();
        headers.append(SET_COOKIE, "a=; path=/; Max-Age=0".parse().unwrap());
        jar.store(&headers);
        assert_eq!(jar.header(), "b=x=y");
    }
}

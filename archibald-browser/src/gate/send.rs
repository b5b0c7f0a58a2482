//! Sends one request once: a fresh connection, no retry, no redirect followed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::paused::Paused;
use crate::driver::Cookie;

/// A page of an ERP has some hundred kilobytes; more than this is not an answer to a form.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A request ready to leave.
#[derive(Debug)]
pub(super) struct Outbound {
    address: String,
    request: Request<Full<Bytes>>,
}

/// How it went.
#[derive(Debug)]
pub(super) enum Delivery {
    NotSent(String),
    Answered(Answer),
    Lost(String),
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outbound {
    /// The held request with the context's cookies, and without what belongs to a connection.
    pub(super) fn new(paused: Paused, cookies: &[Cookie]) -> Result<Self, String> {
        let url = Url::parse(&paused.url).map_err(|error| format!("its address cannot be read: {error}"))?;
        let host = url.host_str().ok_or("its address has no host")?;
        let port = url.port_or_known_default().ok_or("its address has no port")?;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .body(Full::from(paused.body.unwrap_or_default()))
            .map_err(|error| format!("its address cannot be sent: {error}"))?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        copy_headers(&paused.headers, request.headers_mut())?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, value(&authority)?);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if !cookies.is_empty() {
            let line: Vec<_> = cookies.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
            let mut line = value(&line.join("; "))?;
            line.set_sensitive(true);
            headers.insert(header::COOKIE, line);
        }
        Ok(Self { address: format!("{host}:{port}"), request })
    }
}

/// Sends it and waits for the whole answer, within the budget. To be run to its end.
pub(super) async fn deliver(outbound: Outbound, budget: Duration) -> Delivery {
    let until = Instant::now() + budget;
    let Outbound { address, request } = outbound;
    let stream = match timeout_at(until, TcpStream::connect(&address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Delivery::NotSent(format!("no connection to {address}: {error}")),
        Err(_) => return Delivery::NotSent(format!("no connection to {address} within {budget:?}")),
    };
    let written = Arc::new(AtomicU64::new(0));
    let counted = Counted { stream, written: Arc::clone(&written) };
    // When this future is done or dropped the connection is closed with it: what it has written by then
    // is all that will ever leave.
    let outcome = timeout_at(until, exchange(counted, request)).await;
    let failure = match outcome {
        Ok(Ok(answer)) => return Delivery::Answered(answer),
        Ok(Err(error)) => error,
        Err(_) => format!("no whole answer within {budget:?}"),
    };
    if written.load(Ordering::Acquire) == 0 { Delivery::NotSent(failure) } else { Delivery::Lost(failure) }
}

async fn exchange(stream: Counted, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(chain)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(chain)?;
        let (parts, body) = response.into_parts();
        if !is_framed(parts.status, &parts.headers) {
            return Err("the answer does not tell its length, so that its end proves nothing".into());
        }
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        done = &mut answer => return done,
        _ = &mut connection => {}
    }
    answer.await
}

/// Whether the end of the answer can be told from a connection that broke.
fn is_framed(status: StatusCode, headers: &HeaderMap) -> bool {
    let has = |name: HeaderName| headers.contains_key(name);
    let bodyless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    bodyless || has(header::CONTENT_LENGTH) || has(header::TRANSFER_ENCODING)
}

impl Answer {
    /// `name: value` pairs, each ended by a zero byte, as Chromium takes them: a header may come several
    /// times and need not be text.
    pub(super) fn header_block(&self) -> Bytes {
        let mut block = BytesMut::new();
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_of_connection(name)) {
            block.extend_from_slice(name.as_str().as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value.as_bytes());
            block.extend_from_slice(b"\0");
        }
        block.freeze()
    }
}

fn copy_headers(from: &std::collections::BTreeMap<String, String>, to: &mut HeaderMap) -> Result<(), String> {
    for (name, text) in from {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("header {name} is no header"))?;
        let replaced = [header::HOST, header::COOKIE, header::CONTENT_LENGTH, header::ACCEPT_ENCODING];
        if !is_of_connection(&name) && !replaced.contains(&name) {
            to.insert(name, value(text)?);
        }
    }
    Ok(())
}

fn is_of_connection(name: &HeaderName) -> bool {
    let names = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER];
    names.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a header has characters that cannot be sent".into())
}

fn chain(error: hyper::Error) -> String {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Counts what was given to the system to send.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &done {
            self.written.fetch_add(*bytes as u64, Ordering::Release);
        }
        done
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

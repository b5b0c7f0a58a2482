//! Sends one request once: a fresh connection, no retry, no redirect followed.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls::Upstream;

/// A page of an ERP has some hundred kilobytes; more than this is not one.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A request ready to leave.
#[derive(Debug)]
pub(super) struct Outbound {
    address: String,
    /// For an https address: the way, and who has to be at its end.
    tls: Option<(Upstream, ServerName<'static>)>,
    request: Request<Full<Bytes>>,
    only_whole: bool,
}

/// How it went.
#[derive(Debug)]
pub(super) enum Delivery {
    NotSent(String),
    Answered(Response<Full<Bytes>>),
    Lost(String),
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Answered(answer) => write!(f, "{}", answer.status().as_u16()),
            Self::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

impl Outbound {
    /// The page's request as it is, without what belongs to its connection.
    pub(super) fn new(
        parts: request::Parts,
        body: Bytes,
        upstream: Option<&Upstream>,
    ) -> Result<Self, &'static str> {
        let authority = parts.uri.authority().ok_or("the address has no host")?;
        let is_https = parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let address = format!("{}:{port}", authority.host());
        // Never in plain text what was to be secret.
        let tls = match (is_https, upstream) {
            (false, _) => None,
            (true, None) => return Err("the gate was not told how to speak TLS"),
            (true, Some(upstream)) => Some((upstream.clone(), server_name(authority.host())?)),
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| "the host cannot be sent")?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = path.parse::<Uri>().map_err(|_| "the address cannot be sent")?;
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = parts.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = parts.headers;
        let headers = request.headers_mut();
        remove_those_of_the_connection(headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::HOST, host);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(Self { address, tls, request, only_whole: false })
    }

    /// An answer whose end cannot be told from a broken connection does not count as one.
    pub(super) fn only_whole(self) -> Self {
        Self { only_whole: true, ..self }
    }
}

/// Who has to prove that it is this host: an IPv6 address stands in brackets in a URL.
fn server_name(host: &str) -> Result<ServerName<'static>, &'static str> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| "no certificate can be for this host")
}

/// Sends it and waits for the whole answer. Nothing of it leaves once the time is over, not even when this
/// process stood still until then.
pub(super) async fn deliver(outbound: Outbound, until: std::time::Instant) -> Delivery {
    let until = Instant::from_std(until);
    let Outbound { address, tls, request, only_whole } = outbound;
    let stream = match timeout_at(until, TcpStream::connect(&address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Delivery::NotSent(format!("no connection to {address}: {error}")),
        Err(_) => return Delivery::NotSent(format!("no connection to {address} in time")),
    };
    let written = Arc::new(AtomicU64::new(0));
    let counted = Counted { stream, until, counts: true, written: Arc::clone(&written) };
    // When this future is done or dropped the connection is closed with it: what it has written by then
    // is all that will ever leave.
    let outcome = match tls {
        None => timeout_at(until, exchange(counted, request, only_whole)).await,
        Some((upstream, name)) => {
            let handshake = upstream.shake_hands(&name, counted.without_counting());
            let mut stream = match timeout_at(until, handshake).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(why)) => return Delivery::NotSent(why),
                Err(_) => return Delivery::NotSent(format!("no TLS handshake with {address} in time")),
            };
            stream.get_mut().0.counts = true;
            timeout_at(until, exchange(stream, request, only_whole)).await
        }
    };
    let failure = match outcome {
        Ok(Ok(answer)) => return Delivery::Answered(answer),
        Ok(Err(error)) => error,
        Err(_) => "no whole answer in time".to_owned(),
    };
    if written.load(Ordering::Acquire) == 0 { Delivery::NotSent(failure) } else { Delivery::Lost(failure) }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    only_whole: bool,
) -> Result<Response<Full<Bytes>>, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(chain)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(chain)?;
        let (mut parts, body) = response.into_parts();
        if (only_whole || is_file(&parts.headers)) && !is_framed(parts.status, &parts.headers) {
            return Err("the answer does not tell its length, so that its end proves nothing".into());
        }
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        remove_those_of_the_connection(&mut parts.headers);
        Ok(Response::from_parts(parts, Full::from(body)))
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

/// Whether Chromium may make a file of it: half a page can be seen to be one, half a file cannot.
fn is_file(headers: &HeaderMap) -> bool {
    let first = |name: HeaderName| {
        let value = headers.get(name)?.to_str().ok()?.split(';').next()?;
        Some(value.trim().to_ascii_lowercase())
    };
    let is_shown = |kind: String| {
        let texts = ["html", "css", "javascript", "json", "xml", "plain"];
        kind.starts_with("image/") || kind.starts_with("font/") || texts.iter().any(|it| kind.ends_with(it))
    };
    first(header::CONTENT_DISPOSITION).is_some_and(|disposition| disposition != "inline")
        || first(header::CONTENT_TYPE).is_some_and(|kind| !is_shown(kind))
}

fn remove_those_of_the_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always =
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER];
    let proxies = ["keep-alive", "proxy-connection", "proxy-authorization"].map(HeaderName::from_static);
    for name in always.into_iter().chain(proxies).chain(named) {
        headers.remove(name);
    }
}

fn chain(error: hyper::Error) -> String {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Counts what was given to the system to send.
///
/// It lies below TLS, where bytes leave, and not above, where they may wait in a buffer for long, or leave in
/// part behind an error. The handshake's do not count: it is over and out before the request is begun, so
/// what is counted from then on is the request's.
struct Counted {
    stream: TcpStream,
    /// The first byte leaves before this or never.
    until: Instant,
    counts: bool,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn without_counting(self) -> Self {
        Self { counts: false, ..self }
    }

    fn may_begin(&self) -> io::Result<()> {
        if self.written.load(Ordering::Acquire) == 0 && Instant::now() >= self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the permit is over"));
        }
        Ok(())
    }

    fn count(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (true, Poll::Ready(Ok(bytes))) = (self.counts, &done) {
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
        self.may_begin()?;
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_begin()?;
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn counted(until: Instant) -> (Counted, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Counted { stream, until, counts: true, written: Arc::default() }, listener)
    }

    /// Whatever is ready, the time is looked at between the fence and the first byte.
    #[tokio::test]
    async fn the_first_byte_leaves_in_time_or_never() {
        let (mut late, _listener) = counted(Instant::now()).await;
        assert_eq!(late.write(b"POST").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(late.written.load(Ordering::Acquire), 0);
        let (mut begun, _listener) = counted(Instant::now() + std::time::Duration::from_secs(60)).await;
        begun.write_all(b"PO").await.unwrap();
        begun.until = Instant::now();
        begun.write_all(b"ST").await.unwrap();
        assert_eq!(begun.written.load(Ordering::Acquire), 4, "what has begun goes on");
    }

    /// Shaking hands sends bytes and none of the request; what follows is held to the same time.
    #[tokio::test]
    async fn what_the_handshake_writes_is_not_the_request_s() {
        let (server, upstream) = super::super::tls::tests::both_ends();
        for in_time in [true, false] {
            let (counted, listener) = counted(Instant::now() + std::time::Duration::from_secs(60)).await;
            let written = Arc::clone(&counted.written);
            let (accepted, _) = listener.accept().await.unwrap();
            let server = tokio::spawn(server.accept(accepted));
            let name = server_name("erp.test").unwrap();
            let mut stream = upstream.shake_hands(&name, counted.without_counting()).await.unwrap();
            let _open = server.await.unwrap().unwrap();
            assert_eq!(written.load(Ordering::Acquire), 0);
            stream.get_mut().0.counts = true;
            if in_time {
                stream.write_all(b"POST").await.unwrap();
                assert!(written.load(Ordering::Acquire) > 4, "counted as it leaves, in TLS");
            } else {
                stream.get_mut().0.until = Instant::now();
                let late = stream.write_all(b"POST").await.and(stream.flush().await).unwrap_err();
                assert_eq!(late.kind(), io::ErrorKind::TimedOut);
                assert_eq!(written.load(Ordering::Acquire), 0);
            }
        }
    }

    #[test]
    fn what_may_become_a_file_is_told_from_what_is_shown() {
        for (name, value, expected) in [
            ("content-disposition", "Attachment; filename=a.csv", true),
            ("content-disposition", "x-unknown", true),
            ("content-disposition", "inline; filename=a.html", false),
            ("content-type", "application/zip", true),
            ("content-type", "text/csv; charset=utf-8", true),
            ("content-type", "text/html; charset=utf-8", false),
            ("content-type", "application/x-javascript", false),
            ("content-type", "image/png", false),
            ("x-other", "application/zip", false),
        ] {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(is_file(&headers), expected, "{value}");
        }
    }

    #[test]
    fn what_was_to_be_secret_never_goes_in_plain_text() {
        let outbound = |url: &str| {
            let (parts, ()) = Request::builder().uri(url).body(()).unwrap().into_parts();
            Outbound::new(parts, Bytes::new(), None)
                .map(|outbound| (outbound.address, outbound.tls.is_some()))
        };
        assert_eq!(outbound("http://erp.test/a"), Ok(("erp.test:80".to_owned(), false)));
        assert_eq!(outbound("https://erp.test/a"), Err("the gate was not told how to speak TLS"));
        let (_, upstream) = super::super::tls::tests::both_ends();
        let (parts, ()) = Request::builder().uri("https://[::1]/a").body(()).unwrap().into_parts();
        let outbound = Outbound::new(parts, Bytes::new(), Some(&upstream)).unwrap();
        assert_eq!((outbound.address.as_str(), outbound.tls.is_some()), ("[::1]:443", true));
        assert_eq!(outbound.request.headers()[header::HOST], "[::1]");
    }
}

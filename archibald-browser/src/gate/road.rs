//! The road to the ERP: a plain HTTP proxy on the loopback interface, for one context.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::send::{self, Delivery, Outbound};
use super::{Keeper, Passage, commit};

/// A form with a large view state has some megabytes.
const LARGEST_REQUEST: usize = 32 * 1024 * 1024;
/// What is harmless is bounded by whoever waits for the page; this only bounds a forgotten one.
const LONGEST: Duration = Duration::from_secs(600);

/// Open until it is dropped.
#[derive(Debug)]
pub(super) struct Road {
    address: SocketAddr,
    task: AbortHandle,
}

impl Road {
    pub(super) async fn open(keeper: Arc<Keeper>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, keeper)).abort_handle();
        Ok(Self { address, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connections end with this task; a write that was let through is a task of its own and does not.
async fn accept(listener: TcpListener, keeper: Arc<Keeper>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&keeper)))),
                Err(error) => {
                    tracing::warn!(%error, "the gate could not take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, keeper: Arc<Keeper>) {
    let service = service_fn(|request| {
        let keeper = Arc::clone(&keeper);
        async move { Ok::<_, Infallible>(pass(request, &keeper).await) }
    });
    // A connection that breaks is a page that was closed.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass(request: Request<Incoming>, keeper: &Keeper) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::CONNECT || parts.uri.scheme().is_none() {
        tracing::debug!(method = %parts.method, "the gate only serves plain http to the ERP");
        return refused(StatusCode::FORBIDDEN, "only plain http to the ERP");
    }
    if keeper.rules.skips(parts.method.as_str(), parts.uri.path()) {
        return refused(StatusCode::NOT_FOUND, "the page map says to skip this");
    }
    let Ok(body) = Limited::new(body, LARGEST_REQUEST).collect().await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large, or broke off");
    };
    let body = body.to_bytes();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let (passage, place) = keeper.decide(parts.method.as_str(), &parts.uri.to_string(), kind, &body);
    let outbound = match Outbound::new(parts, body) {
        Ok(outbound) => outbound,
        Err(why) => {
            keeper.passed(place, format!("not sent: {why}"));
            return refused(StatusCode::BAD_REQUEST, why);
        }
    };
    let delivery = match passage {
        Passage::Refuse(refusal) => {
            keeper.passed(place, format!("refused: {}", refusal.why));
            return refused(StatusCode::FORBIDDEN, &refusal.to_string());
        }
        Passage::PassOn => send::deliver(outbound, Instant::now() + LONGEST).await,
        Passage::Commit(fence, told) => tokio::spawn(commit(outbound, fence, told))
            .await
            .unwrap_or_else(|_| Delivery::Lost("the task that sent it failed".into())),
    };
    keeper.passed(place, delivery.to_string());
    match delivery {
        Delivery::Answered(answer) => answer,
        Delivery::NotSent(why) | Delivery::Lost(why) => refused(StatusCode::BAD_GATEWAY, &why),
    }
}

/// A page of our own; the header tells it from the ERP's.
fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("The gate says: {why}")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

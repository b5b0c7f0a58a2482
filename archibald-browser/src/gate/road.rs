//! The road to the ERP: an HTTP proxy on the loopback interface, for one context.
//!
//! For an ERP at an https address Chromium asks for a tunnel, and finds the gate at its end.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
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
    let tunnel = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (keeper, tunnel) = (Arc::clone(&keeper), Arc::clone(&tunnel));
        async move {
            Ok::<_, Infallible>(match *request.method() {
                Method::CONNECT => dig(request, &keeper, &tunnel),
                _ => pass(request, &keeper).await,
            })
        }
    });
    // A connection that breaks is a page that was closed.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    let tunnel = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((upgrade, authority)) = tunnel {
        serve_tunnel(upgrade, &authority, &keeper).await;
    }
}

/// What a connection becomes, and whose it is to be.
type Tunnel = Mutex<Option<(OnUpgrade, Authority)>>;

/// To the ERP alone.
fn dig(mut request: Request<Incoming>, keeper: &Keeper, tunnel: &Tunnel) -> Response<Full<Bytes>> {
    let to = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let Some(authority) = keeper.secure.as_ref().and_then(|_| keeper.rules.tunnel(&to)) else {
        return refused(StatusCode::FORBIDDEN, &keeper.refuse_tunnel(&to).to_string());
    };
    let upgrade = hyper::upgrade::on(&mut request);
    *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, authority));
    Response::new(Full::default())
}

/// Requests as on the open road; only that they do not say where they go.
async fn serve_tunnel(upgrade: OnUpgrade, authority: &Authority, keeper: &Keeper) {
    let (Some(secure), Ok(stream)) = (&keeper.secure, upgrade.await) else { return };
    let stream = match secure.acceptor.accept(TokioIo::new(stream)).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "Chromium broke the handshake with the gate off");
            return;
        }
    };
    let service = service_fn(|mut request: Request<Incoming>| async move {
        *request.uri_mut() = absolute(request.uri(), authority);
        Ok::<_, Infallible>(pass(request, keeper).await)
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What says where it goes by itself stays as it is, for the rules to judge.
fn absolute(uri: &Uri, authority: &Authority) -> Uri {
    let mut parts = uri.clone().into_parts();
    if parts.scheme.is_none() && parts.authority.is_none() {
        (parts.scheme, parts.authority) = (Some(Scheme::HTTPS), Some(authority.clone()));
    }
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

async fn pass(request: Request<Incoming>, keeper: &Keeper) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::CONNECT || parts.uri.scheme().is_none() {
        tracing::debug!(method = %parts.method, "the gate was not asked for anything of the ERP's");
        return refused(StatusCode::FORBIDDEN, "only what is the ERP's");
    }
    if parts.headers.contains_key(header::UPGRADE) {
        // A WebSocket: what it carries could not be told apart.
        tracing::debug!(path = parts.uri.path(), "the gate lets no other protocol through");
        return refused(StatusCode::FORBIDDEN, "no other protocol than HTTP");
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
    let upstream = keeper.secure.as_ref().map(|secure| &secure.upstream);
    let outbound = match Outbound::new(parts, body, upstream) {
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

/// With which a page of our own begins.
pub(crate) const SAYS: &str = "The gate says: ";

/// A page of our own.
fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{SAYS}{why}")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

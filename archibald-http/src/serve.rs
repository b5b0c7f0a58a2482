//! A server for a router: bounded in connections, headers, writes and the time that it takes to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// From where a request comes; put beside each of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What a connection holds as long as it is open. One that became a WebSocket is out of the server's hands and
/// takes this with it, so that it counts, and is waited for and cut off at the end, like any other.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) cut: CancellationToken,
    _permit: Arc<OwnedSemaphorePermit>,
    _tracked: TaskTrackerToken,
}

/// The pause after an `accept` that failed: mostly no file descriptors are left, and asking again at once
/// would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of the server.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Connections at a time; more wait in the listener's backlog. Default 10,000.
    pub connections: usize,
    /// How long the headers of a request may take, and how long a connection may be idle between two
    /// requests. Default 20 s.
    pub header_time: Duration,
    /// How long a client may take nothing of what is sent to it before it is cut off. Default 30 s.
    pub write_time: Duration,
    /// What is held for a client that reads slowly, and the largest head of a request; in bytes, at least
    /// 8 KiB. Default 64 KiB.
    pub buffer: usize,
    /// How long requests and streams may take to end after the shutdown began; then they are cut off.
    /// Default 10 s.
    pub grace: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_time: Duration::from_secs(20),
            write_time: Duration::from_secs(30),
            buffer: 64 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves HTTP/1.1 until `shutdown` is cancelled, then stops accepting, lets what runs come to its end
/// within the grace, and returns.
///
/// # Cancel safety
/// Dropping the future cuts every connection off.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, limits: ServeLimits) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let permits = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &permits)).await {
        match accepted {
            Ok((stream, peer, permit)) => {
                let held =
                    Held { cut: cut.clone(), _permit: Arc::new(permit), _tracked: connections.token() };
                let connection =
                    connection((stream, peer), router.clone(), limits.clone(), shutdown.clone(), held);
                tokio::spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off what did not end in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// The permit first: with none left, new connections wait in the backlog, where they cost nothing.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer(address), permit))
}

async fn connection(
    (stream, peer): (TcpStream, Peer),
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
    held: Held,
) {
    // Frames are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(limits.write_time));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time);
    http.max_buf_size(limits.buffer.max(8 * 1024));
    let (cut, router) = (held.cut.clone(), TowerToHyperService::new(router));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(held.clone());
        router.call(request)
    });
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = cut.cancelled() => Ok(()),
            }
        }
        () = cut.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

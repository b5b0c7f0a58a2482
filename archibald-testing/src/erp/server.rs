//! The sockets. Own accept loop over hyper, since two things are wanted that a ready-made server forbids: a
//! connection that closes without a byte of answer, and a request that is carried out to its end when its client
//! went away, as ASP.NET does.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::front::{Erp, serve};
use super::web::{Answer, Asked, Reply};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes of a posted form; more is 413.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Between the first half of a broken answer and the break, so that the half is on its way.
const BREAK_AFTER: Duration = Duration::from_millis(20);

/// The tasks of one simulator, and how they end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) stop: CancellationToken,
    pub(crate) running: TaskTracker,
}

impl Tasks {
    /// Runs until done or until the simulator stops.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<Option<T>> {
        let stop = self.stop.clone();
        self.running.spawn(async move { stop.run_until_cancelled(work).await })
    }
}

/// Serves the ERP's pages on this listener.
pub(crate) fn run_pages(listener: TcpListener, erp: Arc<Erp>, tasks: &Tasks) {
    let each = tasks.clone();
    tasks.spawn(accept(listener, tasks.clone(), move |stream| {
        let (erp, tasks) = (Arc::clone(&erp), each.clone());
        let service = service_fn(move |request| answer(Arc::clone(&erp), tasks.clone(), request));
        async move {
            // A dropped answer ends here as the connection's error: nothing to tell anybody.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    }));
}

/// Serves the control port.
pub(crate) fn run_router(listener: TcpListener, router: Router, tasks: &Tasks) {
    tasks.spawn(accept(listener, tasks.clone(), move |stream| {
        let service = TowerToHyperService::new(router.clone());
        async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    }));
}

/// A body that comes whole.
pub(crate) fn whole(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// The first half of a body, and then the end of the connection.
pub(crate) fn broken(text: &str) -> Body {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let frames = futures::stream::unfold(Some(half), |half| async {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(Frame::data(half)), Some(Bytes::new()))),
            Some(_) => {
                tokio::time::sleep(BREAK_AFTER).await;
                Some((Err(io::Error::other("broken off on purpose")), None))
            }
            None => None,
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn accept<F>(listener: TcpListener, tasks: Tasks, serve: impl Fn(TcpStream) -> F + Send)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tasks.spawn(serve(stream));
            }
            Err(error) => {
                // Out of descriptors, most likely: not for ever, and nothing is lost by waiting.
                tracing::warn!(%error, "the simulator cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The answer to one request. Dropped by hyper when the client goes away; the work goes on in its own task.
async fn answer(erp: Arc<Erp>, tasks: Tasks, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        let text = "<h1>Request entity too large</h1>".to_owned();
        return Ok(Answer::html(StatusCode::PAYLOAD_TOO_LARGE, text).into_response(false));
    };
    let asked = Asked { method: head.method, uri: head.uri, headers: head.headers, body: body.to_bytes() };
    let gone = CancellationToken::new();
    let _guard = gone.clone().drop_guard();
    match tasks.spawn(serve(erp, asked, gone)).await {
        Ok(Some(Reply::Whole(answer))) => Ok(answer.into_response(false)),
        Ok(Some(Reply::Broken(answer))) => Ok(answer.into_response(true)),
        Ok(Some(Reply::Silence)) => std::future::pending().await,
        Ok(Some(Reply::Dropped)) | Ok(None) | Err(_) => Err(Dropped),
    }
}

/// Tells hyper to close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped on purpose")]
struct Dropped;

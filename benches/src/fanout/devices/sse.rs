use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Failure;
use crate::fanout::TOKEN;

/// Server-sent events, of which the data counts.
pub(super) struct Stream {
    body: Incoming,
    rest: Vec<u8>,
    /// Held, since without it the connection ends.
    _sender: SendRequest<Empty<Bytes>>,
}

impl Stream {
    pub(super) async fn open(tcp: TcpStream, path: &str) -> Result<Self, Failure> {
        let (mut sender, connection) = handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::ACCEPT, "text/event-stream")
            .body(Empty::new())?;
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(Self { body: answer.into_body(), rest: vec![], _sender: sender }),
            status => Err(format!("the server answered {status}").into()),
        }
    }

    /// The data of the next event; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                let event = String::from_utf8(event).ok()?;
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                return Some(data?.to_owned());
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(frame.data_ref()?);
        }
    }
}

use futures::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Failure;
use crate::fanout::TOKEN;

/// A WebSocket, of which the texts count.
pub(super) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(super) async fn open(tcp: TcpStream, path: &str) -> Result<Self, Failure> {
        let mut request = format!("ws://localhost{path}").into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse()?);
        // The library's own buffers would take 128 KiB of each.
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0);
        Ok(Self(client_async_with_config(request, tcp, Some(config)).await?.0))
    }

    /// The next text; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

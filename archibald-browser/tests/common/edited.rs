//! A front before a plain server that shows other pages than it does.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a page: path with query, and the HTML.
pub type Edit = fn(&str, String) -> String;

/// Runs until it is dropped.
pub struct Edited {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Edited {
    pub async fn before(plain: &str, edit: Edit) -> Self {
        let plain = plain.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, plain.clone(), edit));
            }
        });
        Self { port, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection.
async fn serve(mut client: TcpStream, plain: String, edit: Edit) -> std::io::Result<()> {
    let (head, body) = read(&mut client).await?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut server = TcpStream::connect(plain).await?;
    server.write_all(&message(&head, &body)).await?;
    let (head, body) = read(&mut server).await?;
    let is_html = head.to_lowercase().contains("content-type: text/html");
    let body = match String::from_utf8(body) {
        Ok(text) if is_html => edit(&path, text).into_bytes(),
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    client.write_all(&message(&head, &body)).await?;
    client.shutdown().await
}

/// A message with a body of a known length, if any.
async fn read(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end - 4]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    });
    let mut body = bytes.split_off(end);
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}

fn message(head: &str, body: &[u8]) -> Vec<u8> {
    let kept = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !["content-length", "connection"].iter().any(|it| name.eq_ignore_ascii_case(it))
    });
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    let mut bytes = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

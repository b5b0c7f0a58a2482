//! A web site over bare sockets, so that a test can say what becomes of each connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the site does with a request.
#[derive(Debug, Clone)]
pub enum Then {
    /// Answers 200 with this document.
    Page(String),
    /// Answers with this, byte for byte.
    Raw(String),
    /// Closes the connection without a word.
    Drop,
    /// Answers with the head and half of the body, and closes.
    Truncate,
    /// Answers with this, byte for byte, and closes.
    Cut(String),
    /// Answers with this head, and goes on with a body for as long as somebody listens.
    Endless(String),
    /// Says nothing.
    Hang,
    /// Answers 200 with this document, after a while.
    Slow(Duration, String),
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

#[derive(Default)]
struct State {
    pages: HashMap<String, Then>,
    /// What becomes of the next POSTs; then as of a GET.
    posts: VecDeque<Then>,
    seen: Vec<Seen>,
    connections: u32,
}

/// Runs until it is dropped.
pub struct Site {
    pub port: u16,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { port, state, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn on(&self, path: &str, then: Then) -> &Self {
        self.state.lock().unwrap().pages.insert(path.into(), then);
        self
    }

    pub fn page(&self, path: &str, body: &str) -> &Self {
        self.on(path, Then::Page(format!("<!doctype html><title>{path}</title>{body}")))
    }

    pub fn next_post(&self, then: Then) -> &Self {
        self.state.lock().unwrap().posts.push_back(then);
        self
    }

    pub fn posts(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(seen) = read(&mut reader).await {
        let then = {
            let mut state = state.lock().unwrap();
            state.seen.push(seen.clone());
            let scripted = (seen.method == "POST").then(|| state.posts.pop_front()).flatten();
            let path = seen.path.split('?').next().unwrap().to_owned();
            scripted.or_else(|| state.pages.get(&path).cloned())
        };
        let answer = match then.unwrap_or_else(|| Then::Raw(not_found())) {
            Then::Page(body) => page(&body),
            Then::Raw(raw) => raw,
            Then::Slow(pause, body) => {
                tokio::time::sleep(pause).await;
                page(&body)
            }
            Then::Cut(raw) => {
                let _ = writer.write_all(raw.as_bytes()).await;
                return;
            }
            Then::Truncate => {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await;
                return;
            }
            Then::Endless(head) => {
                let mut sent = writer.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    sent = writer.write_all(&[b'x'; 64 * 1024]).await;
                }
                return;
            }
            Then::Hang => std::future::pending().await,
            Then::Drop => return,
        };
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some(Seen { method, path, headers, body: String::from_utf8(body).unwrap() })
}

fn page(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn not_found() -> String {
    "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found".into()
}

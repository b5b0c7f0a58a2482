//! What lies between a device and the server, and can be pulled out.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Requests arrive, and no byte of an answer does.
    Deaf,
    /// What was connected is not any more, and nothing can be connected.
    Cut,
}

/// Carries bytes for as long as it is not dropped.
pub struct Cable {
    /// Where the server is for whoever is at the other end.
    pub url: String,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cable {
    /// To the server at this address, such as `http://127.0.0.1:1`.
    pub async fn to(url: &str) -> Self {
        let server: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, seen) = watch::channel(State::Whole);
        let task = tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                tokio::spawn(carry(device, server, seen.clone()));
            }
        });
        Self { url, state, task }
    }

    /// From now on no answer arrives.
    pub fn deafen(&self) {
        self.state.send_replace(State::Deaf);
    }

    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

/// One connection, until either side or the cable ends it.
async fn carry(device: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut told) = device.into_split();
    let (mut answered, mut asks) = server.into_split();
    let heard = state.clone();
    let answers = async move {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = answered.read(&mut bytes).await {
            if *heard.borrow() != State::Whole {
                // What would follow later makes no sense without it.
                std::future::pending::<()>().await;
            }
            if told.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = copy(&mut asked, &mut asks) => {}
        () = answers => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

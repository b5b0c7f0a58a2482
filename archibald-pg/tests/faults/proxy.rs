use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::private::Private;

/// The network between a store and its database.
pub struct Proxy {
    url: String,
    silenced: watch::Sender<u32>,
    accepts: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(private: &Private) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = private.0.directory().join(".s.PGSQL.5432");
        let silenced = watch::channel(0).0;
        let accepts = tokio::spawn(accept(listener, socket, silenced.clone()));
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        Self { url, silenced, accepts }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// On the connections that there are nothing passes any more, and nobody is told; new ones are as good as
    /// ever. So does a firewall that forgot them.
    pub fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, silenced: watch::Sender<u32>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // A database that is down refuses.
        if let Ok(server) = UnixStream::connect(&socket).await {
            connections.spawn(connect(client, server, silenced.subscribe()));
        }
    }
}

async fn connect(client: TcpStream, server: UnixStream, mut silenced: watch::Receiver<u32>) {
    client.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Once silent, all four halves stay open.
    let (mut there, mut back) = ((from_client, to_server), (from_server, to_client));
    tokio::select! {
        biased;
        _ = silenced.changed() => std::future::pending().await,
        () = pass(&mut there.0, &mut there.1) => {}
        () = pass(&mut back.0, &mut back.1) => {}
    }
}

async fn pass(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

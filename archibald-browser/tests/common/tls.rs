//! A certificate authority of a test's own, and a TLS end before a plain port.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData, date_time_ymd,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

/// What a server shows.
#[derive(Clone)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    secret: Arc<KeyPair>,
    only_tls12: bool,
    only_http1: bool,
}

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Each of another name, or one would be taken for the other until its signature is looked at.
        let name = format!("Authority {}", STANDARD.encode(Sha256::digest(key.subject_public_key_info())));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Its certificate, as an operator would have it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    pub fn vouches_for(&self, host: &str) -> Shown {
        self.vouches(CertificateParams::new(vec![host.to_owned()]).unwrap())
    }

    pub fn vouched_long_ago_for(&self, host: &str) -> Shown {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.vouches(params)
    }

    fn vouches(&self, params: CertificateParams) -> Shown {
        let secret = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&secret, &self.issuer).unwrap();
        let chain = vec![certificate.der().clone()];
        Shown { chain, secret: Arc::new(secret), only_tls12: false, only_http1: false }
    }
}

impl Shown {
    pub fn only_tls12(self) -> Self {
        Self { only_tls12: true, ..self }
    }

    /// For a client that would take HTTP/2, which nobody speaks behind the front.
    pub fn only_http1(self) -> Self {
        Self { only_http1: true, ..self }
    }

    /// As Chromium is told of it.
    pub fn key(&self) -> String {
        STANDARD.encode(Sha256::digest(self.secret.subject_public_key_info()))
    }

    fn acceptor(&self) -> TlsAcceptor {
        let versions = if self.only_tls12 { vec![&version::TLS12] } else { vec![&version::TLS13] };
        let secret = PrivatePkcs8KeyDer::from(self.secret.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), secret.into())
            .unwrap();
        // A real server would rather have the newer one.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.only_http1 {
            config.alpn_protocols.remove(0);
        }
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a connection meets.
#[derive(Clone)]
enum Meets {
    Server(TlsAcceptor),
    /// It is closed in the middle of the handshake.
    Cut,
    /// Nobody answers.
    Silence,
}

/// Goes on in plain text to a server behind it. When that closes a connection, so does this, without a word of TLS.
/// Runs until it is dropped.
pub struct Front {
    port: u16,
    meets: Arc<Mutex<Meets>>,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    pub async fn before(plain: &str, shown: Shown) -> Self {
        let plain = plain.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let meets = Arc::new(Mutex::new(Meets::Server(shown.acceptor())));
        let shared = Arc::clone(&meets);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let meets = shared.lock().unwrap().clone();
                connections.spawn(meet(stream, meets, plain.clone()));
            }
        });
        Self { port, meets, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn shows(&self, shown: &Shown) {
        *self.meets.lock().unwrap() = Meets::Server(shown.acceptor());
    }

    pub fn cuts(&self) {
        *self.meets.lock().unwrap() = Meets::Cut;
    }

    pub fn is_silent(&self) {
        *self.meets.lock().unwrap() = Meets::Silence;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn meet(mut stream: TcpStream, meets: Meets, plain: String) {
    match meets {
        Meets::Server(acceptor) => drop(pass(stream, acceptor, &plain).await),
        Meets::Cut => drop(stream.read(&mut [0; 100]).await),
        Meets::Silence => std::future::pending().await,
    }
}

async fn pass(stream: TcpStream, acceptor: TlsAcceptor, plain: &str) -> std::io::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let behind = TcpStream::connect(plain).await?;
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_server, mut to_server) = behind.into_split();
    // Either end's end is the end of both.
    tokio::select! {
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop),
        copied = tokio::io::copy(&mut from_server, &mut to_client) => {
            copied?;
            to_client.flush().await
        }
    }
}

//! A store whose connections are encrypted, and that believes no other server.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archibald_core::port::OperationStore;
use archibald_pg::{ConnectError, PgStore};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use support::{Database, agent, database, options, submit};

/// What a client of PostgreSQL sends first where it wants TLS.
const WANTS_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The network end of a database that takes nobody without TLS.
struct Front {
    port: u16,
    certificate: tempfile::NamedTempFile,
    taken: Arc<AtomicUsize>,
}

impl Front {
    /// With a certificate of its own, for one name.
    async fn start(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, acceptor.clone(), counted.clone()));
            }
        });
        Self { port, certificate: file, taken }
    }

    fn url(&self, database: &Database, mode: &str) -> String {
        let (port, name) = (self.port, &database.name);
        let trusted = self.certificate.path().display();
        format!("postgres://postgres@localhost:{port}/{name}?sslmode={mode}&sslrootcert={trusted}")
    }
}

async fn serve(mut client: TcpStream, acceptor: TlsAcceptor, taken: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first).await?;
    if first != WANTS_TLS {
        return Ok(());
    }
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    taken.fetch_add(1, Ordering::SeqCst);
    let mut server = UnixStream::connect(socket()).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

fn socket() -> PathBuf {
    support::folder().join(".s.PGSQL.5432")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_works_over_tls_and_only_with_the_server_that_it_knows() {
    let database = database();
    let front = Front::start("localhost").await;
    let store = PgStore::connect(&front.url(&database, "verify-full"), options()).await.unwrap();
    let accepted = store.enqueue(submit(&agent("nancy"), "k")).await.unwrap().record;
    let read = store.get(&agent("nancy"), accepted.operation.id).await.unwrap();
    assert_eq!(read.unwrap().operation, accepted.operation);
    assert!(front.taken.load(Ordering::SeqCst) > 2, "migrations, reads, writes: nobody else was let in");
    store.close().await;

    let stranger = Front::start("localhost").await;
    let trusted = stranger.url(&database, "verify-full");
    let other =
        front.url(&database, "verify-full").replace(&front.port.to_string(), &stranger.port.to_string());
    let error = PgStore::connect(&other, options()).await.err().unwrap();
    assert!(in_full(&error).contains("certificate"), "{}", in_full(&error));
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    assert!(PgStore::connect(&trusted, options()).await.is_ok(), "the one that vouches for it");

    let of_another_name = Front::start("elsewhere.test").await;
    let error =
        PgStore::connect(&of_another_name.url(&database, "verify-full"), options()).await.err().unwrap();
    assert!(in_full(&error).contains("elsewhere.test"), "{}", in_full(&error));
}

fn in_full(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", in_full(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

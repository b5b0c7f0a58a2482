//! TLS on both sides of the gate: Chromium takes the gate for the ERP by a key of this process, and the gate
//! takes for the ERP only who proves it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archibald_core::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use url::{Host, Url};

/// Both sides speak what the gate reads.
const PROTOCOL: &[u8] = b"http/1.1";
/// TLS sessions that a gate goes on with instead of asking for certificates anew.
const RESUMED: usize = 8;

/// How the gate speaks TLS for one ERP.
///
/// The key that Chromium knows it by is made here and kept in memory alone; its certificate is worth nothing
/// to anybody else.
pub struct Tls {
    to_chromium: Arc<ServerConfig>,
    to_erp: ClientConfig,
    key: String,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An address for which it is not needed.
    #[error("the ERP's address must be https://HOST[:PORT] for TLS, got {0}")]
    NotHttps(String),
    /// Nobody could prove anything.
    #[error(
        "no certificate authority is known here: install the package `ca-certificates`, or name a file with \
         the ERP's own{}", .0.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    NoAuthorities(Option<String>),
    /// The file of further authorities.
    #[error("the file of certificate authorities {}: {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The libraries refuse.
    #[error("TLS cannot be set up: {0}")]
    SetUp(String),
}

impl Tls {
    /// For the ERP at `base`. Its certificate has to come from an authority that the system trusts
    /// (`/etc/ssl/certs`, or where `SSL_CERT_FILE` and `SSL_CERT_DIR` say), or from one of the PEM file `ca`.
    ///
    /// Reads files.
    ///
    /// # Errors
    /// [`TlsError`] says what is missing.
    pub fn new(base: &Url, ca: Option<&Path>) -> Result<Self, TlsError> {
        let host = base.host().filter(|_| base.scheme() == "https");
        let host = host.ok_or_else(|| TlsError::NotHttps(base.to_string()))?;
        let provider = Arc::new(ring::default_provider());
        let key = KeyPair::generate().map_err(set_up)?;
        let authorities = authorities(ca)?;
        Ok(Self {
            to_chromium: Arc::new(to_chromium(&host, &key, &provider).map_err(TlsError::SetUp)?),
            to_erp: to_erp(authorities, &provider).map_err(set_up)?,
            key: STANDARD.encode(Sha256::digest(key.subject_public_key_info())),
        })
    }

    /// What Chromium has to be told so that it takes the gate for the ERP: the SHA-256 of the gate's public
    /// key in base64, for [`LaunchOptions::gate_keys`](crate::launch::LaunchOptions::gate_keys).
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.to_chromium))
    }

    /// The way to the ERP for one gate. TLS sessions are gone on with within a gate and never across: to the
    /// ERP, and to whatever shares its load out, each agent is a browser of its own.
    pub(super) fn upstream(&self) -> Upstream {
        let mut config = self.to_erp.clone();
        config.resumption = Resumption::in_memory_sessions(RESUMED);
        Upstream(TlsConnector::from(Arc::new(config)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The way to the ERP.
#[derive(Clone)]
pub(super) struct Upstream(TlsConnector);

impl Upstream {
    /// Shakes hands with who proves to be `name`; of any request nothing is sent.
    pub(super) async fn shake_hands<S>(
        &self,
        name: &ServerName<'static>,
        stream: S,
    ) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = self.0.connect(name.clone(), stream).await;
        shaken.map_err(|error| explained(&name.to_str(), &error))
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

/// Chromium is asked for nothing but to know the key, so the certificate signs itself.
fn to_chromium(
    host: &Host<&str>,
    key: &KeyPair,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, String> {
    // Of an IPv6 address without its brackets.
    let name = match host {
        Host::Ipv6(address) => address.to_string(),
        other => other.to_string(),
    };
    let mut params = CertificateParams::new(vec![name]).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Archibald's gate");
    let certificate = params.self_signed(key).map_err(|error| error.to_string())?;
    let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&version::TLS13])
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret.into())
        });
    let mut config = config.map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

fn to_erp(authorities: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<ClientConfig, rustls::Error> {
    let config =
        ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(authorities).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Those of the system, and those of the file.
fn authorities(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut all = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // One that cannot be read is missing, and says so when it is needed.
    let (_, ignored) = all.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "some of the system's certificate authorities cannot be used");
    }
    if let Some(path) = file {
        add_file(&mut all, path).map_err(|what| TlsError::File { path: path.to_owned(), what })?;
    }
    if all.is_empty() {
        return Err(TlsError::NoAuthorities(found.errors.first().map(ToString::to_string)));
    }
    Ok(all)
}

fn add_file(all: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let before = all.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| format!("is no PEM: {error}"))?;
        all.add(certificate).map_err(|error| format!("has a certificate that cannot be read: {error}"))?;
    }
    if all.len() == before {
        return Err("has no certificate in it (PEM, from -----BEGIN CERTIFICATE----- on)".to_owned());
    }
    Ok(())
}

/// What is wrong, and with whom.
fn explained(host: &str, error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(wrong)) => {
            format!("the certificate of {host} {}", objection(wrong))
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("{host} refused the TLS handshake: {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => format!("{host} does not answer in TLS"),
        Some(other) => format!("no TLS with {host}: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("{host} closed the connection in the TLS handshake")
        }
        None => format!("no TLS with {host}: {error}"),
    }
}

fn objection(wrong: &CertificateError) -> String {
    let at = |time: &UnixTime| Timestamp::EPOCH + std::time::Duration::from_secs(time.as_secs());
    match wrong {
        CertificateError::UnknownIssuer => "comes from no authority that is trusted here".to_owned(),
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("has expired at {}", at(not_after)),
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", at(not_before))
        }
        CertificateError::NotValidForName => "is for another host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() { "none".to_owned() } else { presented.join(", ") };
            format!("is for another host: its names are {names}")
        }
        other => format!("cannot be believed: {other}"),
    }
}

fn set_up(error: impl fmt::Display) -> TlsError {
    TlsError::SetUp(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server that is `erp.test`, and the way to it.
    pub(in super::super) fn both_ends() -> (TlsAcceptor, Upstream) {
        let (key, provider) = (KeyPair::generate().unwrap(), Arc::new(ring::default_provider()));
        let own = CertificateParams::new(vec!["erp.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], secret.into())
            .unwrap();
        let mut authorities = RootCertStore::empty();
        authorities.add(own.der().clone()).unwrap();
        let client = to_erp(authorities, &provider).unwrap();
        (TlsAcceptor::from(Arc::new(server)), Upstream(TlsConnector::from(Arc::new(client))))
    }

    fn https() -> Url {
        Url::parse("https://erp.test/").unwrap()
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let error = Tls::new(&https(), Some(path)).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("no certificate in it"), "{error}");
        std::fs::write(path, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")
            .unwrap();
        let error = Tls::new(&https(), Some(path)).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
        let error = Tls::new(&https(), Some(Path::new("no-such-file.pem"))).unwrap_err().to_string();
        assert!(error.contains("no-such-file.pem"), "{error}");
    }

    #[test]
    fn an_address_without_tls_is_refused() {
        let plain = Url::parse("http://erp.test/").unwrap();
        let error = Tls::new(&plain, None).unwrap_err().to_string();
        assert!(error.ends_with("got http://erp.test/"), "{error}");
    }

    /// An authority of the file is enough where the system has none, and each has a key of its own.
    #[test]
    fn a_key_is_known_by_its_hash_and_never_the_same() {
        let own = KeyPair::generate().unwrap();
        let authority = CertificateParams::new(Vec::new()).unwrap().self_signed(&own).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority.pem()).unwrap();
        let tls = |base: &str| Tls::new(&Url::parse(base).unwrap(), Some(file.path())).unwrap();
        let (one, other) = (tls("https://[::1]:8443/"), tls("https://10.0.0.1/"));
        assert_eq!(STANDARD.decode(one.key()).unwrap().len(), 32);
        assert_ne!(one.key(), other.key());
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_its_host() {
        let told = |wrong: CertificateError| {
            let error = rustls::Error::InvalidCertificate(wrong);
            explained("erp.test", &io::Error::new(io::ErrorKind::InvalidData, error))
        };
        let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        let expired = CertificateError::ExpiredContext { time: at(86_400), not_after: at(0) };
        assert_eq!(told(expired), "the certificate of erp.test has expired at 1970-01-01T00:00:00.000000Z");
        let unknown = told(CertificateError::UnknownIssuer);
        assert_eq!(unknown, "the certificate of erp.test comes from no authority that is trusted here");
        let eof = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert_eq!(explained("erp.test", &eof), "erp.test closed the connection in the TLS handshake");
        let reset = explained("erp.test", &io::ErrorKind::ConnectionReset.into());
        assert!(reset.starts_with("no TLS with erp.test: "), "{reset}");
    }
}

//! Certificates that clients of a test believe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate of its own authority, in two files.
#[derive(Debug, Clone)]
pub struct Certificate {
    name: String,
    der: CertificateDer<'static>,
    /// The chain's file.
    pub chain: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Certificate {
    /// Writes one for `name` into `dir`, over the one that is there.
    pub fn write(dir: &Path, name: &str) -> Self {
        Self::write_valid(dir, name, 2120)
    }

    /// As [`Certificate::write`], but it expires with the beginning of this year.
    pub fn write_valid(dir: &Path, name: &str, until: i32) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 1, 1));
        let pair = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&pair).unwrap();
        let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        Self { name: name.into(), der: certificate.der().clone(), chain, key }
    }

    /// The same, for clients that ask for this name.
    #[must_use]
    pub fn asked_for(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The flags of the gateway that show it.
    pub fn flags(&self) -> [(&'static str, &str); 2] {
        [("--tls-cert", self.chain.to_str().unwrap()), ("--tls-key", self.key.to_str().unwrap())]
    }

    /// Connects with TLS, asking for this certificate's name, believing it alone, offering these protocols.
    ///
    /// # Errors
    /// When the handshake fails: another certificate was shown.
    pub async fn connect(&self, stream: TcpStream, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(self.name.clone()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

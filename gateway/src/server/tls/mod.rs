//! TLS: certificates that are checked before they are shown, chosen by the name that the client asks for, and taken over
//! anew when their files change.
//!
//! - [`certificate`]: one chain and its key, read and checked.
//! - [`names`]: which certificate fits a name. Pure.
//! - [`reload`]: looks at the files.

pub mod certificate;
pub mod names;
pub mod reload;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::settings::CertificateFiles;
use certificate::{Certificate, CertificateError};

/// HTTP/2 as ALPN names it (RFC 9113 section 3.1).
pub const H2: &[u8] = b"h2";
/// HTTP/1.1 as ALPN names it.
const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificates that are shown now. Cheap to clone; all clones change together.
#[derive(Clone)]
pub struct Shown {
    certificates: Arc<ArcSwap<Vec<Certificate>>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("certificates", &self.certificates.load().len()).finish()
    }
}

impl Shown {
    /// Reads and checks all of `files`.
    ///
    /// # Errors
    /// [`CertificateError`] of the first that is not right.
    pub fn read(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        Ok(Self { certificates: Arc::new(ArcSwap::from_pointee(Certificate::read_all(files)?)) })
    }

    /// Shows this one from now on in place of the one with this number.
    fn replace(&self, number: usize, certificate: Certificate) {
        let mut certificates = Vec::clone(&self.certificates.load());
        if let Some(shown) = certificates.get_mut(number) {
            *shown = certificate;
        }
        self.certificates.store(Arc::new(certificates));
    }

    /// What takes connections over: TLS 1.2 and 1.3 with the sound suites of `ring`, tickets for resumption, HTTP/2
    /// before HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// When the random source fails, or `ring` lacks what `rustls` needs.
    pub fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Shown {
    /// The first that fits the name and that the client can check; the first of all for other names and for none.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let can_check = |certificate: &&Certificate| {
            certificate.key.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let fits = |certificate: &&Certificate| {
            hello.server_name().is_some_and(|name| names::any_fits(&certificate.names, name))
        };
        let mut fitting = certificates.iter().filter(fits);
        let chosen = fitting.find(can_check).or_else(|| certificates.iter().find(can_check));
        chosen.or(certificates.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

//! One certificate chain and its key, read and checked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::settings::CertificateFiles;

/// The longest certificate or key file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A chain that may be shown, with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// The names that it is for; a wildcard begins with `*.`.
    pub names: Vec<String>,
    /// When it expires.
    pub expires: SystemTime,
}

/// A certificate that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is not there, too long, or may not be read.
    #[error("{} cannot be read\n    to do:   correct --tls-cert and --tls-key, or make the file readable for this user", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate in it.
    #[error("{} holds no certificate in PEM\n    to do:   point --tls-cert to the chain, `-----BEGIN CERTIFICATE-----` on", path.display())]
    NoChain {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        source: pem::Error,
    },
    /// No private key in it.
    #[error("{} holds no private key in PEM\n    to do:   point --tls-key to a PKCS #8, PKCS #1 or SEC 1 key without a passphrase", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        source: pem::Error,
    },
    /// What is in it is no certificate.
    #[error("{} holds what is no X.509 certificate\n    to do:   have it issued again", path.display())]
    NotX509 {
        /// The file.
        path: PathBuf,
    },
    /// The key is of another certificate, or of a kind that is not served.
    #[error("{} is not the key of {}\n    to do:   give --tls-cert and --tls-key of one pair, RSA, ECDSA (P-256, P-384) or Ed25519", key.display(), chain.display())]
    Mismatch {
        /// The certificate.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Its time is over.
    #[error("{} expired on {}\n    to do:   renew it", path.display(), httpdate::fmt_http_date(*expired))]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        expired: SystemTime,
    },
    /// Its time has not come.
    #[error("{} is not valid before {}\n    to do:   wait until then, or correct this machine's clock", path.display(), httpdate::fmt_http_date(*begins))]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it is.
        begins: SystemTime,
    },
}

impl Certificate {
    /// Reads and checks all of `files`.
    ///
    /// # Errors
    /// [`CertificateError`] of the first that is not right.
    pub fn read_all(files: &[CertificateFiles]) -> Result<Vec<Self>, CertificateError> {
        let now = SystemTime::now();
        files.iter().map(|files| Self::read(files, now)).collect()
    }

    /// Reads and checks one, as of `now`.
    ///
    /// # Errors
    /// [`CertificateError`] when it may not be shown.
    pub fn read(files: &CertificateFiles, now: SystemTime) -> Result<Self, CertificateError> {
        let CertificateFiles { chain: path, key: key_path } = files;
        let chain = chain(path)?;
        let facts = Facts::of(chain.first().map_or(&[], |first| first.as_ref()))
            .ok_or_else(|| CertificateError::NotX509 { path: path.clone() })?;
        if now > facts.expires {
            return Err(CertificateError::Expired { path: path.clone(), expired: facts.expires });
        }
        if now < facts.begins {
            return Err(CertificateError::NotYetValid { path: path.clone(), begins: facts.begins });
        }
        let key = PrivateKeyDer::from_pem_slice(&content(key_path)?)
            .map_err(|source| CertificateError::NoKey { path: key_path.clone(), source })?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|source| {
            CertificateError::Mismatch { chain: path.clone(), key: key_path.clone(), source }
        })?;
        Ok(Self { key: Arc::new(key), names: facts.names, expires: facts.expires })
    }
}

fn content(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable { path: path.to_owned(), source };
    let length = path.metadata().map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(path).map_err(unreadable)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let no_chain = |source| CertificateError::NoChain { path: path.to_owned(), source };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&content(path)?).collect::<Result<_, _>>().map_err(no_chain)?;
    if chain.is_empty() {
        return Err(no_chain(pem::Error::NoItemsFound));
    }
    Ok(chain)
}

/// What a certificate says of itself.
struct Facts {
    names: Vec<String>,
    begins: SystemTime,
    expires: SystemTime,
}

impl Facts {
    fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = match certificate.subject_alternative_name().ok()? {
            Some(extension) => extension.value.general_names.iter().filter_map(dns_name).collect(),
            None => Vec::new(),
        };
        let validity = certificate.validity();
        let time = |seconds: i64| match u64::try_from(seconds) {
            Ok(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after)),
            Err(_) => Some(SystemTime::UNIX_EPOCH),
        };
        Some(Self {
            names,
            begins: time(validity.not_before.timestamp())?,
            expires: time(validity.not_after.timestamp())?,
        })
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// Writes a certificate for `name`, valid in these years, and its key into `dir`.
    pub fn written(dir: &Path, name: &str, years: (i32, i32)) -> CertificateFiles {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = CertificateFiles {
            chain: dir.join(format!("{}.pem", name.trim_start_matches("*."))),
            key: dir.join(format!("{}.key", name.trim_start_matches("*."))),
        };
        std::fs::write(&files.chain, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_pair_is_read_with_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let all = Certificate::read_all(&[written(dir.path(), "*.shop.example", (2020, 2120))]).unwrap();
        assert_eq!(all[0].names, ["*.shop.example"]);
        assert!(all[0].expires > SystemTime::now());
    }

    #[test]
    fn what_cannot_be_shown_says_why_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let good = written(dir.path(), "good.example", (2020, 2120));
        let other = written(dir.path(), "other.example", (2020, 2120));
        let nowhere = dir.path().join("nowhere");
        let text = dir.path().join("text");
        std::fs::write(&text, "no PEM").unwrap();
        let pair = |chain: &Path, key: &Path| CertificateFiles { chain: chain.into(), key: key.into() };
        for (files, expected) in [
            (pair(&nowhere, &good.key), "nowhere cannot be read"),
            (pair(&good.chain, &nowhere), "nowhere cannot be read"),
            (pair(&text, &good.key), "holds no certificate"),
            (pair(&good.chain, &text), "holds no private key"),
            (pair(&good.chain, &good.chain), "holds no private key"),
            (pair(&good.chain, &other.key), "other.example.key is not the key of"),
            (written(dir.path(), "old.example", (2010, 2011)), "expired on Sat, 01 Jan 2011"),
            (written(dir.path(), "new.example", (2110, 2111)), "is not valid before"),
        ] {
            let error = Certificate::read_all(&[files]).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("to do:"), "{error}");
        }
    }
}

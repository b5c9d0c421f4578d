//! How clients may speak.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::read::Reader;

/// How clients may speak.
#[derive(Debug, Clone)]
pub struct Protocols {
    /// Certificates with their keys; empty without TLS.
    pub certificates: Vec<CertificateFiles>,
    /// How often they are looked at; zero never.
    pub tls_reload: Duration,
    /// Whether HTTP/2 is spoken without TLS too.
    pub h2c: bool,
    /// Requests of one HTTP/2 connection at a time.
    pub h2_max_streams: u32,
    /// Whether the address is shared with other gateways.
    pub reuse_port: bool,
}

/// Where a certificate chain and its private key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

pub(super) fn protocols(reader: &mut Reader<'_>) -> Option<Protocols> {
    let (chains, keys) = (reader.paths("tls_cert"), reader.paths("tls_key"));
    let (tls_reload, h2c) = (reader.time("tls_reload"), reader.switch("h2c"));
    let (h2_max_streams, reuse_port) = (reader.count("h2_max_streams"), reader.switch("reuse_port"));
    let (chains, keys) = (chains?, keys?);
    if chains.len() != keys.len() {
        let given = format!("{} for {} of tls_cert", keys.len(), chains.len());
        let remedy = "give --tls-cert FILE and --tls-key FILE once for each certificate, in the same order";
        reader.refuse("tls_key", given, "as many keys as certificates".into(), remedy.into());
    }
    let pairs = chains.into_iter().zip(keys);
    Some(Protocols {
        certificates: pairs.map(|(chain, key)| CertificateFiles { chain, key }).collect(),
        tls_reload: tls_reload?,
        h2c: h2c?,
        h2_max_streams: u32::try_from(h2_max_streams?).ok()?,
        reuse_port: reuse_port?,
    })
}

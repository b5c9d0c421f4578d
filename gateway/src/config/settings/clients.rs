//! What is asked of clients, and whose word is taken.

use std::time::Duration;

use ipnet::IpNet;

use crate::config::read::Reader;
use crate::middleware::trace_context::{TraceSettings, TraceTrust};

/// Limits towards clients and proxies.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Connections open at a time.
    pub max_connections: usize,
    /// Connections of one address or network at a time; 0 sets no limit.
    pub max_connections_per_ip: usize,
    /// The longest head of a request, in bytes.
    pub head_limit: usize,
    /// The longest body of a request, in bytes.
    pub body_limit: u64,
    /// How long a head may take.
    pub head_timeout: Duration,
    /// How long a body may pause.
    pub body_timeout: Duration,
    /// How long a client may take no bytes of its response.
    pub write_timeout: Duration,
    /// Bytes of a body that must come in a second; 0 sets no rate.
    pub min_upload_rate: u64,
    /// Bytes of responses that must be taken in a second; 0 sets no rate.
    pub min_download_rate: u64,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// Proxies whose word is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Which headers they write.
    pub forwarded: ForwardedStyle,
    /// Whose word is taken on traces.
    pub traces: TraceSettings,
}

/// Which headers trusted proxies write. The others are dropped even from them: a proxy passes on what it does
/// not know, and a client could have written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

pub(super) fn clients(reader: &mut Reader<'_>) -> Option<Clients> {
    let max_connections = reader.count("max_connections");
    let max_connections_per_ip = reader.count("max_connections_per_ip");
    let (min_upload_rate, min_download_rate) =
        (reader.size("min_upload_rate"), reader.size("min_download_rate"));
    let (head_limit, body_limit) = (reader.size("head_limit"), reader.size("body_limit"));
    let (head_timeout, body_timeout) = (reader.time("head_timeout"), reader.time("body_timeout"));
    let (write_timeout, keep_alive) = (reader.time("write_timeout"), reader.time("keep_alive"));
    let trusted_proxies = reader.networks("trusted_proxy");
    let forwarded = reader.parsed("forwarded_header", |text| match text {
        "x-forwarded" => Some(ForwardedStyle::XForwarded),
        "forwarded" => Some(ForwardedStyle::Forwarded),
        _ => None,
    });
    let traces = traces(reader);
    Some(Clients {
        max_connections: max_connections?,
        max_connections_per_ip: max_connections_per_ip?,
        head_limit: usize::try_from(head_limit?).ok()?,
        body_limit: body_limit?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        write_timeout: write_timeout?,
        min_upload_rate: min_upload_rate?,
        min_download_rate: min_download_rate?,
        keep_alive: keep_alive?,
        trusted_proxies: trusted_proxies?,
        forwarded: forwarded?,
        traces: traces?,
    })
}

fn traces(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    let trust = reader.parsed("trace_context", |text| match text {
        "trusted" => Some(TraceTrust::Trusted),
        "any" => Some(TraceTrust::Any),
        "off" => Some(TraceTrust::Off),
        _ => None,
    });
    let (sampled, in_response) = (reader.count("trace_sampled_percent"), reader.switch("trace_response"));
    let sampled_percent = u8::try_from(sampled?).ok()?;
    Some(TraceSettings { trust: trust?, sampled_percent, in_response: in_response? })
}

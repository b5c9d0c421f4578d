//! Everything that the gateway was told, in types that carry their units.

mod access;
mod clients;
mod debugging;
mod jobs;
mod processes;
mod protocols;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::logging::{self, LogFormat};
use shared::setup::Access;

pub use clients::{Clients, ForwardedStyle};
pub use debugging::Debugging;
pub use jobs::Jobs;
pub use processes::{CodeCache, MAX_LINKS, Processes};
pub use protocols::{CertificateFiles, Protocols};

use super::edge::{self, Edge};
use super::read::Reader;
use super::remote;
use super::value::Listen;
use crate::pool::RemoteSettings;

/// As long as any time may be.
const UNLIMITED: Duration = Duration::from_secs(24 * 3600);

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The app's directory, as given.
    pub app: PathBuf,
    /// Static files live below it; empty for the root, else without a slash at the end.
    pub base_path: String,
    /// Environment variables that the app may see; a `*` at the end is a wildcard.
    pub env: Vec<String>,
    /// What the app may reach beyond its own files.
    pub access: Access,
    /// Where clients connect.
    pub listen: Listen,
    /// Where metrics, health and status are served.
    pub admin: SocketAddr,
    /// How they may speak.
    pub protocols: Protocols,
    /// What is asked of clients.
    pub clients: Clients,
    /// The child processes.
    pub processes: Processes,
    /// The work that they do.
    pub jobs: Jobs,
    /// Workers on other machines.
    pub remote: Option<RemoteSettings>,
    /// What the edge does with requests and responses.
    pub edge: Arc<Edge>,
    /// The most bytes of static files held in memory.
    pub static_memory: u64,
    /// Ways to look inside.
    pub debugging: Debugging,
    /// How long running requests may take to finish after SIGTERM.
    pub drain_timeout: Duration,
    /// Which log lines are written.
    pub log_filter: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// Lines of the access log in a second for requests that are turned away.
    pub access_log_refusals: u32,
    /// What looked like a mistake and need not be one.
    pub warnings: Vec<String>,
}

/// Reads all settings; `None` when any was wrong, which the reader remembers.
pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let app = access::app(reader);
    let base_path = reader.base_path("base_path");
    let env = reader.env_patterns("env");
    let access = access::access(reader);
    let (listen, admin) = (reader.listen("listen"), reader.address("admin"));
    if let (Some(Listen::Tcp(listen)), Some(admin)) = (&listen, admin) {
        refuse_one_address_for_both(reader, *listen, admin);
    }
    let protocols = protocols::protocols(reader);
    let (clients, processes, jobs) =
        (clients::clients(reader), processes::processes(reader), jobs::jobs(reader));
    let remote = remote::read(reader);
    let edge = edge::read(reader);
    let static_memory = reader.size("static_memory");
    let debugging = debugging::debugging(reader);
    let drain_timeout = reader.time("drain_timeout");
    let log_filter =
        reader.parsed("log_filter", |text| logging::check_filter(text).ok().map(|()| text.to_owned()));
    let log_format = reader.parsed("log_format", |text| text.parse().ok());
    let access_log_refusals = reader.count("access_log_refusals");
    Some(Settings {
        app: app?,
        base_path: base_path?,
        env: env?,
        access: access?,
        listen: listen?,
        admin: admin?,
        protocols: protocols?,
        clients: clients?,
        processes: processes?,
        jobs: jobs?,
        remote: remote?,
        edge: edge?,
        static_memory: static_memory?,
        debugging: debugging?,
        drain_timeout: drain_timeout?,
        log_filter: log_filter?,
        log_format: log_format?,
        access_log_refusals: u32::try_from(access_log_refusals?).ok()?,
        warnings: reader.warnings(),
    })
}

fn refuse_one_address_for_both(reader: &mut Reader<'_>, listen: SocketAddr, admin: SocketAddr) {
    if listen == admin && listen.port() != 0 {
        let allowed = format!("another address than listen, which is {listen} as well");
        let remedy = "choose another port, for example --admin 127.0.0.1:9090";
        reader.refuse("admin", admin.to_string(), allowed, remedy.into());
    }
}

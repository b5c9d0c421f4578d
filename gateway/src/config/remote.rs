//! How workers on other machines are reached.

use ::remote::caller::Limits;
use ::remote::connection::{Access, is_server};
use ::remote::subject::Subjects;

use super::read::Reader;
use crate::pool::RemoteSettings;

/// Pings to a worker within the time that it may be silent.
const PINGS: u32 = 4;

/// Reads the keys that begin with `nats`. `Some(None)` when there are no servers; `None` when any was wrong.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Option<RemoteSettings>> {
    let servers = reader.texts("nats", |text| is_server(text).then(|| text.to_owned()));
    let subjects = reader.parsed("nats_prefix", Subjects::new);
    let tls = reader.switch("nats_tls");
    let user = match reader.is_given("nats_user") {
        true => reader.parsed("nats_user", |text| (!text.is_empty()).then(|| text.to_owned())).map(Some),
        false => Some(None),
    };
    let (max_calls, accept_timeout) = (reader.count("nats_max_calls"), reader.time("nats_accept_timeout"));
    let worker_silence = reader.time("nats_worker_timeout");
    let access = Access {
        servers: servers?,
        credentials: reader.path("nats_credentials"),
        nkey: reader.path("nats_nkey"),
        user: user?,
        password: reader.path("nats_password"),
        token: reader.path("nats_token"),
        tls: tls?,
        ca: reader.path("nats_ca"),
        cert: reader.path("nats_cert"),
        key: reader.path("nats_key"),
    };
    let (subjects, max_calls) = (subjects?, max_calls?);
    let (accept_timeout, worker_silence) = (accept_timeout?, worker_silence?);
    if access.servers.is_empty() {
        return Some(None);
    }
    let problems = access.problems();
    let is_right = problems.is_empty();
    for problem in problems {
        let key = format!("nats_{}", problem.field);
        reader.refuse(&key, problem.given, problem.allowed.into(), problem.remedy.into());
    }
    let limits = Limits { accept_timeout, ping_interval: worker_silence / PINGS, worker_silence };
    is_right.then_some(Some(RemoteSettings { access, subjects, max_calls, limits }))
}

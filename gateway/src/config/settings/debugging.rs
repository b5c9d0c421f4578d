//! Ways to look inside.

use std::net::SocketAddr;

use crate::config::read::Reader;

/// Ways to look inside.
#[derive(Debug, Clone, Copy)]
pub struct Debugging {
    /// Where Chrome's developer tools find an isolate; a loopback address.
    pub inspect: Option<SocketAddr>,
    /// Whether the admin port makes profiles and heap snapshots.
    pub endpoints: bool,
    /// The most bytes of one of them.
    pub max_result_bytes: u64,
}

pub(super) fn debugging(reader: &mut Reader<'_>) -> Option<Debugging> {
    let inspect = match reader.is_given("inspect") {
        true => Some(reader.address("inspect")?),
        false => None,
    };
    if let Some(address) = inspect.filter(|address| !address.ip().is_loopback()) {
        let remedy = "whoever reaches it runs code in the app: give --inspect 127.0.0.1:9229, and forward the port \
                      from elsewhere (ssh -L 9229:127.0.0.1:9229)";
        reader.refuse("inspect", address.to_string(), "a loopback address".into(), remedy.into());
    }
    let (endpoints, max_result_bytes) = (reader.switch("debug_endpoints"), reader.size("debug_limit"));
    Some(Debugging { inspect, endpoints: endpoints?, max_result_bytes: max_result_bytes? })
}

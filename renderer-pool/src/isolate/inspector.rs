//! Chrome's developer tools for one isolate, in development: the inspector's protocol over a WebSocket.

use std::net::SocketAddr;
use std::task::Context;
use std::time::Duration;

use deno_core::JsRuntime;
use deno_inspector_server::{InspectPublishUid, InspectorServer, InspectorServerError};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the address is tried again: the process that this one replaces may still hold it.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Serves an isolate to developer tools, as soon as the address is free.
pub struct Inspector {
    address: SocketAddr,
    retry: Interval,
    /// `None` until the address could be bound.
    server: Option<InspectorServer>,
    warned: bool,
}

impl Inspector {
    /// An inspector that is to be found at `address`. Must run inside a tokio runtime.
    pub fn at(address: SocketAddr) -> Self {
        let mut retry = tokio::time::interval(RETRY_EVERY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { address, retry, server: None, warned: false }
    }

    /// Opens it, once. Sessions are answered by the isolate's event loop.
    pub fn poll(&mut self, cx: &mut Context<'_>, js: &JsRuntime, app: &str) {
        while self.server.is_none() && self.retry.poll_tick(cx).is_ready() {
            let publish = InspectPublishUid { console: false, http: true };
            match InspectorServer::new(self.address, "isopod", publish) {
                Ok(server) => {
                    let url = server.register_inspector(app.to_owned(), js.inspector(), false);
                    tracing::warn!(
                        address = %server.host,
                        url = url.0,
                        "the inspector is open: whoever reaches it runs code here; see chrome://inspect"
                    );
                    self.server = Some(server);
                }
                Err(error) => self.warn(&error),
            }
        }
    }

    fn warn(&mut self, error: &InspectorServerError) {
        if !self.warned {
            self.warned = true;
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(address = %self.address, cause, "the inspector waits for its address");
        }
    }
}

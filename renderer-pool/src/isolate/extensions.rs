//! The extensions of an isolate in their order, which a snapshot and its users must agree on.
//!
//! The build script includes this file too.

use std::sync::Arc;

use deno_core::Extension;

use super::extension::{BundleEnv, SharedJobTable, deno_telemetry, isopod};

/// All extensions, in order.
pub fn all(jobs: Option<SharedJobTable>, env: BundleEnv) -> Vec<Extension> {
    vec![
        deno_telemetry::init(),
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(
            Arc::<deno_web::BlobStore>::default(),
            None,
            false,
            deno_web::InMemoryBroadcastChannel::default(),
        ),
        deno_fetch::deno_fetch::init(deno_fetch::Options {
            user_agent: concat!("Isopod/", env!("CARGO_PKG_VERSION")).into(),
            ..Default::default()
        }),
        deno_crypto::deno_crypto::init(None),
        deno_tls::deno_tls::init(),
        deno_net::deno_net::init(None, None),
        isopod::init(jobs, env),
    ]
}

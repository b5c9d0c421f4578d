//! The extensions of an isolate in their order, which a snapshot and its users must agree on.
//!
//! The build script includes this file too.

use std::sync::Arc;

use deno_core::Extension;
use deno_fs::{FileSystemRc, RealFs};
use deno_resolver::npm::{ByonmInNpmPackageChecker, ByonmNpmResolver};
use sys_traits::impls::RealSys;

use super::extension::{BundleEnv, SharedJobTable, deno_telemetry, isopod};
use super::node_ops::{isopod_node, runtime};

/// Where Node's modules find packages: in `node_modules`.
pub type PackageFolders = ByonmNpmResolver<RealSys>;

/// What tells a package's file from an app's.
pub type PackageChecker = ByonmInNpmPackageChecker;

/// What Node's modules need of the host.
pub type NodeServices = deno_node::NodeExtInitServices<PackageChecker, PackageFolders, RealSys>;

/// What the extensions are given; nothing of it while the snapshot is made.
#[derive(Default)]
pub struct Host {
    /// The isolate's jobs.
    pub jobs: Option<SharedJobTable>,
    /// What the bundle sees as `process.env`.
    pub env: BundleEnv,
    /// For Node's modules.
    pub node: Option<NodeServices>,
}

/// All extensions, in order.
pub fn all(host: Host) -> Vec<Extension> {
    let files: FileSystemRc = Arc::new(RealFs);
    let stdio = host.jobs.is_some().then(deno_io::Stdio::default);
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
        deno_io::deno_io::init(stdio),
        deno_fs::deno_fs::init(files.clone()),
        deno_os::deno_os::init(host.jobs.is_some().then(deno_os::ExitCode::default)),
        deno_process::deno_process::init(None),
        deno_node_crypto::deno_node_crypto::init(),
        deno_node::deno_node::init::<PackageChecker, PackageFolders, RealSys>(host.node, files),
        runtime::init(),
        isopod_node::init(),
        isopod::init(host.jobs, host.env),
    ]
}

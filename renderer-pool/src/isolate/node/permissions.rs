//! What an app may touch: files, network, processes, the system. Every op of Node's and the Web's modules asks
//! here; nothing else in the isolate grants anything.
//!
//! | | default |
//! |---|---|
//! | read | the app's directory, the `node_modules` that it resolves packages from, packages linked from there |
//! | write | a private temporary directory, and those that the operator named |
//! | network | everything but link-local and metadata addresses; the operator's rules narrow it ([`shared::egress`]) |
//! | processes, native code | nothing |
//! | environment | the variables that the operator named, as `process.env` alone |
//!
//! This holds against what JavaScript asks for. The sandbox of the process holds where this fails.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_permissions::{
    Host, NetDescriptor, NetDescriptorParseError, Permissions, PermissionsContainer,
    PermissionsFromOptionsError, PermissionsOptions, RuntimePermissionDescriptorParser,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use shared::egress::{Destination, Egress, EgressRule};
use sys_traits::impls::RealSys;

/// This machine, by every name that the kernel takes for it.
const LOOPBACK: &[IpNet] = &[
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 0), 104)),
];

/// What of the system an app may neither know nor change: its own debugger, its user and its priority.
const REFUSED_KNOWLEDGE: &[&str] = &["inspector", "setegid", "seteuid", "setgid", "setuid", "setPriority"];

/// The files that an app may touch.
#[derive(Debug)]
pub struct Files {
    app: PathBuf,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    temporary: PrivateDirectory,
}

/// Why the permissions of an app cannot be made: a fault of ours, since its parts were checked before.
#[derive(Debug, thiserror::Error)]
pub enum PermissionsError {
    /// A path is no text.
    #[error(transparent)]
    Paths(#[from] PermissionsFromOptionsError),
    /// A rule's host is none for Deno's parser.
    #[error("the egress rule `{rule}` is not understood")]
    Rule {
        /// The rule.
        rule: String,
        /// Why.
        source: NetDescriptorParseError,
    },
}

impl Files {
    /// What the app in `app` may touch, with the directories that the operator lets it write to; all of them
    /// absolute paths without symbolic links. Its temporary directory is made in `scratch`.
    ///
    /// # Errors
    /// Without a temporary directory.
    pub fn of_app(app: &Path, scratch: &Path, named: &[PathBuf]) -> io::Result<Self> {
        let temporary = PrivateDirectory::create_in(scratch)?;
        let mut writable = vec![temporary.path.clone()];
        writable.extend_from_slice(named);
        let mut readable = readable(app);
        readable.extend_from_slice(&writable);
        Ok(Self { app: app.to_owned(), readable, writable, temporary })
    }

    /// Where the app was built to.
    pub fn app(&self) -> &Path {
        &self.app
    }

    /// The app's own temporary directory.
    pub fn temporary(&self) -> &Path {
        &self.temporary.path
    }

    /// Whether `path`, absolute and without symbolic links, may be read.
    pub fn may_read(&self, path: &Path) -> bool {
        self.readable.iter().any(|root| path.starts_with(root))
    }
}

/// What the app in `app` may read beside its temporary directory: itself, and the `node_modules` that Node would
/// look into from there.
pub fn readable(app: &Path) -> Vec<PathBuf> {
    let mut readable = vec![app.to_owned()];
    for directory in app.ancestors() {
        readable.extend(real_path(directory.join("package.json")));
        if let Some(packages) = real_path(directory.join("node_modules")) {
            readable.extend(linked_packages(&packages));
            readable.push(packages);
        }
    }
    readable
}

/// The permissions of an app that may touch `files` and connect where `egress` lets it, but not to the gateway's
/// `own` addresses.
///
/// # Errors
/// [`PermissionsError`].
pub fn permissions(
    files: &Files,
    own: &[SocketAddr],
    egress: &Egress,
) -> Result<PermissionsContainer, PermissionsError> {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let options = PermissionsOptions {
        allow_read: Some(files.readable.iter().map(text).collect()),
        allow_write: Some(files.writable.iter().map(text).collect()),
        // The host's name, load and memory: packages put them into their logs.
        allow_sys: Some(Vec::new()),
        deny_sys: Some(REFUSED_KNOWLEDGE.iter().map(|kind| (*kind).to_owned()).collect()),
        prompt: false,
        ..Default::default()
    };
    let mut permissions = Permissions::from_options(&*parser, &options)?;
    // What is refused is refused to every name as well: Deno asks again for each address that DNS gave.
    let refused = egress.refused().into_iter().map(|network| NetDescriptor(Host::IpSubnet(network), None));
    let refused = refused.chain(own.iter().flat_map(|address| ways_to(*address))).collect();
    permissions.net = Permissions::new_unary_with_ignore(allowed(egress)?, Some(refused), None, false);
    Ok(PermissionsContainer::new(parser, permissions))
}

/// An address of this machine, and all that leads there as well: a loopback address is reached by every other one
/// and by the unspecified one, an unspecified one by every loopback address.
fn ways_to(address: SocketAddr) -> Vec<NetDescriptor> {
    let port = Some(u32::from(address.port()));
    let mut ways = vec![NetDescriptor(Host::Ip(address.ip()), port)];
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        ways.extend(LOOPBACK.iter().map(|network| NetDescriptor(Host::IpSubnet(*network), port)));
    }
    ways
}

/// In Deno's terms: no list allows nothing, an empty one everything.
fn allowed(egress: &Egress) -> Result<Option<Vec<NetDescriptor>>, PermissionsError> {
    if egress.is_none() {
        return Ok(None);
    }
    if egress.is_all() {
        return Ok(Some(Vec::new()));
    }
    let mut allowed: Vec<_> = egress.rules().iter().filter_map(descriptor).collect::<Result<_, _>>()?;
    // A datagram's socket is bound to nothing in particular before it sends. Nobody can connect to a port 0.
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    allowed.extend(unspecified.map(|address| NetDescriptor(Host::Ip(address), Some(0))));
    Ok(Some(allowed))
}

fn descriptor(rule: &EgressRule) -> Option<Result<NetDescriptor, PermissionsError>> {
    let EgressRule::Allow(destination, port) = rule else { return None };
    let port = port.map(u32::from);
    Some(match destination {
        Destination::Network(network) => Ok(NetDescriptor(Host::IpSubnet(*network), port)),
        Destination::Host(_) | Destination::Subdomains(_) => {
            NetDescriptor::parse_for_list(&destination.to_string())
                .map(|NetDescriptor(host, _)| NetDescriptor(host, port))
                .map_err(|source| PermissionsError::Rule { rule: rule.to_string(), source })
        }
    })
}

fn real_path(path: PathBuf) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// The packages that are symbolic links out of `node_modules`: a workspace's own.
fn linked_packages(packages: &Path) -> Vec<PathBuf> {
    let mut linked = Vec::new();
    for entry in entries(packages) {
        if entry.file_name().as_encoded_bytes().starts_with(b"@") {
            linked.extend(entries(&entry.path()).filter_map(|entry| link_target(&entry)));
        } else {
            linked.extend(link_target(&entry));
        }
    }
    linked.retain(|target| !target.starts_with(packages));
    let nested: Vec<_> = linked.iter().filter_map(|target| real_path(target.join("node_modules"))).collect();
    linked.extend(nested);
    linked
}

fn entries(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

fn link_target(entry: &fs::DirEntry) -> Option<PathBuf> {
    entry.file_type().ok().filter(fs::FileType::is_symlink).and_then(|_| real_path(entry.path()))
}

/// A directory of this isolate's own, gone when it is dropped. What a killed process leaves behind goes with the
/// process's scratch directory.
#[derive(Debug)]
struct PrivateDirectory {
    path: PathBuf,
}

impl PrivateDirectory {
    fn create_in(scratch: &Path) -> io::Result<Self> {
        let path = nix::unistd::mkdtemp(&scratch.canonicalize()?.join("tmp-XXXXXX"))?;
        Ok(Self { path })
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), "a temporary directory stays behind: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project, its app's files, and the scratch directory beside it.
    fn app_with_packages() -> (tempfile::TempDir, Files) {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().canonicalize().unwrap();
        for directory in
            ["dist/server", "node_modules/pg", "node_modules/@scope", "linked", "scratch", "data"]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("package.json"), "{}").unwrap();
        fs::write(root.join("secret.txt"), "secret").unwrap();
        std::os::unix::fs::symlink(root.join("linked"), root.join("node_modules/@scope/linked")).unwrap();
        let files = Files::of_app(&root.join("dist"), &root.join("scratch"), &[root.join("data")]).unwrap();
        (project, files)
    }

    #[test]
    fn an_app_reads_itself_and_its_packages_and_writes_nothing_of_them() {
        let (project, files) = app_with_packages();
        let root = project.path().canonicalize().unwrap();
        for path in ["dist/server/server.js", "node_modules/pg/index.js", "linked/index.js", "package.json"] {
            assert!(files.may_read(&root.join(path)), "{path}");
        }
        for path in ["secret.txt", "dist-other/x", "src/index.ts"] {
            assert!(!files.may_read(&root.join(path)), "{path}");
        }
        let permissions = permissions(&files, &[], &Egress::default()).unwrap();
        let asked = |path: &Path, kind| permissions.check_open(path.into(), kind, None).is_ok();
        assert!(asked(&root.join("dist/x"), deno_permissions::OpenAccessKind::Read));
        assert!(!asked(&root.join("dist/x"), deno_permissions::OpenAccessKind::Write));
        assert!(!asked(&root.join("secret.txt"), deno_permissions::OpenAccessKind::Read));
        assert!(asked(&files.temporary().join("x"), deno_permissions::OpenAccessKind::Write));
        assert!(asked(&root.join("data/x"), deno_permissions::OpenAccessKind::ReadWriteNoFollow));
        assert!(!asked(&root.join("data-other"), deno_permissions::OpenAccessKind::Write));
    }

    fn policy(rules: &[&str]) -> Egress {
        Egress::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
    }

    /// Whether a connection to `host` at `port`, whose address is `address`, comes about.
    fn connects(rules: &[&str], host: &str, port: u16, address: &str) -> bool {
        let (_project, files) = app_with_packages();
        let mut permissions = permissions(&files, &[], &policy(rules)).unwrap();
        permissions.check_net(&(host, Some(port)), "connect").is_ok()
            && permissions.check_net_resolved(&address.parse().unwrap(), port, "connect").is_ok()
    }

    #[test]
    fn rules_narrow_the_network() {
        for (rules, host, port, address, allowed) in [
            (&["all"][..], "db.test", 5432, "10.0.0.7", true),
            (&["none"], "db.test", 5432, "10.0.0.7", false),
            (&["none"], "127.0.0.1", 80, "127.0.0.1", false),
            (&["db.test:5432"], "db.test", 5432, "10.0.0.7", true),
            (&["db.test:5432"], "DB.test", 5432, "10.0.0.7", true),
            (&["db.test:5432"], "db.test", 5433, "10.0.0.7", false),
            (&["db.test:5432"], "x.db.test", 5432, "10.0.0.7", false),
            (&["db.test:5432"], "10.0.0.7", 5432, "10.0.0.7", false),
            (&["*.db.test"], "x.db.test", 1, "10.0.0.7", true),
            (&["*.db.test"], "db.test.evil", 1, "10.0.0.7", false),
            (&["10.0.0.0/8:443", "::1"], "10.1.2.3", 443, "10.1.2.3", true),
            (&["10.0.0.0/8:443", "::1"], "10.1.2.3", 80, "10.1.2.3", false),
            (&["10.0.0.0/8:443", "::1"], "[::1]", 80, "::1", true),
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", 80, "::ffff:10.1.2.3", true),
            (&["10.0.0.0/8"], "11.1.2.3", 80, "11.1.2.3", false),
        ] {
            assert_eq!(connects(rules, host, port, address), allowed, "{rules:?} {host}:{port}");
        }
    }

    #[test]
    fn a_name_that_leads_to_a_refused_address_is_refused() {
        for rules in [&["all"][..], &["rebound.test"], &["*.test"], &["rebound.test", "0.0.0.0/0"]] {
            assert!(connects(rules, "rebound.test", 80, "10.0.0.7"), "{rules:?}");
            for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"] {
                assert!(!connects(rules, "rebound.test", 80, address), "{rules:?} {address}");
            }
        }
        assert!(connects(&["all", "169.254.169.254:80"], "169.254.169.254", 80, "169.254.169.254"));
        assert!(!connects(&["all", "169.254.169.254:80"], "169.254.169.253", 80, "169.254.169.253"));
    }

    #[test]
    fn the_network_is_open_but_for_metadata_services() {
        let (_project, files) = app_with_packages();
        let mut permissions = permissions(&files, &[], &Egress::default()).unwrap();
        permissions.check_net(&("example.com", Some(443)), "fetch()").unwrap();
        permissions.check_net_resolved(&"10.0.0.7".parse().unwrap(), 5432, "connect").unwrap();
        for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"] {
            permissions.check_net_resolved(&address.parse().unwrap(), 80, "connect").unwrap_err();
        }
    }

    #[test]
    fn processes_environment_and_native_code_are_refused() {
        let (_project, files) = app_with_packages();
        let mut permissions = permissions(&files, &[], &Egress::default()).unwrap();
        permissions.check_env("PATH").unwrap_err();
        permissions.check_run_all("spawn").unwrap_err();
        permissions.check_ffi_all().unwrap_err();
    }

    #[test]
    fn the_temporary_directory_goes_with_its_isolate() {
        let (_project, files) = app_with_packages();
        let path = files.temporary().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        drop(files);
        assert!(!path.exists());
    }

    #[test]
    fn the_gateways_own_port_is_refused_by_every_way_there() {
        let (_project, files) = app_with_packages();
        let admin = "127.0.0.1:9090".parse().unwrap();
        let mut permissions = permissions(&files, &[admin], &Egress::default()).unwrap();
        for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"] {
            permissions.check_net_resolved(&address.parse().unwrap(), 9090, "connect").unwrap_err();
            permissions.check_net_resolved(&address.parse().unwrap(), 5432, "connect").unwrap();
        }
        permissions.check_net_resolved(&"10.0.0.7".parse().unwrap(), 9090, "connect").unwrap();
    }
}

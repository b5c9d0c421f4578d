//! What an app may touch: files, network, processes, the system. Every op of Node's and the Web's modules asks
//! here; nothing else in the isolate grants anything.
//!
//! | | default |
//! |---|---|
//! | read | the app's directory, the `node_modules` that it resolves packages from, packages linked from there |
//! | write | a private temporary directory |
//! | network | everything but link-local and metadata addresses |
//! | processes, native code | nothing |
//! | environment | the variables that the operator named, as `process.env` alone |
//!
//! This holds against what JavaScript asks for. The sandbox of the process holds where this fails.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_permissions::{
    Host, NetDescriptor, Permissions, PermissionsContainer, PermissionsFromOptionsError, PermissionsOptions,
    RuntimePermissionDescriptorParser,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sys_traits::impls::RealSys;

/// Addresses that lead to the host's cloud or its neighbours: link-local ones (RFC 3927, RFC 4291), and the
/// metadata services that live elsewhere.
const REFUSED_ADDRESSES: &[IpNet] = &[
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128)),
];

/// What of the system an app may neither know nor change: its own debugger, its user and its priority.
const REFUSED_KNOWLEDGE: &[&str] = &["inspector", "setegid", "seteuid", "setgid", "setuid", "setPriority"];

/// The files that an app may touch.
#[derive(Debug)]
pub struct Files {
    app: PathBuf,
    readable: Vec<PathBuf>,
    temporary: PrivateDirectory,
}

impl Files {
    /// What the app in `app`, an absolute path without symbolic links, may touch; its temporary directory is made
    /// in `scratch`.
    ///
    /// # Errors
    /// Without a temporary directory.
    pub fn of_app(app: &Path, scratch: &Path) -> io::Result<Self> {
        let temporary = PrivateDirectory::create_in(scratch)?;
        let mut readable = readable(app);
        readable.push(temporary.path.clone());
        Ok(Self { app: app.to_owned(), readable, temporary })
    }

    /// Where the app was built to.
    pub fn app(&self) -> &Path {
        &self.app
    }

    /// Where the app may write.
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

/// The permissions of an app that may touch `files`.
///
/// # Errors
/// When a path is no text.
pub fn permissions(files: &Files) -> Result<PermissionsContainer, PermissionsFromOptionsError> {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let options = PermissionsOptions {
        allow_read: Some(files.readable.iter().map(text).collect()),
        allow_write: Some(vec![text(&files.temporary.path)]),
        // The host's name, load and memory: packages put them into their logs.
        allow_sys: Some(Vec::new()),
        deny_sys: Some(REFUSED_KNOWLEDGE.iter().map(|kind| (*kind).to_owned()).collect()),
        prompt: false,
        ..Default::default()
    };
    let mut permissions = Permissions::from_options(&*parser, &options)?;
    // An empty list allows every host.
    let allowed: Vec<NetDescriptor> = Vec::new();
    let refused = REFUSED_ADDRESSES.iter().map(|addresses| NetDescriptor(Host::IpSubnet(*addresses), None));
    permissions.net = Permissions::new_unary_with_ignore(Some(allowed), Some(refused.collect()), None, false);
    Ok(PermissionsContainer::new(parser, permissions))
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
        for directory in ["dist/server", "node_modules/pg", "node_modules/@scope", "linked", "scratch"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("package.json"), "{}").unwrap();
        fs::write(root.join("secret.txt"), "secret").unwrap();
        std::os::unix::fs::symlink(root.join("linked"), root.join("node_modules/@scope/linked")).unwrap();
        let files = Files::of_app(&root.join("dist"), &root.join("scratch")).unwrap();
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
        let permissions = permissions(&files).unwrap();
        let asked = |path: &Path, kind| permissions.check_open(path.into(), kind, None).is_ok();
        assert!(asked(&root.join("dist/x"), deno_permissions::OpenAccessKind::Read));
        assert!(!asked(&root.join("dist/x"), deno_permissions::OpenAccessKind::Write));
        assert!(!asked(&root.join("secret.txt"), deno_permissions::OpenAccessKind::Read));
        assert!(asked(&files.temporary().join("x"), deno_permissions::OpenAccessKind::Write));
    }

    #[test]
    fn the_network_is_open_but_for_metadata_services() {
        let (_project, files) = app_with_packages();
        let mut permissions = permissions(&files).unwrap();
        permissions.check_net(&("example.com", Some(443)), "fetch()").unwrap();
        permissions.check_net_resolved(&"10.0.0.7".parse().unwrap(), 5432, "connect").unwrap();
        for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"] {
            permissions.check_net_resolved(&address.parse().unwrap(), 80, "connect").unwrap_err();
        }
    }

    #[test]
    fn processes_environment_and_native_code_are_refused() {
        let (_project, files) = app_with_packages();
        let mut permissions = permissions(&files).unwrap();
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
}

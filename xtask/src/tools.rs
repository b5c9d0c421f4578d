//! Programs that xtask calls: found, of the right age, or named with the command that installs them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use crate::cargo;
use crate::error::Failure;
use crate::run;
use crate::workspace::Workspace;

/// The oldest Node that Vite 8 runs on.
const NODE: NodeVersion = NodeVersion(20, 19, 0);
/// The nextest that xtask installs where there is none.
const NEXTEST: &str = "0.9.143";
const CHROMIUM_NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const C_LINKER_NAMES: [&str; 3] = ["cc", "gcc", "clang"];

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NodeVersion(u32, u32, u32);

impl NodeVersion {
    /// Takes what `node --version` prints: `v20.19.0`, with a suffix or without.
    fn parse(text: &str) -> Option<Self> {
        let numbers = text.trim().strip_prefix('v')?.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        Some(Self(parts.next()??, parts.next()??, parts.next()??))
    }
}

/// Sees that Node and npm are there and new enough.
///
/// # Errors
///
/// When they are not; the failure names the command that installs them.
pub fn require_node() -> Result<(), Failure> {
    let install = install_command(&Packages::NODE);
    for tool in ["node", "npm"] {
        on_path(&[tool]).ok_or_else(|| Failure::MissingTool { tool, install: install.clone() })?;
    }
    let answer = run::output(Command::new("node").arg("--version"))?;
    match NodeVersion::parse(&answer) {
        Some(found) if found >= NODE => Ok(()),
        _ => Err(Failure::OldTool {
            tool: "node",
            found: answer.trim().to_owned(),
            wanted: format!("v{}.{}.{}", NODE.0, NODE.1, NODE.2),
            install,
        }),
    }
}

/// Sees that a C linker is there; in CI installs one.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_c_linker() -> Result<PathBuf, Failure> {
    require("cc", &C_LINKER_NAMES, &Packages::C_LINKER)
}

/// The Chromium to test with: `CHROMIUM`, else the one on PATH; in CI installs one.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_chromium() -> Result<PathBuf, Failure> {
    match env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        Some(path) => Ok(PathBuf::from(path)),
        None => require("chromium", &CHROMIUM_NAMES, &Packages::CHROMIUM),
    }
}

/// Sees that wrk, the load generator, is there; in CI installs it.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_wrk() -> Result<PathBuf, Failure> {
    require("wrk", &["wrk"], &Packages::same_everywhere("wrk"))
}

/// Sees that nginx is there, which serves static files beside Isopod; in CI installs it.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_nginx() -> Result<PathBuf, Failure> {
    require("nginx", &["nginx"], &Packages::same_everywhere("nginx"))
}

/// Sees that valgrind is there, which counts instructions; in CI installs it.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_valgrind() -> Result<PathBuf, Failure> {
    require("valgrind", &["valgrind"], &Packages::same_everywhere("valgrind"))
}

/// Sees that perf is there, which samples stacks; in CI installs it.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_perf() -> Result<PathBuf, Failure> {
    require("perf", &["perf"], &Packages::PERF)
}

/// Sees that taskset is there, which pins processes to cores; in CI installs it.
///
/// # Errors
///
/// When there is none; the failure names the command that installs it.
pub fn require_taskset() -> Result<PathBuf, Failure> {
    require("taskset", &["taskset"], &Packages::same_everywhere("util-linux"))
}

/// Sees that the servers are there which the Rust tests talk to; in CI installs them.
///
/// # Errors
///
/// When one is missing; the failure names the command that installs it.
pub fn require_services() -> Result<(), Failure> {
    require("redis-server", &["redis-server"], &Packages::REDIS)?;
    require("nats-server", &["nats-server"], &Packages::same_everywhere("nats-server"))?;
    require_found("postgresql", postgres, &Packages::POSTGRES)?;
    Ok(())
}

/// PostgreSQL's `initdb`: on PATH, or where Debian keeps the server's programs of each version.
fn postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let kept = versions.map(|version| version.path().join("bin/initdb")).find(|program| is_program(program));
    kept.or_else(|| on_path(&["initdb"]))
}

/// The `cargo nextest` command, which is installed below cargo's output directory where there is none.
///
/// # Errors
///
/// When it cannot be installed.
pub fn nextest(workspace: &Workspace, arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = cargo::command(workspace, &["nextest"]);
    command.args(arguments);
    if on_path(&["cargo-nextest"]).is_some() {
        return Ok(command);
    }
    let tools = workspace.tools();
    if !tools.join("bin/cargo-nextest").is_file() {
        let mut install = cargo::command(workspace, &["install", "--locked", "cargo-nextest"]);
        install.args(["--version", NEXTEST, "--root"]).arg(&tools).env_remove("CARGO_TARGET_DIR");
        run::shown(&mut install)?;
    }
    let mut path = vec![tools.join("bin")];
    path.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let path = env::join_paths(path).map_err(Failure::unreadable("PATH"))?;
    command.env("PATH", path);
    Ok(command)
}

fn require(tool: &'static str, names: &[&str], packages: &Packages) -> Result<PathBuf, Failure> {
    require_found(tool, || on_path(names), packages)
}

fn require_found(
    tool: &'static str,
    find: impl Fn() -> Option<PathBuf>,
    packages: &Packages,
) -> Result<PathBuf, Failure> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if may_install() {
        run::shown(Command::new("apt-get").arg("update"))?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "--no-install-recommends"]).args(packages.apt.split(' '));
        run::shown(&mut install)?;
    }
    find().ok_or_else(|| Failure::MissingTool { tool, install: install_command(packages) })
}

/// In CI the machine is the tests' own; elsewhere it is the user's, who is asked.
fn may_install() -> bool {
    let ci = env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    ci && Uid::effective().is_root() && on_path(&["apt-get"]).is_some()
}

/// What a tool is called in each system.
struct Packages {
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
    apk: &'static str,
    brew: &'static str,
    /// Where no package manager is known, or its package is known to be too old.
    otherwise: Option<&'static str>,
}

impl Packages {
    const fn same_everywhere(name: &'static str) -> Self {
        Self { apt: name, dnf: name, pacman: name, apk: name, brew: name, otherwise: None }
    }

    const NODE: Self = Self {
        apt: "nodejs npm",
        dnf: "nodejs npm",
        pacman: "nodejs npm",
        apk: "nodejs npm",
        brew: "node",
        otherwise: Some("see https://nodejs.org/en/download for a newer one"),
    };
    const C_LINKER: Self = Self {
        apt: "gcc libc6-dev",
        dnf: "gcc glibc-devel",
        pacman: "gcc",
        apk: "gcc musl-dev",
        brew: "gcc",
        otherwise: None,
    };
    const PERF: Self =
        Self { apt: "linux-perf", dnf: "perf", pacman: "perf", apk: "perf", brew: "perf", otherwise: None };
    const REDIS: Self = Self {
        apt: "redis-server",
        dnf: "redis",
        pacman: "redis",
        apk: "redis",
        brew: "redis",
        otherwise: None,
    };
    const POSTGRES: Self = Self {
        apt: "postgresql",
        dnf: "postgresql-server",
        pacman: "postgresql",
        apk: "postgresql",
        brew: "postgresql",
        otherwise: None,
    };
    const CHROMIUM: Self = Self {
        apt: "chromium",
        dnf: "chromium",
        pacman: "chromium",
        apk: "chromium",
        brew: "--cask chromium",
        otherwise: Some("set CHROMIUM to a browser's path"),
    };
}

fn install_command(packages: &Packages) -> String {
    let managers = [
        ("apt-get", "apt-get update && apt-get install -y --no-install-recommends", packages.apt),
        ("dnf", "dnf install -y", packages.dnf),
        ("pacman", "pacman -S --needed", packages.pacman),
        ("apk", "apk add", packages.apk),
        ("brew", "brew install", packages.brew),
    ];
    let managed = managers
        .iter()
        .find(|(manager, _, _)| on_path(&[manager]).is_some())
        .map(|(_, command, names)| format!("{command} {names}"));
    match (managed, packages.otherwise) {
        (Some(command), Some(otherwise)) => format!("{command}   (or {otherwise})"),
        (Some(command), None) => command,
        (None, Some(otherwise)) => otherwise.to_owned(),
        (None, None) => format!("install {} with your system's package manager", packages.apt),
    }
}

/// The first of the names that is a program on PATH.
fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|candidate| is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::{NODE, NodeVersion, Packages, install_command, on_path};

    #[test]
    fn versions_of_node_compare_by_number() {
        assert_eq!(NodeVersion::parse("v20.19.0\n"), Some(NODE));
        assert!(NodeVersion::parse("v20.9.9").unwrap() < NODE);
        assert!(NodeVersion::parse("v26.10.0-nightly2026").unwrap() > NODE);
        assert_eq!(NodeVersion::parse("20.19.0"), None);
        assert_eq!(NodeVersion::parse("v20"), None);
    }

    #[test]
    fn a_program_is_found_by_the_first_name_that_is_there() {
        let shell = on_path(&["no-such-program", "sh"]).unwrap();
        assert!(shell.ends_with("sh"));
        assert_eq!(on_path(&["no-such-program"]), None);
    }

    #[test]
    fn a_command_to_install_names_the_package() {
        assert!(install_command(&Packages::C_LINKER).contains("gcc"));
    }
}

//! Cargo, called from a program that cargo itself runs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::v8;
use crate::workspace::Workspace;

/// The cargo that runs xtask, else the one on PATH.
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// A cargo command in the checkout's root, to the same output directory, in the environment of the user.
///
/// What the outer cargo set for xtask is taken out: build scripts that watch those variables would run again for
/// every change between `cargo build` and `cargo xtask`. The place of the V8 library comes from
/// `.cargo/v8.local.toml` alone, so [`v8::set_up`] goes first wherever V8 is linked.
pub fn command(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_outer_cargo(name)) {
        command.env_remove(name);
    }
    command
}

fn is_of_outer_cargo(name: &OsStr) -> bool {
    const NAMES: [&str; 5] =
        [v8::VARIABLE, "OUT_DIR", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    name.to_str()
        .is_some_and(|name| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// The arguments of the one release build that demo, tests and benches share: whole workspace, so that features are
/// the same and nothing is compiled twice.
pub const RELEASE_BUILD: [&str; 3] = ["build", "--release", "--workspace"];

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{RELEASE_BUILD, command, is_of_outer_cargo};
    use crate::workspace::Workspace;

    #[test]
    fn what_the_outer_cargo_set_is_told_from_what_the_user_set() {
        for name in ["RUSTY_V8_ARCHIVE", "CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION", "OUT_DIR"] {
            assert!(is_of_outer_cargo(name.as_ref()), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            assert!(!is_of_outer_cargo(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn the_inner_cargo_builds_where_the_outer_one_does() {
        let workspace = Workspace { root: PathBuf::from("/checkout"), target: PathBuf::from("/elsewhere") };
        let build = command(&workspace, &RELEASE_BUILD);
        assert_eq!(build.get_current_dir(), Some("/checkout".as_ref()));
        assert!(
            build
                .get_envs()
                .any(|(name, value)| { name == "CARGO_TARGET_DIR" && value == Some("/elsewhere".as_ref()) })
        );
        // The test itself runs in cargo.
        assert!(build.get_envs().any(|(name, value)| name == "CARGO_MANIFEST_DIR" && value.is_none()));
    }
}

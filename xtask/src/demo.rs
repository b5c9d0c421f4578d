//! Everything that a fresh machine with Rust and Node lacks, then the gateway with an app.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apps;
use crate::cargo::{self, RELEASE_BUILD};
use crate::error::Failure;
use crate::run;
use crate::tools;
use crate::v8;
use crate::workspace::Workspace;

/// The program of the threads service, a member of the workspace.
pub const SERVICE_WORKER: &str = "threads-worker";

/// Sets up, builds, and becomes the gateway: its signals, output and exit code are xtask's from then on.
///
/// # Errors
///
/// When a step fails; after the last one it does not return.
pub fn run(
    workspace: &Workspace,
    app: &OsStr,
    service: bool,
    gateway_args: &[OsString],
) -> Result<(), Failure> {
    tools::require_c_linker()?;
    v8::set_up(workspace)?;
    let dist = built_app(workspace, app)?;
    run::shown(&mut cargo::command(workspace, &RELEASE_BUILD))?;
    let mut gateway = gateway(workspace, &dist, gateway_args);
    if service {
        with_service(&mut gateway, workspace)?;
    }
    match run::replace(gateway)? {}
}

/// Gives a gateway's command the worker of the threads service, and a password for its sessions: a new one each time.
///
/// # Errors
///
/// When the system has no random bytes.
pub fn with_service(gateway: &mut Command, workspace: &Workspace) -> Result<(), Failure> {
    const RANDOM: &str = "/dev/urandom";
    let mut bytes = [0_u8; 24];
    File::open(RANDOM)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Failure::file("read", Path::new(RANDOM)))?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    gateway.arg("--fn-worker-bin").arg(workspace.release_binary(SERVICE_WORKER));
    gateway.args(["--env", "SERVICE_PASSWORD"]).env("SERVICE_PASSWORD", password);
    // For its uploads.
    gateway.env("ISOPOD_BODY_LIMIT", "32MiB");
    Ok(())
}

/// The command that serves an app's build with the gateway of the release build.
pub fn gateway(workspace: &Workspace, dist: &Path, gateway_args: &[OsString]) -> Command {
    let mut gateway = Command::new(workspace.release_binary("gateway"));
    gateway.arg("--app").arg(dist).args(gateway_args);
    gateway
}

/// A test app by name, which is built if need be; else a directory that holds a build or a `dist` with one.
fn built_app(workspace: &Workspace, app: &OsStr) -> Result<PathBuf, Failure> {
    let known = apps::all(workspace)?;
    if let Some(named) = known.iter().find(|known| app == OsStr::new(&known.name)) {
        tools::require_node()?;
        named.build(workspace)?;
        return Ok(named.dist());
    }
    let path = PathBuf::from(app);
    let places = [path.clone(), path.join("dist")];
    places
        .into_iter()
        .find(|place| place.join("server/server.js").is_file())
        .ok_or_else(|| Failure::NoApp { path, known: known.into_iter().map(|app| app.name).collect() })
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{built_app, gateway, with_service};
    use crate::error::Failure;
    use crate::run;
    use crate::workspace::Workspace;

    #[test]
    fn the_gateway_of_the_release_build_gets_the_app_and_the_users_options() {
        let workspace = Workspace { root: PathBuf::from("/c"), target: PathBuf::from("/t") };
        let options = ["--isolates", "2"].map(OsString::from);
        assert_eq!(
            run::describe(&gateway(&workspace, Path::new("/c/dist"), &options)),
            "/t/release/gateway --app /c/dist --isolates 2"
        );
    }

    #[test]
    fn a_service_gets_a_worker_and_a_password_that_nobody_knows() {
        let workspace = Workspace { root: PathBuf::from("/c"), target: PathBuf::from("/t") };
        let password = || {
            let mut command = gateway(&workspace, Path::new("/c/dist"), &[]);
            with_service(&mut command, &workspace).unwrap();
            assert!(
                run::describe(&command)
                    .ends_with("/c/dist --fn-worker-bin /t/release/threads-worker --env SERVICE_PASSWORD")
            );
            let password = command.get_envs().find(|(name, _)| *name == "SERVICE_PASSWORD");
            password.and_then(|(_, password)| password).unwrap().to_owned()
        };
        assert!(password().len() >= 32);
        assert_ne!(password(), password());
    }

    #[test]
    fn an_app_by_path_is_a_build_or_has_one_in_dist() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        fs::create_dir_all(root.join("tests/apps")).unwrap();
        fs::create_dir_all(root.join("mine/dist/server")).unwrap();
        fs::write(root.join("mine/dist/server/server.js"), "").unwrap();
        let workspace = Workspace { target: root.join("target"), root: root.clone() };
        let found = |path: &Path| built_app(&workspace, path.as_os_str());

        assert_eq!(found(&root.join("mine")).unwrap(), root.join("mine/dist"));
        assert_eq!(found(&root.join("mine/dist")).unwrap(), root.join("mine/dist"));
        assert!(matches!(built_app(&workspace, OsStr::new("other")), Err(Failure::NoApp { .. })));
    }
}

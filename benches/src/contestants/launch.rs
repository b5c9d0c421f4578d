//! The command that serves an app's build, and the files that it needs.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::apps::App;
use xtask::demo;
use xtask::error::Failure;
use xtask::files;
use xtask::workspace::Workspace;

use super::{Contestant, Rival};
use crate::error::BenchFailure;

/// What is served, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The checkout.
    pub workspace: &'a Workspace,
    /// The app.
    pub app: &'a App,
    /// Where rivals are installed and keep their configuration.
    pub cache: &'a Path,
    /// How many processes run the bundle, where a server has a choice.
    pub processes: usize,
}

/// How to start a server.
#[derive(Debug)]
pub struct Launch {
    /// The command.
    pub command: Command,
    /// Where it will listen; `None` when it says so itself.
    pub address: Option<String>,
}

impl Launch {
    fn speaking(command: Command) -> Self {
        Self { command, address: None }
    }

    fn silent(command: Command, port: u16) -> Self {
        Self { command, address: Some(format!("http://127.0.0.1:{port}")) }
    }
}

/// The command for a contestant.
///
/// # Errors
///
/// When a file that it needs cannot be written, or there is no free port.
pub fn of(contestant: &Contestant, place: &Place<'_>) -> Result<Launch, BenchFailure> {
    let Some((rival, program)) = &contestant.rival else { return Ok(Launch::speaking(isopod(place))) };
    match rival {
        Rival::Node26 => {
            Ok(Launch::speaking(script(program, &["serve-node.mjs"], place, place.workspace.apps())))
        }
        Rival::Node26Cluster => {
            let mut command = script(program, &["cluster.mjs"], place, scripts(place));
            command.arg(place.processes.max(2).to_string()).arg(place.workspace.apps());
            Ok(Launch::speaking(command))
        }
        Rival::Bun => Ok(Launch::speaking(script(program, &["bun.mjs"], place, scripts(place)))),
        Rival::Deno => {
            let flags = ["run", "--allow-all", "--no-lock", "--node-modules-dir=none", "deno.mjs"];
            Ok(Launch::speaking(script(program, &flags, place, scripts(place))))
        }
        Rival::Watt => watt(program, place),
        Rival::Workerd => workerd(program, place),
        Rival::Nginx => nginx(program, place),
        Rival::Actix => {
            let mut command = Command::new(program);
            command.arg("floor").arg(place.app.dist().join("client"));
            Ok(Launch::speaking(command))
        }
        Rival::Nitro => Err(BenchFailure::Unfit {
            rival: rival.recipe().name,
            reason: rival.recipe().cannot.unwrap_or_default(),
        }),
    }
}

/// What a program of the system says of its version.
pub fn said_version(program: &Path) -> String {
    let Ok(output) = Command::new(program).arg("-v").output() else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}

/// A port that was free a moment ago.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(listener.map_err(Failure::unreadable("a free port"))?.port())
}

/// The gateway: one thread, and as many renderers with one isolate each.
fn isopod(place: &Place<'_>) -> Command {
    let renderers = place.processes.to_string();
    let options = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--threads",
        "1",
        "--renderers",
        &renderers,
        "--spares",
        "0",
        "--isolates",
        "1",
        "--fn-workers",
        "1",
    ];
    let mut gateway = demo::gateway(place.workspace, &place.app.dist(), &options.map(OsString::from));
    // For the scenario that speaks HTTP/2; others begin with HTTP/1.1 as ever.
    gateway.env("ISOPOD_H2C", "true");
    gateway
}

fn scripts(place: &Place<'_>) -> PathBuf {
    place.workspace.root.join("benches/rivals")
}

/// `PROGRAM FLAGS... SCRIPT APP 0`, the last of `flags` being the script's name below `directory`.
fn script(program: &Path, flags: &[&str], place: &Place<'_>, directory: PathBuf) -> Command {
    let mut command = Command::new(program);
    if let Some((name, flags)) = flags.split_last() {
        command.args(flags).arg(directory.join(name));
    }
    command.arg(&place.app.directory).arg("0").env("NODE_ENV", "production");
    command
}

fn watt(node: &Path, place: &Place<'_>) -> Result<Launch, BenchFailure> {
    let port = free_port()?;
    // Below the packages, so that the application finds the one that runs it.
    let site = place.cache.join("watt").join(format!("site-{}", place.app.name));
    let main = format!(
        r#"{{ "server": {{ "hostname": "127.0.0.1", "port": {port} }}, "entrypoint": "app",
  "applications": [{{ "id": "app", "path": "./app", "workers": {} }}],
  "logger": {{ "level": "warn" }}, "metrics": false,
  "$schema": "https://schemas.platformatic.dev/wattpm/3.67.0.json" }}"#,
        place.processes.max(2)
    );
    let application = r#"{ "node": { "main": "watt.mjs" },
  "$schema": "https://schemas.platformatic.dev/@platformatic/node/3.65.0.json" }"#;
    let entry = scripts(place).join("watt.mjs");
    let entry = fs::read_to_string(&entry).map_err(Failure::file("read", &entry))?;
    let manifest = r#"{ "private": true, "type": "module", "main": "watt.mjs" }"#;
    let texts = [
        ("watt.json", main.as_str()),
        ("package.json", r#"{ "private": true }"#),
        ("app/watt.json", application),
        ("app/package.json", manifest),
        ("app/watt.mjs", entry.as_str()),
    ];
    for (name, text) in texts {
        files::write(&site.join(name), text)?;
    }
    let mut command = Command::new(node);
    command.arg(place.cache.join("watt/node_modules/wattpm/bin/cli.js")).arg("start").current_dir(&site);
    command.env("NODE_ENV", "production").env("BENCH_APP", &place.app.directory);
    command.env("BENCH_PACKAGES", place.workspace.apps());
    Ok(Launch::silent(command, port))
}

fn workerd(program: &Path, place: &Place<'_>) -> Result<Launch, BenchFailure> {
    let port = free_port()?;
    let site = place.cache.join("workerd").join(format!("site-{}", place.app.name));
    if site.exists() {
        fs::remove_dir_all(&site).map_err(Failure::file("remove", &site))?;
    }
    let bundle = place.app.dist().join("server");
    let mut modules = Vec::new();
    copy_modules(&bundle, &bundle, &site, &mut modules)?;
    let entry = scripts(place).join("workerd.mjs");
    let entry = fs::read_to_string(&entry).map_err(Failure::file("read", &entry))?;
    files::write(&site.join("worker.mjs"), &entry)?;
    modules.insert(0, "worker.mjs".to_owned());
    let modules: Vec<String> =
        modules.iter().map(|name| format!("(name = \"{name}\", esModule = embed \"{name}\")")).collect();
    let config = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n  services = [(name = \"main\", worker = .main)],\n  \
         sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")],\n);\n\
         const main :Workerd.Worker = (\n  modules = [\n    {}],\n  compatibilityDate = \"2026-11-01\",\n);\n",
        modules.join(",\n    ")
    );
    let file = site.join("config.capnp");
    files::write(&file, &config)?;
    let mut command = Command::new(program);
    command.arg("serve").arg(file);
    Ok(Launch::silent(command, port))
}

/// The bundle's JavaScript files, and their names from its root.
fn copy_modules(root: &Path, from: &Path, to: &Path, names: &mut Vec<String>) -> Result<(), Failure> {
    for path in files::children(from)? {
        if path.is_dir() {
            copy_modules(root, &path, to, names)?;
        } else if path.extension().is_some_and(|extension| extension == "js" || extension == "mjs") {
            let name = path.strip_prefix(root).unwrap_or(&path);
            let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
            files::write(&to.join(name), &text)?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn nginx(program: &Path, place: &Place<'_>) -> Result<Launch, BenchFailure> {
    let port = free_port()?;
    let site = place.cache.join("nginx").join(format!("site-{}", place.app.name));
    let config = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {site}/nginx.pid;\nerror_log stderr;\nevents {{ worker_connections 2048; }}\n\
         http {{\n  types {{ text/css css; text/javascript js; image/svg+xml svg; }}\n  access_log off;\n  sendfile on;\n  \
         tcp_nopush on;\n  keepalive_requests 1000000;\n  open_file_cache max=1000;\n  client_body_temp_path {site}/body;\n  \
         proxy_temp_path {site}/proxy;\n  fastcgi_temp_path {site}/fastcgi;\n  uwsgi_temp_path {site}/uwsgi;\n  \
         scgi_temp_path {site}/scgi;\n  server {{ listen 127.0.0.1:{port}; root {client}; }}\n}}\n",
        site = site.display(),
        client = place.app.dist().join("client").display(),
    );
    let file = site.join("nginx.conf");
    files::write(&file, &config)?;
    let mut command = Command::new(program);
    command.arg("-e").arg("stderr").arg("-c").arg(file);
    Ok(Launch::silent(command, port))
}

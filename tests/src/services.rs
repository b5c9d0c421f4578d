//! PostgreSQL and Redis from Debian's packages, each test's own.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

/// A server that ends with the test.
pub struct Service {
    process: Child,
    port: u16,
    _data: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Its data is of no use to anybody: nothing to save.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A PostgreSQL server; its address.
pub fn postgres() -> (Service, String) {
    let binaries = postgres_binaries();
    let data = tempfile::tempdir().unwrap();
    // It refuses to run as root.
    let user =
        Uid::effective().is_root().then(|| User::from_name("postgres").unwrap().expect("a user postgres"));
    let as_user = |command: &mut Command| {
        if let Some(user) = &user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
    };
    if let Some(user) = &user {
        chown(data.path(), Some(user.uid), Some(user.gid)).unwrap();
    }
    let mut initdb = quiet(&binaries.join("initdb"));
    as_user(initdb.args(["-A", "trust", "-U", "postgres", "-N", "-D"]).arg(data.path()));
    assert!(initdb.status().unwrap().success(), "initdb failed");
    let port = free_port();
    let mut server = quiet(&binaries.join("postgres"));
    let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
    as_user(server.arg("-D").arg(data.path()).args(["-p", &port.to_string()]));
    server.args(settings.iter().flat_map(|setting| ["-c", setting]));
    let service = Service { process: server.spawn().unwrap(), port, _data: data };
    service.wait();
    (service, format!("postgres://postgres@127.0.0.1:{port}/postgres"))
}

/// A Redis server; its address.
pub fn redis() -> (Service, String) {
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let process = quiet(Path::new("redis-server"))
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
        .arg(data.path())
        .spawn()
        .expect("redis-server, of Debian's package of that name");
    let service = Service { process, port, _data: data };
    service.wait();
    (service, format!("redis://127.0.0.1:{port}"))
}

impl Service {
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn postgres_binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql");
    let mut versions: Vec<_> = versions.map(|version| version.unwrap().path().join("bin")).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL")
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

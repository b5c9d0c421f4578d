//! A Redis server of the test's own, on a Unix socket: no port to collide on. Over TLS it needs one.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::certificate::Certificate;
use crate::process;
use crate::wait::eventually;

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Redis {
    dir: TempDir,
    child: Child,
}

impl Redis {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// When `redis-server` is not installed or does not start.
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("isopod-redis-").tempdir().unwrap();
        let child = spawn(&dir);
        let redis = Self { dir, child };
        redis.wait().await;
        redis
    }

    /// Starts a server that takes TLS alone, and shows this certificate; beside it what it is asked on by the test.
    ///
    /// # Panics
    /// When `redis-server` is not installed or does not start.
    pub async fn start_with_tls(certificate: &Certificate) -> (Self, String) {
        let dir = tempfile::Builder::new().prefix("isopod-redis-").tempdir().unwrap();
        // Another process may take the port before the server does; then it ends, and the wait for its socket fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = command(&dir);
        command.args(["--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(&certificate.chain);
        command.arg("--tls-key-file").arg(&certificate.key);
        command.arg("--tls-ca-cert-file").arg(&certificate.chain);
        let redis = Self { child: spawned(command), dir };
        redis.wait().await;
        (redis, format!("rediss://127.0.0.1:{port}"))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Kills it as the kernel's memory killer would.
    ///
    /// # Panics
    /// When it is gone already.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
        std::fs::remove_file(self.socket()).unwrap();
    }

    /// Stops it where it is: connections stay and nothing is answered.
    ///
    /// # Panics
    /// When it is gone.
    pub fn freeze(&self) {
        process::signal(self.pid(), Signal::SIGSTOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it is gone.
    pub fn thaw(&self) {
        process::signal(self.pid(), Signal::SIGCONT);
    }

    fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// Starts it again, at the same place and with nothing in it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.dir);
        self.wait().await;
    }

    /// The keys that it holds.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn keys(&self) -> Vec<String> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    async fn wait(&self) {
        eventually("Redis takes connections", async || UnixStream::connect(self.socket()).await.ok()).await;
    }
}

fn spawn(dir: &TempDir) -> Child {
    spawned(command(dir))
}

fn command(dir: &TempDir) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(dir.path().join("redis.sock"))
        .arg("--dir")
        .arg(dir.path());
    command
}

fn spawned(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server, of Debian's package of that name")
}

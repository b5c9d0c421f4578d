//! NATS servers of the test's own, machines to run workers on, and such workers.
//!
//! A machine is a network namespace with a line to a bridge, where the kernel lets this process make them; a server is
//! then reached over the bridge. Elsewhere each machine is a server of its own on the loopback interface, and the
//! servers are a cluster.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::logs::Logs;
use crate::process;
use crate::wait::eventually;

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Nats {
    dir: TempDir,
    host: String,
    port: u16,
    config: String,
    child: Child,
}

impl Nats {
    /// A server on the loopback interface with these lines in its configuration, once it takes connections.
    ///
    /// # Panics
    /// When `nats-server` is not installed or does not start.
    pub async fn start(config: &str) -> Self {
        Self::start_at("127.0.0.1", config).await
    }

    async fn start_at(host: &str, config: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("isopod-nats-").tempdir().unwrap();
        let port = free_port(host);
        let child = spawn(&dir, host, port, config);
        let nats = Self { dir, host: host.into(), port, config: config.into(), child };
        nats.wait().await;
        nats
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    /// Kills it as the kernel's memory killer would.
    ///
    /// # Panics
    /// When it is gone already.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again at the same place.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.dir, &self.host, self.port, &self.config);
        self.wait().await;
    }

    async fn wait(&self) {
        let address = (self.host.clone(), self.port);
        eventually("NATS takes connections", async || TcpStream::connect(address.clone()).await.ok()).await;
    }
}

/// A port that nobody has now. The server is told it: it does not say which one it would have taken.
fn free_port(host: &str) -> u16 {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

fn spawn(dir: &TempDir, host: &str, port: u16, config: &str) -> Child {
    let path = dir.path().join("nats.conf");
    std::fs::write(&path, config).unwrap();
    Command::new("nats-server")
        .args(["--addr", host, "--port", &port.to_string(), "--config"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats-server, of Debian's package of that name")
}

/// Two machines that share a cluster of NATS, and the machine of the test itself.
#[derive(Debug)]
pub struct Machines {
    servers: Vec<Nats>,
    network: Option<Network>,
}

impl Machines {
    /// Two machines.
    pub async fn two() -> Self {
        if let Some(network) = Network::make() {
            let servers = vec![Nats::start_at(&network.address(), "").await];
            return Self { servers, network: Some(network) };
        }
        let routes = [free_port("127.0.0.1"), free_port("127.0.0.1")];
        let mut servers = Vec::new();
        for own in routes {
            let others: Vec<_> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
            let config = format!(
                "cluster {{ name: tests, listen: \"127.0.0.1:{own}\", routes: [{}] }}",
                others.join(", ")
            );
            servers.push(Nats::start(&config).await);
        }
        Self { servers, network: None }
    }

    /// Where the test's own machine reaches NATS.
    pub fn url(&self) -> String {
        self.servers[0].url()
    }

    /// A worker on one of them, 0 or 1, that writes down what it does in `record`.
    pub async fn worker(&self, machine: usize, program: &str, record: &Path) -> RemoteWorker {
        let mut start = StartWorker::of(program, &self.servers[machine % self.servers.len()].url());
        start.record = Some(record.into());
        start.namespace = self.network.as_ref().map(|network| network.namespaces[machine].clone());
        start.spawn().await
    }

    /// Cuts a machine off. False where machines are not apart and cannot be.
    pub fn cut_off(&self, machine: usize) -> bool {
        self.network.as_ref().is_some_and(|network| ip(&["link", "set", &network.lines[machine], "down"]))
    }
}

/// A bridge, and namespaces with a line to it. Removed when it is dropped.
#[derive(Debug)]
struct Network {
    bridge: String,
    subnet: u32,
    namespaces: Vec<String>,
    lines: Vec<String>,
}

impl Network {
    fn make() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let subnet = (pid.wrapping_mul(7).wrapping_add(number)) % 250;
        let bridge = format!("ib{pid}-{number}");
        if !ip(&["link", "add", &bridge, "type", "bridge"]) {
            return None;
        }
        let mut network = Self { bridge, subnet, namespaces: Vec::new(), lines: Vec::new() };
        let is_made = network.address_and_open() && (0..2).all(|machine| network.add(pid, number, machine));
        is_made.then_some(network)
    }

    fn address(&self) -> String {
        format!("10.231.{}.1", self.subnet)
    }

    fn address_and_open(&self) -> bool {
        let address = format!("{}/24", self.address());
        ip(&["addr", "add", &address, "dev", &self.bridge]) && ip(&["link", "set", &self.bridge, "up"])
    }

    fn add(&mut self, pid: u32, number: u32, machine: usize) -> bool {
        let namespace = format!("isopod-{pid}-{number}-{machine}");
        let (here, there) = (format!("ih{pid}-{number}{machine}"), format!("it{pid}-{number}{machine}"));
        if !ip(&["netns", "add", &namespace]) {
            return false;
        }
        self.namespaces.push(namespace.clone());
        self.lines.push(here.clone());
        let address = format!("10.231.{}.{}/24", self.subnet, machine + 2);
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &namespace])
            && ip(&["link", "set", &here, "master", &self.bridge])
            && ip(&["link", "set", &here, "up"])
            && ip(&["-n", &namespace, "addr", "add", &address, "dev", &there])
            && ip(&["-n", &namespace, "link", "set", &there, "up"])
            && ip(&["-n", &namespace, "link", "set", "lo", "up"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for line in &self.lines {
            ip(&["link", "del", line]);
        }
        for namespace in &self.namespaces {
            ip(&["netns", "del", namespace]);
        }
        ip(&["link", "del", &self.bridge]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let mut command = StdCommand::new("ip");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A worker that is to join by NATS.
#[derive(Debug)]
pub struct StartWorker {
    program: OsString,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    record: Option<OsString>,
    namespace: Option<String>,
}

impl StartWorker {
    /// A worker of this program at this server.
    pub fn of(program: &str, url: &str) -> Self {
        Self {
            program: program.into(),
            flags: vec!["--nats".into(), url.into()],
            variables: Vec::new(),
            record: None,
            namespace: None,
        }
    }

    /// A worker that cargo has put beside the gateway, at this server.
    pub fn built(name: &str, url: &str) -> Self {
        let command = crate::gateway::Gateway::command_of(name);
        Self { program: command.as_std().get_program().to_owned(), ..Self::of(name, url) }
    }

    /// It writes down what it does in this file.
    #[must_use]
    pub fn record(mut self, path: &Path) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.into(), value.into()]);
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn start(self) -> (Child, Logs) {
        let mut command = match &self.namespace {
            // Replaces itself by the program, so that a signal to it is one to the program.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(self.flags).envs(self.variables).stdin(Stdio::null()).stderr(Stdio::piped());
        command.env("RECORD", self.record.unwrap_or_else(|| "/dev/null".into()));
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let log = Logs::of(child.stderr.take().unwrap());
        (child, log)
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it ends instead; shows its log.
    pub async fn spawn(self) -> RemoteWorker {
        let (child, log) = self.start();
        let serves = log.find(|line| line.contains("serves over NATS").then_some(())).await;
        assert!(serves.is_some(), "the worker has ended:\n{log}");
        RemoteWorker { child, log }
    }

    /// Starts it and waits for its end: the exit code, and what it said.
    ///
    /// # Panics
    /// When it is killed.
    pub async fn fail(self) -> (i32, Logs) {
        let (mut child, log) = self.start();
        let status = child.wait().await.unwrap();
        log.find(|_| None::<()>).await;
        (status.code().unwrap(), log)
    }
}

/// A worker that has joined. Dropping it kills the process.
#[derive(Debug)]
pub struct RemoteWorker {
    child: Child,
    /// What it wrote.
    pub log: Logs,
}

impl RemoteWorker {
    /// Its process id.
    ///
    /// # Panics
    /// When it is gone.
    pub fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// Kills it as the kernel's memory killer would.
    ///
    /// # Panics
    /// When it is gone already.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it has: its exit code.
    ///
    /// # Panics
    /// When it is gone already, or is killed.
    pub async fn stop(mut self) -> i32 {
        process::signal(self.pid(), Signal::SIGTERM);
        self.child.wait().await.unwrap().code().unwrap()
    }
}

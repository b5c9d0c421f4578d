//! A cluster to be started.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::app::Served;
use crate::cluster::{Cluster, Files};
use crate::exit::Exit;
use crate::gateway::{Gateway, START};
use crate::older_kernel;

/// Settings of a cluster. What nobody sets is the gateway's default, except that all ports are free ones.
#[derive(Debug)]
pub struct ClusterBuilder {
    served: Served,
    listen: String,
    renderers: usize,
    spares: usize,
    isolates: usize,
    fn_workers: usize,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    config: String,
    program: String,
    without_landlock: bool,
}

impl ClusterBuilder {
    pub(crate) fn of(served: Served) -> Self {
        Self {
            served,
            listen: "127.0.0.1:0".into(),
            renderers: 1,
            spares: 0,
            isolates: 1,
            fn_workers: 1,
            flags: Vec::new(),
            variables: Vec::new(),
            config: String::new(),
            program: "gateway".into(),
            without_landlock: false,
        }
    }

    /// Where clients connect; default: a free port.
    #[must_use]
    pub fn listen(mut self, listen: &str) -> Self {
        self.listen = listen.into();
        self
    }

    /// How many renderer processes; default 1.
    #[must_use]
    pub fn renderers(mut self, renderers: usize) -> Self {
        self.renderers = renderers;
        self
    }

    /// How many spare renderers; default none, unlike the gateway's.
    #[must_use]
    pub fn spares(mut self, spares: usize) -> Self {
        self.spares = spares;
        self
    }

    /// How many isolates in each; default 1.
    #[must_use]
    pub fn isolates(mut self, isolates: usize) -> Self {
        self.isolates = isolates;
        self
    }

    /// How many fn workers; default 1.
    #[must_use]
    pub fn fn_workers(mut self, fn_workers: usize) -> Self {
        self.fn_workers = fn_workers;
        self
    }

    /// Sets a variable that the app may see.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.flag("--env", name).variable(name, value)
    }

    /// Sets a variable of the gateway's environment alone.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Adds lines to the configuration file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Runs another program than `gateway`, built on it.
    #[must_use]
    pub fn program(mut self, name: &str) -> Self {
        self.program = name.into();
        self
    }

    /// Lets the kernel appear as one that does not have landlock.
    #[must_use]
    pub fn without_landlock(mut self) -> Self {
        self.without_landlock = true;
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.into(), value.into()]);
        self
    }

    /// Starts the cluster and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead, or does not listen within a minute; shows its log.
    pub async fn start(self) -> Cluster {
        let (isolates, fn_workers) = (self.renderers * self.isolates, self.fn_workers);
        let (gateway, files) = self.spawn();
        match timeout(START, gateway.stdout.find(addresses)).await {
            Ok(Some((listen, admin))) => Cluster::new(gateway, listen, admin, isolates, fn_workers, files),
            _ => panic!("the gateway does not listen:\n{}{}", gateway.stdout, gateway.stderr),
        }
    }

    /// Starts a gateway that is meant to end by itself.
    ///
    /// # Panics
    /// When it runs on; shows its log.
    pub async fn start_to_end(self) -> Exit {
        let (gateway, _files) = self.spawn();
        gateway.exit(&[]).await
    }

    /// Kills the gateway once its child processes run, and asserts that none of them is left.
    ///
    /// # Panics
    /// When no child comes up, or one is left.
    pub async fn kill_while_it_starts(self) -> Exit {
        let children = self.renderers + self.fn_workers;
        let (gateway, _files) = self.spawn();
        gateway.kill_with_children(children).await
    }

    fn spawn(self) -> (Gateway, Files) {
        let mut command = Gateway::command_of(&self.program);
        command.arg("--app").arg(self.served.dir());
        command.args(["--listen", &self.listen, "--admin", "127.0.0.1:0"]);
        command.args(["--renderers", &self.renderers.to_string(), "--isolates", &self.isolates.to_string()]);
        command.args(["--spares", &self.spares.to_string()]);
        command.args(["--fn-workers", &self.fn_workers.to_string()]).args(&self.flags);
        let dir: TempDir = tempfile::Builder::new().prefix("isopod-config-").tempdir().unwrap();
        if !self.config.is_empty() {
            let path = dir.path().join("gateway.toml");
            std::fs::write(&path, &self.config).unwrap();
            command.arg("--config").arg(path);
        }
        command.envs(self.variables);
        if self.without_landlock {
            older_kernel::hide_landlock(&mut command);
        }
        (Gateway::spawn(command), Files { _config: dir, _served: self.served })
    }
}

/// Where a cluster's clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// With or without TLS.
    Tcp { scheme: &'static str, address: SocketAddr },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Reads `listening on http://ADDR (admin http://ADDR)`, also with `https`, or with `unix:PATH` in the first place.
fn addresses(line: &str) -> Option<(Place, SocketAddr)> {
    let (listen, admin) = line.strip_prefix("listening on ")?.split_once(" (admin http://")?;
    let tcp = |scheme: &'static str| {
        let address = listen.strip_prefix(scheme)?.strip_prefix("://")?.parse().ok()?;
        Some(Place::Tcp { scheme, address })
    };
    let unix = || listen.strip_prefix("unix:").map(|path| Place::Unix(path.into()));
    let place = tcp("http").or_else(|| tcp("https")).or_else(unix)?;
    Some((place, admin.strip_suffix(')')?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_ready_gateway_is_understood() {
        let place = |listen: &str| addresses(&format!("listening on {listen} (admin http://127.0.0.1:9090)"));
        let address = "127.0.0.1:3000".parse().unwrap();
        let (plain, admin) = place("http://127.0.0.1:3000").unwrap();
        assert_eq!((plain, admin.port()), (Place::Tcp { scheme: "http", address }, 9090));
        assert_eq!(place("https://127.0.0.1:3000").unwrap().0, Place::Tcp { scheme: "https", address });
        assert_eq!(place("unix:/run/x.sock").unwrap().0, Place::Unix("/run/x.sock".into()));
        assert_eq!(addresses("listening"), None);
    }
}

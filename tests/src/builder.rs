//! A cluster to be started.

use std::net::SocketAddr;

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
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
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

/// Reads `listening on http://ADDR (admin http://ADDR)`.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (listen, admin) = line.strip_prefix("listening on http://")?.split_once(" (admin http://")?;
    Some((listen.parse().ok()?, admin.strip_suffix(')')?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_ready_gateway_is_understood() {
        let (listen, admin) =
            addresses("listening on http://127.0.0.1:3000 (admin http://127.0.0.1:9090)").unwrap();
        assert_eq!((listen.port(), admin.port()), (3000, 9090));
        assert_eq!(addresses("listening"), None);
    }
}

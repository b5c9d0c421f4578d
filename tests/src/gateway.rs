//! One gateway process.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::exit::Exit;
use crate::logs::Logs;
use crate::process;
use crate::wait::eventually;

/// How long a gateway may take until it listens, or, when it is meant to end, until it has.
pub(crate) const START: Duration = Duration::from_secs(60);

/// A gateway process and what it says. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pub(crate) stdout: Logs,
    pub(crate) stderr: Logs,
}

impl Gateway {
    /// The gateway's program with an empty environment. `ISOPOD_BIN_DIR` says where it is; default: where cargo
    /// put this test.
    pub(crate) fn command() -> Command {
        Self::command_of("gateway")
    }

    /// The program of this name, which is a gateway too.
    pub(crate) fn command_of(program: &str) -> Command {
        let beside_this_test = || {
            let test = std::env::current_exe().unwrap();
            test.parent().and_then(|deps| deps.parent()).unwrap().to_path_buf()
        };
        let dir = std::env::var_os("ISOPOD_BIN_DIR").map_or_else(beside_this_test, PathBuf::from);
        let mut command = Command::new(dir.join(program));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "{}: {error}: build it first: cargo build -p gateway -p fn-workers -p renderer-pool",
                program.display()
            )
        });
        let stdout = Logs::of(child.stdout.take().unwrap());
        let stderr = Logs::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Runs the gateway's program with these arguments alone, to its end.
    ///
    /// # Panics
    /// When it runs on.
    pub async fn run(args: &[&str]) -> Exit {
        let mut command = Self::command();
        command.args(args);
        Self::spawn(command).exit(&[]).await
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it was reaped already.
    pub fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// Waits until it has ended, and asserts that none of these children of its is left.
    ///
    /// # Panics
    /// When it runs on, or a child does.
    pub async fn exit(mut self, children: &[i32]) -> Exit {
        let status: ExitStatus = match timeout(START, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("the gateway runs on:\n{}{}", self.stdout, self.stderr),
        };
        eventually("no child is left", async || {
            children.iter().all(|pid| !process::is_alive(*pid)).then_some(())
        })
        .await;
        self.stdout.end().await;
        self.stderr.end().await;
        Exit { status, stdout: self.stdout.to_string(), stderr: self.stderr.to_string() }
    }

    /// Kills it once it has so many child processes, and asserts that none of them is left.
    pub(crate) async fn kill_with_children(self, children: usize) -> Exit {
        let pid = self.pid();
        let children = eventually("all children run", async || {
            Some(process::descendants(pid)).filter(|found| found.len() >= children)
        })
        .await;
        process::signal(pid, Signal::SIGKILL);
        self.exit(&children).await
    }
}

//! A server process that a stage or a bench needs for a while.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::error::Failure;
use crate::progress;

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to end; the gateway drains for up to 30 s.
const END_WITHIN: Duration = Duration::from_secs(45);

/// The time between two attempts to connect to a server that says nothing.
const CONNECT_STEP: Duration = Duration::from_millis(100);
/// How many of its last lines are shown when it fails.
const SHOWN_LOG_LINES: usize = 40;

/// A server that is ready; it is killed when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    address: String,
    admin: Option<String>,
}

impl Server {
    /// Starts a server and waits for the line `listening on URL` on its standard output. All that it writes goes to
    /// the log; `name` is for failures.
    ///
    /// # Errors
    ///
    /// When it ends or stays silent instead.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Self, Failure> {
        let (mut command, log_file) = logged(command, log)?;
        let mut child = command.spawn().map_err(Failure::spawn(&command))?;
        let stdout = child.stdout.take();
        // From here on a failure drops it, which ends the process.
        let mut server =
            Self { name: name.to_owned(), child, log: log.to_owned(), address: String::new(), admin: None };
        let said = stdout.map(|stdout| follow(stdout, log_file));
        match said.map(|address| address.recv_timeout(READY_WITHIN)) {
            Some(Ok(line)) => {
                server.address = listening(&line).unwrap_or_default().to_owned();
                server.admin = admin(&line).map(str::to_owned);
                Ok(server)
            }
            Some(Err(RecvTimeoutError::Timeout)) => {
                Err(server.problem(format!("was not ready within {} s", READY_WITHIN.as_secs())))
            }
            _ => match server.wait_at_most(END_WITHIN)? {
                Some(status) => Err(server.problem(format!("ended before it was ready: {status}"))),
                None => Err(server.problem("closed its output before it was ready".to_owned())),
            },
        }
    }

    /// Starts a server that says nothing and waits until it takes connections at `address`, `http://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// When it ends instead, or takes none in time.
    pub fn start_at(name: &str, command: Command, log: &Path, address: &str) -> Result<Self, Failure> {
        let (mut command, log_file) = logged(command, log)?;
        command.stdout(log_file);
        let child = command.spawn().map_err(Failure::spawn(&command))?;
        let mut server = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            address: address.to_owned(),
            admin: None,
        };
        let place = address.trim_start_matches("http://").to_owned();
        let mut waited = Duration::ZERO;
        while TcpStream::connect(&place).is_err() {
            if let Some(status) = server.wait_at_most(CONNECT_STEP)? {
                return Err(server.problem(format!("ended before it was ready: {status}")));
            }
            waited += CONNECT_STEP;
            if waited >= READY_WITHIN {
                return Err(server.problem(format!("was not ready within {} s", READY_WITHIN.as_secs())));
            }
        }
        Ok(server)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks it to end and requires that it does so in time and well.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn stop(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        let pid = pid.map_err(|error| self.problem(format!("has an impossible process id: {error}")))?;
        kill(pid, Signal::SIGTERM).map_err(|error| self.problem(format!("cannot be signalled: {error}")))?;
        match self.wait_at_most(END_WITHIN)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.problem(format!("did not end well after SIGTERM: {status}"))),
            None => Err(self.problem(format!("did not end within {} s of SIGTERM", END_WITHIN.as_secs()))),
        }
    }

    /// `http://127.0.0.1:PORT` of its admin port, where it says that it has one.
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    fn wait_at_most(&mut self, time: Duration) -> Result<Option<ExitStatus>, Failure> {
        const STEP: Duration = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        while waited < time {
            let ended = self.child.try_wait();
            if let Some(status) = ended.map_err(|error| self.problem(format!("is lost: {error}")))? {
                return Ok(Some(status));
            }
            thread::sleep(STEP);
            waited += STEP;
        }
        Ok(None)
    }

    /// Shows the end of its log, which a reader of CI's output cannot open.
    fn problem(&self, problem: String) -> Failure {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..] {
            progress::say(&format!("{}: {line}", self.name));
        }
        Failure::Server { name: self.name.clone(), problem, log: self.log.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted. What it started is of its group and ends with it.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ended = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Both outputs go to the log; xtask reads the one with the address on its way.
fn logged(mut command: Command, log: &Path) -> Result<(Command, File), Failure> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory).map_err(Failure::file("create", directory))?;
    }
    let file = File::create(log).map_err(Failure::file("write", log))?;
    let copy = file.try_clone().map_err(Failure::file("write", log))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(copy).process_group(0);
    // SAFETY: the closure runs between fork and exec and makes one system call, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from));
    }
    Ok((command, file))
}

/// Copies the output to the log until its end; the first line with an address goes to the receiver.
fn follow(stdout: ChildStdout, mut log: File) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut sender = Some(sender);
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // The log is for a reader after a failure; the stage does not depend on it.
            let _unread = writeln!(log, "{line}");
            if listening(&line).is_some()
                && let Some(sender) = sender.take()
            {
                let _gone = sender.try_send(line.into_owned());
            }
        }
    });
    receiver
}

/// `listening on http://ADDR (admin http://ADDR)`, as the gateway says it, or `listening on http://ADDR/`.
fn listening(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ")?
        .split(' ')
        .next()
        .map(|address| address.trim_end_matches('/'))
        .filter(|a| a.starts_with("http"))
}

fn admin(line: &str) -> Option<&str> {
    line.split_once(" (admin ")?.1.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::path::Path;
    use std::process::Command;

    use super::{Server, admin, listening};

    fn start(script: &str, directory: &Path) -> Result<Server, crate::error::Failure> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Server::start("the server", command, &directory.join("server.log"))
    }

    #[test]
    fn a_server_is_ready_when_it_says_so_and_ends_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let script =
            "trap 'exit 0' TERM; echo listening on http://127.0.0.1:1/; while :; do sleep 0.02; done";
        let server = start(script, directory.path()).unwrap();
        assert_eq!(server.address(), "http://127.0.0.1:1");
        server.stop().unwrap();
    }

    #[test]
    fn a_server_that_does_not_end_well_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let script =
            "trap 'exit 3' TERM; echo listening on http://127.0.0.1:1/; while :; do sleep 0.02; done";
        let failure = start(script, directory.path()).unwrap().stop().unwrap_err();
        assert!(failure.to_string().contains("exit status: 3"), "{failure}");
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_reported_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let failure = start("echo no bundle >&2; exit 65", directory.path()).unwrap_err();
        assert!(failure.to_string().contains("exit status: 65"), "{failure}");
        assert!(failure.remedy().unwrap().contains("server.log"));
    }

    #[test]
    fn what_a_server_started_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!("sleep 60 > {} & echo listening on http://127.0.0.1:1/; wait", pipe.display());
        let server = start(&script, directory.path()).unwrap();
        // Opens when the other side has; ends when nobody holds the other side.
        let mut pipe = File::open(&pipe).unwrap();
        drop(server);
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_silent_server_is_ready_when_it_takes_connections() {
        let directory = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let start = |script: &str, address: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Server::start_at("the server", command, &directory.path().join("silent.log"), address)
        };
        assert_eq!(start("sleep 60", &address).unwrap().address(), address);
        // Nobody takes connections there, whatever else this machine does.
        let failure = start("exit 3", "http://127.0.0.1:1").unwrap_err();
        assert!(failure.to_string().contains("exit status: 3"), "{failure}");
    }

    #[test]
    fn the_ready_line_holds_the_public_address() {
        assert_eq!(
            listening("listening on http://127.0.0.1:41234 (admin http://127.0.0.1:41235)"),
            Some("http://127.0.0.1:41234")
        );
        assert_eq!(
            admin("listening on http://a:1 (admin http://127.0.0.1:41235)"),
            Some("http://127.0.0.1:41235")
        );
        assert_eq!(admin("listening on http://127.0.0.1:3000/"), None);
        assert_eq!(listening("listening on http://127.0.0.1:3000/"), Some("http://127.0.0.1:3000"));
        assert_eq!(listening("INFO listening on http://127.0.0.1:1"), None);
        assert_eq!(listening("listening on a socket"), None);
    }
}

//! A renderer process, spoken to over the wire as a gateway does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use shared::head::{HandlerOptions, RequestHead};
use shared::inherited::ChildArgs;
use shared::link::Channel;
use shared::logging::LogFormat;
use shared::message::control::{CodeUse, StartPhases};
use shared::message::{FromChild, FromRenderer, ToChild, ToRenderer};
use shared::setup::{CodeCacheSetup, RendererSetup, Setup};
use shared::window::ReceiveWindow;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::{MAX_CONCURRENCY, Page, Renders, USER_AGENT};
use crate::error::BenchFailure;
use crate::machine;

/// A renderer with one isolate; killed when dropped.
#[derive(Debug)]
pub struct Renderer {
    process: Process,
    link: Channel<ToRenderer, FromRenderer>,
    next_id: u64,
}

/// A renderer's process that has not been told what to be.
#[derive(Debug)]
pub struct Process {
    tokio: Runtime,
    child: Child,
    control: Channel<ToChild, FromChild>,
    link: Option<StdUnixStream>,
    scratch: TempDir,
}

impl Process {
    /// Starts a process, on one core if told so.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(program: &Path, core: Option<usize>) -> Result<Self, BenchFailure> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
        let (control, control_end) = StdUnixStream::pair().map_err(broken)?;
        let (link, link_end) = StdUnixStream::pair().map_err(broken)?;
        let args = ChildArgs {
            control: inheritable(&control_end.into()).map_err(broken)?,
            links: vec![vec![inheritable(&link_end.into()).map_err(broken)?]],
            log_filter: "warn".to_owned(),
            log_format: LogFormat::Text,
        };
        let mut command = Command::new(program);
        command.args(args.to_args());
        if let Some(core) = core {
            command = machine::pinned(core, &command);
        }
        let child = command.stdin(Stdio::null()).spawn().map_err(broken)?;
        for end in [args.control, args.links[0][0]] {
            nix::unistd::close(end).map_err(|errno| broken(errno.into()))?;
        }
        let scratch = tempfile::tempdir().map_err(broken)?;
        let control = {
            let _inside = tokio.enter();
            channel(control).map_err(broken)?
        };
        Ok(Self { tokio, child, control, link: Some(link), scratch })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it which app to prepare for, without loading it.
    ///
    /// # Errors
    ///
    /// When it does not hear.
    pub fn prepare(
        &mut self,
        dist: &Path,
        cache: Option<&Path>,
        v8_flags: Vec<String>,
    ) -> Result<(), BenchFailure> {
        let setup = RendererSetup { waits: true, ..self.setup(dist, cache, v8_flags) };
        self.tell(&ToChild::Setup(Setup::Renderer(setup)))
    }

    /// Tells one that is prepared to load the app and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn load_prepared(&mut self) -> Result<(CodeUse, StartPhases), BenchFailure> {
        self.tell(&ToChild::Load)?;
        self.ready()
    }

    /// Tells it which app to load and waits until it has; returns where the app's code came from, and what
    /// the start of the isolate went into.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn load(
        &mut self,
        dist: &Path,
        cache: Option<&Path>,
        v8_flags: Vec<String>,
    ) -> Result<(CodeUse, StartPhases), BenchFailure> {
        let setup = self.setup(dist, cache, v8_flags);
        self.tell(&ToChild::Setup(Setup::Renderer(setup)))?;
        self.ready()
    }

    fn setup(&self, dist: &Path, cache: Option<&Path>, v8_flags: Vec<String>) -> RendererSetup {
        RendererSetup {
            max_jobs_per_isolate: MAX_CONCURRENCY,
            code_cache: cache
                .map(|directory| CodeCacheSetup { directory: directory.to_owned(), max_bytes: 256 << 20 }),
            v8_flags,
            ..RendererSetup::new(dist, self.scratch.path())
        }
    }

    fn tell(&mut self, message: &ToChild) -> Result<(), BenchFailure> {
        let sent = self.tokio.block_on(self.control.send(message));
        sent.map_err(|error| broken(io::Error::other(error)))
    }

    fn ready(&mut self) -> Result<(CodeUse, StartPhases), BenchFailure> {
        let (tokio, control) = (&self.tokio, &mut self.control);
        tokio
            .block_on(async {
                loop {
                    match control.receive().await.map_err(io::Error::other)? {
                        Some(FromChild::Sandboxed(_)) => {}
                        Some(FromChild::IsolateReady { code, phases, .. }) => break Ok((code, phases)),
                        other => break Err(io::Error::other(format!("{other:?}"))),
                    }
                }
            })
            .map_err(broken)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends with its links anyway.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Renderer {
    /// Starts a renderer on one core, with flags of V8, and waits until it has loaded the app.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(
        program: &Path,
        dist: &Path,
        core: usize,
        v8_flags: Vec<String>,
    ) -> Result<Self, BenchFailure> {
        let mut process = Process::spawn(program, Some(core))?;
        process.load(dist, None, v8_flags)?;
        Self::of(process)
    }

    /// Talks to the isolate of a process that has loaded its app.
    ///
    /// # Errors
    ///
    /// When it has no link.
    pub fn of(mut process: Process) -> Result<Self, BenchFailure> {
        let link = process.link.take().ok_or_else(|| broken(io::Error::other("has no link")))?;
        let link = {
            let _inside = process.tokio.enter();
            channel(link).map_err(broken)?
        };
        Ok(Self { process, link, next_id: 0 })
    }
}

fn broken(error: io::Error) -> BenchFailure {
    BenchFailure::Render { who: "isopod", problem: error.to_string() }
}

/// The number of a descriptor that the next child inherits and that stays open here until it is closed by number.
fn inheritable(end: &OwnedFd) -> io::Result<RawFd> {
    let copy = nix::unistd::dup(end)?;
    fcntl(&copy, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let number = copy.as_raw_fd();
    std::mem::forget(copy);
    Ok(number)
}

fn channel<Out: shared::message::Message, In: shared::message::Message>(
    stream: StdUnixStream,
) -> io::Result<Channel<Out, In>> {
    stream.set_nonblocking(true)?;
    Ok(Channel::new(UnixStream::from_std(stream)?))
}

fn head(path: &str) -> RequestHead {
    let fields = [("host", "localhost:3000"), ("user-agent", USER_AGENT), ("accept", "text/html")];
    RequestHead {
        method: "GET".into(),
        url: format!("http://localhost:3000{path}").into(),
        client_ip: "127.0.0.1".into(),
        request_id: "bench".into(),
        has_body: false,
        options: HandlerOptions::default(),
        headers: fields.map(|(name, value)| (name.into(), value.into())).into(),
    }
}

/// Keeps the page's number of jobs under way until `count` have ended; returns the bytes of all bodies.
async fn drive(
    link: &mut Channel<ToRenderer, FromRenderer>,
    next_id: &mut u64,
    page: &Page,
    count: usize,
) -> io::Result<usize> {
    let (mut started, mut ended, mut bytes_read) = (0, 0, 0);
    let mut windows: BTreeMap<u64, ReceiveWindow> = BTreeMap::new();
    while ended < count {
        while started < count && started - ended < page.concurrency {
            *next_id += 1;
            link.queue(&ToRenderer::Job { id: *next_id, head: head(page.path) });
            windows.insert(*next_id, ReceiveWindow::default());
            started += 1;
        }
        link.flush().await.map_err(io::Error::other)?;
        match link.receive().await.map_err(io::Error::other)? {
            Some(FromRenderer::Head { head, .. }) if head.status != 200 => {
                return Err(io::Error::other(format!("{} answers {}", page.path, head.status)));
            }
            Some(FromRenderer::Body { id, bytes }) => {
                bytes_read += bytes.len();
                let Some(window) = windows.get_mut(&id) else { continue };
                window.received(bytes.len()).map_err(io::Error::other)?;
                if let Some(credit) = window.consumed(bytes.len()) {
                    let bytes = u32::try_from(credit).unwrap_or(u32::MAX);
                    link.queue(&ToRenderer::Credit { id, bytes });
                }
            }
            Some(FromRenderer::End { id }) => {
                windows.remove(&id);
                ended += 1;
            }
            Some(FromRenderer::Failed { failure, .. }) => return Err(io::Error::other(failure.detail)),
            Some(_) => {}
            None => return Err(io::Error::other("the renderer has gone")),
        }
    }
    Ok(bytes_read)
}

impl Renders for Renderer {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn render(&mut self, page: &Page, count: usize) -> Result<usize, BenchFailure> {
        let driven = drive(&mut self.link, &mut self.next_id, page, count);
        let bytes = self.process.tokio.block_on(driven).map_err(broken)?;
        Ok(bytes / count.max(1))
    }
}

//! A real `renderer-pool` process, spoken to over the wire as the gateway does.

#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../../tests/src/services.rs"]
pub mod services;

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use shared::head::{HandlerOptions, RequestHead};
use shared::inherited::ChildArgs;
use shared::link::Channel;
use shared::logging::LogFormat;
use shared::message::control::{IdleTime, LoadFailure};
use shared::message::{FromChild, FromRenderer, ToChild, ToRenderer};
use shared::setup::{CodeCacheSetup, IsolateLimits, RendererSetup, Setup};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// So long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What renderers log.
const WARNINGS: &str = "warn";

/// A renderer with one isolate and one link.
pub struct Renderer {
    pub control: Channel<ToChild, FromChild>,
    pub link: Channel<ToRenderer, FromRenderer>,
    pub process: Child,
    /// The lines that it logs; those of a [`Renderer::limited`] or [`Renderer::talkative`] one alone.
    log: Option<Lines<BufReader<ChildStderr>>>,
    _app: Option<TempDir>,
    scratch: TempDir,
}

/// An app of these files.
pub fn app(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}

fn socket_pair() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (UnixStream::from_std(ours).unwrap(), theirs.into())
}

/// Lets a child inherit `fd`.
fn inheritable(fd: &OwnedFd) -> i32 {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    fd.as_raw_fd()
}

impl Renderer {
    /// A renderer for the app, which is gone afterwards.
    pub async fn spawn(app: TempDir) -> Self {
        let renderer = Self::spawn_with(app.path(), &[]).await;
        Self { _app: Some(app), ..renderer }
    }

    /// A renderer for the app with these limits and so many bytes of heap, whose log can be read.
    pub async fn limited(app: TempDir, limits: IsolateLimits, max_heap_bytes: u64) -> Self {
        let setup = RendererSetup { limits, max_heap_bytes, ..setup(app.path()) };
        Self { _app: Some(app), ..Self::logging(setup, WARNINGS).await }
    }

    /// A renderer of this setup whose log can be read, also what is of interest in a search for faults alone.
    pub async fn talkative(setup: RendererSetup) -> Self {
        Self::logging(setup, "renderer_pool=debug").await
    }

    async fn logging(setup: RendererSetup, log_filter: &str) -> Self {
        let mut renderer = Self::start(setup, Stdio::piped(), log_filter).await;
        renderer.log = renderer.process.stderr.take().map(|log| BufReader::new(log).lines());
        renderer
    }

    /// A renderer for the app in a directory, with these variables.
    pub async fn spawn_with(app: &Path, env: &[(&str, &str)]) -> Self {
        Self::spawn_cached(app, env, None).await
    }

    /// The same, with compiled code kept in a directory.
    pub async fn spawn_cached(app: &Path, env: &[(&str, &str)], cache: Option<&Path>) -> Self {
        let mut setup = setup(app);
        setup.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        setup.code_cache =
            cache.map(|directory| CodeCacheSetup { directory: directory.to_owned(), max_bytes: 64 << 20 });
        Self::spawn_setup(setup).await
    }

    /// A renderer of this setup.
    pub async fn spawn_setup(setup: RendererSetup) -> Self {
        Self::start(setup, Stdio::inherit(), WARNINGS).await
    }

    async fn start(setup: RendererSetup, log: Stdio, log_filter: &str) -> Self {
        let (control, control_fd) = socket_pair();
        let (link, link_fd) = socket_pair();
        let args = ChildArgs {
            control: inheritable(&control_fd),
            links: vec![vec![inheritable(&link_fd)]],
            log_filter: log_filter.into(),
            log_format: LogFormat::Text,
        };
        let process = Command::new(env!("CARGO_BIN_EXE_renderer-pool"))
            .args(args.to_args())
            .env_clear()
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        drop((control_fd, link_fd));
        let mut control = Channel::new(control);
        let scratch = tempfile::tempdir().unwrap();
        let setup = RendererSetup { scratch_dir: scratch.path().into(), ..setup };
        control.send(&ToChild::Setup(Setup::Renderer(setup))).await.unwrap();
        Self { control, link: Channel::new(link), process, log: None, _app: None, scratch }
    }

    /// The directory in which it may write.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A renderer for the app in a directory, ready.
    pub async fn ready(app: &Path, env: &[(&str, &str)]) -> Self {
        let mut renderer = Self::spawn_with(app, env).await;
        match renderer.report().await {
            FromChild::IsolateReady { .. } => renderer,
            other => panic!("{other:?}"),
        }
    }

    /// A renderer whose bundle is `fetch`'s body, ready.
    pub async fn with_fetch(body: &str) -> Self {
        Self::with_setup(body, |_| {}).await
    }

    /// The same, with what `change` makes of the setup.
    pub async fn with_setup(body: &str, change: impl FnOnce(&mut RendererSetup)) -> Self {
        Self::bundle(&format!("export default {{ async fetch(request, opts) {{ {body} }} }};"), change).await
    }

    /// A renderer of this bundle, ready.
    pub async fn bundle(source: &str, change: impl FnOnce(&mut RendererSetup)) -> Self {
        let app = app(&[("server/server.js", source)]);
        let mut setup = setup(app.path());
        change(&mut setup);
        let mut renderer = Self { _app: Some(app), ..Self::spawn_setup(setup).await };
        match renderer.report().await {
            FromChild::IsolateReady { .. } => renderer,
            other => panic!("{other:?}"),
        }
    }

    /// The next report, other than that it is locked in.
    pub async fn report(&mut self) -> FromChild {
        loop {
            let report = timeout(PATIENCE, self.control.receive()).await.expect("no report in time").unwrap();
            match report {
                Some(FromChild::Sandboxed(_) | FromChild::IsolateStats { .. }) => {}
                Some(report) => return report,
                None => panic!("the renderer has ended: {}", self.rest_of_log().await),
            }
        }
    }

    /// What it tells next of how long its thread was idle.
    pub async fn idle_time(&mut self) -> IdleTime {
        loop {
            let report = timeout(PATIENCE, self.control.receive()).await.expect("no report in time").unwrap();
            if let FromChild::IsolateStats { idle: Some(idle), .. } = report.expect("the renderer has ended")
            {
                return idle;
            }
        }
    }

    async fn rest_of_log(&mut self) -> String {
        let mut text = String::new();
        while let Some(log) = &mut self.log
            && let Some(line) = log.next_line().await.unwrap()
        {
            text = text + "\n" + &line;
        }
        text
    }

    /// What it has reported already, other than statistics.
    pub fn report_now(&mut self) -> Option<FromChild> {
        loop {
            match self.control.receive().now_or_never()?.unwrap().unwrap() {
                FromChild::IsolateStats { .. } | FromChild::Sandboxed(_) => {}
                report => return Some(report),
            }
        }
    }

    /// What it reports within this time, other than statistics.
    pub async fn report_within(&mut self, time: Duration) -> Option<FromChild> {
        let report = async {
            loop {
                match self.control.receive().await.unwrap().unwrap() {
                    FromChild::IsolateStats { .. } | FromChild::Sandboxed(_) => {}
                    report => return report,
                }
            }
        };
        timeout(time, report).await.ok()
    }

    /// The log's line with this text, and the lines that go with it.
    pub async fn log_with(&mut self, text: &str) -> String {
        let log = self.log.as_mut().expect("a renderer whose log is read");
        loop {
            let line = timeout(PATIENCE, log.next_line()).await.expect("no such line in time");
            let mut found = line.unwrap().expect("no such line before the end");
            if found.contains(text) {
                // An event is written at once.
                while let Some(Ok(Some(line))) = log.next_line().now_or_never() {
                    found.push('\n');
                    found.push_str(&line);
                }
                return found;
            }
        }
    }

    pub async fn load_failure(files: &[(&str, &str)]) -> LoadFailure {
        match Self::spawn(app(files)).await.report().await {
            FromChild::LoadFailed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub async fn say(&mut self, message: ToRenderer) {
        self.link.send(&message).await.unwrap();
    }

    pub async fn hear(&mut self) -> FromRenderer {
        let heard = timeout(PATIENCE, self.link.receive()).await.expect("nothing in time").unwrap();
        match heard {
            Some(heard) => heard,
            None => panic!("the renderer has ended: {}", self.rest_of_log().await),
        }
    }

    pub async fn job(&mut self, id: u64, head: RequestHead) {
        self.say(ToRenderer::Job { id, head }).await;
    }

    /// The status, header fields and body of job `id`, which must be the only one.
    pub async fn response(&mut self, id: u64) -> (u16, Vec<(Bytes, Bytes)>, String) {
        let (found, head) = match self.hear().await {
            FromRenderer::Head { id, head } => (id, head),
            other => panic!("no head: {other:?}"),
        };
        assert_eq!(found, id);
        let mut body = Vec::new();
        loop {
            match self.hear().await {
                FromRenderer::Body { bytes, .. } => body.extend_from_slice(&bytes),
                FromRenderer::End { .. } => break,
                FromRenderer::Credit { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (head.status, head.headers, String::from_utf8(body).unwrap())
    }

    pub async fn get(&mut self, path: &str) -> (u16, String) {
        self.job(1, head("GET", path)).await;
        let (status, _, body) = self.response(1).await;
        (status, body)
    }
}

/// What the gateway tells a renderer by default, with half of the heap.
pub fn setup(app: &Path) -> RendererSetup {
    // Each process's own folder comes with its start.
    RendererSetup { max_heap_bytes: 256 << 20, ..RendererSetup::new(app, "/") }
}

/// A request's head.
pub fn head(method: &str, path: &str) -> RequestHead {
    RequestHead {
        method: method.to_owned().into(),
        url: format!("http://app.test{path}").into(),
        client_ip: "127.0.0.1".into(),
        request_id: "r1".into(),
        has_body: false,
        options: HandlerOptions::default(),
        headers: vec![("x-name".into(), Bytes::from_static(b"caf\xe9")), ("accept".into(), "*/*".into())],
    }
}

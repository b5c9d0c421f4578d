//! The gateway's side: spawns a worker and speaks the wire to it.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use shared::head::{HandlerOptions, RequestHead, ResponseHead};
use shared::inherited::ChildArgs;
use shared::link::Channel;
use shared::logging::LogFormat;
use shared::message::{Caller, FromChild, FromWorker, NativeCall, Outcome, Target, ToChild, ToWorker};
use shared::setup::{FormLimits, Setup, ValueLimits, WorkerSetup};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::fixture;

/// Nothing here takes that long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a caller grants when a test is not about deadlines.
pub const LONG_MS: u32 = 60_000;

pub type Link = Channel<ToWorker, FromWorker>;

/// A worker process, its sockets, and its log.
pub struct Gateway {
    pub process: Child,
    pub control: Option<Channel<ToChild, FromChild>>,
    pub link: Option<Link>,
    /// The link of another lane, which another thread of the worker reads where it has one.
    pub other_link: Option<Link>,
    log: Lines<BufReader<ChildStderr>>,
    next_id: u64,
    /// What was heard and is still to be looked at.
    pub kept: Option<FromWorker>,
}

/// The default worker, set up.
pub async fn default_worker() -> Gateway {
    let mut gateway = Gateway::spawn(Command::new(env!("CARGO_BIN_EXE_fn-workers")), |args| args);
    gateway.set_up(2, 64).await;
    gateway
}

/// The worker with the functions of [`fixture`], set up.
pub async fn fixture_worker(arbiters: usize, mailbox: usize) -> Gateway {
    let mut gateway = spawn_fixture(fixture::RUN);
    gateway.set_up(arbiters, mailbox).await;
    gateway
}

/// A process of this test binary that is a worker.
pub fn spawn_fixture(name: &str) -> Gateway {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    Gateway::spawn_with_env(command)
}

impl Gateway {
    fn spawn_with_env(mut command: Command) -> Self {
        let (sockets, args) = Sockets::make();
        command.env(fixture::ARGS, args.join(" "));
        sockets.spawn(command)
    }

    pub fn spawn(mut command: Command, change: impl FnOnce(Vec<String>) -> Vec<String>) -> Self {
        let (sockets, args) = Sockets::make();
        command.args(change(args));
        sockets.spawn(command)
    }

    pub async fn set_up(&mut self, arbiters: usize, mailbox: usize) -> Vec<String> {
        self.tell(ToChild::Setup(Setup::Worker(WorkerSetup {
            arbiters,
            mailbox,
            forms: FormLimits::default(),
            values: ValueLimits::default(),
        })))
        .await;
        match self.hear().await {
            FromChild::WorkerReady { functions, .. } => functions.into_iter().map(|info| info.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn tell(&mut self, message: ToChild) {
        self.control.as_mut().unwrap().send(&message).await.unwrap();
    }

    pub async fn hear(&mut self) -> FromChild {
        let heard = timeout(PATIENCE, self.control.as_mut().unwrap().receive()).await;
        heard.expect("a control message").unwrap().expect("the control link is open")
    }

    /// Sends a call and does not wait for its end.
    pub async fn start(&mut self, name: &str, input: &str, deadline_ms: u32) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let call = NativeCall {
            name: name.into(),
            caller: Caller::Client,
            deadline_ms,
            request_id: format!("r{id}"),
            head: bytes::Bytes::new(),
            input: input.to_owned().into(),
        };
        self.link.as_mut().unwrap().send(&ToWorker::Call { id, call }).await.unwrap();
        id
    }

    /// An id for a call.
    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub async fn cancel(&mut self, id: u64) {
        self.link.as_mut().unwrap().send(&ToWorker::Cancel { id }).await.unwrap();
    }

    /// The next reply, whichever call it ends.
    pub async fn reply(&mut self) -> (u64, Outcome) {
        let received = timeout(PATIENCE, self.link.as_mut().unwrap().receive()).await;
        match received.expect("a reply").unwrap().expect("the link is open") {
            FromWorker::Reply { id, outcome } => (id, outcome),
            other => panic!("{other:?}"),
        }
    }

    /// Calls and waits for the end; nothing else may end meanwhile.
    pub async fn call(&mut self, name: &str, input: &str) -> Outcome {
        let id = self.start(name, input, LONG_MS).await;
        let (ended, outcome) = self.reply().await;
        assert_eq!(ended, id);
        outcome
    }

    /// Calls as a job in an isolate does, whose request has this cookie.
    pub async fn call_for_job(&mut self, name: &str, input: &str, cookie: &str) -> Outcome {
        self.next_id += 1;
        let id = self.next_id;
        let mut head = bytes::BytesMut::new();
        RequestHead {
            method: "GET".into(),
            url: "http://localhost/page".into(),
            client_ip: "192.0.2.8".into(),
            request_id: "r".into(),
            has_body: false,
            options: HandlerOptions::default(),
            headers: vec![("cookie".into(), cookie.to_owned().into())],
        }
        .encode(&mut head);
        let call = NativeCall {
            name: name.into(),
            caller: Caller::Isolate,
            deadline_ms: LONG_MS,
            request_id: format!("r{id}"),
            head: head.freeze(),
            input: input.to_owned().into(),
        };
        self.link.as_mut().unwrap().send(&ToWorker::Call { id, call }).await.unwrap();
        let (ended, outcome) = self.reply().await;
        assert_eq!(ended, id);
        outcome
    }

    pub async fn value(&mut self, name: &str, input: &str) -> serde_json::Value {
        match self.call(name, input).await {
            Outcome::Value(json) => serde_json::from_slice(&json).unwrap(),
            failed => panic!("{failed:?}"),
        }
    }

    pub async fn failure(&mut self, name: &str, input: &str) -> (u16, String) {
        match self.call(name, input).await {
            Outcome::Failed { status, message } => (status, message),
            value => panic!("{value:?}"),
        }
    }

    /// Sends a client's request and does not wait for its response.
    pub async fn send_request(&mut self, target: Target, request: &Sent) -> u64 {
        let id = self.send_head(target, request, !request.body.is_empty()).await;
        let link = self.link.as_mut().unwrap();
        for bytes in request.body.chunks(shared::window::MAX_CHUNK_BYTES) {
            link.queue(&ToWorker::Body { id, bytes: bytes.to_vec().into() });
        }
        if !request.body.is_empty() {
            link.queue(&ToWorker::BodyEnd { id });
        }
        link.flush().await.unwrap();
        id
    }

    /// Sends a client's request and its body in one frame.
    pub async fn send_whole(&mut self, target: Target, request: &Sent) -> u64 {
        self.send_first(target, request, (false, request.body.clone())).await
    }

    /// Sends a client's request without its body.
    pub async fn send_head(&mut self, target: Target, request: &Sent, has_body: bool) -> u64 {
        self.send_first(target, request, (has_body, Vec::new())).await
    }

    async fn send_first(&mut self, target: Target, request: &Sent, (has_body, body): (bool, Vec<u8>)) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let head = RequestHead {
            method: request.method.clone().into(),
            url: request.url.clone().into(),
            client_ip: "192.0.2.7".into(),
            request_id: format!("r{id}").into(),
            has_body,
            options: HandlerOptions::default(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone().into(), value.clone().into()))
                .collect(),
        };
        let request = ToWorker::Request { id, target, deadline_ms: LONG_MS, head, body: body.into() };
        self.link.as_mut().unwrap().send(&request).await.unwrap();
        id
    }

    /// What the worker says next about requests.
    pub async fn heard(&mut self) -> FromWorker {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let received = timeout(PATIENCE, self.link.as_mut().unwrap().receive()).await;
        received.expect("an answer").unwrap().expect("the link is open")
    }

    /// Sends a client's request and reads the whole response.
    pub async fn answer(&mut self, target: Target, request: &Sent) -> Got {
        let id = self.send_request(target, request).await;
        self.rest_of(id).await
    }

    /// Reads a whole response.
    pub async fn rest_of(&mut self, id: u64) -> Got {
        let mut got = Got::default();
        loop {
            match self.heard().await {
                FromWorker::Whole { id: ended, head, body } => {
                    assert_eq!(ended, id);
                    got.take_head(&head);
                    got.body = body.to_vec();
                    return got;
                }
                FromWorker::Head { head, .. } => got.take_head(&head),
                FromWorker::Body { bytes, .. } => {
                    got.body.extend_from_slice(&bytes);
                    let bytes = u32::try_from(bytes.len()).unwrap();
                    self.link.as_mut().unwrap().send(&ToWorker::Credit { id, bytes }).await.unwrap();
                }
                FromWorker::Credit { .. } => {}
                FromWorker::End { id: ended } => {
                    assert_eq!(ended, id);
                    return got;
                }
                FromWorker::Failed { .. } => {
                    got.cut = true;
                    return got;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until the process has written a line with this text.
    pub async fn logged(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await;
            match line.unwrap_or_else(|_| panic!("`{text}` is not logged, but: {seen:#?}")).unwrap() {
                Some(line) if line.contains(text) => return line,
                Some(line) => seen.push(line),
                None => panic!("the log ended without `{text}`: {seen:#?}"),
            }
        }
    }

    /// Waits until the process has written a line with each of these texts, in any order.
    pub async fn logged_all<const N: usize>(&mut self, texts: [&str; N]) -> [String; N] {
        let mut found = [const { None }; N];
        while let Some(missing) = found.iter().position(Option::is_none) {
            let line = timeout(PATIENCE, self.log.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("`{}` is not logged, but: {found:#?}", texts[missing]));
            let line = line.unwrap().unwrap_or_else(|| panic!("the log ended without `{}`", texts[missing]));
            if let Some(at) = texts.iter().position(|text| line.contains(text)) {
                found[at].get_or_insert(line);
            }
        }
        found.map(Option::unwrap)
    }

    pub async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("the process exits").unwrap()
    }
}

/// A client's request.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It broke off.
    pub cut: bool,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn take_head(&mut self, head: &ResponseHead) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.status = head.status;
        self.headers = head.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    }
}

/// Both ends of a worker's sockets before it is spawned.
struct Sockets {
    control: StdUnixStream,
    links: [StdUnixStream; 2],
    inherited: [StdUnixStream; 3],
}

impl Sockets {
    fn make() -> (Self, Vec<String>) {
        let (control, childs_control) = StdUnixStream::pair().unwrap();
        let (link, childs_link) = StdUnixStream::pair().unwrap();
        let (other, childs_other) = StdUnixStream::pair().unwrap();
        let args = ChildArgs {
            control: childs_control.as_raw_fd(),
            links: vec![vec![childs_link.as_raw_fd()], vec![childs_other.as_raw_fd()]],
            log_filter: "debug".into(),
            log_format: LogFormat::Text,
        };
        let inherited = [childs_control, childs_link, childs_other];
        (Self { control, links: [link, other], inherited }, args.to_args())
    }

    fn spawn(self, mut command: Command) -> Gateway {
        let inherited = self.inherited.each_ref().map(AsRawFd::as_raw_fd);
        // SAFETY: only `fcntl` is called between fork and exec, on descriptors that are open until then.
        unsafe { command.pre_exec(move || inherited.iter().try_for_each(|fd| keep_over_exec(*fd))) };
        let mut process =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let [link, other] = self.links;
        Gateway {
            process,
            control: Some(Channel::new(asynchronous(self.control))),
            link: Some(Channel::new(asynchronous(link))),
            other_link: Some(Channel::new(asynchronous(other))),
            log,
            next_id: 0,
            kept: None,
        }
    }
}

fn keep_over_exec(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: the parent holds the descriptor open until the child has it.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

fn asynchronous(socket: StdUnixStream) -> UnixStream {
    socket.set_nonblocking(true).unwrap();
    UnixStream::from_std(socket).unwrap()
}

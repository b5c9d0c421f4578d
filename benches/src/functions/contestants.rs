//! Who answers the calls, and how each is asked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::apps::App;
use xtask::demo;
use xtask::server::Server;
use xtask::workspace::Workspace;

use super::load::{Request, Sample, Wrk};
use crate::error::BenchFailure;
use crate::machine;

/// The app that has the functions.
const APP: &str = "functions-react";

/// How long a server runs under load before it is measured: its compiler has seen the function by then.
const WARM_UP: Duration = Duration::from_secs(3);

/// Isopod's options: what fits on one core.
const ONE_CORE: &[&str] = &[
    "--listen=127.0.0.1:0",
    "--admin=127.0.0.1:0",
    "--threads=1",
    "--renderers=1",
    "--spares=0",
    "--isolates=1",
];

/// One worker process with one thread.
const ONE_WORKER: &[&str] = &["--fn-workers=1", "--fn-worker-threads=1"];

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A list, by GET.
    Get,
    /// An order, by POST.
    Post,
}

impl Ask {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Get, Self::Post];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// Who answers.
#[derive(Debug)]
pub enum Contestant {
    /// The gateway and an fn worker.
    Isopod,
    /// A gateway that has the functions itself.
    Within,
    /// Node with srvx.
    Node(PathBuf),
    /// actix-web alone.
    Actix,
}

impl Contestant {
    /// All of them; Node is installed below the cache when it is not there.
    ///
    /// # Errors
    ///
    /// When npm fails.
    pub fn all(cache: &Path) -> Result<Vec<Self>, BenchFailure> {
        let node = crate::contestants::node(cache)?;
        Ok(vec![Self::Isopod, Self::Within, Self::Node(node), Self::Actix])
    }

    /// As tables name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Isopod => "isopod",
            Self::Within => "isopod-within",
            Self::Node(_) => "node26+srvx",
            Self::Actix => "actix",
        }
    }

    fn command(&self, workspace: &Workspace, app: &App) -> Command {
        let worker = workspace.release_binary("functions-worker");
        match self {
            Self::Isopod => {
                let mut command = demo::gateway(workspace, &app.dist(), &[]);
                command.args(ONE_CORE).args(ONE_WORKER).arg("--fn-worker-bin").arg(worker);
                command
            }
            Self::Within => {
                let mut command = Command::new(workspace.release_binary("functions-gateway"));
                command.arg("--app").arg(app.dist()).args(ONE_CORE).arg("--fn-workers=0");
                command
            }
            Self::Node(node) => {
                let mut command = Command::new(node);
                command.arg(workspace.apps().join("serve-node.mjs")).arg(&app.directory).arg("0");
                command.env("NODE_ENV", "production");
                command
            }
            Self::Actix => {
                let mut command = Command::new(worker);
                command.arg("--bare");
                command
            }
        }
    }

    /// What is sent for a kind of call, and what each answer holds.
    pub fn request(&self, ask: Ask) -> Request {
        let lines: Vec<_> = (0..5)
            .map(|at| serde_json::json!({ "sku": format!("sku-{at}"), "count": at + 1, "cents": 250 * (at + 1) }))
            .collect();
        let language = if matches!(self, Self::Isopod | Self::Within) { "Rust" } else { "Js" };
        let fields = |post: bool| {
            let mut fields = vec![("x-tsr-serverFn".to_owned(), "true".to_owned())];
            fields.push(("sec-fetch-site".into(), "same-origin".into()));
            if post {
                fields.push(("content-type".into(), "application/json".into()));
            }
            fields
        };
        match (self, ask) {
            (Self::Actix, Ask::Get) => {
                Request::new("GET", "/list?word=session&limit=20".into(), None, "cookies and session")
            }
            (Self::Actix, Ask::Post) => {
                let body = serde_json::json!({ "lines": lines }).to_string();
                let request = Request::new("POST", "/order".into(), Some(body), "13750");
                request.fields(vec![("content-type".into(), "application/json".into())])
            }
            (_, Ask::Get) => {
                let payload = sent(&[("word", text("session")), ("limit", number(20))]);
                let path = format!("/_serverFn/listIn{language}?payload={}", escape(&payload));
                Request::new("GET", path, None, "cookies and session").fields(fields(false))
            }
            (_, Ask::Post) => {
                let line = |(at, line): (usize, &serde_json::Value)| {
                    let (sku, count) = (line["sku"].as_str().unwrap_or_default(), line["count"].as_u64());
                    let fields = [
                        ("sku", text(sku)),
                        ("count", number(count.unwrap_or_default())),
                        ("cents", number(line["cents"].as_u64().unwrap_or_default())),
                    ];
                    object(3 + at, &fields)
                };
                let lines: Vec<_> = lines.iter().enumerate().map(line).collect();
                let array = format!(r#"{{"t":9,"i":2,"a":[{}],"o":0}}"#, lines.join(","));
                let body = sent(&[("lines", array)]);
                let path = format!("/_serverFn/orderIn{language}");
                Request::new("POST", path, Some(body), "13750").fields(fields(true))
            }
        }
    }
}

/// What Start's client sends: seroval's JSON of `{ data }`.
fn sent(data: &[(&str, String)]) -> String {
    let root = object(0, &[("data", object(1, data))]);
    format!(r#"{{"t":{root},"f":63,"m":[]}}"#)
}

fn object(id: usize, fields: &[(&str, String)]) -> String {
    let names: Vec<_> = fields.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let values: Vec<_> = fields.iter().map(|(_, value)| value.clone()).collect();
    format!(r#"{{"t":10,"i":{id},"p":{{"k":[{}],"v":[{}]}},"o":0}}"#, names.join(","), values.join(","))
}

fn text(text: &str) -> String {
    format!(r#"{{"t":1,"s":"{text}"}}"#)
}

fn number(number: u64) -> String {
    format!(r#"{{"t":0,"s":{number}}}"#)
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    /// Which.
    pub contestant: Contestant,
    /// Its process.
    pub server: Server,
    answers: Vec<usize>,
}

impl Running {
    /// Starts it on a core, checks its answers and warms it.
    ///
    /// # Errors
    ///
    /// When it does not come up or answers wrongly.
    pub fn start(
        workspace: &Workspace,
        contestant: Contestant,
        core: usize,
        wrk: &Wrk,
    ) -> Result<Self, BenchFailure> {
        let app = App { name: APP.to_owned(), directory: workspace.apps().join(APP) };
        let command = machine::pinned(core, &contestant.command(workspace, &app));
        let log = workspace.log(&format!("bench-functions-{}", contestant.name()));
        let server = Server::start(contestant.name(), command, &log)?;
        let mut running = Self { contestant, server, answers: Vec::new() };
        for ask in Ask::ALL {
            let request = running.contestant.request(ask);
            let body = request.fetch(running.contestant.name(), running.server.address())?;
            running.answers.push(body.len());
            wrk.run(running.contestant.name(), running.server.address(), &request, WARM_UP)?;
        }
        Ok(running)
    }

    /// The length of its answer.
    pub fn answer_bytes(&self, ask: Ask) -> usize {
        self.answers.get(usize::from(ask == Ask::Post)).copied().unwrap_or(0)
    }

    /// Measures it for a while.
    ///
    /// # Errors
    ///
    /// When an answer is wrong or the server ends.
    pub fn slice(&self, ask: Ask, wrk: &Wrk, time: Duration) -> Result<Sample, BenchFailure> {
        let (name, request) = (self.contestant.name(), self.contestant.request(ask));
        Sample::take(self.server.pid(), || wrk.run(name, self.server.address(), &request, time))
    }
}

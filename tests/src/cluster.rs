//! A running cluster: a gateway and its children, as real processes.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::app::Served;
use crate::builder::{ClusterBuilder, Place};
use crate::children::ChildStatus;
use crate::exit::Exit;
use crate::gateway::Gateway;
use crate::http::{Answer, RawConnection, client};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::process;
use crate::wait::{PATIENCE, eventually};

/// A running cluster. Dropping it kills the gateway, and thereby all.
#[derive(Debug)]
pub struct Cluster {
    gateway: Gateway,
    listen: Place,
    admin: SocketAddr,
    isolates: usize,
    fn_workers: usize,
    client: Client,
    _files: Files,
}

/// What the processes read, for as long as they run.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) _config: TempDir,
    pub(crate) _served: Served,
}

impl Cluster {
    /// A cluster that serves this app: one renderer with one isolate, one fn worker, unless said otherwise.
    pub fn of(served: impl Into<Served>) -> ClusterBuilder {
        ClusterBuilder::of(served.into())
    }

    pub(crate) fn new(
        gateway: Gateway,
        listen: Place,
        admin: SocketAddr,
        isolates: usize,
        fn_workers: usize,
        files: Files,
    ) -> Self {
        Self { gateway, listen, admin, isolates, fn_workers, client: client(), _files: files }
    }

    /// The public URL of a path.
    ///
    /// # Panics
    /// When clients connect to a Unix socket.
    pub fn url(&self, path: &str) -> String {
        match &self.listen {
            Place::Tcp { scheme, address } => format!("{scheme}://{address}{path}"),
            Place::Unix(socket) => panic!("{} has no URL", socket.display()),
        }
    }

    /// The admin port's URL of a path.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Where clients connect.
    ///
    /// # Panics
    /// When that is a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.listen {
            Place::Tcp { address, .. } => *address,
            Place::Unix(socket) => panic!("{} is no address", socket.display()),
        }
    }

    /// What the processes logged so far.
    pub fn log(&self) -> &Logs {
        &self.gateway.stderr
    }

    /// A client that follows no redirects and keeps no cookies.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Gets a path and reads the whole answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.answer(self.client.get(self.url(path))).await
    }

    /// Posts JSON to a path and reads the whole answer.
    pub async fn post_json(&self, path: &str, body: impl Into<String>) -> Answer {
        let request = self.client.post(self.url(path)).header("content-type", "application/json");
        self.answer(request.body(body.into())).await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When there is none; shows the log.
    pub async fn answer(&self, request: RequestBuilder) -> Answer {
        let answer = async { Answer::read(request.send().await?).await };
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("no answer: {error:?}\n{}", self.gateway.stderr),
            Err(_) => panic!("no answer within {PATIENCE:?}\n{}", self.gateway.stderr),
        }
    }

    /// A raw connection to the public port.
    pub async fn connect(&self) -> RawConnection {
        RawConnection::open(self.address()).await
    }

    /// The admin port's metrics.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.answer(self.client.get(self.admin_url("/metrics"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// Waits until the metrics are as wanted.
    pub async fn metrics_until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        eventually(what, async || Some(self.metrics().await).filter(&wanted)).await
    }

    /// What the admin port tells of the pool.
    pub async fn status(&self) -> Value {
        self.answer(self.client.get(self.admin_url("/status"))).await.json()
    }

    /// The child processes of a kind, by slot: `renderer` or `fn_worker`.
    pub async fn children(&self, kind: &str) -> Vec<ChildStatus> {
        let mut children = ChildStatus::all(&self.status().await);
        children.retain(|child| child.kind == kind);
        children
    }

    /// Kills a renderer as the kernel's memory killer would, and returns its process id.
    pub async fn kill_renderer(&self, slot: usize) -> i32 {
        self.kill("renderer", slot).await
    }

    /// Kills an fn worker, and returns its process id.
    pub async fn kill_fn_worker(&self, slot: usize) -> i32 {
        self.kill("fn_worker", slot).await
    }

    async fn kill(&self, kind: &str, slot: usize) -> i32 {
        let pid = self.children(kind).await[slot].pid;
        process::signal(pid, Signal::SIGKILL);
        pid
    }

    /// Waits until the readiness probe says yes.
    pub async fn wait_until_ready(&self) {
        eventually("ready", async || {
            let probe = self.answer(self.client.get(self.admin_url("/readyz"))).await;
            (probe.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until the process `pid` is replaced and all isolates and fn workers are ready.
    pub async fn wait_until_replaced(&self, pid: i32) {
        eventually("the lost process is gone from the status", async || {
            ChildStatus::all(&self.status().await).iter().all(|child| child.pid != pid).then_some(())
        })
        .await;
        let ready = |metrics: &Metrics, name: &str, all: usize| {
            metrics.sum(name, &[("state", "ready")]).total_cmp(&count(all)).is_eq()
        };
        self.metrics_until("all are ready again", |metrics| {
            ready(metrics, "isopod_isolates", self.isolates)
                && ready(metrics, "isopod_fn_workers", self.fn_workers)
        })
        .await;
        self.wait_until_ready().await;
    }

    /// All processes below the gateway.
    pub fn child_pids(&self) -> Vec<i32> {
        process::descendants(self.gateway.pid())
    }

    /// Sends the gateway a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.gateway.pid(), signal);
    }

    /// Waits until the gateway has ended and asserts that none of its children is left.
    ///
    /// # Panics
    /// When it runs on, or a child does.
    pub async fn exit(self, children: Vec<i32>) -> Exit {
        self.gateway.exit(&children).await
    }

    /// Stops the cluster as an operator does: SIGTERM, exit code 0, no child left.
    ///
    /// # Panics
    /// When any of it is otherwise.
    pub async fn stop(self) -> Exit {
        let children = self.child_pids();
        assert!(!children.is_empty(), "a cluster has child processes");
        self.signal(Signal::SIGTERM);
        let exit = self.exit(children).await;
        exit.expect_code(0);
        exit
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap().into()
}

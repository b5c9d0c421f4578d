//! Connections that are kept between requests: HTTP/1.1, one request at a time on each, or HTTP/2, many.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ask::{Ask, Search, Visitor};

/// Streams on one connection of HTTP/2: what servers allow as a rule.
const STREAMS: usize = 100;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, known beforehand.
    Http2,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When its head had come.
    pub head: Instant,
    /// When the shell had, if the request has one.
    pub shell: Option<Instant>,
    /// When its last byte had.
    pub end: Instant,
    /// Bytes of its body.
    pub bytes: usize,
    /// Whether the body is what was expected; for 200 alone.
    pub is_right: bool,
    /// The visitor left before the end, as it was to.
    pub has_left: bool,
}

/// Connections to one server.
#[derive(Debug)]
pub struct Connections {
    address: SocketAddr,
    protocol: Protocol,
    idle: RefCell<Vec<http1::SendRequest<Full<Bytes>>>>,
    shared: RefCell<Vec<http2::SendRequest<Full<Bytes>>>>,
    next: Cell<usize>,
    most: usize,
    places: Semaphore,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    /// It broke.
    #[error("the connection broke")]
    Broke(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The generator ends.
    #[error("the generator ends")]
    Ended,
}

impl Connections {
    /// At most so many requests at a time.
    pub fn new(address: SocketAddr, protocol: Protocol, most: usize) -> Self {
        let idle = RefCell::default();
        let shared = RefCell::default();
        Self { address, protocol, idle, shared, next: Cell::new(0), most, places: Semaphore::new(most) }
    }

    /// Sends a request over an idle connection, or over a new one, and reads the answer as its visitor does.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ask(self: &Rc<Self>, ask: &Ask) -> Result<Answer, AskError> {
        let _place: SemaphorePermit<'_> = self.places.acquire().await.map_err(|_| AskError::Ended)?;
        let mut request =
            Request::builder().method(&ask.method).uri(&ask.path).body(Full::new(ask.body.clone()))?;
        request.headers_mut().clone_from(&ask.headers);
        match self.protocol {
            Protocol::Http1 => {
                let mut connection = self.idle_connection().await?;
                let response = connection.send_request(request);
                let answer = read(response, ask).await?;
                // One that was left in the middle of an answer is closed.
                if !answer.has_left && connection.ready().await.is_ok() {
                    self.idle.borrow_mut().push(connection);
                }
                Ok(answer)
            }
            Protocol::Http2 => {
                // It wants to know scheme and authority.
                *request.uri_mut() = Uri::builder()
                    .scheme("http")
                    .authority(self.address.to_string())
                    .path_and_query(ask.path.as_str())
                    .build()?;
                request.headers_mut().remove(http::header::HOST);
                let mut connection = self.shared_connection().await?;
                connection.ready().await?;
                let response = connection.send_request(request);
                read(response, ask).await
            }
        }
    }

    async fn idle_connection(&self) -> Result<http1::SendRequest<Full<Bytes>>, AskError> {
        loop {
            // The last one that was used is the least likely to have been closed.
            let idle = self.idle.borrow_mut().pop();
            let Some(connection) = idle else { break };
            if connection.is_ready() {
                return Ok(connection);
            }
        }
        let (sender, connection) = http1::handshake(self.connect().await?).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }

    async fn shared_connection(&self) -> Result<http2::SendRequest<Full<Bytes>>, AskError> {
        self.next.set(self.next.get().wrapping_add(1));
        self.shared.borrow_mut().retain(|connection| !connection.is_closed());
        let open = self.shared.borrow().len();
        // As many as the requests at a time need.
        if open < self.most.div_ceil(STREAMS) {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), self.connect().await?).await?;
            tokio::task::spawn_local(connection);
            self.shared.borrow_mut().push(sender);
        }
        let shared = self.shared.borrow();
        shared.get(self.next.get() % shared.len().max(1)).cloned().ok_or(AskError::Ended)
    }

    async fn connect(&self) -> Result<TokioIo<TcpStream>, AskError> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }
}

async fn read(
    response: impl Future<Output = hyper::Result<http::Response<Incoming>>>,
    ask: &Ask,
) -> Result<Answer, AskError> {
    let leaves = match ask.visitor {
        Visitor::Leaves(after) => Some(Instant::now() + after),
        Visitor::Whole | Visitor::Slow(_) => None,
    };
    let response = match leaves {
        None => response.await?,
        Some(at) => match tokio::time::timeout_at(at.into(), response).await {
            Ok(response) => response?,
            Err(_) => return Ok(left(0, Instant::now())),
        },
    };
    let (status, head) = (response.status().as_u16(), Instant::now());
    let mut body = response.into_body();
    let mut search = Search::new(&ask.expected);
    let mut shell = None;
    loop {
        let frame = match leaves {
            None => body.frame().await,
            Some(at) => match tokio::time::timeout_at(at.into(), body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Ok(left(status, head)),
            },
        };
        let Some(frame) = frame else { break };
        if let Some(piece) = frame?.data_ref()
            && search.take(piece).shell
        {
            shell = Some(Instant::now());
        }
        if let Visitor::Slow(pause) = ask.visitor {
            tokio::time::sleep(pause).await;
        }
    }
    let is_right = status != 200 || search.is_right(&ask.expected);
    Ok(Answer { status, head, shell, end: Instant::now(), bytes: search.bytes(), is_right, has_left: false })
}

fn left(status: u16, head: Instant) -> Answer {
    Answer { status, head, shell: None, end: Instant::now(), bytes: 0, is_right: true, has_left: true }
}

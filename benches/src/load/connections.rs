//! Connections of HTTP/1.1 that are kept between requests.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// The path and query.
    pub path: String,
    /// Header fields beside `host`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What a good answer holds.
    pub whole: Whole,
}

/// What the body of an answer with the status 200 must be: under load a server may send other pages, or half ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its length, in bytes.
    pub lengths: RangeInclusive<usize>,
    /// Its last bytes, at most [`TAIL`].
    pub end: &'static [u8],
}

/// How many of a body's last bytes are looked at.
pub const TAIL: usize = 16;

impl Whole {
    fn is(&self, bytes: usize, tail: &[u8]) -> bool {
        self.lengths.contains(&bytes) && tail.ends_with(self.end)
    }
}

impl Target {
    fn header_map(&self) -> HeaderMap {
        let mut headers: HeaderMap = self.headers.iter().cloned().collect();
        if let Ok(host) = HeaderValue::from_str(&self.address.to_string()) {
            headers.insert(http::header::HOST, host);
        }
        headers
    }
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When its head had come.
    pub head: Instant,
    /// When its last byte had.
    pub end: Instant,
    /// Bytes of its body.
    pub bytes: usize,
    /// It is not a 200, or its body is what it must be.
    pub is_right: bool,
}

/// Connections to one server.
#[derive(Debug)]
pub struct Connections {
    target: Target,
    headers: HeaderMap,
    idle: RefCell<Vec<SendRequest<Empty<Bytes>>>>,
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
    /// At most so many at a time.
    pub fn new(target: Target, most: usize) -> Self {
        let headers = target.header_map();
        Self { target, headers, idle: RefCell::default(), places: Semaphore::new(most) }
    }

    /// Sends a request over an idle connection, or over a new one, and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ask(self: &Rc<Self>) -> Result<Answer, AskError> {
        let _place: SemaphorePermit<'_> = self.places.acquire().await.map_err(|_| AskError::Ended)?;
        let mut connection = self.connection().await?;
        let mut request = Request::builder().uri(&self.target.path).body(Empty::new())?;
        request.headers_mut().clone_from(&self.headers);
        let response = connection.send_request(request).await?;
        let (status, head) = (response.status().as_u16(), Instant::now());
        let mut body = response.into_body();
        let (mut bytes, mut tail) = (0, Vec::with_capacity(2 * TAIL));
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            bytes += data.len();
            tail.extend_from_slice(&data[data.len().saturating_sub(TAIL)..]);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        let end = Instant::now();
        if connection.ready().await.is_ok() {
            self.idle.borrow_mut().push(connection);
        }
        let is_right = status != 200 || self.target.whole.is(bytes, &tail);
        Ok(Answer { status, head, end, bytes, is_right })
    }

    async fn connection(&self) -> Result<SendRequest<Empty<Bytes>>, AskError> {
        loop {
            // The last one that was used is the least likely to have been closed.
            let idle = self.idle.borrow_mut().pop();
            let Some(connection) = idle else { break };
            if connection.is_ready() {
                return Ok(connection);
            }
        }
        let stream = TcpStream::connect(self.target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

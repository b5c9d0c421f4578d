//! Connections of HTTP/1.1 that are kept between requests.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

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
}

/// Connections to one server.
#[derive(Debug)]
pub struct Connections {
    address: SocketAddr,
    idle: RefCell<Vec<SendRequest<Empty<Bytes>>>>,
    places: Semaphore,
    opened: Cell<u64>,
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
    pub fn new(address: SocketAddr, most: usize) -> Self {
        Self { address, idle: RefCell::default(), places: Semaphore::new(most), opened: Cell::new(0) }
    }

    /// Sends a request over an idle connection, or over a new one, and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ask(self: &Rc<Self>, path: &str, headers: &HeaderMap) -> Result<Answer, AskError> {
        let _place: SemaphorePermit<'_> = self.places.acquire().await.map_err(|_| AskError::Ended)?;
        let mut connection = self.connection().await?;
        let mut request = Request::builder().uri(path).body(Empty::new())?;
        request.headers_mut().clone_from(headers);
        let response = connection.send_request(request).await?;
        let (status, head) = (response.status().as_u16(), Instant::now());
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        let end = Instant::now();
        if connection.ready().await.is_ok() {
            self.idle.borrow_mut().push(connection);
        }
        Ok(Answer { status, head, end, bytes })
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
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.opened.set(self.opened.get() + 1);
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

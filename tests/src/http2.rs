//! A client of HTTP/2 that shows what libraries hide: interim responses, resets, windows, the end of a connection.
//! And one whose frames are made by hand, for what no library sends.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::wait::within_patience;

/// A connection.
#[derive(Debug)]
pub struct Http2 {
    requests: SendRequest<Bytes>,
    authority: String,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Http2Answer {
    /// Its status code.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Http2 {
    /// Speaks HTTP/2 from the first byte on.
    ///
    /// # Panics
    /// When the other side does not.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, authority: &str) -> Self {
        Self::with(h2::client::Builder::new(), stream, authority).await
    }

    /// The same; each stream may send so many bytes before they are read.
    ///
    /// # Panics
    /// When the other side does not.
    pub async fn with_window(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        authority: &str,
        bytes: u32,
    ) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(bytes);
        Self::with(builder, stream, authority).await
    }

    async fn with(
        mut builder: h2::client::Builder,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        authority: &str,
    ) -> Self {
        // As browsers do: a stream that nobody reads does not stop the others.
        builder.initial_connection_window_size(4 << 20);
        let handshake = within_patience("the handshake", builder.handshake(stream));
        let (requests, connection) = handshake.await.unwrap();
        let (authority, connection) = (authority.to_owned(), tokio::spawn(connection));
        Self { requests, authority, connection }
    }

    /// Sends a request's head, and what may follow it.
    ///
    /// # Errors
    /// When the connection takes no more requests.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        has_body: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let uri = format!("https://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await?;
        requests.send_request(request.body(()).unwrap(), !has_body)
    }

    /// Gets a path and reads the whole answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get(&mut self, path: &str, fields: &[(&str, &str)]) -> Http2Answer {
        let (response, _) = self.begin("GET", path, fields, false).await.unwrap();
        within_patience("an answer", async { Http2Answer::read(response.await.unwrap()).await.unwrap() })
            .await
    }

    /// Waits for the end of the connection; with the other side's reason when it gave one.
    pub async fn end(self) -> Option<Reason> {
        drop(self.requests);
        let end = within_patience("the connection's end", self.connection).await;
        end.unwrap().err().and_then(|error| error.reason())
    }
}

impl Http2Answer {
    /// Reads the whole body.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn read(response: Response<RecvStream>) -> Result<Self, h2::Error> {
        let (parts, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            stream.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// A header's value, or "" when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a server makes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It begins a response.
    Answered,
    /// It resets the stream.
    Reset(Reason),
    /// It ends the connection.
    GoAway(Reason),
}

/// A connection whose frames are made by hand.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
    next: u32,
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// END_HEADERS and END_STREAM.
const WHOLE: u8 = 5;

impl Frames {
    /// Begins HTTP/2.
    ///
    /// # Panics
    /// When the other side is gone.
    pub async fn over(mut stream: TcpStream) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self { stream, next: 1 };
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends a request without a body whose head has these fields, as they are, and says what becomes of it.
    ///
    /// # Panics
    /// When nothing does.
    pub async fn ask(&mut self, fields: &[(&str, &[u8])]) -> Fate {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal without indexing, with a new name, no Huffman code (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name.as_bytes(), value] {
                block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
                block.extend_from_slice(text);
            }
        }
        let stream = self.next;
        self.next += 2;
        self.send(HEADERS, WHOLE, stream, &block).await;
        within_patience("the stream's fate", self.fate(stream)).await
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn fate(&mut self, asked: u32) -> Fate {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.unwrap();
            let [l0, l1, l2, kind, _, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
            self.stream.read_exact(&mut payload).await.unwrap();
            let reason = |at: usize| {
                let code = payload[at..at + 4].try_into().unwrap();
                Reason::from(u32::from_be_bytes(code))
            };
            match kind {
                GOAWAY => return Fate::GoAway(reason(4)),
                HEADERS if u32::from_be_bytes(stream) == asked => return Fate::Answered,
                RST_STREAM if u32::from_be_bytes(stream) == asked => return Fate::Reset(reason(0)),
                _ => {}
            }
        }
    }
}

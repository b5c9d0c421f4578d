//! A client of HTTP/2 that shows what libraries hide: interim responses, resets, windows, the end of a connection.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
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

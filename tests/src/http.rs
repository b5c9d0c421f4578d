//! Whole answers, and a raw connection for what no client library would send.

use std::net::SocketAddr;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within_patience;

/// What a browser says. TanStack Start sends a page to crawlers (and `curl`) only once it is complete.
pub const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

/// A client that follows no redirects, keeps no cookies and says that it is a browser.
pub(crate) fn client() -> Client {
    Client::builder().redirect(Policy::none()).user_agent(BROWSER).no_proxy().build().unwrap()
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads the whole answer; an error when it is cut.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn read(response: Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, headers, body })
    }

    /// A header's value, or "" when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The bytes of a connection, as they are.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer as it came over a raw connection.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// Its status code.
    pub status: u16,
    /// The head, in lower case, without the empty line.
    pub head: String,
    /// Everything after the head until the connection ended or the test stopped reading.
    pub body: String,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), received: Vec::new() }
    }

    /// Sends bytes. That the other side has closed already is seen when its answer is read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The socket, for what is not about whole answers.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads until the text has come, and returns all that has.
    ///
    /// # Panics
    /// When the connection ends first.
    pub async fn read_until(&mut self, text: &str) -> String {
        within_patience(&format!("reading until {text:?}"), async {
            loop {
                let received = String::from_utf8_lossy(&self.received).into_owned();
                if received.contains(text) {
                    return received;
                }
                assert!(self.read_some().await, "the connection ended before {text:?}: {received}");
            }
        })
        .await
    }

    /// Reads until the other side closes, and returns the answer.
    ///
    /// # Panics
    /// When what came is no answer.
    pub async fn read_to_end(mut self) -> RawAnswer {
        within_patience("reading to the end", async { while self.read_some().await {} }).await;
        RawAnswer::parse(&String::from_utf8_lossy(&self.received))
    }

    /// Reads until the other side closes, and returns all that came.
    pub async fn read_to_end_as_text(mut self) -> String {
        within_patience("reading to the end", async { while self.read_some().await {} }).await;
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Whether more came; a connection that was reset has ended too.
    async fn read_some(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0)
    }
}

impl RawAnswer {
    /// Reads what came over a connection.
    ///
    /// # Panics
    /// When it is no answer.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            head: head.to_ascii_lowercase(),
            body: body.into(),
        }
    }

    /// Whether the request was refused as the client's mistake.
    pub fn is_client_error(&self) -> bool {
        (400..500).contains(&self.status)
    }
}

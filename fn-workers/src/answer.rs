//! What a handler answers with: a value, a whole response, a stream.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, StreamExt};
use futures_util::{Stream, TryStreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use crate::error::FunctionError;
use crate::json;
use crate::seroval;

/// What a call comes to.
pub struct Answer(pub(crate) Kind);

pub(crate) enum Kind {
    Value(Box<dyn Value>),
    Response(Response),
    /// Bytes that arrive in JavaScript as a `ReadableStream<Uint8Array>`.
    Bytes(LocalBoxStream<'static, Result<Bytes, FunctionError>>),
    /// Values that arrive in JavaScript as a `ReadableStream` of them.
    Values(LocalBoxStream<'static, Result<Box<dyn Value>, FunctionError>>),
}

/// A value without its type.
pub(crate) trait Value {
    /// As JSON of at most `limit` bytes.
    fn to_json(&self, limit: usize) -> Result<Vec<u8>, FunctionError>;

    /// As a seroval node.
    fn write(&self, writer: &mut seroval::Writer) -> Result<(), seroval::Error>;
}

impl<T: Serialize> Value for T {
    fn to_json(&self, limit: usize) -> Result<Vec<u8>, FunctionError> {
        json::write(self, limit)
    }

    fn write(&self, writer: &mut seroval::Writer) -> Result<(), seroval::Error> {
        self.serialize(writer)
    }
}

/// What a handler may return: everything that serialises, a [`Response`], [`Chunks`] and [`Values`].
pub trait IntoAnswer {
    /// The answer.
    fn into_answer(self) -> Answer;
}

impl<T: Serialize + 'static> IntoAnswer for T {
    fn into_answer(self) -> Answer {
        Answer(Kind::Value(Box::new(self)))
    }
}

impl IntoAnswer for Answer {
    fn into_answer(self) -> Answer {
        self
    }
}

impl IntoAnswer for Response {
    fn into_answer(self) -> Answer {
        Answer(Kind::Response(self))
    }
}

/// A stream of bytes; in JavaScript the call's result is a `ReadableStream<Uint8Array>`.
pub struct Chunks<S>(pub S);

impl<S: Stream<Item = Result<Bytes, FunctionError>> + 'static> IntoAnswer for Chunks<S> {
    fn into_answer(self) -> Answer {
        Answer(Kind::Bytes(self.0.boxed_local()))
    }
}

/// A stream of values; in JavaScript the call's result is a `ReadableStream` of them.
pub struct Values<S>(pub S);

impl<S, T> IntoAnswer for Values<S>
where
    S: Stream<Item = Result<T, FunctionError>> + 'static,
    T: Serialize + 'static,
{
    fn into_answer(self) -> Answer {
        let erased = self.0.map_ok(|value| Box::new(value) as Box<dyn Value>);
        Answer(Kind::Values(erased.boxed_local()))
    }
}

/// A response of HTTP's, as it is to reach the client.
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
}

/// The body of a [`Response`].
pub(crate) enum Body {
    Whole(Bytes),
    Stream(LocalBoxStream<'static, Result<Bytes, FunctionError>>),
}

impl Response {
    /// An empty response. A status outside of 200 to 599 is taken as 500.
    pub fn new(status: u16) -> Self {
        let status = if (200..600).contains(&status) { status } else { 500 };
        Self { status, headers: Vec::new(), body: Body::Whole(Bytes::new()) }
    }

    /// A response of plain text.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        };
        Self::new(200).content_type("text/plain; charset=utf-8").body(bytes)
    }

    /// A response of JSON.
    ///
    /// # Errors
    /// When the value does not serialise.
    pub fn json(value: &impl Serialize) -> Result<Self, FunctionError> {
        let json = serde_json::to_vec(value)?;
        Ok(Self::new(200).content_type("application/json").body(json))
    }

    /// A stream of events (HTML, section 9.2): `text/event-stream`, never stored.
    pub fn events(events: impl Stream<Item = Result<Event, FunctionError>> + 'static) -> Self {
        Self::new(200)
            .content_type("text/event-stream")
            .header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .stream(events.map_ok(|event| event.to_bytes()))
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = if (200..600).contains(&status) { status } else { 500 };
        self
    }

    /// Adds a header field; several of one name stay several.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What the body is.
    #[must_use]
    pub fn content_type(mut self, media_type: &'static str) -> Self {
        self.headers.retain(|(name, _)| name != CONTENT_TYPE);
        self.header(CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    /// The body, in one piece.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// The body, as it comes. An error cuts it off: the client never takes it for whole.
    #[must_use]
    pub fn stream(mut self, body: impl Stream<Item = Result<Bytes, FunctionError>> + 'static) -> Self {
        self.body = Body::Stream(body.boxed_local());
        self
    }
}

/// An event of [`Response::events`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name; `message` when there is none.
    pub name: Option<String>,
    /// What `Last-Event-ID` says after a reconnect.
    pub id: Option<String>,
    /// Its data; a line feed begins another line.
    pub data: String,
}

impl Event {
    /// An event without a name.
    pub fn data(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    fn to_bytes(&self) -> Bytes {
        let line = |text: &str| text.replace(['\r', '\n', '\0'], "");
        let mut text = String::new();
        if let Some(name) = &self.name {
            text.extend(["event: ", &line(name), "\n"]);
        }
        if let Some(id) = &self.id {
            text.extend(["id: ", &line(id), "\n"]);
        }
        for data in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            text.extend(["data: ", data, "\n"]);
        }
        text.push('\n');
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cannot_be_broken_out_of() {
        let event =
            Event { name: Some("a\nevent: b".into()), id: Some("1\r".into()), data: "x\r\ny\rz\n".into() };
        let text = "event: aevent: b\nid: 1\ndata: x\ndata: y\ndata: z\ndata: \n\n";
        assert_eq!(event.to_bytes(), text);
    }

    #[test]
    fn a_status_that_is_none_is_500() {
        assert_eq!(Response::new(101).status, 500);
        assert_eq!(Response::new(200).status(999).status, 500);
    }
}

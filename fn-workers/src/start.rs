//! Server functions as TanStack Start's client calls them, and the answers that it understands.
//!
//! | call | |
//! |---|---|
//! | `GET /_serverFn/<id>?payload=` | seroval's document of `{ data, context }` in the query |
//! | `POST`, `application/json` | the same in the body |
//! | `POST`, a form | the input's fields and files, and the context as one more field |
//!
//! | answer | |
//! |---|---|
//! | a value | `{ result }` as seroval's node, `x-tss-serialized: true` |
//! | an error | `{ error }`, which rejects the call with an `Error` |
//! | a redirect, not found | JSON that the router acts on |
//! | a response | as it is, `x-tss-raw: true` |
//! | a stream | frames: a type, a stream's number, a length, and content |
//!
//! Sources: `serverFnFetcher.ts` of `@tanstack/start-client-core`, `server-functions-handler.ts` and
//! `frame-protocol.ts` of `@tanstack/start-server-core`. Who calls without `x-tsr-serverFn: true` is no client of
//! Start's and gets plain JSON.

use std::cell::Cell;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::LocalBoxStream;
use http::header::{HeaderName, HeaderValue};
use shared::head::HeaderField;
use shared::message::control::Refusal;

use crate::answer::{Answer, Body, Kind, Response, Value};
use crate::context::Beside;
use crate::error::{FunctionError, Instead};
use crate::exchange::{CollectError, RequestBody, Responder};
use crate::form::{self, FormLimits};
use crate::input::Payload;
use crate::refusals;
use crate::request::Request;
use crate::seroval::{self, Writer};

/// The longest `payload` of a GET, in characters, as Start's own server has it.
const MAX_QUERY_PAYLOAD: usize = 1_000_000;

/// The longest record of a framed response (`MAX_FRAME_PAYLOAD_SIZE`), and the longest value.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// The most room that is made for a value before it is written.
const MOST_ROOM_BYTES: usize = 32 << 10;

/// The longest text of a stream's error (`MAX_ERROR_MESSAGE_CODE_UNITS`).
const MAX_ERROR_BYTES: usize = 4096;

const FRAMED: &str = "application/x-tss-framed; v=1";

/// Reads what was sent; JSON of at most `limit` bytes.
///
/// # Errors
/// 400, 413 or 415.
pub(crate) async fn read(
    request: &Request,
    body: &mut RequestBody,
    limit: usize,
    forms: &FormLimits,
) -> Result<Payload, FunctionError> {
    if request.method() == "GET" {
        return query_payload(request.query());
    }
    let content_type = request.header("content-type").unwrap_or_default();
    if form::is_form(content_type) {
        return form::read(content_type, body, forms).await.map(|form| Payload::Form(form.into()));
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        let bytes = collect(body, limit).await?;
        return Ok(if bytes.is_empty() { Payload::None } else { Payload::Start(bytes) });
    }
    let bytes = collect(body, limit).await?;
    match (media_type, bytes.is_empty()) {
        (_, true) => Ok(Payload::None),
        (_, false) => Err(FunctionError::new(415, "the body must be application/json or a form")),
    }
}

async fn collect(body: &mut RequestBody, limit: usize) -> Result<Bytes, FunctionError> {
    body.collect(limit).await.map_err(CollectError::refusal)
}

fn query_payload(query: &str) -> Result<Payload, FunctionError> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, payload)) = pairs.find(|(name, _)| *name == "payload") else { return Ok(Payload::None) };
    if payload.is_empty() {
        return Ok(Payload::None);
    }
    let text = decoded(payload);
    if text.len() > MAX_QUERY_PAYLOAD {
        let message = format!("the payload has {} bytes, {MAX_QUERY_PAYLOAD} are allowed", text.len());
        return Err(refusals::refuse(Refusal::InputBytes, message));
    }
    Ok(Payload::Start(text.into()))
}

/// A field of a query, as `application/x-www-form-urlencoded` has it: a plus is a space, and a percent sign without two
/// digits is itself. The payload of most calls is long, and every third byte of it a percent sign.
fn decoded(field: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        text.push(match byte {
            b'+' => b' ',
            b'%' => match behind {
                [high, low, behind @ ..] if (DIGITS[usize::from(*high)] | DIGITS[usize::from(*low)]) < 16 => {
                    rest = behind;
                    DIGITS[usize::from(*high)] << 4 | DIGITS[usize::from(*low)]
                }
                _ => b'%',
            },
            byte => *byte,
        });
    }
    text
}

/// What each byte is as a hexadecimal digit; 16 and more where it is none.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digits[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

/// Sends what a call came to, and what the function set beside its value.
pub(crate) async fn write(
    request: &Request,
    outcome: Result<Answer, FunctionError>,
    beside: Beside,
    responder: &mut Responder,
) {
    let is_client = request.header("x-tsr-serverfn") == Some("true");
    let is_head = request.method() == "HEAD";
    let Beside { fields: added, context } = beside;
    let mut reply = Reply { is_client, is_head, added, context, responder };
    match outcome {
        Ok(Answer(Kind::Value(value))) => reply.value(&*value).await,
        Ok(Answer(Kind::Response(response))) => reply.response(response).await,
        Ok(Answer(Kind::Bytes(stream))) => reply.bytes(stream).await,
        Ok(Answer(Kind::Values(stream))) => reply.values(stream).await,
        Err(error) => reply.error(&error).await,
    }
}

struct Reply<'r> {
    is_client: bool,
    /// The response is sent without its body.
    is_head: bool,
    added: Vec<(HeaderName, HeaderValue)>,
    context: Option<Arc<dyn Value + Send + Sync>>,
    responder: &'r mut Responder,
}

fn field(name: &'static str, value: &'static str) -> HeaderField {
    (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
}

fn owned(name: &HeaderName, value: &HeaderValue) -> HeaderField {
    (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

impl Reply<'_> {
    /// The answer's own fields, and those that the function added.
    fn fields(&mut self, own: Vec<HeaderField>) -> Vec<HeaderField> {
        let is_own = |name: &HeaderName| {
            matches!(
                name.as_str(),
                "content-type" | "content-length" | "location" | "x-tss-serialized" | "x-tss-raw"
            )
        };
        let added = self.added.drain(..).filter(|(name, _)| !is_own(name));
        own.into_iter().chain(added.map(|(name, value)| owned(&name, &value))).collect()
    }

    async fn json(&mut self, status: u16, json: Vec<u8>) {
        let fields = self.fields(vec![field("content-type", "application/json")]);
        self.whole(status, fields, json.into()).await;
    }

    async fn serialized(&mut self, status: u16, record: Vec<u8>) {
        let own = vec![field("content-type", "application/json"), field("x-tss-serialized", "true")];
        let fields = self.fields(own);
        self.responder.whole(status, fields, record.into()).await;
    }

    async fn value(&mut self, value: &dyn Value) {
        if !self.is_client {
            match value.to_json(MAX_RECORD_BYTES) {
                Ok(json) => self.json(200, json).await,
                Err(error) => self.unserialisable(error).await,
            }
            return;
        }
        thread_local! {
            /// How long values are: one that is written into less room moves as it grows.
            static USUAL_BYTES: Cell<usize> = const { Cell::new(0) };
        }
        let mut writer = Writer::with_room(MAX_RECORD_BYTES, USUAL_BYTES.get());
        match self.result(&mut writer, |writer| value.write(writer)) {
            Ok(()) => {
                let record = writer.into_bytes();
                let usual = record.len().max(USUAL_BYTES.get() / 8 * 7);
                USUAL_BYTES.set(usual.min(MOST_ROOM_BYTES));
                self.serialized(200, record).await;
            }
            Err(error) => self.unserialisable(error.into()).await,
        }
    }

    async fn unserialisable(&mut self, error: FunctionError) {
        error.log();
        Box::pin(self.error(&error)).await;
    }

    async fn error(&mut self, error: &FunctionError) {
        match error.instead() {
            Some(Instead::Redirect(redirect)) if self.is_client => self.json(200, redirect.to_json()).await,
            Some(Instead::Redirect(redirect)) => match redirect.location().map(HeaderValue::from_str) {
                Some(Ok(location)) => {
                    let mut fields = self.fields(Vec::new());
                    fields
                        .push((Bytes::from_static(b"location"), Bytes::copy_from_slice(location.as_bytes())));
                    self.responder.whole(redirect.code(), fields, Bytes::new()).await;
                }
                _ => self.json(200, redirect.to_json()).await,
            },
            Some(Instead::NotFound(not_found)) => self.json(404, not_found.to_json()).await,
            None if self.is_client => {
                let mut writer = Writer::new(usize::MAX);
                // A text always fits.
                let _ = wrapped(&mut writer, "error", |writer| writer.error(error.message()));
                self.serialized(error.status(), writer.into_bytes()).await;
            }
            None => {
                let json = serde_json::json!({ "error": error.message() }).to_string();
                self.json(error.status(), json.into_bytes()).await;
            }
        }
    }

    /// Writes the object in which Start expects a value, with what the client's middleware gets beside it.
    fn result(
        &self,
        writer: &mut Writer,
        value: impl FnOnce(&mut Writer) -> Result<(), seroval::Error>,
    ) -> Result<(), seroval::Error> {
        let Some(context) = &self.context else { return wrapped(writer, "result", value) };
        writer.open_object();
        value(writer)?;
        writer.raw(",");
        context.write(writer)?;
        writer.close_object(br#""result","context""#);
        Ok(())
    }

    async fn response(&mut self, response: Response) {
        let Response { status, headers, body } = response;
        let mut fields: Vec<_> = headers.iter().map(|(name, value)| owned(name, value)).collect();
        if self.is_client {
            fields.push(field("x-tss-raw", "true"));
        }
        let fields = self.fields(fields);
        match body {
            Body::Whole(bytes) => self.whole(status, fields, bytes).await,
            Body::Stream(stream) => {
                self.responder.head(status, fields).await;
                self.pipe(stream).await;
            }
        }
    }

    /// A response in one piece; of one to `HEAD`, the length of what a `GET` brings.
    async fn whole(&mut self, status: u16, mut fields: Vec<HeaderField>, bytes: Bytes) {
        if self.is_head {
            fields.push((Bytes::from_static(b"content-length"), bytes.len().to_string().into()));
            return self.responder.whole(status, fields, Bytes::new()).await;
        }
        self.responder.whole(status, fields, bytes).await;
    }

    async fn pipe(&mut self, mut stream: LocalBoxStream<'static, Result<Bytes, FunctionError>>) {
        if self.is_head {
            return self.responder.end().await;
        }
        while let Some(bytes) = stream.next().await {
            match bytes {
                Ok(bytes) => self.responder.body(bytes).await,
                Err(error) => {
                    error.log();
                    return self.responder.fail(error.message().to_owned()).await;
                }
            }
        }
        self.responder.end().await;
    }

    async fn framed(&mut self, record: &[u8]) {
        let fields = self.fields(vec![field("content-type", FRAMED), field("x-tss-serialized", "true")]);
        self.responder.head(200, fields).await;
        self.responder.body(frame(FrameKind::Json, record)).await;
    }

    async fn bytes(&mut self, mut stream: LocalBoxStream<'static, Result<Bytes, FunctionError>>) {
        if !self.is_client {
            let fields = self.fields(vec![field("content-type", "application/octet-stream")]);
            self.responder.head(200, fields).await;
            return self.pipe(stream).await;
        }
        let mut writer = Writer::new(MAX_RECORD_BYTES);
        let written = self.result(&mut writer, |writer| {
            writer.open("25");
            writer.raw(r#","c":"tss/RawStream","s":{"streamId":{"t":0,"s":1}}}"#);
            Ok(())
        });
        if let Err(error) = written {
            return self.unserialisable(error.into()).await;
        }
        self.framed(&writer.into_bytes()).await;
        while let Some(bytes) = stream.next().await {
            match bytes {
                Ok(mut bytes) => {
                    while !bytes.is_empty() {
                        let part = bytes.split_to(bytes.len().min(MAX_RECORD_BYTES));
                        self.responder.body(frame(FrameKind::Chunk, &part)).await;
                    }
                }
                Err(error) => {
                    error.log();
                    let message = error.message();
                    let message = &message[..message.floor_char_boundary(MAX_ERROR_BYTES)];
                    self.responder.body(frame(FrameKind::Error, message.as_bytes())).await;
                    return self.responder.end().await;
                }
            }
        }
        self.responder.body(frame(FrameKind::End, &[])).await;
        self.responder.end().await;
    }

    /// As seroval writes a `ReadableStream`: a stream's node, and nodes that each bring a value to it.
    async fn values(&mut self, mut stream: LocalBoxStream<'static, Result<Box<dyn Value>, FunctionError>>) {
        if !self.is_client {
            let fields = self.fields(vec![field("content-type", "application/x-ndjson")]);
            self.responder.head(200, fields).await;
            return self.lines(stream).await;
        }
        let mut writer = Writer::new(MAX_RECORD_BYTES);
        let mut id = 0;
        let written = self.result(&mut writer, |writer| {
            id = writer.readable_stream();
            Ok(())
        });
        if let Err(error) = written {
            return self.unserialisable(error.into()).await;
        }
        self.framed(&writer.take()).await;
        while let Some(value) = stream.next().await {
            let error = match value {
                Ok(value) => match writer.stream_event("32", id, |writer| value.write(writer)) {
                    Ok(()) => {
                        self.responder.body(frame(FrameKind::Json, &writer.take())).await;
                        continue;
                    }
                    Err(error) => error.into(),
                },
                Err(error) => error,
            };
            error.log();
            writer.take();
            // A text always fits.
            let _ = writer.stream_event("33", id, |writer| writer.error(error.message()));
            self.responder.body(frame(FrameKind::Json, &writer.take())).await;
            return self.responder.end().await;
        }
        let _ = writer.stream_event("34", id, |writer| {
            writer.constant(1);
            Ok(())
        });
        self.responder.body(frame(FrameKind::Json, &writer.take())).await;
        self.responder.end().await;
    }

    async fn lines(&mut self, mut stream: LocalBoxStream<'static, Result<Box<dyn Value>, FunctionError>>) {
        if self.is_head {
            return self.responder.end().await;
        }
        while let Some(value) = stream.next().await {
            match value.and_then(|value| value.to_json(MAX_RECORD_BYTES)) {
                Ok(mut json) => {
                    json.push(b'\n');
                    self.responder.body(json.into()).await;
                }
                Err(error) => {
                    error.log();
                    return self.responder.fail(error.message().to_owned()).await;
                }
            }
        }
        self.responder.end().await;
    }
}

/// Writes the object in which Start expects what a call came to.
fn wrapped(
    writer: &mut Writer,
    name: &str,
    value: impl FnOnce(&mut Writer) -> Result<(), seroval::Error>,
) -> Result<(), seroval::Error> {
    writer.open_object();
    value(writer)?;
    writer.close_object(format!("\"{name}\"").as_bytes());
    Ok(())
}

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum FrameKind {
    Json = 0,
    Chunk = 1,
    End = 2,
    Error = 3,
}

/// `type u8 | stream u32 | length u32 | content`, big-endian.
fn frame(kind: FrameKind, content: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(9 + content.len());
    frame.put_u8(kind as u8);
    frame.put_u32(if matches!(kind, FrameKind::Json) { 0 } else { 1 });
    frame.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
    frame.put_slice(content);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_field_is_decoded_as_the_url_standard_has_it(field in "[a-fA-F0-9gG%+{\"é]{0,60}") {
            let spaced = field.replace('+', " ");
            prop_assert_eq!(decoded(&field), percent_decode_str(&spaced).collect::<Vec<u8>>());
        }
    }
}

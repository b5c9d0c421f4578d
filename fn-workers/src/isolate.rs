//! Answers for JavaScript in an isolate: in one piece, or as a stream under a window.
//!
//! A stream of bytes or values is a sequence of records: a type (u8), the content's length (u32, big-endian), the
//! content. `renderer-pool/src/isolate/boot/native_calls.js` reads them.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::LocalBoxStream;
use http::header::{HeaderName, HeaderValue};
use shared::head::{HeaderField, ResponseHead};
use shared::message::{AnswerKind, KIND_FIELD, MAX_CALL_BYTES, Outcome};
use shared::window::MAX_CHUNK_BYTES;

use crate::answer::{Answer, Body, Kind, Response, Value};
use crate::error::{FunctionError, Instead};
use crate::exchange::Responder;
use crate::seroval::Writer;

/// What a record holds.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Record {
    /// JSON.
    Value = 0,
    /// A node of seroval's.
    Serialized = 1,
    /// A public message; the stream ends with it.
    Error = 2,
    /// Bytes.
    Bytes = 3,
}

type Added = Vec<(HeaderName, HeaderValue)>;

/// What a call came to; `None` when the answer has gone out by `responder`. `added` are the fields that the function
/// set beside its value.
///
/// # Errors
/// When the call failed, or its answer does not fit.
pub(crate) async fn outcome(
    answer: Result<Answer, FunctionError>,
    added: Added,
    responder: &mut Responder,
) -> Result<Option<Outcome>, FunctionError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return instead(error, &added).map(Some),
    };
    match answer.0 {
        Kind::Value(value) => one_value(&*value, &added).map(Some),
        Kind::Response(Response { status, mut headers, body }) => {
            headers.extend(added);
            match body {
                Body::Whole(bytes) if bytes.len() <= MAX_CALL_BYTES => Ok(Some(Outcome::Answer {
                    kind: AnswerKind::Response,
                    head: head(status, &headers),
                    body: bytes,
                })),
                Body::Whole(bytes) => {
                    let stream = futures_util::stream::iter([Ok(bytes)]).boxed_local();
                    pipe(responder, status, &headers, stream).await;
                    Ok(None)
                }
                Body::Stream(stream) => {
                    pipe(responder, status, &headers, stream).await;
                    Ok(None)
                }
            }
        }
        Kind::Bytes(stream) => {
            begin(responder, AnswerKind::Bytes, 200, &added).await;
            byte_records(responder, stream).await;
            Ok(None)
        }
        Kind::Values(stream) => {
            begin(responder, AnswerKind::Values, 200, &added).await;
            value_records(responder, stream).await;
            Ok(None)
        }
    }
}

/// What a call came to, for one who understands JSON alone: a client of `/_native/`.
///
/// # Errors
/// When the call failed, or its answer is no value.
pub(crate) fn plain(answer: Result<Answer, FunctionError>) -> Result<Outcome, FunctionError> {
    match answer?.0 {
        Kind::Value(value) => Ok(Outcome::Value(value.to_json(MAX_CALL_BYTES)?.into())),
        Kind::Response(_) | Kind::Bytes(_) | Kind::Values(_) => {
            Err(FunctionError::internal("a response or a stream needs a server function or a route"))
        }
    }
}

/// What the router acts on in place of an error.
fn instead(error: FunctionError, added: &Added) -> Result<Outcome, FunctionError> {
    let (kind, status, json) = match error.instead() {
        Some(Instead::Redirect(redirect)) => (AnswerKind::Redirect, redirect.code(), redirect.to_json()),
        Some(Instead::NotFound(not_found)) => (AnswerKind::NotFound, 404, not_found.to_json()),
        None => return Err(error),
    };
    Ok(Outcome::Answer { kind, head: head(status, added), body: json.into() })
}

fn one_value(value: &dyn Value, added: &Added) -> Result<Outcome, FunctionError> {
    let (is_plain, text) = text(value)?;
    if is_plain && added.is_empty() {
        return Ok(Outcome::Value(text.into()));
    }
    let kind = if is_plain { AnswerKind::Value } else { AnswerKind::Serialized };
    Ok(Outcome::Answer { kind, head: head(200, added), body: text.into() })
}

/// A value as JSON where that holds all of it, since JavaScript reads that quickest; else as a node of seroval's.
fn text(value: &dyn Value) -> Result<(bool, Vec<u8>), FunctionError> {
    // A node is longer than its JSON: the limit holds for what is sent.
    let mut writer = Writer::new(MAX_CALL_BYTES * 4);
    value.write(&mut writer)?;
    if writer.is_plain() {
        return Ok((true, value.to_json(MAX_CALL_BYTES)?));
    }
    let text = writer.into_bytes();
    if text.len() > MAX_CALL_BYTES {
        let message = format!("a value in JavaScript on the server may have {MAX_CALL_BYTES} bytes");
        return Err(FunctionError::internal(message));
    }
    Ok((false, text))
}

async fn begin(responder: &mut Responder, kind: AnswerKind, status: u16, fields: &Added) {
    let ResponseHead { status, mut headers } = head(status, fields);
    let number = (kind as u8).to_string();
    headers.insert(0, (Bytes::from_static(KIND_FIELD), number.into()));
    responder.head(status, headers).await;
}

async fn pipe(
    responder: &mut Responder,
    status: u16,
    fields: &Added,
    mut stream: LocalBoxStream<'static, Result<Bytes, FunctionError>>,
) {
    begin(responder, AnswerKind::Response, status, fields).await;
    while let Some(bytes) = stream.next().await {
        match bytes {
            Ok(bytes) => responder.body(bytes).await,
            Err(error) => {
                error.log();
                return responder.fail(error.message().to_owned()).await;
            }
        }
    }
    responder.end().await;
}

async fn byte_records(
    responder: &mut Responder,
    mut stream: LocalBoxStream<'static, Result<Bytes, FunctionError>>,
) {
    while let Some(bytes) = stream.next().await {
        match bytes {
            Ok(mut bytes) => {
                while !bytes.is_empty() {
                    let part = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
                    responder.body(record(Record::Bytes, &part)).await;
                }
            }
            Err(error) => return fail(responder, &error).await,
        }
    }
    responder.end().await;
}

async fn value_records(
    responder: &mut Responder,
    mut stream: LocalBoxStream<'static, Result<Box<dyn Value>, FunctionError>>,
) {
    while let Some(value) = stream.next().await {
        match value.and_then(|value| text(&*value)) {
            Ok((true, json)) => responder.body(record(Record::Value, &json)).await,
            Ok((false, node)) => responder.body(record(Record::Serialized, &node)).await,
            Err(error) => return fail(responder, &error).await,
        }
    }
    responder.end().await;
}

/// Ends a stream with an error, whose message the reader sees.
async fn fail(responder: &mut Responder, error: &FunctionError) {
    error.log();
    let message = error.message();
    let message = &message[..message.floor_char_boundary(MAX_CHUNK_BYTES)];
    responder.body(record(Record::Error, message.as_bytes())).await;
    responder.end().await;
}

fn record(kind: Record, content: &[u8]) -> Bytes {
    let mut record = BytesMut::with_capacity(5 + content.len());
    record.put_u8(kind as u8);
    // At most `MAX_CALL_BYTES`.
    record.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
    record.put_slice(content);
    record.freeze()
}

fn head(status: u16, fields: &[(HeaderName, HeaderValue)]) -> ResponseHead {
    let owned = |(name, value): &(HeaderName, HeaderValue)| -> HeaderField {
        (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    ResponseHead { status, headers: fields.iter().map(owned).collect() }
}

//! Answers for JavaScript in an isolate: replies in one piece.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{HeaderName, HeaderValue};
use shared::head::{HeaderField, ResponseHead};
use shared::message::{AnswerKind, MAX_CALL_BYTES, Outcome};

use crate::answer::{Answer, Body, Kind, Response};
use crate::error::{FunctionError, Instead};

/// What a call came to. `added` are the fields that the function set beside its value.
///
/// # Errors
/// When the call failed, or its answer does not fit.
pub(crate) async fn outcome(
    answer: Result<Answer, FunctionError>,
    added: Vec<(HeaderName, HeaderValue)>,
) -> Result<Outcome, FunctionError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let (kind, status, json) = match error.instead() {
                Some(Instead::Redirect(redirect)) => {
                    (AnswerKind::Redirect, redirect.code(), redirect.to_json())
                }
                Some(Instead::NotFound(not_found)) => (AnswerKind::NotFound, 404, not_found.to_json()),
                None => return Err(error),
            };
            return Ok(Outcome::Answer { kind, head: head(status, &added), body: json.into() });
        }
    };
    match answer.0 {
        Kind::Value(value) => {
            let json = value.to_json(MAX_CALL_BYTES)?.into();
            if added.is_empty() {
                return Ok(Outcome::Value(json));
            }
            Ok(Outcome::Answer { kind: AnswerKind::Value, head: head(200, &added), body: json })
        }
        Kind::Response(Response { status, mut headers, body }) => {
            headers.extend(added);
            let body = whole(body).await?;
            Ok(Outcome::Answer { kind: AnswerKind::Response, head: head(status, &headers), body })
        }
        Kind::Bytes(_) | Kind::Values(_) => Err(FunctionError::internal(
            "a stream reaches JavaScript on the server in no way yet: call the function directly, or answer whole",
        )),
    }
}

/// What a call came to, for one who understands values alone: a client of `/_native/`.
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

/// A response's body in one piece, if a reply can carry it.
async fn whole(body: Body) -> Result<Bytes, FunctionError> {
    let too_long =
        || FunctionError::internal(format!("a response in JavaScript may have {MAX_CALL_BYTES} bytes"));
    let mut stream = match body {
        Body::Whole(bytes) if bytes.len() <= MAX_CALL_BYTES => return Ok(bytes),
        Body::Whole(_) => return Err(too_long()),
        Body::Stream(stream) => stream,
    };
    let mut whole = BytesMut::new();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        if whole.len() + bytes.len() > MAX_CALL_BYTES {
            return Err(too_long());
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

fn head(status: u16, fields: &[(HeaderName, HeaderValue)]) -> ResponseHead {
    let owned = |(name, value): &(HeaderName, HeaderValue)| -> HeaderField {
        (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    ResponseHead { status, headers: fields.iter().map(owned).collect() }
}

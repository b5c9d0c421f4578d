//! `multipart/form-data` (RFC 7578), part by part. What multer would gather without end is bounded here: the parts'
//! heads by [`Gate`], their contents as they come.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use multer::{Field, Multipart};
use shared::message::control::Refusal;
use shared::setup::FormLimits;

use super::content::Incoming;
use super::file::FormFile;
use super::{Fields, check_count, check_text, shown, total_exceeded};
use crate::error::FunctionError;
use crate::exchange::{BodyBroken, RequestBody};
use crate::refusals;

/// The most bytes before, between and at the head of parts, in a row.
const MAX_HEAD_BYTES: u64 = 64 * 1024;

pub(super) async fn read(
    content_type: &str,
    body: &mut RequestBody,
    limits: &FormLimits,
) -> Result<Fields, FunctionError> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| malformed("the Content-Type of the form names no boundary".into()))?;
    let counts = Arc::new(Counts::default());
    let pieces = futures_util::stream::unfold(body, |body| async {
        let piece = body.next().await.transpose()?;
        Some((piece, body))
    });
    let gate =
        Gate { pieces: Box::pin(pieces), counts: Arc::clone(&counts), limit: limits.max_bytes, rests: false };
    let mut parts = Multipart::new(gate, boundary);
    let mut fields = Fields::default();
    let (mut count, mut texts) = (0, 0);
    loop {
        let next = parts.next_field().await;
        counts.progress();
        let Some(mut part) = next.map_err(|error| refused(&error, &counts, limits))? else {
            return Ok(fields);
        };
        // Whether it is a file tells the name of a file, as for browsers (RFC 7578, section 4.2).
        let file_name = part.file_name().map(str::to_owned);
        count += 1;
        texts += usize::from(file_name.is_none());
        check_count(count, texts, limits)?;
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(malformed(format!("part {count} of the form has no name")));
        };
        if name.len() > limits.max_field_bytes as usize {
            return Err(refusals::refuse(
                Refusal::FormField,
                format!("the name of the form's field `{}` is too long", shown(&name)),
            ));
        }
        match file_name {
            None => {
                let text = text(&mut part, &name, &counts, limits).await?;
                fields.add_text(name, text);
            }
            Some(file_name) => {
                let file = file(&mut part, &name, &file_name, &counts, limits).await?;
                // What a browser sends for an input where nothing was chosen.
                if !(file_name.is_empty() && file.is_empty()) {
                    fields.files.push((name, file));
                }
            }
        }
    }
}

async fn text(
    part: &mut Field<'_>,
    name: &str,
    counts: &Counts,
    limits: &FormLimits,
) -> Result<String, FunctionError> {
    let mut text = Vec::new();
    while let Some(bytes) = chunk(part, counts, limits).await? {
        check_text(name, text.len() + bytes.len(), limits)?;
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).map_err(|_| malformed(format!("the form's field `{}` is not UTF-8", shown(name))))
}

async fn file(
    part: &mut Field<'_>,
    name: &str,
    file_name: &str,
    counts: &Counts,
    limits: &FormLimits,
) -> Result<FormFile, FunctionError> {
    let mut incoming = Incoming::default();
    while let Some(bytes) = chunk(part, counts, limits).await? {
        if incoming.len() + bytes.len() as u64 > limits.max_file_bytes {
            let limit = limits.max_file_bytes;
            let message = format!("the form's file `{}` is longer than {limit} bytes", shown(name));
            return Err(refusals::refuse(Refusal::FormFile, message));
        }
        incoming.push(&bytes, limits.spill_bytes as usize).await?;
    }
    let content_type = part.content_type().map(AsRef::as_ref);
    let content = incoming.finish().await?;
    Ok(FormFile::new(Some(file_name).filter(|name| !name.is_empty()), content_type, content))
}

async fn chunk(
    part: &mut Field<'_>,
    counts: &Counts,
    limits: &FormLimits,
) -> Result<Option<Bytes>, FunctionError> {
    let chunk = part.chunk().await;
    counts.progress();
    chunk.map_err(|error| refused(&error, counts, limits))
}

fn malformed(message: String) -> FunctionError {
    refusals::refuse(Refusal::FormMalformed, message)
}

fn refused(error: &multer::Error, counts: &Counts, limits: &FormLimits) -> FunctionError {
    if let multer::Error::StreamReadFailed(cause) = error {
        match cause.downcast_ref::<GateError>() {
            Some(GateError::TooLong) => return total_exceeded(limits),
            Some(GateError::Head) => {
                let message = format!("the head of a part of the form is longer than {MAX_HEAD_BYTES} bytes");
                return refusals::refuse(Refusal::FormField, message);
            }
            Some(GateError::Broken(broken)) => return FunctionError::bad_request(broken.to_string()),
            None => {}
        }
    }
    let at = counts.total.load(Ordering::Relaxed);
    let what = match error {
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => "a part of it or its end is missing",
        _ => "the head of a part cannot be read",
    };
    malformed(format!("the form is malformed: {what}, after {at} bytes"))
}

/// What has come of a form.
#[derive(Debug, Default)]
struct Counts {
    total: AtomicU64,
    /// Bytes that have come since a part began or gave some of its content.
    gathered: AtomicU64,
}

impl Counts {
    fn progress(&self) {
        self.gathered.store(0, Ordering::Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
enum GateError {
    #[error("too long")]
    TooLong,
    #[error("a part's head is too long")]
    Head,
    #[error(transparent)]
    Broken(#[from] BodyBroken),
}

/// Lets one piece through at a time: multer takes all that there is before it hands anything on.
struct Gate<'b> {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, BodyBroken>> + Send + 'b>>,
    counts: Arc<Counts>,
    limit: u64,
    rests: bool,
}

impl Stream for Gate<'_> {
    type Item = Result<Bytes, GateError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = match std::task::ready!(self.pieces.as_mut().poll_next(cx)) {
            Some(Ok(bytes)) => bytes,
            Some(Err(broken)) => return Poll::Ready(Some(Err(broken.into()))),
            None => return Poll::Ready(None),
        };
        let length = bytes.len() as u64;
        let before = self.counts.gathered.fetch_add(length, Ordering::Relaxed);
        if self.counts.total.fetch_add(length, Ordering::Relaxed) + length > self.limit {
            return Poll::Ready(Some(Err(GateError::TooLong)));
        }
        if before > MAX_HEAD_BYTES {
            return Poll::Ready(Some(Err(GateError::Head)));
        }
        self.rests = true;
        Poll::Ready(Some(Ok(bytes)))
    }
}

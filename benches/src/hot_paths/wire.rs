//! Frames, heads and windows between processes.

use std::hint::black_box;

use bytes::BytesMut;
use shared::frame::{Decoder, PREFACE};
use shared::head::{HandlerOptions, RequestHead, RequestHeadRef, ResponseHead};
use shared::message::{FromRenderer, Message, ToRenderer};
use shared::window::{MAX_CHUNK_BYTES, ReceiveWindow, SendWindow};

use super::Run;

/// What a browser sends.
const REQUEST: [(&[u8], &[u8]); 8] = [
    (b"host", b"www.example.com"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    ),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.9,de;q=0.8"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"cookie", b"session=4f1c2d3e4b5a69788796a5b4c3d2e1f0; theme=dark"),
    (b"sec-fetch-site", b"none"),
    (b"upgrade-insecure-requests", b"1"),
];

const RESPONSE: [(&[u8], &[u8]); 3] =
    [(b"content-type", b"text/html; charset=utf-8"), (b"vary", b"accept"), (b"x-frame-options", b"DENY")];

/// A job's frame: written by the gateway, read by the isolate.
pub fn job() -> Run {
    let (mut out, mut decoder) = (opened(), Decoder::new());
    Box::new(move || {
        ToRenderer::encode_job(&mut out, 7, black_box(head()), REQUEST.into_iter());
        let message = next::<ToRenderer>(&mut decoder, &mut out);
        assert!(matches!(black_box(message), ToRenderer::Job { id: 7, .. }));
    })
}

/// A page of six kilobytes: head, body and end, written by the isolate, read by the gateway.
pub fn page() -> Run {
    let (mut out, mut decoder, body) = (opened(), Decoder::new(), vec![b'x'; 6000]);
    Box::new(move || {
        FromRenderer::encode_head(&mut out, 7, 200, RESPONSE.into_iter());
        FromRenderer::encode_body(&mut out, 7, black_box(&body));
        FromRenderer::End { id: 7 }.encode(&mut out);
        let (mut window, mut bytes_read) = (ReceiveWindow::default(), 0);
        loop {
            match next::<FromRenderer>(&mut decoder, &mut out) {
                FromRenderer::Body { bytes, .. } => bytes_read += take(&mut window, bytes.len()),
                FromRenderer::End { .. } => break,
                _ => {}
            }
        }
        assert_eq!(bytes_read, 6000);
    })
}

/// A megabyte in chunks under a window.
pub fn megabyte() -> Run {
    let (mut out, mut decoder, chunk) = (opened(), Decoder::new(), vec![b'x'; MAX_CHUNK_BYTES]);
    Box::new(move || {
        let (mut sent, mut received) = (SendWindow::default(), ReceiveWindow::default());
        for _ in 0..16 {
            let bytes = sent.take(chunk.len());
            FromRenderer::encode_body(&mut out, 7, black_box(&chunk[..bytes]));
            let FromRenderer::Body { bytes, .. } = next(&mut decoder, &mut out) else { unreachable!() };
            received.received(bytes.len()).unwrap_or_else(|error| unreachable!("{error}"));
            if let Some(credit) = received.consumed(bytes.len()) {
                sent.credit(credit).unwrap_or_else(|error| unreachable!("{error}"));
            }
        }
    })
}

/// A request's head alone.
pub fn request_head() -> Run {
    Box::new(|| {
        let mut out = BytesMut::with_capacity(1024);
        head().encode(&mut out, black_box(REQUEST).into_iter());
        let read = RequestHead::decode(out.freeze()).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(black_box(read).headers.len(), REQUEST.len());
    })
}

/// A response's head alone.
pub fn response_head() -> Run {
    Box::new(|| {
        let mut out = BytesMut::with_capacity(256);
        ResponseHead::encode(&mut out, 200, black_box(RESPONSE).into_iter());
        let read = ResponseHead::decode(out.freeze()).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(black_box(read).headers.len(), RESPONSE.len());
    })
}

fn head() -> RequestHeadRef<'static> {
    RequestHeadRef {
        method: "GET",
        url: "https://www.example.com/threads/4711?tab=messages",
        client_ip: "203.0.113.7",
        request_id: "01JD3Z6T9W8QF5X2",
        has_body: false,
        options: HandlerOptions::default(),
    }
}

/// A stream's begin.
fn opened() -> BytesMut {
    BytesMut::from(&PREFACE[..])
}

fn next<M: Message>(decoder: &mut Decoder, buffer: &mut BytesMut) -> M {
    let frame = decoder.decode(buffer).unwrap_or_else(|error| unreachable!("{error}"));
    let frame = frame.unwrap_or_else(|| unreachable!("the frame is whole"));
    M::decode(frame).unwrap_or_else(|error| unreachable!("{error}"))
}

fn take(window: &mut ReceiveWindow, bytes: usize) -> usize {
    window.received(bytes).unwrap_or_else(|error| unreachable!("{error}"));
    window.consumed(bytes);
    bytes
}

//! The heads of requests and responses, as they cross between the gateway and an isolate.
//!
//! Headers travel as a flat list in the order of the connection; several with one name stay several
//! (`Set-Cookie`, RFC 6265 section 3). No JSON and no map on the way.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{PayloadError, Reader, put_bytes};

/// A header's name (lower case) and value, as bytes of the payload that they came in.
pub type HeaderField = (Bytes, Bytes);

/// What an isolate learns of a request before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, as the client wrote it.
    pub method: Bytes,
    /// The absolute URL: scheme and host as the client sees them, path and query as sent.
    pub url: Bytes,
    /// The client's address, behind trusted proxies the one that they report.
    pub client_ip: Bytes,
    /// Names this request in logs of all processes.
    pub request_id: Bytes,
    /// Whether body frames follow.
    pub has_body: bool,
    /// The header fields.
    pub headers: Vec<HeaderField>,
}

/// A request head whose parts lie in the gateway's own memory; encodes to what [`RequestHead::decode`] reads.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeadRef<'a> {
    /// See [`RequestHead::method`].
    pub method: &'a str,
    /// See [`RequestHead::url`].
    pub url: &'a str,
    /// See [`RequestHead::client_ip`].
    pub client_ip: &'a str,
    /// See [`RequestHead::request_id`].
    pub request_id: &'a str,
    /// See [`RequestHead::has_body`].
    pub has_body: bool,
}

impl RequestHeadRef<'_> {
    /// Appends the payload of a request head.
    pub fn encode<'h>(&self, out: &mut BytesMut, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
        put_bytes(out, self.method.as_bytes());
        put_bytes(out, self.url.as_bytes());
        put_bytes(out, self.client_ip.as_bytes());
        put_bytes(out, self.request_id.as_bytes());
        out.put_u8(u8::from(self.has_body));
        encode_fields(out, headers);
    }
}

impl RequestHead {
    /// Reads the payload of a request head.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not one.
    pub fn decode(payload: Bytes) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        let method = reader.bytes("method")?;
        let url = reader.bytes("url")?;
        let client_ip = reader.bytes("client_ip")?;
        let request_id = reader.bytes("request_id")?;
        let has_body = decode_flag(&mut reader, "has_body")?;
        let headers = decode_fields(&mut reader)?;
        reader.end()?;
        Ok(Self { method, url, client_ip, request_id, has_body, headers })
    }
}

/// What the gateway learns of a response before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Vec<HeaderField>,
}

impl ResponseHead {
    /// Appends the payload of a response head.
    pub fn encode<'h>(out: &mut BytesMut, status: u16, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
        out.put_u16_le(status);
        encode_fields(out, headers);
    }

    /// Reads the payload of a response head.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not one.
    pub fn decode(payload: Bytes) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        let status = reader.u16("status")?;
        let headers = decode_fields(&mut reader)?;
        reader.end()?;
        Ok(Self { status, headers })
    }
}

fn decode_flag(reader: &mut Reader, field: &'static str) -> Result<bool, PayloadError> {
    match reader.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(PayloadError::Unknown { field, value: value.into() }),
    }
}

fn encode_fields<'h>(out: &mut BytesMut, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
    let count_at = out.len();
    out.put_u32_le(0);
    let mut count = 0u32;
    for (name, value) in headers {
        put_bytes(out, name);
        put_bytes(out, value);
        count += 1;
    }
    out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
}

fn decode_fields(reader: &mut Reader) -> Result<Vec<HeaderField>, PayloadError> {
    let count = reader.u32("header count")?;
    // The count is not trusted for an allocation: each field takes at least its two lengths.
    let mut fields = Vec::with_capacity((count as usize).min(128));
    for _ in 0..count {
        fields.push((reader.bytes("header name")?, reader.bytes("header value")?));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        proptest::collection::vec((bytes(), bytes()), 0..20)
    }

    fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
        fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    fn owned(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<HeaderField> {
        fields.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect()
    }

    proptest! {
        #[test]
        fn request_heads_survive_the_way(url in ".{0,80}", has_body: bool, fields in fields()) {
            let head = RequestHeadRef {
                method: "GET", url: &url, client_ip: "::1", request_id: "r-1", has_body,
            };
            let mut out = BytesMut::new();
            head.encode(&mut out, borrowed(&fields));
            let read = RequestHead::decode(out.freeze()).unwrap();
            prop_assert_eq!(read.url, url.as_bytes());
            prop_assert_eq!(read.has_body, has_body);
            prop_assert_eq!(read.headers, owned(&fields));
        }

        #[test]
        fn response_heads_survive_the_way(status: u16, fields in fields()) {
            let mut out = BytesMut::new();
            ResponseHead::encode(&mut out, status, borrowed(&fields));
            let read = ResponseHead::decode(out.freeze()).unwrap();
            prop_assert_eq!(read, ResponseHead { status, headers: owned(&fields) });
        }

        #[test]
        fn noise_is_an_error_and_not_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = RequestHead::decode(noise.clone().into());
            let _ = ResponseHead::decode(noise.into());
        }
    }
}

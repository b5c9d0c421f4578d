//! The heads of requests and responses, as they cross between the gateway and an isolate.
//!
//! Headers travel as a flat list in the order of the connection; several with one name stay several
//! (`Set-Cookie`, RFC 6265 section 3). No JSON and no map on the way.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{PayloadError, Reader, put_bytes};

/// The longest [`JobContext`], in bytes of its JSON.
pub const MAX_CONTEXT_BYTES: usize = 64 * 1024;

/// Bits of the byte that says what a request head has beyond its fixed fields.
///
/// They cross into JavaScript as they are: see `boot/jobs.js`.
mod flag {
    pub const HAS_BODY: u8 = 1;
    pub const CONTEXT: u8 = 2;
    pub const EARLY_HINTS: u8 = 4;
    pub const RESPONSE_LINK_HEADER: u8 = 8;
    pub const ALL: u8 = HAS_BODY | CONTEXT | EARLY_HINTS | RESPONSE_LINK_HEADER;
}

/// What the gateway tells the app of a request beyond the request itself: a JSON object, `opts.context` of
/// TanStack Start's handler. It travels as text and is parsed in the isolate alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobContext(Bytes);

/// A context beyond [`MAX_CONTEXT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's context has {given} bytes of JSON, {MAX_CONTEXT_BYTES} are allowed: put less into it")]
pub struct ContextTooLong {
    /// Its length in bytes.
    pub given: usize,
}

impl JobContext {
    /// The context with the members of `object`.
    ///
    /// # Errors
    /// [`ContextTooLong`].
    pub fn new(object: &serde_json::Map<String, serde_json::Value>) -> Result<Self, ContextTooLong> {
        // A map of JSON values is JSON.
        Self::from_json(serde_json::to_vec(object).unwrap_or_default().into())
    }

    /// A context that is JSON of an object already; other text fails the job in the isolate.
    ///
    /// # Errors
    /// [`ContextTooLong`].
    pub fn from_json(json: Bytes) -> Result<Self, ContextTooLong> {
        if json.len() > MAX_CONTEXT_BYTES {
            Err(ContextTooLong { given: json.len() })
        } else {
            Ok(Self(json))
        }
    }

    /// The JSON.
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }
}

/// What the handler is given in its `opts`, beside the request. All of it is absent by default, and costs nothing
/// on the wire then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandlerOptions<C> {
    /// `opts.context`.
    pub context: Option<C>,
    /// `opts.onEarlyHints` is there, and what it is called with comes back before the response's head.
    pub early_hints: bool,
    /// `opts.responseLinkHeader`: the handler adds a `Link` field to its response.
    pub response_link_header: bool,
}

impl<C> Default for HandlerOptions<C> {
    fn default() -> Self {
        Self { context: None, early_hints: false, response_link_header: false }
    }
}

impl<C> HandlerOptions<C> {
    /// The same, with the context borrowed.
    pub fn as_ref(&self) -> HandlerOptions<&C> {
        let Self { context, early_hints, response_link_header } = self;
        HandlerOptions {
            context: context.as_ref(),
            early_hints: *early_hints,
            response_link_header: *response_link_header,
        }
    }

    fn flags(&self, has_body: bool) -> u8 {
        let bit = |set: bool, bit| if set { bit } else { 0 };
        bit(has_body, flag::HAS_BODY)
            | bit(self.context.is_some(), flag::CONTEXT)
            | bit(self.early_hints, flag::EARLY_HINTS)
            | bit(self.response_link_header, flag::RESPONSE_LINK_HEADER)
    }
}

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
    /// What the handler is given beside it.
    pub options: HandlerOptions<JobContext>,
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
    /// See [`RequestHead::options`].
    pub options: HandlerOptions<&'a JobContext>,
}

impl RequestHeadRef<'_> {
    /// Appends the payload of a request head.
    pub fn encode<'h>(&self, out: &mut BytesMut, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
        put_bytes(out, self.method.as_bytes());
        put_bytes(out, self.url.as_bytes());
        put_bytes(out, self.client_ip.as_bytes());
        put_bytes(out, self.request_id.as_bytes());
        out.put_u8(self.options.flags(self.has_body));
        if let Some(context) = self.options.context {
            put_bytes(out, context.as_json());
        }
        encode_fields(out, headers);
    }
}

impl RequestHead {
    /// Appends the payload of this head.
    pub fn encode(&self, out: &mut BytesMut) {
        put_bytes(out, &self.method);
        put_bytes(out, &self.url);
        put_bytes(out, &self.client_ip);
        put_bytes(out, &self.request_id);
        out.put_u8(self.flags());
        if let Some(context) = &self.options.context {
            put_bytes(out, context.as_json());
        }
        encode_fields(out, self.headers.iter().map(|(name, value)| (&name[..], &value[..])));
    }

    /// Reads the payload of a request head.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not one.
    pub fn decode(payload: Bytes) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        let head = Self::read(&mut reader)?;
        reader.end().map(|()| head)
    }

    /// Reads a request head that something else follows.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not one.
    pub fn read(reader: &mut Reader) -> Result<Self, PayloadError> {
        let method = reader.known_bytes("method", known)?;
        let url = reader.bytes("url")?;
        let client_ip = reader.bytes("client_ip")?;
        let request_id = reader.bytes("request_id")?;
        let flags = reader.u8("flags")?;
        if flags & !flag::ALL != 0 {
            return Err(PayloadError::Unknown { field: "flags", value: flags.into() });
        }
        let has = |bit: u8| flags & bit != 0;
        let context = if has(flag::CONTEXT) { Some(decode_context(reader)?) } else { None };
        let options = HandlerOptions {
            context,
            early_hints: has(flag::EARLY_HINTS),
            response_link_header: has(flag::RESPONSE_LINK_HEADER),
        };
        let headers = decode_fields(reader)?;
        Ok(Self { method, url, client_ip, request_id, has_body: has(flag::HAS_BODY), options, headers })
    }

    /// The head's flags as one number, as the isolate's boot script takes them: 1 a body follows, 2 there is a
    /// context, 4 early hints are wanted, 8 the response is to carry a `Link` field.
    pub fn flags(&self) -> u8 {
        self.options.flags(self.has_body)
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
        let head = Self::read(&mut reader)?;
        reader.end().map(|()| head)
    }

    /// Reads a response head that something else follows.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not one.
    pub fn read(reader: &mut Reader) -> Result<Self, PayloadError> {
        Ok(Self { status: reader.u16("status")?, headers: decode_fields(reader)? })
    }
}

fn decode_context(reader: &mut Reader) -> Result<JobContext, PayloadError> {
    JobContext::from_json(reader.bytes("context")?)
        .map_err(|_| PayloadError::TooLong { field: "context", limit: MAX_CONTEXT_BYTES })
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
        fields.push((reader.known_bytes("header name", known)?, reader.bytes("header value")?));
    }
    Ok(fields)
}

/// The methods and names that most heads have.
fn known(text: &[u8]) -> Option<&'static [u8]> {
    Some(match text {
        b"GET" => b"GET",
        b"POST" => b"POST",
        b"accept" => b"accept",
        b"accept-encoding" => b"accept-encoding",
        b"accept-language" => b"accept-language",
        b"cache-control" => b"cache-control",
        b"content-length" => b"content-length",
        b"content-type" => b"content-type",
        b"cookie" => b"cookie",
        b"host" => b"host",
        b"link" => b"link",
        b"origin" => b"origin",
        b"referer" => b"referer",
        b"sec-fetch-site" => b"sec-fetch-site",
        b"set-cookie" => b"set-cookie",
        b"traceparent" => b"traceparent",
        b"user-agent" => b"user-agent",
        b"vary" => b"vary",
        b"x-tsr-serverfn" => b"x-tsr-serverfn",
        b"x-tss-serialized" => b"x-tss-serialized",
        _ => return None,
    })
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

    fn options() -> impl Strategy<Value = HandlerOptions<JobContext>> {
        let context = proptest::option::of(proptest::collection::btree_map(".{0,10}", any::<i32>(), 0..5));
        (context, any::<bool>(), any::<bool>()).prop_map(|(members, early_hints, response_link_header)| {
            let context = members.map(|members| {
                let object = members.into_iter().map(|(name, value)| (name, value.into())).collect();
                JobContext::new(&object).unwrap()
            });
            HandlerOptions { context, early_hints, response_link_header }
        })
    }

    fn encoded(options: HandlerOptions<&JobContext>) -> Bytes {
        let head = RequestHeadRef {
            method: "GET",
            url: "/",
            client_ip: "",
            request_id: "",
            has_body: false,
            options,
        };
        let mut out = BytesMut::new();
        head.encode(&mut out, std::iter::empty());
        out.freeze()
    }

    #[test]
    fn names_that_most_heads_have_keep_none_of_the_payload() {
        let fields: Vec<_> =
            ["host", "x-own", "cookie"].map(|name| (name.as_bytes().to_vec(), b"v".to_vec())).into();
        let mut out = BytesMut::new();
        ResponseHead::encode(&mut out, 200, borrowed(&fields));
        let payload = out.freeze();
        let within = payload.as_ptr_range();
        let head = ResponseHead::decode(payload.clone()).unwrap();
        assert_eq!(head.headers, owned(&fields));
        let shares = |(name, _): &HeaderField| within.contains(&name.as_ptr());
        assert_eq!(head.headers.iter().map(shares).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn options_that_are_absent_cost_nothing_on_the_wire() {
        let context = JobContext::from_json("{}".into()).unwrap();
        let none = encoded(HandlerOptions::default()).len();
        let hints = encoded(HandlerOptions { early_hints: true, ..HandlerOptions::default() }).len();
        let with = encoded(HandlerOptions { context: Some(&context), ..HandlerOptions::default() }).len();
        // Four texts behind their lengths, the flags, the number of fields.
        assert_eq!((none, hints, with), (4 * 4 + 4 + 1 + 4, none, none + 4 + 2));
    }

    #[test]
    fn a_context_that_is_too_long_is_refused_on_both_sides() {
        let long = Bytes::from(vec![b' '; MAX_CONTEXT_BYTES + 1]);
        assert_eq!(JobContext::from_json(long.clone()), Err(ContextTooLong { given: MAX_CONTEXT_BYTES + 1 }));
        let payload =
            encoded(HandlerOptions { context: Some(&JobContext(long)), ..HandlerOptions::default() });
        let refused = PayloadError::TooLong { field: "context", limit: MAX_CONTEXT_BYTES };
        assert_eq!(RequestHead::decode(payload), Err(refused));
    }

    proptest! {
        #[test]
        fn request_heads_survive_the_way(
            url in ".{0,80}",
            has_body: bool,
            options in options(),
            fields in fields(),
        ) {
            let head = RequestHeadRef {
                method: "GET", url: &url, client_ip: "::1", request_id: "r-1", has_body, options: options.as_ref(),
            };
            let mut out = BytesMut::new();
            head.encode(&mut out, borrowed(&fields));
            let read = RequestHead::decode(out.freeze()).unwrap();
            prop_assert_eq!(read.url, url.as_bytes());
            prop_assert_eq!(read.has_body, has_body);
            prop_assert_eq!(&read.options, &options);
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

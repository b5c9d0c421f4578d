//! What names a job in a log line.

use bytes::Bytes;
use shared::head::RequestHead;

/// What names a job in a log line; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobLabel {
    /// The request's id.
    pub request_id: String,
    /// The request's URL.
    pub url: String,
    /// The trace that it belongs to, and the gateway's span in it, as its `traceparent` says.
    pub trace: Option<TraceLabel>,
}

/// A trace and a span, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLabel {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
}

impl JobLabel {
    /// The name of a request.
    pub fn of(head: &RequestHead) -> Self {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let parent = head.headers.iter().find(|(name, _)| &name[..] == b"traceparent");
        Self {
            request_id: text(&head.request_id),
            url: text(&head.url),
            trace: parent.and_then(|(_, value)| TraceLabel::read(value)),
        }
    }

    /// The trace's id.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref().map(|trace| trace.trace_id.as_str())
    }

    /// The span's id.
    pub fn span_id(&self) -> Option<&str> {
        self.trace.as_ref().map(|trace| trace.span_id.as_str())
    }
}

impl TraceLabel {
    /// Of a `traceparent` (W3C Trace Context, section 3.2). The gateway writes it, unless it leaves traces alone: then it
    /// is the client's, and may be anything.
    fn read(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('-').skip(1);
        let mut digits = |length| {
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            parts.next().filter(|part| part.len() == length && part.bytes().all(hex)).map(str::to_owned)
        };
        Some(Self { trace_id: digits(32)?, span_id: digits(16)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_as_its_parent_says() {
        let read = |value: &str| TraceLabel::read(value.as_bytes());
        let trace = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.span_id, "b7ad6b7169203331");
        for bad in
            ["", "00", "00-x-y-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-\n-\n"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

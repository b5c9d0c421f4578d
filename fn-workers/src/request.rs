//! The request that a call belongs to.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use shared::head::{HeaderField, RequestHead};
use shared::message::control::Refusal;

use crate::error::FunctionError;
use crate::input::read_strings;
use crate::refusals;
use crate::strings::{Strings, urlencoded};

/// The most fields of a query that is read as a type: each is looked for among all.
const MAX_QUERY_FIELDS: usize = 1000;

/// A request's head. Cheap to clone. Empty where a call has none.
#[derive(Debug, Clone, Default)]
pub struct Request(Option<Arc<RequestHead>>);

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn header<'h>(head: &'h RequestHead, name: &str) -> Option<&'h str> {
    let field = head.headers.iter().find(|(own, _)| own == name.as_bytes());
    field.and_then(|(_, value)| std::str::from_utf8(value).ok())
}

/// The trace that a request belongs to, of its `traceparent`.
pub(crate) fn trace_id(head: &RequestHead) -> Option<&str> {
    header(head, "traceparent")?.split('-').nth(1)
}

impl Request {
    pub(crate) fn new(head: RequestHead) -> Self {
        Self(Some(Arc::new(head)))
    }

    /// As it travels; empty where a call has none.
    pub(crate) fn encoded(&self) -> Bytes {
        let mut encoded = BytesMut::new();
        if let Some(head) = &self.0 {
            head.encode(&mut encoded);
        }
        encoded.freeze()
    }

    fn field(&self, field: impl for<'h> Fn(&'h RequestHead) -> &'h Bytes) -> &str {
        self.0.as_deref().map_or("", |head| text(field(head)))
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.field(|head| &head.method)
    }

    /// The absolute URL, scheme and host as the client sees them.
    pub fn url(&self) -> &str {
        self.field(|head| &head.url)
    }

    /// The path of the URL, as sent.
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What stands behind the path's `?`; empty when nothing does.
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    fn target(&self) -> &str {
        let url = self.url();
        let behind_scheme = url.find("://").map_or(0, |at| at + 3);
        url[behind_scheme..].find('/').map_or("/", |at| &url[behind_scheme + at..])
    }

    /// The client's address; behind trusted proxies the one that they report.
    pub fn client_ip(&self) -> &str {
        self.field(|head| &head.client_ip)
    }

    /// The first field of this name, in lower case, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.0.as_deref()?, name)
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        trace_id(self.0.as_deref()?)
    }

    /// All fields of this name, in lower case, whose values are text.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.fields().filter(move |(own, _)| own == name.as_bytes());
        named.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The query as a type: texts are read as what it asks for.
    ///
    /// # Errors
    /// 422 with the field's name when a text does not fit, 413 when there are more than 1000 of them.
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T, FunctionError> {
        let query = self.query();
        if query.split('&').nth(MAX_QUERY_FIELDS).is_some() {
            let message = format!("the query has more than {MAX_QUERY_FIELDS} fields");
            return Err(refusals::refuse(Refusal::InputBytes, message));
        }
        read_strings(Strings::of(&urlencoded(query)))
    }

    fn fields(&self) -> impl Iterator<Item = &HeaderField> {
        self.0.as_deref().into_iter().flat_map(|head| &head.headers)
    }

    /// What the gateway's middleware has put into the request's context.
    ///
    /// # Errors
    /// 500 when it is of another type.
    pub fn gateway_context<T: DeserializeOwned>(&self) -> Result<Option<T>, FunctionError> {
        let context = self.0.as_deref().and_then(|head| head.options.context.as_ref());
        context.map(|context| serde_json::from_slice(context.as_json())).transpose().map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use shared::head::HandlerOptions;

    use super::*;

    fn request(url: &'static str) -> Request {
        Request::new(RequestHead {
            method: "GET".into(),
            url: url.into(),
            client_ip: "::1".into(),
            request_id: "r".into(),
            has_body: false,
            options: HandlerOptions::default(),
            headers: vec![
                ("a".into(), "1".into()),
                ("b".into(), b"\xff"[..].into()),
                ("a".into(), "2".into()),
            ],
        })
    }

    #[test]
    fn a_url_has_a_path_and_a_query() {
        for (url, path, query) in [
            ("http://localhost/a/b?c=/d?e", "/a/b", "c=/d?e"),
            ("http://localhost:80/", "/", ""),
            ("https://localhost", "/", ""),
        ] {
            assert_eq!((request(url).path(), request(url).query()), (path, query));
        }
        assert_eq!(Request::default().path(), "/");
    }

    #[test]
    fn fields_of_one_name_stay_several() {
        let request = request("http://localhost/");
        assert_eq!(request.header_values("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(request.header("b"), None);
    }
}

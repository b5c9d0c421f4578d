//! The header fields of a request as they go on, without a copy of them.

use actix_web::http::header::HeaderMap;

/// The fields of a client's request, and one that the gateway adds.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    headers: &'a HeaderMap,
    added: Option<(&'static str, &'a [u8])>,
}

impl<'a> Fields<'a> {
    /// These alone.
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self { headers, added: None }
    }

    /// These, and one of a name that is not among them.
    pub fn with(headers: &'a HeaderMap, added: Option<(&'static str, &'a [u8])>) -> Self {
        debug_assert!(added.is_none_or(|(name, _)| !headers.contains_key(name)), "a field twice");
        Self { headers, added }
    }

    /// Names in lower case, and values. A name stands as often as it has values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let added = self.added.map(|(name, value)| (name.as_bytes(), value));
        let own = self.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        own.chain(added)
    }
}

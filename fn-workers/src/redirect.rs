//! Where to go instead: what TanStack Router acts on in place of a result.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::FunctionError;

/// A redirect. A handler returns it as its error: `return Err(Redirect::to("/login").into())`.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    status: u16,
    options: Map<String, Value>,
}

impl Redirect {
    /// To a route of the app, by its path in the router's terms: `/threads/$id`.
    pub fn to(route: impl Into<String>) -> Self {
        Self::with("to", route.into())
    }

    /// To an address, of this site or another.
    pub fn href(href: impl Into<String>) -> Self {
        Self::with("href", href.into())
    }

    fn with(name: &str, target: String) -> Self {
        let mut options = Map::new();
        options.insert(name.to_owned(), Value::String(target));
        Self { status: 307, options }
    }

    /// A value for one of the route's parameters.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let params = self.options.entry("params").or_insert_with(|| json!({}));
        if let Value::Object(params) = params {
            params.insert(name.into(), Value::String(value.into()));
        }
        self
    }

    /// The search parameters. What does not serialise to JSON is left out.
    #[must_use]
    pub fn search(mut self, search: &impl Serialize) -> Self {
        if let Ok(search) = serde_json::to_value(search) {
            self.options.insert("search".into(), search);
        }
        self
    }

    /// The new address takes the old one's place in the history.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.options.insert("replace".into(), Value::Bool(true));
        self
    }

    /// The status for clients without a router. Default 307; one outside of 300 to 308 is taken as 307.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = if (300..=308).contains(&status) { status } else { 307 };
        self
    }

    pub(crate) fn code(&self) -> u16 {
        self.status
    }

    /// Where a client without a router goes: only an address tells it.
    pub(crate) fn location(&self) -> Option<&str> {
        let target = self.options.get("href").or_else(|| self.options.get("to")).and_then(Value::as_str)?;
        // A path with parameters is the router's to fill.
        (!target.contains('$')).then_some(target)
    }

    /// Reads what [`Redirect::to_json`] has written.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut options: Map<String, Value> = serde_json::from_slice(json)?;
        options.remove("isSerializedRedirect");
        let status = options.remove("statusCode").and_then(|status| status.as_u64());
        let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(307);
        Ok(Self { status, options })
    }

    /// What the router's `parseRedirect` reads.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.insert("statusCode".into(), self.status.into());
        options.insert("isSerializedRedirect".into(), Value::Bool(true));
        Value::Object(options).to_string().into_bytes()
    }
}

/// What was asked for is not there: the nearest `notFoundComponent` is shown. A handler returns it as its error.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NotFound {
    options: Map<String, Value>,
}

impl NotFound {
    /// The nearest boundary shows it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The boundary of this route shows it.
    #[must_use]
    pub fn route(mut self, id: impl Into<String>) -> Self {
        self.options.insert("routeId".into(), Value::String(id.into()));
        self
    }

    /// What the `notFoundComponent` is given. What does not serialise to JSON is left out.
    #[must_use]
    pub fn data(mut self, data: &impl Serialize) -> Self {
        if let Ok(data) = serde_json::to_value(data) {
            self.options.insert("data".into(), data);
        }
        self
    }

    /// Reads what [`NotFound::to_json`] has written.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut options: Map<String, Value> = serde_json::from_slice(json)?;
        options.remove("isNotFound");
        Ok(Self { options })
    }

    /// What the router's `isNotFound` knows.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.insert("isNotFound".into(), Value::Bool(true));
        Value::Object(options).to_string().into_bytes()
    }
}

impl From<Redirect> for FunctionError {
    fn from(redirect: Redirect) -> Self {
        Self::redirect(redirect)
    }
}

impl From<NotFound> for FunctionError {
    fn from(not_found: NotFound) -> Self {
        Self::nothing_there(not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &[u8]) -> Value {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn a_redirect_is_what_the_router_reads() {
        let redirect = Redirect::to("/threads/$id").param("id", "7").search(&json!({ "page": 2 })).replace();
        let expected = json!({
            "to": "/threads/$id", "params": { "id": "7" }, "search": { "page": 2 }, "replace": true,
            "statusCode": 307, "isSerializedRedirect": true,
        });
        assert_eq!(read(&redirect.to_json()), expected);
        assert_eq!(Redirect::from_json(&redirect.to_json()).unwrap(), redirect);
        assert_eq!(redirect.location(), None);
        assert_eq!(Redirect::href("https://example.com").status(301).location(), Some("https://example.com"));
        assert_eq!(Redirect::to("/").status(200).code(), 307);
    }

    #[test]
    fn nothing_there_is_what_the_router_knows() {
        let not_found = NotFound::new().route("/threads/$id").data(&json!({ "id": "7" }));
        let json = not_found.to_json();
        assert_eq!(NotFound::from_json(&json).unwrap(), not_found);
        assert_eq!(
            read(&json),
            json!({ "routeId": "/threads/$id", "data": { "id": "7" }, "isNotFound": true })
        );
    }
}

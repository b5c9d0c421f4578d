//! How a call fails: a status and a message for the caller, details for the log alone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use shared::message::Outcome;

use crate::redirect::{NotFound, Redirect};

/// A failed call.
///
/// Every [`std::error::Error`] becomes one by `?`: a 500 whose text stays in the log. It is therefore none
/// itself, like `anyhow::Error`.
pub struct FunctionError {
    status: u16,
    message: Cow<'static, str>,
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// What the router does in place of showing an error.
    instead: Option<Box<Instead>>,
}

/// What the router does in place of showing an error.
#[derive(Debug)]
pub(crate) enum Instead {
    Redirect(Redirect),
    NotFound(NotFound),
}

/// The public message of a failure that is nobody's business outside.
const INTERNAL: &str = "the function failed";

impl FunctionError {
    /// A failure with an HTTP status of 400 to 599 and a message that the caller may see. Any other status is
    /// taken as 500.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        let status = if (400..600).contains(&status) { status } else { 500 };
        Self { status, message: message.into(), cause: None, instead: None }
    }

    /// 400: the input is not what it should be.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, message)
    }

    /// 404: what the input names is not there.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, message)
    }

    /// 500: the caller learns no more than that; `cause` goes to the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(500, INTERNAL).because(cause)
    }

    pub(crate) fn redirect(redirect: Redirect) -> Self {
        let instead = Some(Box::new(Instead::Redirect(redirect)));
        Self { instead, ..Self::new(400, "go elsewhere") }
    }

    pub(crate) fn nothing_there(not_found: NotFound) -> Self {
        let instead = Some(Box::new(Instead::NotFound(not_found)));
        Self { instead, ..Self::not_found("not found") }
    }

    pub(crate) fn instead(&self) -> Option<&Instead> {
        self.instead.as_deref()
    }

    /// Adds what the log should know and the caller should not.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The HTTP status that fits.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the caller may see.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Writes the failure to the log, with its whole chain of causes; the caller's own mistakes only at `debug`.
    pub fn log(&self) {
        let (status, message) = (self.status, &self.message);
        match &self.cause {
            Some(cause) => tracing::error!(status, cause = chain(cause.as_ref()), "{message}"),
            None if status >= 500 => tracing::error!(status, "{message}"),
            None => tracing::debug!(status, "{message}"),
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl fmt::Debug for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionError")
            .field("status", &self.status)
            .field("message", &self.message)
            .field("cause", &self.cause)
            .field("instead", &self.instead)
            .finish()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for FunctionError {
    fn from(cause: E) -> Self {
        Self::internal(cause)
    }
}

impl From<Invalid> for FunctionError {
    fn from(invalid: Invalid) -> Self {
        Self::new(422, invalid.to_string())
    }
}

impl From<FunctionError> for Outcome {
    fn from(error: FunctionError) -> Self {
        Self::failed(error.status, error.message)
    }
}

/// What a validator found: for each field at fault, by its path in the input, what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    fields: Vec<(String, String)>,
}

impl Invalid {
    /// One field's fault: `Invalid::field("limit", "must be 1 to 100")`.
    pub fn field(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { fields: vec![(path.into(), problem.into())] }
    }

    /// Adds another field's fault.
    #[must_use]
    pub fn and(mut self, path: impl Into<String>, problem: impl Into<String>) -> Self {
        self.fields.push((path.into(), problem.into()));
        self
    }

    /// The faults, in the order in which they were found.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(path, problem)| (path.as_str(), problem.as_str()))
    }

    /// The faults of both, where there are any: how several validators report together.
    pub(crate) fn merge(found: Option<Self>, more: Self) -> Self {
        match found {
            Some(mut found) => {
                found.fields.extend(more.fields);
                found
            }
            None => more,
        }
    }
}

impl From<garde::Report> for Invalid {
    fn from(report: garde::Report) -> Self {
        let fields =
            report.iter().map(|(path, error)| (path.to_string(), error.message().to_owned())).collect();
        Self { fields }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, problem)) in self.fields.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{path}: {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_stays_private() {
        let error = FunctionError::from(std::io::Error::other("password in here"));
        assert_eq!(Outcome::from(error), Outcome::failed(500, "the function failed"));
    }

    #[test]
    fn faults_name_their_fields() {
        let invalid = Invalid::field("limit", "must be 1 to 100").and("query", "is too long");
        let error = FunctionError::from(invalid);
        assert_eq!(error.status(), 422);
        assert_eq!(error.message(), "limit: must be 1 to 100; query: is too long");
    }

    #[test]
    fn a_failure_cannot_look_like_success() {
        assert_eq!(FunctionError::new(200, "fine").status(), 500);
    }
}

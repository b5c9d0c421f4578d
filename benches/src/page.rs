//! The page that is measured: every server must answer the same before any is measured.

use std::ops::RangeInclusive;
use std::time::Duration;

use ureq::Agent;

use crate::error::BenchFailure;

/// Every complete home page holds these.
pub const MARKERS: [&str; 2] = [">Threads</h1>", "</html>"];
/// By how many bytes pages may differ: ids and times, and where a server flushes a stream.
const TOLERANCE_BYTES: usize = 256;
/// The longest page that is read, bytes.
const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without parameters.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Page {
    /// `GET /` of a server.
    ///
    /// # Errors
    ///
    /// When there is no answer, or its body is no text or too long.
    pub fn fetch(contestant: &str, address: &str) -> Result<Self, BenchFailure> {
        Self::fetch_path(contestant, address, "/")
    }

    /// `GET` of a path of a server.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub fn fetch_path(contestant: &str, address: &str, path: &str) -> Result<Self, BenchFailure> {
        let failure =
            |source| BenchFailure::Fetch { contestant: contestant.to_owned(), source: Box::new(source) };
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let mut response = agent.get(format!("{address}{path}")).call().map_err(failure)?;
        let content_type = response.body().mime_type().unwrap_or_default().to_owned();
        let body =
            response.body_mut().with_config().limit(MAX_PAGE_BYTES).read_to_string().map_err(failure)?;
        Ok(Self { status: response.status().as_u16(), content_type, body })
    }

    /// What is wrong with it, by itself.
    fn fault(&self) -> Option<String> {
        let missing = || {
            let missing = MARKERS.iter().find(|marker| !self.body.contains(**marker))?;
            Some(format!("without {missing:?} in {} bytes", self.body.len()))
        };
        self.no_document().or_else(missing)
    }

    /// Refuses what is no whole document, whatever its content.
    ///
    /// # Errors
    ///
    /// As said.
    pub fn check_document(&self, contestant: &str) -> Result<(), BenchFailure> {
        let is_cut = !self.body.ends_with("</html>");
        let problem = self
            .no_document()
            .or_else(|| is_cut.then(|| format!("with {} bytes without an end", self.body.len())));
        match problem {
            None => Ok(()),
            Some(problem) => Err(BenchFailure::Page { contestant: contestant.to_owned(), problem }),
        }
    }

    fn no_document(&self) -> Option<String> {
        if self.status != 200 {
            return Some(format!("with status {}", self.status));
        }
        if self.content_type != "text/html" {
            return Some(format!("with {:?} instead of text/html", self.content_type));
        }
        None
    }

    /// Refuses a page that is wrong by itself, or differs from another server's.
    ///
    /// # Errors
    ///
    /// As said.
    pub fn check(&self, contestant: &str, other: Option<&Self>) -> Result<(), BenchFailure> {
        let differs = || {
            let other = other?.body.len();
            let apart = self.body.len().abs_diff(other);
            (apart > TOLERANCE_BYTES).then(|| {
                format!("with {} bytes, Isopod with {other}: they are not the same page", self.body.len())
            })
        };
        match self.fault().or_else(differs) {
            None => Ok(()),
            Some(problem) => Err(BenchFailure::Page { contestant: contestant.to_owned(), problem }),
        }
    }

    /// The lengths that answers under load may have, bytes.
    pub fn lengths(&self) -> RangeInclusive<usize> {
        self.body.len().saturating_sub(TOLERANCE_BYTES)..=self.body.len() + TOLERANCE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    fn page(filling: usize) -> Page {
        let body = format!("<html><h1 data-hk=\"1\">Threads</h1>{}</html>", "x".repeat(filling));
        Page { status: 200, content_type: "text/html".to_owned(), body }
    }

    fn problem(page: &Page, other: Option<&Page>) -> String {
        page.check("node26", other).unwrap_err().to_string()
    }

    #[test]
    fn pages_that_differ_by_an_id_are_the_same() {
        page(5000).check("node26", Some(&page(5010))).unwrap();
        assert!(page(5000).lengths().contains(&page(5010).body.len()));
    }

    #[test]
    fn pages_of_other_lengths_are_not_compared() {
        assert!(problem(&page(5000), Some(&page(9000))).contains("not the same page"));
    }

    #[test]
    fn an_error_page_is_not_measured() {
        assert!(problem(&Page { status: 500, ..page(1) }, None).contains("status 500"));
        assert!(
            problem(&Page { content_type: "text/plain".to_owned(), ..page(1) }, None).contains("text/plain")
        );
        let cut = Page { body: "<html><h1>Threads</h1>".to_owned(), ..page(1) };
        assert!(problem(&cut, None).contains("</html>"));
        assert!(cut.check_document("isopod").is_err());
        page(1).check_document("isopod").unwrap();
        assert!(Page { status: 404, ..page(1) }.check_document("isopod").is_err());
    }
}

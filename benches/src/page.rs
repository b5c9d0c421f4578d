//! One page of a server's as the whole load, its answers checked.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use ureq::Agent;

use crate::error::BenchFailure;
use crate::traffic::ask::{Ask, Expected};
use crate::traffic::connections::Protocol;
use crate::traffic::{self, Outcome, Pace, Plan};

/// By how many bytes answers may differ: ids and times.
const TOLERANCE_BYTES: usize = 256;

/// The longest page that is read, bytes.
const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where every whole document ends; Solid's have a comment behind it.
const END: &str = "</html>";

/// A page that is asked for, and what a right answer is.
#[derive(Debug)]
pub struct Target {
    server: String,
    address: SocketAddr,
    ask: Rc<Ask>,
}

impl Target {
    /// Asks for the page once: the answer is the measure of those that follow.
    ///
    /// # Errors
    ///
    /// When there is no answer, or it is no whole document.
    pub fn of(server: &str, address: &str, path: &str) -> Result<Self, BenchFailure> {
        let wrong = |problem: String| BenchFailure::Page { contestant: server.to_owned(), problem };
        let failure =
            |source| BenchFailure::Fetch { contestant: server.to_owned(), source: Box::new(source) };
        let socket = address.strip_prefix("http://").and_then(|text| text.parse().ok());
        let socket: SocketAddr = socket.ok_or_else(|| wrong(format!("at {address}, which is no address")))?;
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        let browser = HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0");
        headers.insert(header::USER_AGENT, browser.clone());
        let asked = agent.get(format!("{address}{path}")).header(header::USER_AGENT, browser);
        let mut response = asked.header(header::ACCEPT, "text/html").call().map_err(failure)?;
        let (status, kind) =
            (response.status().as_u16(), response.body().mime_type().unwrap_or_default().to_owned());
        let body =
            response.body_mut().with_config().limit(MAX_PAGE_BYTES).read_to_string().map_err(failure)?;
        if let Some(problem) = fault(status, &kind, &body) {
            return Err(wrong(problem));
        }
        traffic::host(&mut headers, socket);
        let lengths = body.len().saturating_sub(TOLERANCE_BYTES)..=body.len() + TOLERANCE_BYTES;
        let expected = Expected { lengths: Some(lengths), holds: vec![END.to_owned()], shell: None };
        let ask = Rc::new(Ask { expected, ..Ask::get(path, headers) });
        Ok(Self { server: server.to_owned(), address: socket, ask })
    }

    /// Puts the server under load from the calling thread.
    ///
    /// # Errors
    ///
    /// When the generator cannot hold its rate, or an answer is another.
    pub fn load(&self, pace: Pace, connections: usize) -> Result<Outcome, BenchFailure> {
        let plan = Plan {
            address: self.address,
            protocol: Protocol::Http1,
            asks: vec![Rc::clone(&self.ask)],
            pace,
            timeout: TIMEOUT,
            patience: TIMEOUT,
            connections,
        };
        let outcome = traffic::run(&plan).map_err(|error| BenchFailure::Load {
            contestant: self.server.clone(),
            problem: error.to_string(),
        })?;
        outcome.check(&self.server)?;
        Ok(outcome)
    }
}

/// Why an answer is no whole document.
fn fault(status: u16, kind: &str, body: &str) -> Option<String> {
    if status != 200 {
        return Some(format!("with status {status}"));
    }
    if kind != "text/html" {
        return Some(format!("with {kind:?} instead of text/html"));
    }
    (!body.contains(END)).then(|| format!("with {} bytes without an end", body.len()))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn what_is_no_whole_document_is_not_measured() {
        let page = "<html>text</html>";
        assert_eq!(fault(200, "text/html", page), None);
        assert_eq!(fault(200, "text/html", "<html>text</html><!--!$/e0-->"), None);
        assert!(fault(404, "text/html", page).unwrap().contains("status 404"));
        assert!(fault(200, "text/plain", page).unwrap().contains("text/plain"));
        assert!(fault(200, "text/html", "<html>te").unwrap().contains("8 bytes without an end"));
    }
}

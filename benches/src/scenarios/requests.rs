//! A scenario's requests for one app and one server: paths, header fields, bodies, and what right answers are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde_json::Value;
use ureq::Agent;
use xtask::apps::App;
use xtask::error::Failure;
use xtask::files;

use super::catalog::{Part, Scenario, What};
use crate::error::BenchFailure;
use crate::traffic::ask::{Ask, Expected};

/// What asks: a browser, since servers hold pages back for what they take for crawlers.
const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

/// By how many bytes documents may differ: ids and times, and where a server flushes a stream.
const TOLERANCE_BYTES: usize = 256;

/// The longest body that is read, bytes.
const MAX_BODY_BYTES: u64 = 16 * 1024 * 1024;

/// One request and its checked answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Without conditions on its answer until [`Request::check`] sets them.
    pub ask: Ask,
    what: What,
    /// The body that it was answered with.
    pub body: Vec<u8>,
}

/// The requests of a scenario for an app; `is_isopod` chooses who runs native functions.
///
/// # Errors
///
/// When the app's build lacks what is asked for.
pub fn of(scenario: &Scenario, app: &App, is_isopod: bool) -> Result<Vec<Request>, BenchFailure> {
    scenario.asks.iter().map(|part| request(part, app, is_isopod)).collect()
}

fn request(part: &Part, app: &App, is_isopod: bool) -> Result<Request, BenchFailure> {
    let dist = app.dist();
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(BROWSER));
    headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
    let mut ask = match part.what {
        What::Page { path, .. } => Ask::get(path, headers),
        What::Function { file, name, post, .. } => {
            let mut ask =
                Ask::get(&format!("/_serverFn/{}", function_id(&dist, (file, name))?), function_headers());
            if let Some(body) = post {
                ask.method = Method::POST;
                ask.body = Bytes::from_static(body.as_bytes());
                ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            ask
        }
        What::Native { name, payload, .. } if is_isopod => {
            let path = format!("/_serverFn/{}?payload={}", native_id(&dist, name)?, encoded(payload));
            Ask::get(&path, function_headers())
        }
        What::Native { instead, .. } => {
            Ask::get(&format!("/_serverFn/{}", function_id(&dist, instead)?), function_headers())
        }
        What::SmallFile | What::LargeFile => {
            let mut files = Vec::new();
            client_files(&dist.join("client"), &mut files)?;
            files.sort();
            let file = if part.what == What::SmallFile { files.first() } else { files.last() };
            let (_, path) = file.ok_or_else(|| lacks(app, "static files"))?;
            let path = path.strip_prefix(dist.join("client")).unwrap_or(path);
            Ask::get(&format!("/{}", path.display()), HeaderMap::new())
        }
    };
    ask.weight = part.weight;
    ask.visitor = part.visitor;
    Ok(Request { ask, what: part.what, body: Vec::new() })
}

impl Request {
    /// Whether it asks for a file.
    pub fn is_static(&self) -> bool {
        matches!(self.what, What::SmallFile | What::LargeFile)
    }

    /// Whether nobody answers it.
    fn is_poison(&self) -> bool {
        self.ask.path.contains("spin=true")
    }

    /// Asks for it once, refuses a wrong answer, and takes a right one as the measure of all that follow.
    ///
    /// # Errors
    ///
    /// When there is no answer, or it is wrong by itself.
    pub fn check(&mut self, contestant: &str, address: &str) -> Result<(), BenchFailure> {
        if self.is_poison() {
            return Ok(());
        }
        let failure = |problem: String| BenchFailure::Page { contestant: contestant.to_owned(), problem };
        let answered = fetch(&self.ask, address);
        let (status, body) = answered.map_err(|source| BenchFailure::Fetch {
            contestant: contestant.to_owned(),
            source: Box::new(source),
        })?;
        let path = &self.ask.path;
        if status != 200 {
            return Err(failure(format!("{path} with status {status}")));
        }
        let (holds, shell) = match self.what {
            What::Page { holds, shell, .. } => {
                (vec![holds.to_owned(), "</html>".to_owned()], Some(shell.to_owned()))
            }
            What::Function { holds, .. } | What::Native { holds, .. } => (vec![holds.to_owned()], None),
            What::SmallFile | What::LargeFile => (Vec::new(), None),
        };
        let text = String::from_utf8_lossy(&body);
        if let Some(missing) = holds.iter().chain(&shell).find(|wanted| !text.contains(wanted.as_str())) {
            return Err(failure(format!("{path} without {missing:?} in {} bytes", body.len())));
        }
        let tolerance = if self.is_static() { 0 } else { TOLERANCE_BYTES };
        let lengths = body.len().saturating_sub(tolerance)..=body.len() + tolerance;
        self.ask.expected = Expected { lengths: Some(lengths), holds, shell };
        self.body = body;
        Ok(())
    }

    /// Refuses an answer that differs from another server's by more than what flushes and ids make.
    ///
    /// # Errors
    ///
    /// As said.
    pub fn compare(&self, contestant: &str, other: &Self) -> Result<(), BenchFailure> {
        if self.is_poison() || matches!(self.what, What::Native { .. }) {
            return Ok(());
        }
        let problem = match self.what {
            What::SmallFile | What::LargeFile => (self.body != other.body).then_some("another file"),
            What::Page { streams, .. } => {
                let apart = self.body.len().abs_diff(other.body.len());
                let is_same = streams || markup(&self.body) == markup(&other.body);
                (apart > TOLERANCE_BYTES || !is_same).then_some("another document")
            }
            What::Function { .. } | What::Native { .. } => {
                (self.body != other.body).then_some("another value")
            }
        };
        problem.map_or(Ok(()), |problem| {
            let problem = format!(
                "{} with {problem}: {} bytes, Isopod with {}",
                self.ask.path,
                self.body.len(),
                other.body.len()
            );
            Err(BenchFailure::Page { contestant: contestant.to_owned(), problem })
        })
    }
}

/// A document without its scripts and comments: what differs by flushes and times lies in those.
fn markup(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for (open, close) in [("<script", "</script>"), ("<!--", "-->")] {
        while let Some(start) = text.find(open) {
            let end = text[start..].find(close).map_or(text.len(), |end| start + end + close.len());
            text.replace_range(start..end, "");
        }
    }
    text
}

fn fetch(ask: &Ask, address: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut request = http::Request::builder().method(&ask.method).uri(format!("{address}{}", ask.path));
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(&ask.headers);
    }
    let mut response = agent.run(request.body(ask.body.to_vec())?)?;
    let body = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec()?;
    Ok((response.status().as_u16(), body))
}

/// As Start's client calls.
fn function_headers() -> HeaderMap {
    let fields = [
        ("x-tsr-serverfn", "true"),
        ("accept", "application/x-tss-framed, application/x-ndjson, application/json"),
        ("sec-fetch-site", "same-origin"),
        ("user-agent", BROWSER),
    ];
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.into_iter().map(field).collect()
}

/// The id of a server function that runs in JavaScript, by its file and name: the build has all three beside each other.
fn function_id(dist: &Path, (file, name): (&str, &str)) -> Result<String, BenchFailure> {
    let (wanted, whence) = (format!("name: \"{name}\""), format!("filename: \"{file}\""));
    let mut scripts = Vec::new();
    client_files(&dist.join("server"), &mut scripts)?;
    for (_, path) in scripts.iter().filter(|(_, path)| path.extension().is_some_and(|kind| kind == "js")) {
        let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
        for (place, _) in text.match_indices(&wanted) {
            let is_of_file =
                text[place..].find('}').is_some_and(|end| text[place..place + end].contains(&whence));
            let id = text[..place].rfind("id: \"").and_then(|id| text[id + 5..].split_once('"'));
            if let (true, Some((id, _))) = (is_of_file, id) {
                return Ok(id.to_owned());
            }
        }
    }
    Err(BenchFailure::Build {
        problem: format!("{} holds no server function {name} of {file}", dist.display()),
    })
}

/// The id of a function that browsers call past the bundle.
fn native_id(dist: &Path, name: &str) -> Result<String, BenchFailure> {
    let path = dist.join("isopod.json");
    let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    let manifest: Value =
        serde_json::from_str(&text).map_err(Failure::unreadable(path.display().to_string()))?;
    let direct = manifest["functions"]["direct"].as_object();
    let id = direct.and_then(|direct| direct.iter().find(|(_, native)| *native == name));
    id.map(|(id, _)| id.clone())
        .ok_or_else(|| BenchFailure::Build { problem: format!("{} names no direct {name}", path.display()) })
}

/// Files with their lengths, without compressed copies.
fn client_files(directory: &Path, found: &mut Vec<(u64, PathBuf)>) -> Result<(), Failure> {
    for path in files::children(directory)? {
        if path.is_dir() {
            client_files(&path, found)?;
        } else if path.extension().is_none_or(|kind| !["br", "gz", "zst"].iter().any(|copy| kind == *copy)) {
            let length = fs::metadata(&path).map_err(Failure::file("read", &path))?.len();
            found.push((length, path));
        }
    }
    Ok(())
}

fn lacks(app: &App, what: &str) -> BenchFailure {
    BenchFailure::Build { problem: format!("the build of {} holds no {what}", app.name) }
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Ask, Request, What, encoded, function_id, markup};

    fn document(body: &str) -> Request {
        let what = What::Page { path: "/", holds: "", shell: "", streams: false };
        Request { ask: Ask::get("/", HeaderMap::new()), what, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn documents_that_differ_by_scripts_and_comments_are_the_same() {
        let one = document("<html><main>a<!--$-->b</main><script>time(1)</script></html>");
        let other = document("<html><main>ab</main></html>");
        one.compare("node26", &other).unwrap();
        let wrong = document("<html><main>ac</main></html>");
        assert!(wrong.compare("node26", &other).unwrap_err().to_string().contains("another document"));
        assert_eq!(markup(b"a<script>never ends"), "a");
    }

    #[test]
    fn a_file_must_be_the_same_to_the_last_byte() {
        let file = |body: &str| Request { what: What::SmallFile, ..document(body) };
        file("abc").compare("nginx", &file("abc")).unwrap();
        assert!(file("abd").compare("nginx", &file("abc")).is_err());
    }

    #[test]
    fn the_id_of_a_function_stands_before_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let server = directory.path().join("server");
        std::fs::create_dir_all(&server).unwrap();
        let entry = |id: &str, name: &str, file: &str| {
            format!("createServerRpc({{\n\tid: \"{id}\",\n\tname: \"{name}\",\n\tfilename: \"{file}\"\n}})\n")
        };
        let text = entry("aa", "one", "a.ts") + &entry("bb", "two", "a.ts") + &entry("cc", "two", "b.ts");
        std::fs::write(server.join("a.js"), text).unwrap();
        assert_eq!(function_id(directory.path(), ("a.ts", "two")).unwrap(), "bb");
        assert_eq!(function_id(directory.path(), ("b.ts", "two")).unwrap(), "cc");
        assert!(function_id(directory.path(), ("b.ts", "one")).is_err());
    }

    #[test]
    fn a_payload_is_encoded_for_a_query() {
        assert_eq!(encoded("{\"a\":1}"), "%7B%22a%22%3A1%7D");
    }
}

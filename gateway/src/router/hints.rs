//! The links that pages need, learnt from what the app reports while it renders, and sent before the next page of the
//! same route is.
//!
//! Each gateway thread learns for itself. A route is a pattern of the build's manifest, or what [`shape`](super::shape) says;
//! where two routes look alike, only what both need is kept.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use prometheus::IntCounterVec;
use shared::message::{EarlyHints, HintPhase};

use crate::server::connection::interim::Interim;

/// Routes that are remembered; the oldest makes room.
const MOST_ROUTES: usize = 256;

/// Bytes of links that are kept for a route, and sent at a time.
const MOST_BYTES: usize = 4096;

/// So often the app is asked again about a route that is known: it may have been built anew.
const ASK_EVERY: u32 = 32;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Links, each the value of a `Link` field.
pub type Links = Rc<[Box<str>]>;

/// What one gateway thread has learnt. At most 1 MiB of links.
#[derive(Debug, Default)]
pub struct Learnt {
    routes: RefCell<Routes>,
}

#[derive(Debug, Default)]
struct Routes {
    known: HashMap<String, Route>,
    oldest: VecDeque<String>,
}

#[derive(Debug)]
struct Route {
    links: Links,
    asked: u32,
}

/// What is known of a route.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its links; empty when none are known.
    pub links: Links,
    /// Whether the app is to be asked.
    pub ask: bool,
}

impl Learnt {
    /// What is known of this route.
    pub fn of(&self, route: &str) -> Known {
        match self.routes.borrow_mut().known.get_mut(route) {
            None => Known { links: Rc::new([]), ask: true },
            Some(route) => {
                route.asked = (route.asked + 1) % ASK_EVERY;
                Known { links: Rc::clone(&route.links), ask: route.asked == 0 }
            }
        }
    }

    /// The app has reported what a page of this route needs. What its loaders found out is of this page alone.
    pub fn learn(&self, route: &str, hints: &EarlyHints) {
        if hints.phase != HintPhase::Static {
            return;
        }
        let mut room = MOST_BYTES;
        let links: Vec<Box<str>> = hints
            .links()
            .take_while(|link| {
                let fits = link.len() <= room;
                room = room.saturating_sub(link.len());
                fits
            })
            .map(Box::from)
            .collect();
        self.routes.borrow_mut().learn(route, links);
    }
}

impl Routes {
    fn learn(&mut self, name: &str, links: Vec<Box<str>>) {
        if let Some(route) = self.known.get_mut(name) {
            let both: Vec<_> = route.links.iter().filter(|link| links.contains(link)).cloned().collect();
            // Nothing in common: the app was built anew.
            let links = if both.is_empty() { links } else { both };
            if *route.links != links[..] {
                route.links = links.into();
            }
            return;
        }
        if self.known.len() >= MOST_ROUTES
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest.push_back(name.to_owned());
        self.known.insert(name.to_owned(), Route { links: links.into(), asked: 0 });
    }
}

/// The hints of one request: what is known goes to the client before the page is rendered, what the app reports
/// meanwhile behind it; what could not go before the response goes with it.
#[derive(Debug)]
pub struct Hinting<'a> {
    learnt: &'a Learnt,
    route: String,
    known: Known,
    /// The way to the client, if it understands what comes before the response.
    interim: Option<Interim>,
    was_sent: Cell<bool>,
    /// What was reported and not sent.
    kept: RefCell<Vec<Box<str>>>,
    counts: &'a IntCounterVec,
}

impl<'a> Hinting<'a> {
    /// Begins with what is known; `None` where nobody asked for a page.
    pub fn begin(
        learnt: &'a Learnt,
        counts: &'a IntCounterVec,
        request: &HttpRequest,
        interim: Option<Interim>,
        route: impl FnOnce() -> String,
    ) -> Option<Self> {
        if !is_for_page(request.method(), request.headers()) {
            return None;
        }
        let route = route();
        let known = learnt.of(&route);
        let interim = interim.filter(|_| understands_interim(request.headers()));
        let (was_sent, kept) = (Cell::new(false), RefCell::default());
        let hinting = Self { learnt, route, known, interim, was_sent, kept, counts };
        if !hinting.known.links.is_empty() {
            hinting.send(&hinting.known.links);
        }
        Some(hinting)
    }

    /// Whether the app is to report what the page needs.
    pub fn asks(&self) -> bool {
        self.known.ask
    }

    /// The app has reported something.
    pub fn hear(&self, hints: &EarlyHints) {
        self.learnt.learn(&self.route, hints);
        let new = hints.links().filter(|link| !self.known.links.iter().any(|known| **known == **link));
        let mut room = MOST_BYTES.saturating_sub(self.kept.borrow().iter().map(|link| link.len()).sum());
        let new: Vec<Box<str>> = new
            .take_while(|link| {
                let fits = link.len() <= room;
                room = room.saturating_sub(link.len());
                fits
            })
            .map(Box::from)
            .collect();
        if !new.is_empty() && !self.send(&new) {
            self.kept.borrow_mut().extend(new);
        }
    }

    /// Adds to the response of a page what could not go before it.
    pub fn finish(self, response: &mut HttpResponse) {
        let is_page = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if response.status() != StatusCode::OK || !is_page || response.headers().contains_key(header::LINK) {
            return;
        }
        let known: &[Box<str>] = if self.was_sent.get() { &[] } else { &self.known.links };
        let kept = self.kept.borrow();
        let mut links = known.iter().chain(kept.iter()).peekable();
        if links.peek().is_none() {
            return;
        }
        self.counts.with_label_values(&["link"]).inc();
        for link in links {
            if let Ok(value) = HeaderValue::from_str(link) {
                response.headers_mut().append(header::LINK, value);
            }
        }
    }

    fn send(&self, links: &[Box<str>]) -> bool {
        let Some(interim) = &self.interim else { return false };
        let is_sent = interim.early_hints(links.iter().map(|link| &**link));
        if is_sent {
            self.counts.with_label_values(&["interim"]).inc();
            self.was_sent.set(true);
        }
        is_sent
    }
}

/// Whether a request is for a page.
fn is_for_page(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    *method == Method::GET && accept.windows(9).any(|part| part == b"text/html")
}

/// Whether the client is a browser that opens a page: others may take 103 for the response (RFC 8297 section 3).
fn understands_interim(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode.as_bytes() == b"navigate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(learnt: &Learnt, route: &str, links: &str) {
        learnt.learn(route, &EarlyHints::new(HintPhase::Static, links));
    }

    fn links(learnt: &Learnt, route: &str) -> Vec<String> {
        learnt.of(route).links.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_reported_is_known_and_asked_for_again_now_and_then() {
        let learnt = Learnt::default();
        assert!(learnt.of("/").ask);
        report(&learnt, "/", "</a>\n</b>");
        assert_eq!(links(&learnt, "/"), ["</a>", "</b>"]);
        let asked = (0..ASK_EVERY * 3).filter(|_| learnt.of("/").ask).count();
        assert_eq!(asked, 3);
        learnt.learn("/", &EarlyHints::new(HintPhase::Dynamic, "</of-this-page-alone>"));
        assert_eq!(links(&learnt, "/"), ["</a>", "</b>"]);
    }

    #[test]
    fn what_not_all_pages_need_is_dropped_and_a_new_build_is_learnt() {
        let learnt = Learnt::default();
        report(&learnt, "/*", "</both>\n</one>");
        report(&learnt, "/*", "</two>\n</both>");
        assert_eq!(links(&learnt, "/*"), ["</both>"]);
        report(&learnt, "/*", "</new>");
        assert_eq!(links(&learnt, "/*"), ["</new>"]);
    }

    #[test]
    fn memory_is_bounded() {
        let learnt = Learnt::default();
        let long = format!("<{}>", "x".repeat(MOST_BYTES / 2));
        for number in 0..2 * MOST_ROUTES {
            report(&learnt, &format!("/{number}"), &format!("{long}\n{long}a"));
        }
        assert_eq!(learnt.routes.borrow().known.len(), MOST_ROUTES);
        assert_eq!(links(&learnt, "/511").len(), 1);
        assert!(links(&learnt, "/0").is_empty());
    }
}

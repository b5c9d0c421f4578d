//! Who a visitor is. A real app verifies a signed cookie or asks its store here; this one knows two names.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use isopod_gateway::hooks::{Flow, Visit};
use serde::Serialize;

use super::Context;

/// A visitor who is signed in.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    name: &'static str,
    admin: bool,
}

const USERS: [(&str, User); 2] = [
    ("token-of-ann", User { name: "ann", admin: true }),
    ("token-of-bob", User { name: "bob", admin: false }),
];

/// Finds the visitor.
pub async fn check(visit: Visit<'_, Context>) -> Flow {
    let token = visit.cookie("session");
    let user = USERS.into_iter().find(|(known, _)| Some(*known) == token).map(|(_, user)| user);
    // A token that breaks this code breaks one request.
    assert!(token != Some("broken"), "a session that cannot be read");
    visit.context.user = user;
    Flow::Next
}

/// Sends those away who are not signed in. For parts of the site: [`Server::before_on`] knows all spellings of their paths.
///
/// [`Server::before_on`]: isopod_gateway::hooks::Server::before_on
pub async fn require(visit: Visit<'_, Context>) -> Flow {
    if visit.context.user.is_some() {
        return Flow::Next;
    }
    Flow::Answer(HttpResponse::SeeOther().insert_header((LOCATION, "/login")).finish())
}

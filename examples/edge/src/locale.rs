//! The language that a visitor reads: as the cookie says, else the first of `Accept-Language` that there is.

use isopod_gateway::hooks::{Flow, Visit};

use super::Context;

/// The languages of the app; the first is for all others.
const LOCALES: [&str; 3] = ["en", "de", "pl"];

/// Chooses the request's locale.
pub async fn choose(visit: Visit<'_, Context>) -> Flow {
    let known = |wanted: &str| {
        let language = wanted.split(['-', ';']).next().unwrap_or_default().trim();
        LOCALES.into_iter().find(|locale| locale.eq_ignore_ascii_case(language))
    };
    let chosen = visit.cookie("locale").and_then(known);
    let accepted = || visit.header("accept-language").and_then(|list| list.split(',').find_map(known));
    visit.context.locale = chosen.or_else(accepted).unwrap_or(LOCALES[0]);
    Flow::Next
}

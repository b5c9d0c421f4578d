//! Paths that are elsewhere, and paths that another one answers.

use actix_web::http::StatusCode;
use shared::route::{Policy, Target, Tree};

use super::loops::refuse_loops;
use super::paths::{path, unambiguous};
use crate::config::read::Reader;

/// Where a path is now.
#[derive(Debug)]
pub struct Redirect {
    /// There.
    pub to: Target,
    /// The status.
    pub status: StatusCode,
    /// Whether the query goes along.
    pub keep_query: bool,
}

/// Which path answers for another.
#[derive(Debug)]
pub struct Rewrite {
    /// This one.
    pub to: Target,
    /// Whether the query goes along.
    pub keep_query: bool,
}

pub(super) fn redirects(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Redirect>> {
    let rows = reader.rows("redirects", |row| {
        let from = path(row, "from");
        let status = row.parsed("status", |text| {
            let status = text.parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status))?;
            StatusCode::from_u16(status).ok()
        });
        let keep_query = row.flag("keep_query");
        let from = from?;
        let to = row.checked("to", |text| Target::parse(text, &from))?;
        Some((from, Redirect { to, status: status?, keep_query: keep_query? }))
    })?;
    let ways: Vec<_> = rows.iter().map(|(from, redirect)| (from, redirect.to.own_path())).collect();
    let fine = refuse_loops(reader, "redirects", policy, &ways);
    let tree = unambiguous(reader, "redirects", "from", policy, rows);
    tree.filter(|_| fine)
}

pub(super) fn rewrites(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Rewrite>> {
    let rows = reader.rows("rewrites", |row| {
        let from = path(row, "from");
        let keep_query = row.flag("keep_query");
        let from = from?;
        let to = row.checked("to", |text| Target::parse(text, &from))?;
        if to.own_path().is_none() {
            let remedy = "use [[redirects]] to lead to another site";
            return row.refuse(
                "to",
                "a URL of another site".into(),
                "a path of this site".into(),
                remedy.into(),
            );
        }
        Some((from, Rewrite { to, keep_query: keep_query? }))
    })?;
    let ways: Vec<_> = rows.iter().map(|(from, rewrite)| (from, rewrite.to.own_path())).collect();
    let fine = refuse_loops(reader, "rewrites", policy, &ways);
    let tree = unambiguous(reader, "rewrites", "from", policy, rows);
    tree.filter(|_| fine)
}

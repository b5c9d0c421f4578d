//! `threads.list`: the latest threads, or the best matches of a search.

use std::cmp::Reverse;

use fn_workers::{FunctionError, Invalid, State};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

mod seed;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
const MAX_QUERY_CHARS: usize = 200;

/// What is asked for.
#[derive(Debug, Default, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct List {
    query: Option<String>,
    limit: Option<i64>,
}

impl List {
    /// Refuses a limit or a query out of bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Invalid::field("limit", format!("must be 1 to {MAX_LIMIT}, not {limit}")));
        }
        if self.query.as_ref().is_some_and(|query| query.chars().count() > MAX_QUERY_CHARS) {
            return Err(Invalid::field("query", format!("must have at most {MAX_QUERY_CHARS} characters")));
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(0)
    }
}

/// One thread of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    id: &'static str,
    title: &'static str,
    messages: u32,
    /// RFC 3339, in UTC.
    updated_at: &'static str,
}

/// The threads, and how many there are beyond the limit.
#[derive(Debug, PartialEq, Eq, Serialize, TS)]
pub struct Page {
    threads: Vec<Thread>,
    total: usize,
}

/// Lists the threads that match every word of the query, the best matches first, the latest first among equals.
pub async fn list(input: List, store: State<Store>) -> Result<Page, FunctionError> {
    Ok(store.list(input.query.as_deref().unwrap_or(""), input.limit()))
}

/// Threads in memory, the latest first.
pub struct Store {
    threads: Vec<Indexed>,
}

/// A thread and the words of its title, in lower case.
struct Indexed {
    thread: Thread,
    words: Vec<String>,
}

impl Store {
    /// A few dozen threads.
    pub fn seeded() -> Self {
        Self::of(seed::threads())
    }

    fn of(threads: impl IntoIterator<Item = Thread>) -> Self {
        let index = |thread: Thread| Indexed { words: words(thread.title).collect(), thread };
        let mut threads: Vec<_> = threads.into_iter().map(index).collect();
        threads.sort_by_key(|indexed| Reverse(indexed.thread.updated_at));
        Self { threads }
    }

    fn list(&self, query: &str, limit: usize) -> Page {
        let wanted: Vec<_> = words(query).collect();
        let scored =
            self.threads.iter().filter_map(|indexed| Some((indexed.score(&wanted)?, &indexed.thread)));
        let mut found: Vec<_> = scored.collect();
        // Stable: the latest stay first among equals.
        found.sort_by_key(|(score, _)| Reverse(*score));
        let total = found.len();
        let threads = found.into_iter().take(limit).map(|(_, thread)| thread.clone()).collect();
        Page { threads, total }
    }
}

impl Indexed {
    /// How well the title matches, `None` when a wanted word is not in it.
    fn score(&self, wanted: &[String]) -> Option<u32> {
        wanted.iter().map(|word| self.words.iter().filter_map(|own| match_score(own, word)).max()).sum()
    }
}

fn match_score(own: &str, wanted: &str) -> Option<u32> {
    match own.find(wanted)? {
        0 if own.len() == wanted.len() => Some(4),
        0 => Some(2),
        _ => Some(1),
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(titles: &[(&'static str, &'static str)]) -> Store {
        Store::of(titles.iter().map(|&(title, updated_at)| Thread {
            id: title,
            title,
            messages: 1,
            updated_at,
        }))
    }

    fn titles(page: &Page) -> Vec<&str> {
        page.threads.iter().map(|thread| thread.title).collect()
    }

    #[test]
    fn without_a_query_the_latest_come_first() {
        let store = store(&[("Old", "2026-01-01T00:00:00Z"), ("New", "2026-02-01T00:00:00Z")]);
        assert_eq!(titles(&store.list("", 20)), ["New", "Old"]);
    }

    #[test]
    fn better_matches_come_first_and_every_word_counts() {
        let store = store(&[
            ("Restreaming video", "2026-04-01T00:00:00Z"),
            ("Streaming a page", "2026-03-01T00:00:00Z"),
            ("Stream of a page", "2026-01-01T00:00:00Z"),
            ("Something else", "2026-05-01T00:00:00Z"),
        ]);
        let by_rank = ["Stream of a page", "Streaming a page", "Restreaming video"];
        assert_eq!(titles(&store.list("stream", 20)), by_rank);
        assert_eq!(titles(&store.list("PAGE stream!", 20)), by_rank[..2]);
    }

    #[test]
    fn the_total_counts_what_the_limit_leaves_out() {
        let page = Store::seeded().list("", 5);
        assert_eq!(page.threads.len(), 5);
        assert!(page.total > 30, "{}", page.total);
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_by_name() {
        for limit in [0, 101, -1, i64::MAX] {
            let list = List { limit: Some(limit), ..List::default() };
            assert_eq!(list.check().unwrap_err().fields().next().unwrap().0, "limit");
        }
        assert!(List { limit: Some(100), ..List::default() }.check().is_ok());
    }
}

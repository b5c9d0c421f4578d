//! What the functions do, as `tests/apps/functions-react/src/work.ts` does it.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What is looked for.
#[derive(Debug, Deserialize, TS)]
pub struct ListInput {
    word: String,
    limit: usize,
}

/// One of what there is.
#[derive(Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    title: String,
    messages: u32,
    updated_at: String,
}

/// What was found.
#[derive(Debug, Serialize, TS)]
pub struct Page {
    items: Vec<&'static Item>,
    total: usize,
}

/// What is ordered.
#[derive(Debug, Deserialize, TS)]
pub struct OrderInput {
    lines: Vec<LineInput>,
}

/// A line of it.
#[derive(Debug, Deserialize, TS)]
pub struct LineInput {
    sku: String,
    count: i64,
    cents: i64,
}

/// What it costs.
#[derive(Debug, Serialize, TS)]
pub struct Order {
    lines: Vec<Line>,
    cents: i64,
}

/// A line of it.
#[derive(Debug, Serialize, TS)]
pub struct Line {
    sku: String,
    cents: i64,
}

const WORDS: [&str; 10] =
    ["session", "cookies", "router", "loader", "stream", "hydrate", "cache", "worker", "thread", "isolate"];

static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    let item = |at: u32| Item {
        id: (at + 1).to_string(),
        title: format!("{} and {}", WORDS[at as usize % 10], WORDS[at as usize / 10]),
        messages: (at * 7) % 50,
        updated_at: format!("2026-03-{:02}T12:00:00Z", at % 28 + 1),
    };
    (0..100).map(item).collect()
});

impl ListInput {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.word.len() > 100 {
            return Err("word: at most 100 characters");
        }
        if (1..=100).contains(&self.limit) { Ok(()) } else { Err("limit: 1 to 100") }
    }
}

impl OrderInput {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.lines.len() > 100 { Err("lines: at most 100") } else { Ok(()) }
    }
}

/// The items whose title holds the word.
pub fn list(input: &ListInput) -> Page {
    let mut items = Vec::with_capacity(input.limit);
    let mut total = 0;
    for item in ITEMS.iter().filter(|item| item.title.contains(&input.word)) {
        total += 1;
        if items.len() < input.limit {
            items.push(item);
        }
    }
    Page { items, total }
}

/// The price of an order.
pub fn order(input: OrderInput) -> Order {
    let price = |line: LineInput| Line { sku: line.sku, cents: line.count * line.cents };
    let lines: Vec<_> = input.lines.into_iter().map(price).collect();
    Order { cents: lines.iter().map(|line| line.cents).sum(), lines }
}

//! What a request runs through, in pieces that need no process and no clock: for divan, which measures their time, and
//! for callgrind, which counts their instructions.
//!
//! - [`wire`]: frames, heads and windows between processes.
//! - [`routes`]: a path among ten thousand patterns.
//! - [`chain`]: middleware and router around a backend that answers at once.
//! - [`CASES`]: all of them by name.

pub mod chain;
pub mod routes;
pub mod wire;

use std::hint::black_box;

use fn_workers::seroval::{Form, Limits, from_slice, to_vec};
use futures_util::FutureExt;
use isopod_gateway::admission::rehearsal::Rehearsal;
use isopod_gateway::metrics::Metrics;
use serde::{Deserialize, Serialize};

/// One piece, ready to run again and again.
pub type Run = Box<dyn FnMut()>;

/// A piece by name.
pub struct Case {
    /// `area/what`
    pub name: &'static str,
    /// Makes what it needs, which is no part of it.
    pub prepare: fn() -> Run,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All of them.
pub const CASES: &[Case] = &[
    Case { name: "wire/job", prepare: wire::job },
    Case { name: "wire/page", prepare: wire::page },
    Case { name: "wire/megabyte", prepare: wire::megabyte },
    Case { name: "wire/request-head", prepare: wire::request_head },
    Case { name: "wire/response-head", prepare: wire::response_head },
    Case { name: "router/ten-thousand", prepare: ten_thousand_routes },
    Case { name: "admission/take-and-leave", prepare: admission },
    Case { name: "seroval/read", prepare: seroval_read },
    Case { name: "seroval/write", prepare: seroval_write },
    Case { name: "gateway/chain", prepare: through_chain },
];

/// The one of this name.
pub fn case(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

fn ten_thousand_routes() -> Run {
    let tree = routes::tree(10_000);
    Box::new(move || {
        let path = black_box("/section-1234/items/4711/details/edit");
        assert!(black_box(tree.find(path)).is_some());
    })
}

fn admission() -> Run {
    let metrics = Metrics::new().unwrap_or_else(|error| unreachable!("{error}"));
    let rehearsal = Rehearsal::with_isolates(4, metrics);
    Box::new(move || assert!(black_box(rehearsal.take_and_leave())))
}

/// What a browser sends with a call.
const CALL: &[u8] = br#"{"t":{"t":10,"i":0,"p":{"k":["data"],"v":[{"t":10,"i":1,"p":{"k":["query","limit"],"v":[{"t":1,"s":"backpressure in practice"},{"t":0,"s":20}]},"o":0}]},"o":0},"f":127,"m":[]}"#;

#[derive(Debug, Deserialize)]
struct Call {
    data: Query,
}

#[derive(Debug, Deserialize)]
struct Query {
    query: String,
    limit: u32,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    title: String,
    messages: u32,
}

fn seroval_read() -> Run {
    Box::new(|| {
        let call: Call = from_slice(black_box(CALL), Form::Document, &Limits::default())
            .unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!((call.data.query.len(), call.data.limit), (24, 20));
    })
}

fn seroval_write() -> Run {
    let row =
        |number: u32| Row { id: number.to_string(), title: format!("Thread {number}"), messages: number };
    let rows: Vec<Row> = (1..=20).map(row).collect();
    Box::new(move || {
        let written = to_vec(black_box(&rows), 1 << 20).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(black_box(written).len() > 1000);
    })
}

fn through_chain() -> Run {
    let chain = chain::chain("");
    Box::new(move || {
        let (request, exchange) = chain::request("identity");
        let response = chain.answer(request, &exchange).now_or_never();
        assert!(black_box(response).is_some());
    })
}

#[cfg(test)]
mod tests {
    use super::CASES;

    #[test]
    fn every_piece_runs_more_than_once() {
        for case in CASES {
            let mut run = (case.prepare)();
            (0..3).for_each(|_| run());
        }
    }
}

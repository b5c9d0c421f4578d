//! The scenarios as data.

use std::time::Duration;

use crate::contestants::Contestant;
use crate::contestants::recipe::Serves;
use crate::traffic::ask::Visitor;
use crate::traffic::connections::Protocol;

/// One thing to measure.
#[derive(Debug)]
pub struct Scenario {
    /// As the command line names it.
    pub name: &'static str,
    /// What a reader of the report is told.
    pub about: &'static str,
    /// What is asked for.
    pub asks: &'static [Part],
    /// How it is measured.
    pub kind: Kind,
    /// Connections of the closed loop.
    pub connections: usize,
    /// Whether it is measured with each app; else with the first.
    pub each_app: bool,
    /// Whether latencies are measured at parts of saturation too.
    pub latencies: bool,
    /// What the open loop speaks.
    pub protocol: Protocol,
}

/// How a scenario is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At saturation, closed loop; then open loop at parts of it.
    Throughput,
    /// Open loop at half of saturation: visitors that are not like wrk's.
    Visitors,
    /// Open loop: half of saturation, a multiple of it, half again.
    Overload,
    /// Open loop, with a request in a thousand that never returns.
    Poisoned,
    /// Open loop, while a new build is loaded.
    Deploy,
    /// Open loop, while a process that runs the bundle is killed.
    Kill,
    /// Cannot be measured yet.
    Missing(&'static str),
}

/// One kind of request.
#[derive(Debug)]
pub struct Part {
    /// Its part of the mix.
    pub weight: u32,
    /// What it asks for.
    pub what: What,
    /// How its answer is read; by the open loop alone.
    pub visitor: Visitor,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A document of the app.
    Page {
        /// Its path.
        path: &'static str,
        /// What its body holds.
        holds: &'static str,
        /// What a reader sees first.
        shell: &'static str,
        /// Whether parts of it follow later, so that where they end up depends on time.
        streams: bool,
    },
    /// A server function in JavaScript, by its place in the app's source.
    Function {
        /// The file, from the app's root.
        file: &'static str,
        /// Its name.
        name: &'static str,
        /// The input in seroval's form; with POST, else GET.
        post: Option<&'static str>,
        /// What its body holds.
        holds: &'static str,
    },
    /// A function in Rust that a browser calls past the bundle; rivals run one in JavaScript that answers as much.
    Native {
        /// The name of the one in Rust.
        name: &'static str,
        /// Its input in seroval's form.
        payload: &'static str,
        /// File and name of the one in JavaScript.
        instead: (&'static str, &'static str),
        /// What both bodies hold.
        holds: &'static str,
    },
    /// The smallest file of the client's.
    SmallFile,
    /// The largest one.
    LargeFile,
}

const fn page(path: &'static str, holds: &'static str, shell: &'static str) -> What {
    What::Page { path, holds, shell, streams: false }
}

const fn one(what: What) -> Part {
    Part { weight: 1, what, visitor: Visitor::Whole }
}

const HELLO: What = page("/", ">Threads</h1>", "</h1>");
const LINKS: What = page("/links-100", ">Thread 100<", "</h1>");
const DEFERRED: What =
    What::Page { path: "/deferred", holds: "ms of patience", shell: "The shell is here", streams: true };
/// Of the app.
const THREADS: &str = "src/functions/threads.ts";
const GET: What = What::Function { file: THREADS, name: "listThreads", post: None, holds: "Draining" };
const POST: What = What::Function {
    file: "src/functions/bench.ts",
    name: "countLetters",
    post: Some(COUNT_LETTERS),
    holds: "letters",
};
const COUNT_LETTERS: &str = r#"{"t":{"t":10,"i":0,"p":{"k":["data"],"v":[{"t":10,"i":1,"p":{"k":["text"],"v":[{"t":1,"s":"forty-two letters make a sentence, or so."}]},"o":0}]},"o":0},"f":127,"m":[]}"#;
const NATIVE: What = What::Native {
    name: "threads.list",
    payload: r#"{"t":{"t":10,"i":0,"p":{"k":["data"],"v":[{"t":10,"i":1,"p":{"k":["limit"],"v":[{"t":0,"s":20}]},"o":0}]},"o":0},"f":127,"m":[]}"#,
    instead: (THREADS, "listThreads"),
    holds: "title",
};
const NESTED: What = page("/nested/2/3", "nested-leaf", "</h1>");
const SLOW: What = page("/slow", "slow-threads", "</h1>");
const LARGE: What = page("/large", "Paragraph 2200:", "</h1>");
const POISON: What = page("/poisoned?spin=true", "Poisoned", "</h1>");

const PLAIN: Scenario = Scenario {
    name: "",
    about: "",
    asks: &[one(HELLO)],
    kind: Kind::Throughput,
    connections: 32,
    each_app: false,
    latencies: false,
    protocol: Protocol::Http1,
};

impl Scenario {
    /// Whether it asks for static files and nothing else.
    pub fn asks_for_files_alone(&self) -> bool {
        self.asks.iter().all(|part| matches!(part.what, What::SmallFile | What::LargeFile))
    }

    /// Whether there is something to measure.
    pub fn is_measured(&self) -> bool {
        !matches!(self.kind, Kind::Missing(_))
    }

    /// Whether all servers run at the same time; else one after the other, each for itself.
    pub fn is_side_by_side(&self) -> bool {
        matches!(self.kind, Kind::Throughput | Kind::Visitors | Kind::Overload)
    }

    /// The page, when it asks for one and nothing else.
    pub fn page(&self) -> Option<&'static str> {
        match self.asks {
            [Part { what: What::Page { path, .. }, .. }] if self.kind == Kind::Throughput => Some(path),
            _ => None,
        }
    }

    /// Whether a contestant has what it asks for.
    pub fn is_for(&self, contestant: &Contestant) -> bool {
        let is_file = |part: &Part| matches!(part.what, What::SmallFile | What::LargeFile);
        match contestant.recipe().map_or(Serves::Everything, |recipe| recipe.serves) {
            Serves::Everything => true,
            Serves::Bundle => !self.asks.iter().any(is_file),
            Serves::Static => self.asks_for_files_alone(),
        }
    }

    /// Whether a contestant speaks its protocol.
    pub fn is_spoken_by(&self, contestant: &Contestant) -> bool {
        self.protocol == Protocol::Http1 || contestant.recipe().is_none_or(|recipe| recipe.http2)
    }
}

/// All of them, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hello",
        about: "a small document: 20 rows from a server function",
        each_app: true,
        latencies: true,
        ..PLAIN
    },
    Scenario {
        name: "links-100",
        about: "a document with a hundred links of the router's",
        asks: &[one(LINKS)],
        each_app: true,
        latencies: true,
        ..PLAIN
    },
    Scenario {
        name: "deferred",
        about: "a streamed document: the shell at once, a part of it after 300 ms",
        asks: &[one(DEFERRED)],
        connections: 400,
        each_app: true,
        latencies: true,
        ..PLAIN
    },
    Scenario {
        name: "mixed",
        about: "70 % documents, 20 % server functions, 10 % static files",
        asks: &[
            Part { weight: 40, what: HELLO, visitor: Visitor::Whole },
            Part { weight: 30, what: LINKS, visitor: Visitor::Whole },
            Part { weight: 10, what: GET, visitor: Visitor::Whole },
            Part { weight: 10, what: POST, visitor: Visitor::Whole },
            Part { weight: 10, what: What::SmallFile, visitor: Visitor::Whole },
        ],
        each_app: true,
        latencies: true,
        ..PLAIN
    },
    Scenario {
        name: "nested",
        about: "a document with three nested loaders, each a server function",
        asks: &[one(NESTED)],
        each_app: true,
        ..PLAIN
    },
    Scenario {
        name: "large",
        about: "a document of one megabyte",
        asks: &[one(LARGE)],
        each_app: true,
        ..PLAIN
    },
    Scenario {
        name: "slow",
        about: "a document whose loader waits 200 ms for I/O, 400 at a time",
        asks: &[one(SLOW)],
        connections: 400,
        ..PLAIN
    },
    Scenario {
        name: "function-get",
        about: "a server function in JavaScript, GET",
        asks: &[one(GET)],
        ..PLAIN
    },
    Scenario {
        name: "function-post",
        about: "a server function in JavaScript, POST",
        asks: &[one(POST)],
        ..PLAIN
    },
    Scenario {
        name: "function-native",
        about: "a server function in Rust, called by a browser, GET; rivals run one in JavaScript that lists as much",
        asks: &[one(NATIVE)],
        ..PLAIN
    },
    Scenario { name: "static-small", about: "the smallest file", asks: &[one(What::SmallFile)], ..PLAIN },
    Scenario { name: "static-large", about: "the largest file", asks: &[one(What::LargeFile)], ..PLAIN },
    Scenario {
        name: "cached",
        about: "a document from the cache",
        kind: Kind::Missing("the gateway has no cache of documents yet"),
        ..PLAIN
    },
    Scenario {
        name: "visitors",
        about: "half of saturation; a tenth leaves after 5 ms, a tenth reads slowly",
        asks: &[
            Part { weight: 8, what: HELLO, visitor: Visitor::Whole },
            Part { weight: 1, what: HELLO, visitor: Visitor::Leaves(Duration::from_millis(5)) },
            Part { weight: 1, what: LARGE, visitor: Visitor::Slow(Duration::from_millis(20)) },
        ],
        kind: Kind::Visitors,
        ..PLAIN
    },
    Scenario {
        name: "http2",
        about: "a small document over HTTP/2 without TLS, at half of saturation",
        kind: Kind::Visitors,
        protocol: Protocol::Http2,
        ..PLAIN
    },
    Scenario {
        name: "spike",
        about: "half of saturation, then 2, 5 and 10 times of it, then half again",
        kind: Kind::Overload,
        ..PLAIN
    },
    Scenario {
        name: "poisoned",
        about: "one request in 1,000 is an infinite loop; two processes",
        asks: &[
            Part { weight: 999, what: HELLO, visitor: Visitor::Whole },
            Part { weight: 1, what: POISON, visitor: Visitor::Whole },
        ],
        kind: Kind::Poisoned,
        ..PLAIN
    },
    Scenario {
        name: "deploy",
        about: "a build is loaded under load; two processes",
        kind: Kind::Deploy,
        ..PLAIN
    },
    Scenario {
        name: "kill",
        about: "a process is killed under load; two processes",
        kind: Kind::Kill,
        ..PLAIN
    },
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::SCENARIOS;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_asks_for_something() {
        let names: BTreeSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for scenario in SCENARIOS {
            assert!(!scenario.about.is_empty() && !scenario.asks.is_empty(), "{}", scenario.name);
            assert!(scenario.asks.iter().all(|part| part.weight > 0));
        }
    }

    #[test]
    fn mixed_traffic_is_seventy_twenty_ten() {
        let mixed = super::named("mixed").unwrap();
        let weights: Vec<u32> = mixed.asks.iter().map(|part| part.weight).collect();
        assert_eq!(weights, [40, 30, 10, 10, 10]);
    }
}

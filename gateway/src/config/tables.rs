//! Settings that are lists of tables, in the file alone: what each is called, which fields it has, what they take.

/// A list of tables: `[[name]]` in the file.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is for, in a few sentences.
    pub doc: &'static str,
    /// The most rows.
    pub most: usize,
    /// What a row holds.
    pub fields: &'static [Field],
    /// Rows that are right, as they stand in the file.
    pub example: &'static str,
}

/// A field of a row.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Its value when a row does not have it.
    pub fallback: Absent,
    /// What it does.
    pub doc: &'static str,
}

/// What a field is that a row does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// A mistake.
    Required,
    /// This text.
    Text(&'static str),
    /// Nothing; the text says what that means.
    Unset(&'static str),
}

use Absent::{Required, Text, Unset};

const fn field(name: &'static str, takes: &'static str, fallback: Absent, doc: &'static str) -> Field {
    Field { name, takes, fallback, doc }
}

/// What a path field takes.
pub const PATH: &str =
    "a path in TanStack's syntax, such as /users/$id, /files/$, /{-$locale}/about or /{$id}.json";
const FLAG: &str = "true or false";
const TARGET: &str = "a path with the parameters of from, such as /new/$id or /files/$?v=2";

const EVERYWHERE: Field = field("path", PATH, Text("/$"), "The paths that it is for.");

/// Every list of tables, in the order of the documentation.
pub const TABLES: &[Table] = &[
    Table {
        name: "redirects",
        doc: "Paths that are elsewhere now: the client is told to go there. Static files come first. Of several \
              that match, the most specific counts; a redirect that leads back to itself is refused.",
        most: 10_000,
        fields: &[
            field("from", PATH, Required, "The path that was asked for."),
            field(
                "to",
                "a path with the parameters of from, such as /new/$id, or a URL such as https://example.com/$",
                Required,
                "Where it is.",
            ),
            field(
                "status",
                "one of: 301, 302, 303, 307, 308",
                Text("307"),
                "The status; 301 and 308 are kept by browsers.",
            ),
            field("keep_query", FLAG, Text("true"), "Whether the request's query goes along."),
        ],
        example: "[[redirects]]\nfrom = \"/blog/$slug\"\nto = \"/posts/$slug\"\nstatus = 308\n",
    },
    Table {
        name: "rewrites",
        doc: "Paths that another one answers, without the client's knowledge: the app sees the other path. Rewriting \
              goes on until none matches; rewrites that may lead back to themselves are refused. [[basic_auth]] of \
              the other path is asked too; [[rate_limits]], [[headers]], [[cors]] and csrf_exempt go by the path \
              that was asked for.",
        most: 10_000,
        fields: &[
            field("from", PATH, Required, "The path that was asked for."),
            field("to", TARGET, Required, "The path that answers."),
            field("keep_query", FLAG, Text("true"), "Whether the request's query goes along."),
        ],
        example: "[[rewrites]]\nfrom = \"/u/$name\"\nto = \"/users/$name\"\n",
    },
    Table {
        name: "headers",
        doc: "Header fields of responses. All rows that match apply, in their order, before compression decides; fields \
              that frame a message (content-length, content-encoding, transfer-encoding, connection, upgrade) are not \
              theirs.",
        most: 100,
        fields: &[
            EVERYWHERE,
            field(
                "set",
                "a table of names and values, such as { x-robots-tag = \"noindex\" }",
                Unset("none"),
                "Fields that replace those of the response.",
            ),
            field(
                "add",
                "a table of names and values, such as { link = \"</a.css>; rel=preload\" }",
                Unset("none"),
                "Fields that come beside those of the response.",
            ),
            field(
                "remove",
                "a list of names, such as [\"server\"]",
                Unset("none"),
                "Fields that are taken away.",
            ),
        ],
        example: "[[headers]]\npath = \"/private/$\"\nset = { x-robots-tag = \"noindex\" }\nremove = [\"x-powered-by\"]\n",
    },
    Table {
        name: "cors",
        doc: "Which other sites may read responses (CORS, the Fetch standard). Preflights are answered here, without \
              a password. A site that may is trusted by the check of cross-site requests too.",
        most: 100,
        fields: &[
            EVERYWHERE,
            field(
                "origins",
                "a list of origins such as [\"https://app.example.com\"], or [\"*\"]",
                Required,
                "The sites that may.",
            ),
            field("methods", "a list of methods", Text("GET, HEAD, POST"), "What they may do."),
            field(
                "headers",
                "a list of names, or [\"*\"]",
                Text("content-type"),
                "Which header fields they may send.",
            ),
            field(
                "expose",
                "a list of names",
                Unset("none"),
                "Which header fields of responses they may read.",
            ),
            field(
                "credentials",
                FLAG,
                Text("false"),
                "Whether cookies go along; not with origins = [\"*\"].",
            ),
            field(
                "max_age",
                "a time from 0ms to 24h, with a unit: ms, s, m or h",
                Text("10m"),
                "How long browsers keep the answer of a preflight.",
            ),
        ],
        example: "[[cors]]\npath = \"/api/$\"\norigins = [\"https://app.example.com\"]\ncredentials = true\n",
    },
    Table {
        name: "basic_auth",
        doc: "Paths that ask for a name and a password (RFC 7617), also when [[rewrites]] lead there. Use it over TLS \
              alone. Of several rows that match, the most specific counts.",
        most: 100,
        fields: &[
            EVERYWHERE,
            field("realm", "a text of ASCII without quotes", Text("restricted"), "What browsers show."),
            field(
                "users",
                "a list of name:sha256:HEX, HEX the SHA-256 of the password, or of name:plain:PASSWORD",
                Required,
                "Who may enter.",
            ),
        ],
        example: "[[basic_auth]]\npath = \"/staging/$\"\nusers = [\"ann:sha256:\
                  5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"]\n",
    },
    Table {
        name: "rate_limits",
        doc: "How often clients may ask: a token bucket for each key. All rows that match count; 429 beyond, with \
              Retry-After. RateLimit and RateLimit-Policy tell of the tightest.",
        most: 64,
        fields: &[
            EVERYWHERE,
            field("methods", "a list of methods", Unset("all"), "Requests of other methods are not counted."),
            field(
                "key",
                "ip, header:NAME or cookie:NAME",
                Text("ip"),
                "Who a client is: its address (an IPv6 network of 64 bits), or the value of a header or cookie, by the \
                 address where it has none.",
            ),
            field("limit", "a whole number from 1 to 1000000", Required, "Requests within the window."),
            field("window", "a time from 1s to 24h, with a unit: ms, s, m or h", Text("1m"), "The window."),
            field(
                "burst",
                "a whole number from 1 to 1000000",
                Unset("limit"),
                "Requests that may come at once.",
            ),
        ],
        example: "[[rate_limits]]\npath = \"/api/$\"\nkey = \"header:x-api-key\"\nlimit = 600\nwindow = \"1m\"\nburst = 50\n",
    },
    Table {
        name: "route_limits",
        doc: "What single routes of the app may take. The most specific row that matches counts.",
        most: 1000,
        fields: &[
            field("path", PATH, Required, "The route."),
            field(
                "max_concurrent",
                "a whole number from 1 to 100000",
                Unset("no limit of its own"),
                "Requests at a time, over all isolates; 503 for more. Those of slow clients, and streams of events, do not \
                 count.",
            ),
            field(
                "timeout",
                "a time from 100ms to 24h, with a unit: ms, s, m or h",
                Unset("job_timeout"),
                "How long the app may take until its response begins; 504 afterwards. One beyond abort_delay and \
                 abort_grace moves their end to itself.",
            ),
            field(
                "queue_wait",
                "a time from 0ms to 1m, with a unit: ms, s, m or h",
                Unset("queue_wait"),
                "How long a request waits for a free isolate; 503 afterwards.",
            ),
        ],
        example: "[[route_limits]]\npath = \"/reports/$id\"\nmax_concurrent = 4\ntimeout = \"60s\"\nqueue_wait = \"1s\"\n",
    },
];

/// The list of tables of this name.
pub fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

impl Table {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

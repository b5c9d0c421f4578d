//! Keys of the app: where it is, what it may reach, how to look into it.

use super::{GIB, MIB, Section, key, size};
use crate::config::keys::Fallback::{Text, Unset};
use crate::config::keys::Kind;

pub const APP: Section = Section {
    title: "The app",
    keys: &[
        key(
            "app",
            Kind::Path,
            Unset("none, it must be given"),
            "The app: the directory that `vite build` wrote, with client/ and server/server.js.",
        ),
        key(
            "base_path",
            Kind::BasePath,
            Text("/"),
            "Static files live below this path; the bundle sees the whole path of a request.",
        ),
        key(
            "static_memory",
            size(0, 16 * GIB),
            Text("64MiB"),
            "Static files up to 1MiB are held in memory, up to this total; others are streamed from disk.",
        ),
        key(
            "env",
            Kind::EnvPatterns,
            Unset("NODE_ENV=production alone"),
            "Environment variables that the app may see, by name; a * at the end is a wildcard.",
        ),
        key(
            "egress",
            Kind::EgressRules,
            Unset("all"),
            "Where the app may connect to and listen. Link-local addresses and metadata services are refused \
             unless a rule names them. A host's rule allows the addresses that DNS gives it, a network's rule \
             allows addresses and no names.",
        ),
        key(
            "writable",
            Kind::Paths,
            Unset("none"),
            "Directories that the app may read and write, beside its private temporary one.",
        ),
    ],
};

pub const ISOLATION: Section = Section {
    title: "Isolation",
    keys: &[
        key(
            "sandbox",
            Kind::Choice(&["auto", "required", "off"]),
            Text("auto"),
            "Whether renderers give up what the app does not need before they load it: auto does what the kernel \
             can, required starts only where it can do all.",
        ),
        key(
            "v8_flags",
            Kind::V8Flags,
            Unset("none"),
            "Flags of V8, for all isolates. Unknown ones are refused at the start.",
        ),
    ],
};

pub const DEBUGGING: Section = Section {
    title: "Debugging",
    keys: &[
        key(
            "inspect",
            Kind::Address,
            Unset("off"),
            "Where Chrome's developer tools find the first isolate of the first renderer; a loopback address. \
             Turns the time limits of jobs off unless they are set. For development alone.",
        ),
        key(
            "debug_endpoints",
            Kind::Switch,
            Text("false"),
            "Whether POST /debug/profile and /debug/heapsnapshot on the admin port look into an isolate.",
        ),
        key(
            "debug_limit",
            size(MIB, 64 * GIB),
            Text("1GiB"),
            "The longest profile or heap snapshot; it is kept in the temporary folder until it is sent.",
        ),
    ],
};

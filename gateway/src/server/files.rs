//! How many files this process may hold open: each connection and each link is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For logs, the bundle's files, the runtime itself.
const OTHERS: u64 = 256;

/// Raises the soft limit of open files to the hard one, and warns when that does not cover `connections` and
/// `links`.
pub fn raise_limit(connections: usize, links: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised =
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    // A link's other end is open here until its child is started.
    let needed = connections as u64 + 2 * links as u64 + OTHERS;
    if raised < needed {
        tracing::warn!(
            limit = raised,
            needed,
            "fewer files may be open than max_connections asks for: raise the limit (ulimit -n) or lower the key"
        );
    }
}

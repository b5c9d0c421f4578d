//! What must be the same in JavaScript: each test talks to the packages that the test apps have installed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test support outside of test functions may fail too")]

mod peer;
mod seroval;

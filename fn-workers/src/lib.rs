//! Server functions in Rust: the SDK that registers them, and the process that runs them for a gateway.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use fn_workers::{Context, Function, FunctionError, Invalid, State, Worker};
//! use serde::{Deserialize, Serialize};
//! use ts_rs::TS;
//!
//! #[derive(Deserialize, TS)]
//! struct Greet { name: String }
//!
//! #[derive(Serialize, TS)]
//! struct Greeting { text: String }
//!
//! struct Phrases { hello: &'static str }
//!
//! async fn greet(input: Greet, phrases: State<Phrases>, _: Context) -> Result<Greeting, FunctionError> {
//!     Ok(Greeting { text: format!("{} {}", phrases.hello, input.name) })
//! }
//!
//! fn named(input: &Greet) -> Result<(), Invalid> {
//!     if input.name.is_empty() { Err(Invalid::field("name", "must not be empty")) } else { Ok(()) }
//! }
//!
//! fn main() -> ExitCode {
//!     Worker::new()
//!         .state(Arc::new(Phrases { hello: "Good day," }))
//!         .function(Function::read("people.greet", greet).validate(named))
//!         .run()
//! }
//! ```
//!
//! The way of a call through the process:
//!
//! ```text
//! gateway thread ==link==> transport::link   on the actor's own arbiter: reads, deadlines, replies in batches
//!                             |  at once while fewer than its limit run; else try_send, full -> 503
//!                          FunctionActor     one for each arbiter: a bounded mailbox, so many calls at a time
//!                             |
//!                          Registry          404, limits, JSON -> Input, validate, handler, Output -> JSON
//!                             |
//!                          BlockingPool      what a handler asked to run beside the event loops
//! ```
//!
//! - [`worker`]: the builder; [`registration`]: what it tells of wrong registrations.
//! - [`function`]: one function: its name, handler, validators and limits.
//! - [`handler`]: which async functions are handlers, and what they may be given.
//! - [`context`]: what a handler learns of its call.
//! - [`error`]: how a call fails: a status and a public message, with private details for the log.
//! - [`form`]: forms and their files.
//! - [`embedded`]: the same functions in the process of a gateway that its user has built.
//! - [`registry`]: all functions of a process, by name.
//! - `typescript`: their types for the app, printed by a worker that is run with `--emit-types`.

mod actor;
pub mod answer;
mod blocking;
mod call;
pub mod context;
pub mod cookie;
pub mod embedded;
pub mod error;
pub mod exchange;
pub mod form;
pub mod function;
pub mod handler;
mod input;
mod isolate;
mod json;
pub mod middleware;
mod outward;
mod process;
pub mod redirect;
mod refusals;
pub mod registration;
pub mod registry;
pub mod request;
pub mod route;
mod router;
pub mod seroval;
pub mod session;
mod standalone;
mod start;
mod strings;
mod team;
mod transport;
mod typescript;
mod upload;
pub mod worker;

pub use answer::{Answer, Chunks, Event, IntoAnswer, Response, Values};
pub use context::Context;
pub use cookie::{Cookie, SameSite};
pub use embedded::Embedded;
pub use error::{FunctionError, Invalid};
pub use exchange::RequestBody;
pub use form::{Form, FormFile, FormLimits};
pub use function::{Function, Method};
pub use handler::{Added, Handler, State};
pub use middleware::{Middleware, Next};
pub use redirect::{NotFound, Redirect};
pub use registry::Registry;
pub use request::Request;
pub use route::{Route, RouteGroup};
pub use session::{Session, Sessions};
pub use shared::message::Caller;
pub use worker::Worker;

//! Functions and routes that write down what they do, for the tests of workers on other machines. Lines are appended
//! to the file that `RECORD` names.

#![expect(clippy::unwrap_used, reason = "a harness fails its test in the shortest way")]

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use fn_workers::{Context, Cookie, Function, FunctionError, Redirect, Response, Route, Worker};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// What most functions take.
#[derive(Debug, Deserialize, TS)]
struct Input {
    /// Names the call in the record.
    id: u32,
    /// How long it takes.
    #[serde(default)]
    millis: u32,
    /// Something to carry.
    #[serde(default)]
    text: String,
    /// How long an answer is wanted.
    #[serde(default)]
    answer_bytes: usize,
}

#[derive(Debug, Serialize, TS)]
struct Output {
    id: u32,
    pid: u32,
    received: usize,
    text: String,
}

/// One line, in one write: other processes append to the same file.
fn record(line: &str) {
    // A worker that a gateway has started is not told of a file.
    let Some(path) = std::env::var_os("RECORD") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Writes down when nobody waits for the call any more.
struct Watch(Context, u32);

impl Drop for Watch {
    fn drop(&mut self) {
        if self.0.cancellation().is_cancelled() {
            record(&format!("cancelled {}", self.1));
        }
    }
}

async fn run(input: Input, context: Context) -> Result<Output, FunctionError> {
    let _watch = Watch(context, input.id);
    record(&format!("run {}", input.id));
    tokio::time::sleep(Duration::from_millis(input.millis.into())).await;
    let text = "a".repeat(input.answer_bytes);
    Ok(Output { id: input.id, pid: std::process::id(), received: input.text.len(), text })
}

#[derive(Debug, Deserialize)]
struct Pieces {
    count: u32,
}

/// Pieces of 10,000 bytes, each written down as it is made.
async fn stream(input: Pieces, context: Context) -> Result<Response, FunctionError> {
    let watch = Watch(context, input.count);
    let pieces = futures_util::stream::unfold((0, watch), move |(made, watch)| async move {
        if made == input.count {
            return None;
        }
        record(&format!("piece {made}"));
        Some((Ok(Bytes::from(vec![b'a'; 10_000])), (made + 1, watch)))
    });
    Ok(Response::new(200).stream(pieces))
}

async fn upload(_: (), context: Context) -> Result<Response, FunctionError> {
    let mut length = 0;
    let Some(mut body) = context.take_body() else { return Err(FunctionError::bad_request("no body")) };
    while let Some(piece) =
        body.next().await.map_err(|error| FunctionError::bad_request(error.to_string()))?
    {
        length += piece.len();
    }
    Ok(Response::text(length.to_string()))
}

/// What is called for the caller.
#[derive(Debug, Deserialize, TS)]
struct Relay {
    name: String,
    input: Value,
}

async fn relay(input: Relay, context: Context) -> Result<Value, FunctionError> {
    record(&format!("relay {}", input.name));
    context.call(&input.name, &input.input).await
}

#[derive(Debug, Deserialize)]
struct RelayPath {
    name: String,
}

async fn relay_to_route(path: RelayPath, context: Context) -> Result<Value, FunctionError> {
    context.call(&path.name, &"Ada").await
}

/// Calls `other`, which calls this one.
async fn bounce(other: &'static str, context: Context) -> Result<(), FunctionError> {
    record("bounce");
    context.call(other, &()).await
}

async fn greet(name: String, context: Context) -> Result<String, FunctionError> {
    context.set_cookie(&Cookie::new("greeted", "yes"))?;
    Ok(format!("{name} of {}", context.request().path()))
}

async fn elsewhere(_: String) -> Result<(), FunctionError> {
    Err(Redirect::to("/login").status(303).into())
}

/// A worker with functions that the others do not have.
fn far() -> Worker {
    Worker::new()
        .function(Function::write("far.run", run))
        .function(Function::read("far.read", run))
        .function(Function::read("far.greet", greet))
        .function(Function::read("far.elsewhere", elsewhere))
        .function(Function::write("far.relay", relay))
        .function(Function::read("far.bounce", |(): (), context: Context| bounce("remote.bounce", context)))
}

fn main() -> ExitCode {
    if std::env::var_os("FAR").is_some() {
        return far().run();
    }
    // A worker that says otherwise of a function than the others.
    let contrary = std::env::var_os("CONTRARY").is_some();
    let again = Function::write("remote.again", run);
    Worker::new()
        .function(Function::read("remote.read", run))
        .function(Function::write("remote.once", run))
        .function(if contrary { again } else { again.idempotent() })
        .function(Function::write("remote.single", run).concurrency(1))
        .function(Function::write("remote.relay", relay))
        .function(Function::read("remote.bounce", |(): (), context: Context| bounce("far.bounce", context)))
        .routes(Route::new("/remote/relay/$name").get(relay_to_route))
        .routes(Route::new("/remote/stream/$count").get(stream))
        .routes(Route::new("/remote/upload").post(upload))
        .concurrency(256)
        .run()
}

//! A gateway that has functions and routes of its own. `TEST_EMBEDS` says which: `own` only those of this file,
//! `broken` a state that cannot be made; otherwise those of [`tests::values`] too.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fn_workers::{
    Context, Function, FunctionError, Response, Route, RouteGroup, State, Worker, seroval::Date,
};
use futures_util::stream;
use isopod_gateway::Gateway;
use serde::Deserialize;

fn main() -> ExitCode {
    Gateway::builder().worker(worker).run()
}

fn worker() -> Worker {
    let embeds = std::env::var("TEST_EMBEDS").unwrap_or_default();
    let worker = if embeds == "own" { Worker::new() } else { tests::values::worker() };
    worker
        .state(Arc::new(Calls::default()))
        .open_state(move || open(&embeds))
        .concurrency(2)
        .function(Function::read("own.double", double))
        .function(Function::write("own.note", note))
        .function(Function::read("own.process", process))
        .function(Function::read("own.panics", panics))
        .function(Function::read("own.holds", holds).concurrency(1))
        .function(Function::read("own.naps", naps))
        .function(Function::read("own.brief", holds).deadline(Duration::from_millis(50)))
        .function(Function::read("own.counts", counts))
        .function(Function::write("own.leaves", leaves))
        .function(Function::read("own.asks", asks))
        .routes(
            RouteGroup::new("/own")
                .route(Route::new("/things/$id").get(thing))
                .route(Route::new("/numbers").get(numbers)),
        )
}

/// What is opened when the gateway starts, and how often that was.
struct Opened {
    times: usize,
}

fn open(embeds: &str) -> Result<Opened, String> {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    if embeds == "broken" {
        return Err("the database is on another planet".to_owned());
    }
    Ok(Opened { times: TIMES.fetch_add(1, Ordering::Relaxed) + 1 })
}

/// Calls that hold.
#[derive(Default)]
struct Calls {
    begun: AtomicUsize,
    dropped: AtomicUsize,
}

/// One of them; dropped with its call.
struct Held(State<Calls>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

async fn double(number: u32) -> Result<u32, FunctionError> {
    Ok(number * 2)
}

async fn note(text: String, context: Context) -> Result<String, FunctionError> {
    Ok(format!("{} {text}", context.request().method()))
}

async fn process(_: (), opened: State<Opened>) -> Result<(u32, usize), FunctionError> {
    Ok((std::process::id(), opened.times))
}

#[expect(clippy::panic, reason = "what a panic costs is what the suite looks at")]
async fn panics(_: ()) -> Result<(), FunctionError> {
    panic!("something impossible")
}

async fn holds(_: (), calls: State<Calls>) -> Result<(), FunctionError> {
    calls.begun.fetch_add(1, Ordering::Relaxed);
    let _held = Held(calls);
    std::future::pending().await
}

async fn naps(millis: u64, calls: State<Calls>) -> Result<u64, FunctionError> {
    calls.begun.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(millis)
}

async fn counts(_: (), calls: State<Calls>) -> Result<(usize, usize), FunctionError> {
    Ok((calls.begun.load(Ordering::Relaxed), calls.dropped.load(Ordering::Relaxed)))
}

async fn leaves(millis: u64, context: Context) -> Result<(), FunctionError> {
    context.wait_until(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        say("what was left running is done");
    });
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the suite reads it there")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Calls a function of another process, and one of this.
async fn asks(_: (), context: Context) -> Result<(Option<i64>, u32), FunctionError> {
    let day: Date = context.call("values.day", &Date::from_millis(0)).await?;
    Ok((day.millis(), context.call("own.double", &4).await?))
}

#[derive(Deserialize)]
struct ThingPath {
    id: String,
}

async fn thing(path: ThingPath) -> Result<String, FunctionError> {
    Ok(format!("thing {}", path.id))
}

async fn numbers(_: ()) -> Result<Response, FunctionError> {
    let lines = (0..1000).map(|number| Ok(format!("{number}\n").into()));
    Ok(Response::new(200).content_type("text/plain").stream(stream::iter(lines)))
}

//! A worker whose functions go wrong in every way. It runs in a process of this test binary: the ignored tests
//! here are its `main`s and do nothing without the arguments that [`crate::gateway::spawn_fixture`] passes.

use std::process::ExitCode;
use std::time::Duration;

use fn_workers::{Context, Function, FunctionError, Worker};

/// The variable that holds the worker's arguments.
pub const ARGS: &str = "ISOPOD_FIXTURE_ARGS";

/// The tests that are a `main`.
pub const RUN: &str = "fixture::run";
pub const RUN_WRONG: &str = "fixture::run_wrong";

#[test]
#[ignore = "the main function of a process that other tests spawn"]
fn run() {
    // One call at a time for each actor, so that a second one waits in the mailbox.
    run_as_process(
        Worker::new()
            .concurrency(1)
            .function(Function::read("test.echo", echo))
            .function(Function::read("test.panic", panics))
            .function(Function::read("test.panic_in_pool", panics_in_pool))
            .function(Function::read("test.hold", hold))
            .function(Function::read("test.nap", nap))
            .function(Function::read("test.brief", hold).deadline(Duration::from_millis(20)))
            .function(Function::read("test.block_thread", block_thread))
            .function(Function::read("test.big", big)),
    );
}

#[test]
#[ignore = "the main function of a process that other tests spawn"]
fn run_wrong() {
    run_as_process(
        Worker::new().function(Function::read("test.echo", echo)).function(Function::read("test.echo", echo)),
    );
}

fn run_as_process(worker: Worker) {
    let Ok(args) = std::env::var(ARGS) else { return };
    let code = worker.run_with(args.split(' ').map(Into::into));
    let codes = [0, 64, 65, 70];
    let code = codes.into_iter().find(|known| ExitCode::from(*known) == code).unwrap_or(1);
    std::process::exit(code.into());
}

async fn echo(input: serde_json::Value) -> Result<serde_json::Value, FunctionError> {
    Ok(input)
}

async fn panics(_: ()) -> Result<(), FunctionError> {
    panic!("something impossible")
}

async fn panics_in_pool(_: (), context: Context) -> Result<(), FunctionError> {
    context.blocking(|| panic!("something impossible in the pool")).await
}

/// Never ends by itself; the log tells when it starts, when it is dropped and when its token fires.
async fn hold(_: (), context: Context) -> Result<(), FunctionError> {
    struct Told(String);
    impl Drop for Told {
        fn drop(&mut self) {
            tracing::info!("dropped {}", self.0);
        }
    }
    let id = context.request_id().to_owned();
    let _told = Told(id.clone());
    let token = context.cancellation();
    tokio::spawn({
        let id = id.clone();
        async move {
            token.cancelled().await;
            tracing::info!("token of {id} fired");
        }
    });
    tracing::info!("holding {id}");
    std::future::pending().await
}

/// Work that takes its time.
async fn nap(milliseconds: u64) -> Result<&'static str, FunctionError> {
    tracing::info!("napping");
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Ok("rested")
}

async fn block_thread(_: ()) -> Result<(), FunctionError> {
    loop {
        std::thread::park();
    }
}

async fn big(bytes: usize) -> Result<String, FunctionError> {
    Ok("x".repeat(bytes))
}

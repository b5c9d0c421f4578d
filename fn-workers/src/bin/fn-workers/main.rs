//! The worker that comes with the gateway: a store of threads, and markdown.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fn_workers::{Function, Worker};
use mimalloc::MiMalloc;

mod markdown;
mod threads;

/// Short calls spend a tenth of their time with the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Worker::new()
        .state(Arc::new(threads::Store::seeded()))
        .function(Function::read("threads.list", threads::list).validate(threads::List::check))
        .function(
            Function::write("markdown.render", markdown::render)
                .validate(markdown::Render::check)
                .body_limit(markdown::BODY_LIMIT_BYTES)
                .deadline(Duration::from_secs(2)),
        )
        .run()
}

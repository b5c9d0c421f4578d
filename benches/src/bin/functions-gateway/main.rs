//! A gateway that has the functions of `bench functions` itself.

use std::process::ExitCode;

use isopod_gateway::Gateway;
use mimalloc::MiMalloc;

#[path = "../functions-worker/functions.rs"]
mod functions;
#[path = "../functions-worker/work.rs"]
mod work;

/// As the gateway has it that comes without functions.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Gateway::builder().worker(functions::worker).run()
}

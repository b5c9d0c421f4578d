//! The `gateway` program.

use std::process::ExitCode;

use isopod_gateway::Gateway;

fn main() -> ExitCode {
    Gateway::builder().run()
}

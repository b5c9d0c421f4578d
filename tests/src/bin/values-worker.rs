//! A worker of its own for the functions of [`tests::values`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::values::worker().run()
}

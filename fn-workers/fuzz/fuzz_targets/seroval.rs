//! The reader of seroval's JSON: whatever bytes come, it refuses or reads, within its limits, and what it reads it
//! writes and reads again. The module is taken by its path, so that nothing else of the SDK is built.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the target uses a part of the module")]

use libfuzzer_sys::fuzz_target;

mod reading;
#[path = "../../src/seroval/mod.rs"]
mod seroval;

fuzz_target!(|input: &[u8]| reading::check(input));

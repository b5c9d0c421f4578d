//! The reader of seroval's JSON: whatever bytes come, it refuses or reads, within its limits, and what it reads it
//! writes and reads again. The module is taken by its path, so that nothing else of the SDK is built.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the target uses a part of the module")]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[path = "../../src/seroval/mod.rs"]
mod seroval;

use seroval::{BigInt, Date, Document, ErrorValue, Form, Graph, Limits, Map, Reader, RegExp, Set, Uint8Array};

/// Small, so that the limits are met.
const LIMITS: Limits = Limits {
    bytes: 64 << 10,
    depth: 40,
    parts: 5000,
    references: 200,
    expanded_bytes: 256 << 10,
    expanded_values: 20_000,
};

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    number: Option<f64>,
    #[serde(default)]
    small: Option<u8>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    date: Option<Date>,
    #[serde(default)]
    big: Option<BigInt>,
    #[serde(default)]
    pattern: Option<RegExp>,
    #[serde(default)]
    error: Option<ErrorValue>,
    #[serde(default)]
    bytes: Option<Uint8Array>,
    #[serde(default)]
    set: Option<Set<String>>,
    #[serde(default)]
    map: Option<Map<i32, Vec<bool>>>,
    #[serde(default)]
    nested: Option<Box<Typed>>,
    #[serde(default)]
    named: HashMap<String, serde_json::Value>,
}

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let form = if first & 1 == 0 { Form::Cross } else { Form::Document };
    let Ok(document) = Document::read(text, form, &LIMITS) else { return };
    let reader = Reader::new(&document);
    let _ = reader.member("data");
    let _ = seroval::from_slice::<serde_json::Value>(text, form, &LIMITS);
    let _ = seroval::from_slice::<Typed>(text, form, &LIMITS);
    let Ok(graph) = seroval::from_slice::<Graph>(text, form, &LIMITS) else { return };
    let written = graph.to_text().expect("what was read is not too deep to write");
    let again = Graph::from_text(written.as_bytes()).expect("what was written reads");
    assert_eq!(again.to_text().expect("it is no deeper"), written);
});

//! What must hold whatever bytes come. The fuzz target runs it, and a test of the crate on seeds that it changes.

use std::collections::HashMap;

use serde::Deserialize;

use crate::seroval::{
    self, BigInt, Date, Document, ErrorValue, Form, Graph, Limits, Map, Reader, RegExp, Set, Uint8Array,
};

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
#[expect(dead_code, reason = "it is only read")]
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

/// Reads `input`, whose first byte says in which form, and writes what it has read.
///
/// # Panics
/// When what was read cannot be written, or reads otherwise when it is.
pub(crate) fn check(input: &[u8]) {
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
}

//! What is read and written, without JavaScript; `tests/seroval` holds the same against the real package.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    from_slice(text.as_bytes(), Form::Cross, &Limits::default())
}

fn written<T: Serialize>(value: &T) -> String {
    String::from_utf8(to_vec(value, 1 << 20).unwrap()).unwrap()
}

fn back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(&read::<T>(&written(value)).unwrap(), value, "{}", written(value));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Everything {
    flag: bool,
    small: u8,
    large: i64,
    ratio: f64,
    text: String,
    absent: Option<String>,
    given: Option<u32>,
    unit: (),
    pair: (i32, String),
    list: Vec<Option<i32>>,
    named: BTreeMap<String, f32>,
    date: Date,
    maybe_date: Option<Date>,
    number: BigInt,
    pattern: RegExp,
    set: Set<String>,
    map: Map<i32, Vec<bool>>,
    bytes: Uint8Array,
    url: Url,
    error: ErrorValue,
    undefined: Undefined,
    shapes: Vec<Shape>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Box { width: u32, height: u32 },
}

fn everything() -> Everything {
    Everything {
        flag: true,
        small: 255,
        large: -(1 << 53),
        ratio: -0.0,
        text: "</script>\u{2028}\\ \"quoted\"\n\0é😀".into(),
        absent: None,
        given: Some(7),
        unit: (),
        pair: (-1, "b".into()),
        list: vec![Some(1), None],
        named: [("__proto__".to_owned(), 1.5), ("constructor".to_owned(), f32::INFINITY)].into(),
        date: Date::from_millis(951_782_400_000),
        maybe_date: Some(Date::INVALID),
        number: BigInt::from(-i128::MAX),
        pattern: RegExp { source: "a\"b</".into(), flags: "gi".into() },
        set: Set(vec!["x".into(), "y".into()]),
        map: Map(vec![(2, vec![true]), (1, vec![])]),
        bytes: Uint8Array(vec![0, 1, 254, 255]),
        url: Url("https://example.com/?a=1".into()),
        error: ErrorValue("it failed".into()),
        undefined: Undefined,
        shapes: vec![
            Shape::Point,
            Shape::Circle(1.5),
            Shape::Line(1, -2),
            Shape::Box { width: 3, height: 4 },
        ],
    }
}

#[test]
fn a_value_of_every_type_comes_back() {
    back(&everything());
    assert!(read::<f64>(&written(&f64::NAN)).unwrap().is_nan());
    back(&f64::NEG_INFINITY);
    assert!(read::<f64>(&written(&-0.0)).unwrap().is_sign_negative());
}

#[test]
fn a_client_s_document_is_read() {
    let text = r#"{"t":{"t":10,"i":0,"p":{"k":["data"],"v":[{"t":10,"i":1,"p":{"k":["limit"],
        "v":[{"t":0,"s":3}]},"o":0}]},"o":0},"f":127,"m":[]}"#;
    let read: BTreeMap<String, BTreeMap<String, u8>> =
        from_slice(text.as_bytes(), Form::Document, &Limits::default()).unwrap();
    assert_eq!(read["data"]["limit"], 3);
    assert!(from_slice::<()>(b"[]", Form::Document, &Limits::default()).is_err());
}

#[test]
fn what_is_shared_comes_as_copies() {
    let text = r#"{"t":10,"i":0,"p":{"k":["a","b"],"v":[{"t":9,"i":1,"a":[{"t":0,"s":1}],"o":0},
        {"t":4,"i":1}]},"o":0}"#;
    let read: BTreeMap<String, Vec<u8>> = read(text).unwrap();
    assert_eq!(read["a"], read["b"]);
}

#[test]
fn a_cycle_is_refused_by_types_and_held_by_a_graph() {
    let text = r#"{"t":9,"i":0,"a":[{"t":4,"i":0}],"o":0}"#;
    let error = read::<serde_json::Value>(text).unwrap_err();
    assert!(error.to_string().contains("contains itself"), "{error}");
    let graph: Graph = read(text).unwrap();
    let Value::Array(items) = graph.get(graph.root()) else { panic!("{graph:?}") };
    assert_eq!(items[0], Some(graph.root()));
    back(&graph);
}

#[test]
fn repeated_references_do_not_multiply() {
    // Each level names the one before twice: 2^40 values would come out of it.
    let mut text = r#"{"t":9,"i":0,"a":[],"o":0}"#.to_owned();
    for level in 1..40 {
        let before = level - 1;
        text = format!(r#"{{"t":9,"i":{level},"a":[{text},{{"t":4,"i":{before}}}],"o":0}}"#);
    }
    let error = read::<serde_json::Value>(&text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("repeat too much"), "{error}");
    assert!(read::<Graph>(&text).is_ok(), "a graph holds each value once");
}

#[test]
fn too_much_is_refused() {
    let deep = format!("{}{}", r#"{"t":9,"i":0,"a":["#.repeat(500), r#"],"o":0}"#.repeat(500));
    assert!(read::<serde_json::Value>(&deep).unwrap_err().to_string().contains("too deep"));
    let limits = Limits { references: 1, ..Limits::default() };
    let text = br#"{"t":9,"i":0,"a":[{"t":4,"i":0},{"t":4,"i":0}],"o":0}"#;
    let error = from_slice::<Graph>(text, Form::Cross, &limits).unwrap_err();
    assert!(error.to_string().contains("more than 1 references"), "{error}");
    assert_eq!(to_vec(&"a".repeat(100), 50).unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    for (text, place) in [
        (r#"{"t":99}"#, 0),
        (r#"{"t":1.5}"#, 0),
        (r#"{"s":1}"#, 0),
        (r#"{"t":1,"s":1}"#, 11),
        (r#"{"t":9,"i":0,"a":[{"t":4,"i":7}]}"#, 29),
        (r#"{"t":9,"i":0,"a":[{"t":9,"i":0,"a":[]},{"t":4,"i":0}]}"#, 29),
        (r#"{"t":10,"i":0,"p":{"k":["a"],"v":[]}}"#, 18),
        (r#"{"t":19,"i":0,"s":"???"}"#, 0),
        (r#"{"t":15,"i":0,"c":"Uint8Array","f":{"t":19,"i":1,"s":"AAAA"},"b":2,"l":2}"#, 0),
        (r#"{"t":15,"i":0,"c":"Int16Array","f":{"t":19,"i":1,"s":"AAAA"},"b":1,"l":1}"#, 0),
        (r#"{"t":25,"i":0,"c":"other","s":{}}"#, 0),
        (r#"{"t":3,"s":"1e9"}"#, 0),
        (r#"{"t":17,"i":0,"s":3}"#, 0),
        (r#"{"t":22,"i":0,"s":1}"#, 0),
    ] {
        let error = read::<serde_json::Value>(text).unwrap_err();
        assert_eq!((error.kind(), error.position()), (ErrorKind::Malformed, Some(place)), "{text}: {error}");
    }
}

#[test]
fn another_type_is_told_with_its_path() {
    let text = written(&BTreeMap::from([("list", vec!["a"])]));
    let document = Document::read(text.as_bytes(), Form::Cross, &Limits::default()).unwrap();
    let error = serde_path_to_error::deserialize::<_, BTreeMap<String, Vec<u8>>>(Reader::new(&document));
    let error = error.unwrap_err();
    assert_eq!(error.path().to_string(), "list[0]");
    assert_eq!(error.inner().to_string(), "invalid type: string \"a\", expected u8");
    let date = read::<Date>(&written(&"2026-01-01T00:00:00.000Z")).unwrap_err();
    assert_eq!(date.to_string(), "invalid type: string, expected a Date");
}

#[test]
fn parts_of_buffers_are_read_wherever_they_begin() {
    let bytes: Vec<u8> = (0..32).collect();
    for offset in 0..8 {
        for length in 0..8 {
            let mut graph = Graph::new(Value::Null);
            let buffer = graph.add(Value::Buffer(bytes.clone()));
            let class = Some(ArrayClass::Uint8);
            *graph.get_mut(graph.root()) = Value::View { class, buffer, offset, length };
            let text = graph.to_text().unwrap();
            assert_eq!(read::<Uint8Array>(&text).unwrap().0, bytes[offset..offset + length]);
            assert_eq!(read::<Vec<u8>>(&text).unwrap(), bytes[offset..offset + length]);
        }
    }
}

/// Texts of the reader's own words: deeper into it than arbitrary bytes get.
fn node_soup() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(r#"{"t":2,"s":1}"#.to_owned()),
        (0u32..4).prop_map(|id| format!(r#"{{"t":4,"i":{id}}}"#)),
        (0u32..40, 0u32..4).prop_map(|(kind, id)| format!(
            r#"{{"t":{kind},"i":{id},"s":"x","m":"","c":"Uint8Array","l":9,"b":3}}"#
        )),
        (0u32..4, "[A-Za-z0-9+/=]{0,8}")
            .prop_map(|(id, text)| format!(r#"{{"t":19,"i":{id},"s":"{text}"}}"#)),
        any::<f64>().prop_map(|number| format!(r#"{{"t":0,"s":{number:e}}}"#)),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            (0u32..40, 0u32..4, proptest::collection::vec(inner.clone(), 0..4)).prop_map(|(kind, id, items)| {
                format!(r#"{{"t":{kind},"i":{id},"a":[{}],"o":0}}"#, items.join(","))
            }),
            (0u32..40, 0u32..4, inner.clone(), inner.clone()).prop_map(|(kind, id, key, value)| {
                format!(
                    r#"{{"t":{kind},"i":{id},"p":{{"k":["a"],"v":[{value}]}},"e":{{"k":[{key}],"v":[{value}]}},"f":{value},"b":1,"l":2,"c":"Int16Array"}}"#
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for form in [Form::Cross, Form::Document] {
            let _ = from_slice::<serde_json::Value>(&bytes, form, &Limits::default());
            let _ = from_slice::<Graph>(&bytes, form, &Limits::default());
        }
    }

    #[test]
    fn arbitrary_nodes_never_panic_and_what_is_read_is_written(text in node_soup()) {
        let _ = read::<Everything>(&text);
        let _ = read::<serde_json::Value>(&text);
        if let Ok(graph) = read::<Graph>(&text) {
            let written = graph.to_text().unwrap();
            prop_assert_eq!(Graph::from_text(written.as_bytes()).unwrap().to_text().unwrap(), written);
        }
    }

    /// Noise around what is valid: refused or read, never a panic, and within the limits.
    #[test]
    fn noise_is_refused_and_never_panics(cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut text = written(&everything()).into_bytes();
        for (index, byte) in cuts {
            // Earlier cuts may have left nothing.
            if text.is_empty() {
                break;
            }
            let at = index.index(text.len());
            match byte {
                0..=63 => { text.remove(at); }
                64..=127 => text.insert(at, byte - 32),
                128..=160 => text.truncate(at.max(1)),
                _ => text[at] = byte & 0x7f,
            }
        }
        let _ = from_slice::<Everything>(&text, Form::Cross, &Limits::default());
        let _ = from_slice::<serde_json::Value>(&text, Form::Document, &Limits::default());
        if let Ok(graph) = from_slice::<Graph>(&text, Form::Cross, &Limits::default()) {
            let _ = graph.to_text();
        }
    }

    #[test]
    fn bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_slice::<Graph>(&text, Form::Cross, &Limits::default());
    }

    /// Nodes of every type with fields of every kind.
    #[test]
    fn nodes_of_any_shape_never_panic(
        t in -1i32..40,
        fields in proptest::collection::vec(("[siapefcmblk]", "(0|1|-1|1\\.5|true|null|\"AAAA\"|\"x\"|\\[\\]|\\[\"a\"\\]|\\{\\}|\\{\"t\":4,\"i\":0\\}|\\{\"t\":1,\"s\":\"\"\\}|\\{\"k\":\\[\\],\"v\":\\[\\]\\})"), 0..6),
    ) {
        let fields: String = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        let text = format!("{{\"t\":{t}{fields}}}");
        let _ = from_slice::<serde_json::Value>(text.as_bytes(), Form::Cross, &Limits::default());
        if let Ok(graph) = from_slice::<Graph>(text.as_bytes(), Form::Cross, &Limits::default()) {
            back(&graph);
        }
    }
}

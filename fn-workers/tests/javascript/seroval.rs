//! Values go to the real seroval and come back.

use std::sync::{LazyLock, Mutex};

use fn_workers::seroval::{
    ArrayClass, BigInt, Date, Form, Graph, Limits, Map, RegExp, Set, Uint8Array, Undefined, Value, ValueId,
    from_slice, to_vec,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::peer::Peer;

/// One process for all values.
static PEER: LazyLock<Mutex<Peer>> = LazyLock::new(|| Mutex::new(Peer::start()));

fn ask(operation: &str, input: serde_json::Value) -> Result<serde_json::Value, String> {
    PEER.lock().unwrap_or_else(std::sync::PoisonError::into_inner).ask(operation, input)
}

/// A value as a tree; a graph is made of it.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(Value),
    Array(Vec<Option<Tree>>),
    Object(bool, Vec<(String, Tree)>),
    Map(Vec<(Tree, Tree)>),
    Set(Vec<Tree>),
    View(usize, Vec<u8>, usize, usize),
    /// An object that was made before, or is being made: sharing and cycles.
    Again(prop::sample::Index),
}

fn leaf() -> impl Strategy<Value = Tree> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::Undefined),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Number),
        prop_oneof![
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(9007199254740993.0)
        ]
        .prop_map(Value::Number),
        any::<i128>().prop_map(|number| Value::BigInt(BigInt::from(number))),
        any::<String>().prop_map(Value::Text),
        "[\"\\\\<\n\r\t\u{8}\u{c}\u{2028}\u{2029}x3Cu]{0,12}".prop_map(Value::Text),
        (-8_640_000_000_000_000i64..=8_640_000_000_000_000).prop_map(|at| Value::Date(Date::from_millis(at))),
        Just(Value::Date(Date::INVALID)),
        prop_oneof![Just("a\"b<\\/"), Just("(?:)"), Just("[\\n\\\\]+$")].prop_map(|source| {
            Value::RegExp(RegExp { source: source.to_owned(), flags: "gi".to_owned() })
        }),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Buffer),
        any::<String>().prop_map(|message| Value::Error { name: "Error", message }),
        "[a-z]{1,9}".prop_map(|path| Value::Url(format!("https://example.com/{path}?q=1#h"))),
    ];
    value.prop_map(Tree::Leaf)
}

fn view() -> impl Strategy<Value = Tree> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    (0..ArrayClass::ALL.len() + 1, bytes, any::<usize>(), any::<usize>())
        .prop_map(|(class, bytes, offset, length)| Tree::View(class, bytes, offset, length))
}

fn tree() -> impl Strategy<Value = Tree> {
    let again = any::<prop::sample::Index>().prop_map(Tree::Again);
    let key = prop_oneof!["[a-z\"<\\\\]{0,6}", Just("__proto__".to_owned()), Just("constructor".to_owned())];
    prop_oneof![5 => leaf(), 1 => view(), 1 => again].prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(proptest::option::weighted(0.9, inner.clone()), 0..6)
                .prop_map(Tree::Array),
            (any::<bool>(), proptest::collection::vec((key.clone(), inner.clone()), 0..6))
                .prop_map(|(null, entries)| Tree::Object(null, entries)),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Tree::Map),
            proptest::collection::vec(inner, 0..4).prop_map(Tree::Set),
        ]
    })
}

struct Planter {
    graph: Graph,
    objects: Vec<ValueId>,
}

impl Planter {
    fn plant(tree: Tree) -> Graph {
        let mut planter = Self { graph: Graph::new(Value::Null), objects: Vec::new() };
        let root = planter.value(tree);
        planter.graph.set_root(root);
        planter.graph
    }

    fn object(&mut self) -> ValueId {
        let id = self.graph.add(Value::Null);
        self.objects.push(id);
        id
    }

    /// What a `Set` or the keys of a `Map` take: of values that JavaScript takes for one, the first alone.
    fn distinct(&self, values: &[ValueId], value: ValueId) -> bool {
        let zero = |value: &Value| match value {
            Value::Number(number) if *number == 0.0 => Value::Number(0.0),
            Value::Number(number) if number.is_nan() => Value::Text("NaN".into()),
            other => other.clone(),
        };
        let primitive = |id: ValueId| match self.graph.get(id) {
            value @ (Value::Null
            | Value::Undefined
            | Value::Bool(_)
            | Value::Number(_)
            | Value::BigInt(_)
            | Value::Text(_)) => Some(zero(value)),
            _ => None,
        };
        // -0 becomes 0 as a key.
        let negative_zero = matches!(self.graph.get(value), Value::Number(number) if *number == 0.0);
        !negative_zero
            && values.iter().all(|other| {
                *other != value && primitive(*other).is_none_or(|other| Some(other) != primitive(value))
            })
    }

    fn value(&mut self, tree: Tree) -> ValueId {
        match tree {
            Tree::Leaf(value) => {
                let id = self.graph.add(value.clone());
                if !matches!(
                    value,
                    Value::Null
                        | Value::Undefined
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::BigInt(_)
                        | Value::Text(_)
                ) {
                    self.objects.push(id);
                }
                id
            }
            Tree::Again(index) if self.objects.is_empty() => {
                let _ = index;
                self.graph.add(Value::Null)
            }
            Tree::Again(index) => *index.get(&self.objects),
            Tree::Array(items) => {
                let id = self.object();
                let items = items.into_iter().map(|item| item.map(|item| self.value(item))).collect();
                *self.graph.get_mut(id) = Value::Array(items);
                id
            }
            Tree::Object(null_prototype, entries) => {
                let id = self.object();
                let mut own: Vec<(String, ValueId)> = Vec::new();
                for (key, value) in entries {
                    if own.iter().all(|(other, _)| *other != key) {
                        let value = self.value(value);
                        own.push((key, value));
                    }
                }
                *self.graph.get_mut(id) = Value::Object { null_prototype, entries: own };
                id
            }
            Tree::Set(items) => {
                let id = self.object();
                let mut own = Vec::new();
                for item in items {
                    let item = self.value(item);
                    if self.distinct(&own, item) {
                        own.push(item);
                    }
                }
                *self.graph.get_mut(id) = Value::Set(own);
                id
            }
            Tree::Map(entries) => {
                let id = self.object();
                let (mut keys, mut own) = (Vec::new(), Vec::new());
                for (key, value) in entries {
                    let (key, value) = (self.value(key), self.value(value));
                    if self.distinct(&keys, key) {
                        keys.push(key);
                        own.push((key, value));
                    }
                }
                *self.graph.get_mut(id) = Value::Map(own);
                id
            }
            Tree::View(class, bytes, offset, length) => {
                let id = self.object();
                let class = ArrayClass::ALL.get(class).copied();
                let width = class.map_or(1, ArrayClass::width);
                let offset = offset % (bytes.len() + 1) / width * width;
                let length = length % ((bytes.len() - offset) / width + 1);
                let buffer = self.graph.add(Value::Buffer(bytes));
                *self.graph.get_mut(id) = Value::View { class, buffer, offset, length };
                id
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_values_survive_the_way_through_javascript(tree in tree()) {
        let graph = Planter::plant(tree);
        let text = graph.to_text().unwrap();
        let answer = ask("reserialise", json!(text)).map_err(TestCaseError::fail)?;
        let answer = answer.as_str().unwrap();
        let back: Graph = from_slice(answer.as_bytes(), Form::Document, &Limits::default())
            .map_err(|error| TestCaseError::fail(format!("{error}: {answer}")))?;
        prop_assert!(back.same(&graph), "{:?}\n{:?}\n{}\n{}", graph, back, text, answer);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    note: Option<String>,
    at: Date,
    amount: BigInt,
    ratio: f64,
    tags: Set<String>,
    lines: Map<String, Vec<u8>>,
    content: Uint8Array,
    nothing: Undefined,
    shared: Vec<Vec<i32>>,
}

#[test]
fn what_javascript_writes_is_read_by_type() {
    let expression = "(() => { const shared = [1, 2]; return {
        id: 7, note: null, at: new Date(Date.UTC(2026, 0, 31)), amount: 12345678901234567890n, ratio: -0,
        tags: new Set(['a', '</b>']), lines: new Map([['x', new Uint8Array([1, 2])]]),
        content: new Uint8Array([9, 8, 7, 6]).subarray(1, 3), nothing: undefined, shared: [shared, shared],
        [Symbol.toStringTag]: 'Order' } })()";
    let text = ask("write", json!(expression)).unwrap();
    let order: Order =
        from_slice(text.as_str().unwrap().as_bytes(), Form::Document, &Limits::default()).unwrap();
    let expected = Order {
        id: 7,
        note: None,
        at: Date::parse("2026-01-31T00:00:00.000Z").unwrap(),
        amount: BigInt::parse("12345678901234567890").unwrap(),
        ratio: -0.0,
        tags: Set(vec!["a".into(), "</b>".into()]),
        lines: Map(vec![("x".into(), vec![1, 2])]),
        content: Uint8Array(vec![8, 7]),
        nothing: Undefined,
        shared: vec![vec![1, 2], vec![1, 2]],
    };
    assert_eq!(order, expected);
    assert!(order.ratio.is_sign_negative());

    let text = String::from_utf8(to_vec(&expected, 1 << 20).unwrap()).unwrap();
    let expression = "it.id === 7 && it.note === null && it.at.toISOString() === '2026-01-31T00:00:00.000Z'
        && it.amount === 12345678901234567890n && Object.is(it.ratio, -0) && it.tags.has('</b>')
        && it.lines.get('x')[1] === 2 && it.content instanceof Uint8Array && it.content[0] === 8
        && 'nothing' in it && it.nothing === undefined";
    let answer = ask("read", json!({ "text": text, "expression": expression }));
    assert_eq!(answer.unwrap(), json!(true), "{text}");
}

#[test]
fn names_that_mean_something_to_prototypes_are_data() {
    let text = ask("write", json!(r#"JSON.parse('{"__proto__":{"admin":true},"constructor":1}')"#)).unwrap();
    let graph: Graph =
        from_slice(text.as_str().unwrap().as_bytes(), Form::Document, &Limits::default()).unwrap();
    let Value::Object { entries, .. } = graph.get(graph.root()) else { panic!("{graph:?}") };
    let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["__proto__", "constructor"]);
    let expression = "Object.getPrototypeOf(it) === Object.prototype && Object.keys(it).length === 2 && it.admin === undefined";
    let answer = ask("read", json!({ "text": graph.to_text().unwrap(), "expression": expression }));
    assert_eq!(answer.unwrap(), json!(true));
}

//! Any value of JavaScript's, with what is shared and what contains itself.

use std::collections::HashMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::binary::ArrayClass;
use super::document::{Document, Form, Items, Node, View, error_name};
use super::error::Error;
use super::limits::Limits;
use super::scalar::{BigInt, Date, RegExp, name};
use super::write::Writer;

/// Names a value of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(usize);

/// A value of a [`Graph`]. What holds others names them; two names of one value are one object in JavaScript.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `undefined`
    Undefined,
    /// `true` and `false`
    Bool(bool),
    /// A number; NaN, infinities and -0 too.
    Number(f64),
    /// A whole number of any size.
    BigInt(BigInt),
    /// A string.
    Text(String),
    /// A date.
    Date(Date),
    /// A regular expression.
    RegExp(RegExp),
    /// An array; `None` is a hole.
    Array(Vec<Option<ValueId>>),
    /// An object with its properties in order. `__proto__` and `constructor` are names as any other.
    Object {
        /// Whether its prototype is `null`.
        null_prototype: bool,
        /// Names and values.
        entries: Vec<(String, ValueId)>,
    },
    /// A `Map`, in order.
    Map(Vec<(ValueId, ValueId)>),
    /// A `Set`, in order.
    Set(Vec<ValueId>),
    /// An `ArrayBuffer`.
    Buffer(Vec<u8>),
    /// A view of an `ArrayBuffer`.
    View {
        /// Its class; `None` for a `DataView`.
        class: Option<ArrayClass>,
        /// The buffer.
        buffer: ValueId,
        /// Where it begins, in bytes.
        offset: usize,
        /// How many elements it has; bytes of a `DataView`.
        length: usize,
    },
    /// An `Error`. Start sends the message alone.
    Error {
        /// The class.
        name: &'static str,
        /// The message.
        message: String,
    },
    /// A `URL`.
    Url(String),
}

/// Values that name each other, and which of them is meant.
///
/// It is written as its seroval text in other formats than seroval's, and read from any value of theirs.
#[derive(Clone)]
pub struct Graph {
    values: Vec<Value>,
    root: ValueId,
}

impl Graph {
    /// A graph of one value; others are added to it.
    pub fn new(root: Value) -> Self {
        Self { values: vec![root], root: ValueId(0) }
    }

    /// Adds a value.
    pub fn add(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }

    /// The value that is meant.
    pub fn root(&self) -> ValueId {
        self.root
    }

    /// Means another value.
    pub fn set_root(&mut self, root: ValueId) {
        self.root = root;
    }

    /// A value of this graph.
    ///
    /// # Panics
    /// When the name is one of another graph, and beyond this one.
    pub fn get(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// A value of this graph, to change: the way to make cycles.
    ///
    /// # Panics
    /// When the name is one of another graph, and beyond this one.
    pub fn get_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.0]
    }

    /// Reads what `toCrossJSON` writes, within the default limits.
    ///
    /// # Errors
    /// When it is malformed or too large.
    pub fn from_text(text: &[u8]) -> Result<Self, Error> {
        let document = Document::read(text, Form::Cross, &Limits::default())?;
        Self::read(&document, document.root())
    }

    /// What `fromCrossJSON` reads.
    ///
    /// # Errors
    /// When it is too deep for seroval.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut writer = Writer::new(usize::MAX);
        self.write(&mut writer)?;
        String::from_utf8(writer.into_bytes()).map_err(|_| Error::data("the text is not UTF-8"))
    }

    pub(super) fn read(document: &Document<'_>, entry: usize) -> Result<Self, Error> {
        let mut builder = Builder { document, values: Vec::new(), known: HashMap::new() };
        let root = builder.value(entry, 0)?;
        Ok(Self { values: builder.values, root })
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), Error> {
        Pen { graph: self, writer, ids: HashMap::new() }.value(self.root)
    }

    /// Whether both are one value, as far as JavaScript can tell: the same shape with the same sharing.
    pub fn same(&self, other: &Self) -> bool {
        Pairing { left: self, right: other, pairs: HashMap::new() }.same(self.root, other.root)
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.root.0, self.values)
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}

impl Serialize for Graph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_text().map_err(serde::ser::Error::custom)?;
        serializer.serialize_newtype_struct(name::GRAPH, &text)
    }
}

struct Builder<'d, 't> {
    document: &'d Document<'t>,
    values: Vec<Value>,
    /// The values of nodes that are read, or being read.
    known: HashMap<usize, ValueId>,
}

impl Builder<'_, '_> {
    fn value(&mut self, entry: usize, depth: usize) -> Result<ValueId, Error> {
        if let Some(known) = self.known.get(&entry) {
            return Ok(*known);
        }
        if depth > self.document.depth() {
            return Err(Error::too_large(self.document.place(entry), "the value is too deep"));
        }
        let node = self.document.node(entry)?;
        if let Node::Reference(inner) | Node::Around(inner) = node {
            return self.value(inner, depth + 1);
        }
        let id = ValueId(self.values.len());
        self.values.push(Value::Undefined);
        self.known.insert(entry, id);
        let value = self.of(entry, node, depth + 1)?;
        self.values[id.0] = value;
        Ok(id)
    }

    fn of(&mut self, entry: usize, node: Node<'_>, depth: usize) -> Result<Value, Error> {
        let wrong = |message: &str| Error::malformed(self.document.place(entry), message);
        Ok(match node {
            Node::Null => Value::Null,
            Node::Undefined => Value::Undefined,
            Node::Bool(flag) => Value::Bool(flag),
            Node::Number(number) => Value::Number(number),
            Node::BigInt(digits) => {
                Value::BigInt(BigInt::parse(&digits).ok_or_else(|| wrong("this is no BigInt"))?)
            }
            Node::Text(text) | Node::Temporal(text) => Value::Text(text.into_owned()),
            Node::Date(text) => Value::Date(Date::parse(&text).ok_or_else(|| wrong("this is no date"))?),
            Node::RegExp { source, flags } => {
                Value::RegExp(RegExp { source: source.into_owned(), flags: flags.into_owned() })
            }
            Node::Array(items) => Value::Array(self.array(items, depth)?),
            Node::Set(items) => Value::Set(self.items(items, depth)?),
            Node::Object { mut keys, mut values, null_prototype } => {
                let mut entries = Vec::new();
                while let (Some(key), Some(value)) =
                    (self.document.next(&mut keys), self.document.next(&mut values))
                {
                    if let Some(key) = self.document.key(key)? {
                        entries.push((key.into_owned(), self.value(value, depth)?));
                    }
                }
                Value::Object { null_prototype, entries }
            }
            Node::Map { mut keys, mut values } => {
                let mut entries = Vec::new();
                while let (Some(key), Some(value)) =
                    (self.document.next(&mut keys), self.document.next(&mut values))
                {
                    entries.push((self.value(key, depth)?, self.value(value, depth)?));
                }
                Value::Map(entries)
            }
            Node::Buffer(base64) => Value::Buffer(self.document.buffer(entry, base64)?),
            Node::View(view) => self.view(entry, &view, depth)?,
            Node::Error { name, message } => {
                Value::Error { name: error_name(name), message: message.into_owned() }
            }
            Node::Url(url) => Value::Url(url.into_owned()),
            Node::Reference(_) | Node::Around(_) => return Err(wrong("a reference is out of place")),
        })
    }

    fn array(&mut self, mut items: Items, depth: usize) -> Result<Vec<Option<ValueId>>, Error> {
        let mut values = Vec::new();
        while let Some(item) = self.document.next(&mut items) {
            let hole = self.document.is_hole(item);
            values.push(if hole { None } else { Some(self.value(item, depth)?) });
        }
        Ok(values)
    }

    fn items(&mut self, mut items: Items, depth: usize) -> Result<Vec<ValueId>, Error> {
        let mut values = Vec::new();
        while let Some(item) = self.document.next(&mut items) {
            values.push(self.value(item, depth)?);
        }
        Ok(values)
    }

    fn view(&mut self, entry: usize, view: &View<'_>, depth: usize) -> Result<Value, Error> {
        let (class, bytes) = self.document.view_bytes(entry, view)?;
        let length = bytes.len() / class.map_or(1, ArrayClass::width);
        Ok(Value::View { class, buffer: self.value(view.buffer, depth)?, offset: view.offset, length })
    }
}

struct Pen<'g, 'w> {
    graph: &'g Graph,
    writer: &'w mut Writer,
    /// The ids of values that have been written, or are being written.
    ids: HashMap<ValueId, u32>,
}

impl Pen<'_, '_> {
    fn value(&mut self, id: ValueId) -> Result<(), Error> {
        if let Some(known) = self.ids.get(&id) {
            self.writer.raw(r#"{"t":4,"i":"#);
            self.writer.number(*known);
            self.writer.raw("}");
            return Ok(());
        }
        self.writer.deeper()?;
        let value = self.graph.get(id);
        if value.is_object() {
            self.ids.insert(id, self.writer.next_id);
        }
        match value {
            Value::Null => self.writer.constant(0),
            Value::Undefined => self.writer.constant(1),
            Value::Bool(flag) => self.writer.constant(if *flag { 2 } else { 3 }),
            Value::Number(number) => self.writer.float(*number),
            Value::BigInt(number) => self.writer.big_int(&number.to_string()),
            Value::Text(text) => self.writer.text_node(text)?,
            Value::Date(date) => self.writer.date(&date.to_string()),
            Value::RegExp(RegExp { source, flags }) => self.writer.reg_exp(source, flags)?,
            Value::Array(items) => {
                self.writer.open("9");
                self.writer.raw(r#","a":["#);
                self.separated(items, |pen, item| match item {
                    Some(item) => pen.value(*item),
                    None => {
                        pen.writer.raw("0");
                        Ok(())
                    }
                })?;
                self.writer.raw(r#"],"o":0}"#);
            }
            Value::Set(items) => {
                self.writer.open("7");
                self.writer.raw(r#","a":["#);
                self.separated(items, |pen, item| pen.value(*item))?;
                self.writer.raw("]}");
            }
            Value::Object { null_prototype, entries } => {
                self.writer.open(if *null_prototype { "11" } else { "10" });
                self.writer.raw(r#","p":{"k":["#);
                self.separated(entries, |pen, (key, _)| pen.writer.text(key))?;
                self.writer.raw(r#"],"v":["#);
                self.separated(entries, |pen, (_, value)| pen.value(*value))?;
                self.writer.raw(r#"]},"o":0}"#);
            }
            Value::Map(entries) => self.map(entries)?,
            Value::Buffer(bytes) => self.writer.buffer(bytes)?,
            Value::View { class, buffer, offset, length } => self.view(*class, *buffer, *offset, *length)?,
            Value::Error { message, .. } => self.writer.error(message)?,
            Value::Url(url) => self.writer.url(url)?,
        }
        self.writer.shallower();
        Ok(())
    }

    fn separated<T>(
        &mut self,
        items: &[T],
        write: impl Fn(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.writer.raw(",");
            }
            write(self, item)?;
        }
        Ok(())
    }

    /// seroval reads a key, then its value: what they share must be written where it is read first.
    fn map(&mut self, entries: &[(ValueId, ValueId)]) -> Result<(), Error> {
        self.writer.open("8");
        self.writer.raw(r#","e":{"k":["#);
        let mut values: Vec<u8> = Vec::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.writer.raw(",");
                values.push(b',');
            }
            self.value(*key)?;
            std::mem::swap(&mut self.writer.out, &mut values);
            let written = self.value(*value);
            std::mem::swap(&mut self.writer.out, &mut values);
            written?;
        }
        self.writer.raw(r#"],"v":["#);
        self.writer.out.extend_from_slice(&values);
        self.writer.raw("]}}");
        Ok(())
    }

    fn view(
        &mut self,
        class: Option<ArrayClass>,
        buffer: ValueId,
        offset: usize,
        length: usize,
    ) -> Result<(), Error> {
        match class {
            Some(class) => {
                self.writer.open(if class.is_big() { "16" } else { "15" });
                self.writer.raw(r#","c":""#);
                self.writer.raw(class.name());
                self.writer.raw("\"");
            }
            None => self.writer.open("20"),
        }
        self.writer.raw(r#","f":"#);
        self.value(buffer)?;
        self.writer.raw(r#","b":"#);
        self.writer.number(offset);
        self.writer.raw(r#","l":"#);
        self.writer.number(length);
        self.writer.raw("}");
        Ok(())
    }
}

impl Value {
    /// Whether JavaScript knows it by identity.
    fn is_object(&self) -> bool {
        !matches!(
            self,
            Self::Null | Self::Undefined | Self::Bool(_) | Self::Number(_) | Self::BigInt(_) | Self::Text(_)
        )
    }
}

struct Pairing<'a> {
    left: &'a Graph,
    right: &'a Graph,
    pairs: HashMap<ValueId, ValueId>,
}

impl Pairing<'_> {
    fn same(&mut self, left: ValueId, right: ValueId) -> bool {
        let (a, b) = (self.left.get(left), self.right.get(right));
        if a.is_object() {
            if let Some(known) = self.pairs.get(&left) {
                return *known == right;
            }
            // Sharing must be the same from both sides.
            if self.pairs.values().any(|known| *known == right) {
                return false;
            }
            self.pairs.insert(left, right);
        }
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Value::Array(a), Value::Array(b)) => {
                let item = |(a, b): (&Option<_>, &Option<_>)| match (a, b) {
                    (Some(a), Some(b)) => self.same(*a, *b),
                    (None, None) => true,
                    _ => false,
                };
                a.len() == b.len() && a.iter().zip(b).all(item)
            }
            (Value::Set(a), Value::Set(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same(*a, *b))
            }
            (
                Value::Object { null_prototype: a_null, entries: a },
                Value::Object { null_prototype: b_null, entries: b },
            ) => {
                let entry = |((a_key, a), (b_key, b)): (&(String, _), &(String, _))| {
                    a_key == b_key && self.same(*a, *b)
                };
                a_null == b_null && a.len() == b.len() && a.iter().zip(b).all(entry)
            }
            (Value::Map(a), Value::Map(b)) => {
                let entry = |((a_key, a), (b_key, b)): (&(ValueId, ValueId), &(ValueId, ValueId))| {
                    self.same(*a_key, *b_key) && self.same(*a, *b)
                };
                a.len() == b.len() && a.iter().zip(b).all(entry)
            }
            (
                Value::View { class, buffer, offset, length },
                Value::View { class: b_class, buffer: b, offset: b_offset, length: b_length },
            ) => (class, offset, length) == (b_class, b_offset, b_length) && self.same(*buffer, *b),
            (a, b) => a == b,
        }
    }
}

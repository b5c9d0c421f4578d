//! A document as what serde asks for. References are resolved: what is shared comes as copies, within the limits on
//! what comes out; a cycle is refused.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::binary::{ArrayClass, Element};
use super::document::{Document, Items, Node};
use super::error::Error;
use super::graph::Graph;
use super::scalar::name;

/// Whole numbers up to this are exact in JavaScript (2^53).
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A value of a document.
#[derive(Clone, Copy)]
pub struct Reader<'d, 't> {
    document: &'d Document<'t>,
    entry: usize,
    depth: usize,
}

impl<'d, 't> Reader<'d, 't> {
    /// The document's own value.
    pub fn new(document: &'d Document<'t>) -> Self {
        Self { document, entry: document.root(), depth: 0 }
    }

    /// Whether the value is `null` or `undefined`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn is_absent(self) -> Result<bool, Error> {
        Ok(self.document.may_be_absent(self.entry)
            && self.value(|_, node| Ok(matches!(node, Node::Null | Node::Undefined)))?)
    }

    /// A property of an object; `None` when it has none of this name.
    ///
    /// # Errors
    /// When the value is no object.
    pub fn member(self, name: &str) -> Result<Option<Self>, Error> {
        self.value(|reader, node| {
            let Node::Object { mut keys, mut values, .. } = node else {
                return Err(Error::malformed(reader.document.place(reader.entry), "an object is expected"));
            };
            while let (Some(key), Some(value)) =
                (reader.document.next(&mut keys), reader.document.next(&mut values))
            {
                if reader.document.key(key)?.as_deref() == Some(name) {
                    return reader.inside(value).map(Some);
                }
            }
            Ok(None)
        })
    }

    fn inside(self, entry: usize) -> Result<Self, Error> {
        if self.depth >= self.document.depth() {
            return Err(Error::too_large(self.document.place(entry), "the value is too deep"));
        }
        Ok(Self { entry, depth: self.depth + 1, ..self })
    }

    /// Hands the value itself to `take`, whatever stands around it. What `take` says of the data gets a place.
    fn value<R>(self, take: impl FnOnce(Self, Node<'t>) -> Result<R, Error>) -> Result<R, Error> {
        let place = self.document.place(self.entry);
        let taken = match self.document.node(self.entry)? {
            Node::Reference(target) => {
                let _following = self.document.follow(target)?;
                self.inside(target)?.value(take)
            }
            Node::Around(inner) => self.inside(inner)?.value(take),
            node => take(self, node),
        };
        taken.map_err(|error| error.or_at(place))
    }

    fn sequence<V: Visitor<'t>>(self, items: Items, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { reader: self, items })
    }

    fn entries<V: Visitor<'t>>(
        self,
        keys: Items,
        values: Items,
        is_map: bool,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Entries { reader: self, keys, values, value: None, is_map })
    }

    fn integer<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|reader, node| match node {
            Node::Number(number) => match whole(number) {
                Some(whole) => visitor.visit_i64(whole),
                None => reader.any(Node::Number(number), visitor),
            },
            Node::BigInt(digits) => big_int(&digits, visitor),
            node => reader.any(node, visitor),
        })
    }

    fn any<V: Visitor<'t>>(self, node: Node<'t>, visitor: V) -> Result<V::Value, Error> {
        match node {
            Node::Null | Node::Undefined => visitor.visit_unit(),
            Node::Bool(flag) => visitor.visit_bool(flag),
            Node::Number(number) => visit_number(number, visitor),
            Node::BigInt(digits) => big_int(&digits, visitor),
            Node::Text(text) | Node::Date(text) | Node::Url(text) | Node::Temporal(text) => {
                visit_text(text, visitor)
            }
            Node::Error { message, .. } => visit_text(message, visitor),
            Node::RegExp { source, flags } => visitor.visit_string(format!("/{source}/{flags}")),
            Node::Array(items) | Node::Set(items) => self.sequence(items, visitor),
            Node::Object { keys, values, .. } => self.entries(keys, values, false, visitor),
            Node::Map { keys, values } => self.entries(keys, values, true, visitor),
            Node::Buffer(base64) => {
                let bytes = self.document.buffer(self.entry, base64)?;
                self.elements(ArrayClass::Uint8, &bytes, visitor)
            }
            Node::View(view) => {
                let (class, bytes) = self.document.view_bytes(self.entry, &view)?;
                self.elements(class.unwrap_or(ArrayClass::Uint8), &bytes, visitor)
            }
            Node::Reference(_) | Node::Around(_) => Err(Error::data("a reference is out of place")),
        }
    }

    fn elements<V: Visitor<'t>>(
        self,
        class: ArrayClass,
        bytes: &[u8],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Numbers { elements: class.elements(bytes) })
    }

    fn bytes<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|reader, node| match node {
            Node::Buffer(base64) => visitor.visit_byte_buf(reader.document.buffer(reader.entry, base64)?),
            Node::View(view) => visitor.visit_byte_buf(reader.document.view_bytes(reader.entry, &view)?.1),
            node => reader.any(node, visitor),
        })
    }

    /// What a value of JavaScript's own types is told as, where another was expected.
    fn described(node: &Node<'_>) -> &'static str {
        match node {
            Node::Null => "null",
            Node::Undefined => "undefined",
            Node::Bool(_) => "boolean",
            Node::Number(_) => "number",
            Node::BigInt(_) => "BigInt",
            Node::Text(_) => "string",
            Node::Date(_) => "Date",
            Node::RegExp { .. } => "RegExp",
            Node::Array(_) => "array",
            Node::Set(_) => "Set",
            Node::Object { .. } => "object",
            Node::Map { .. } => "Map",
            Node::Buffer(_) => "ArrayBuffer",
            Node::View(_) => "typed array",
            Node::Error { .. } => "Error",
            Node::Url(_) => "URL",
            Node::Temporal(_) => "Temporal",
            Node::Reference(_) | Node::Around(_) => "reference",
        }
    }

    /// A type that is known by name: the value must be just that.
    fn named<V: Visitor<'t>>(self, wanted: &str, visitor: V) -> Result<V::Value, Error> {
        self.value(|_, node| {
            let text = match (wanted, node) {
                (name::BIG_INT, Node::BigInt(text))
                | (name::DATE, Node::Date(text))
                | (name::URL, Node::Url(text) | Node::Text(text))
                | (name::ERROR, Node::Error { message: text, .. }) => text,
                (name::REG_EXP, Node::RegExp { source, flags }) => format!("/{source}/{flags}").into(),
                (_, node) => {
                    return Err(Error::invalid_type(Unexpected::Other(Self::described(&node)), &visitor));
                }
            };
            visitor.visit_newtype_struct(text.into_deserializer())
        })
    }
}

pub(super) fn visit_text<'t, V: Visitor<'t>, E: serde::de::Error>(
    text: Cow<'t, str>,
    visitor: V,
) -> Result<V::Value, E> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

/// A whole number that is exact in JavaScript.
pub(super) fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what is not exact is told apart")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "what is not exact is told apart")]
    (whole as f64 == number && number.abs() <= MAX_EXACT).then_some(whole)
}

/// Whole numbers come as integers, as with JSON; -0 and what is beyond 2^53 does not.
pub(super) fn visit_number<'t, V: Visitor<'t>, E: serde::de::Error>(
    number: f64,
    visitor: V,
) -> Result<V::Value, E> {
    match whole(number) {
        Some(whole) if whole != 0 || number.is_sign_positive() => visitor.visit_i64(whole),
        _ => visitor.visit_f64(number),
    }
}

fn big_int<'t, V: Visitor<'t>>(digits: &str, visitor: V) -> Result<V::Value, Error> {
    if let Ok(number) = digits.parse() {
        visitor.visit_i64(number)
    } else if let Ok(number) = digits.parse() {
        visitor.visit_u64(number)
    } else if let Ok(number) = digits.parse() {
        visitor.visit_i128(number)
    } else {
        Err(Error::invalid_value(Unexpected::Other("a BigInt of this size"), &visitor))
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer(visitor)
        })*
    };
}

impl<'t> Deserializer<'t> for Reader<'_, 't> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|reader, node| reader.any(node, visitor))
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|reader, node| match node {
            Node::Number(number) => visitor.visit_f64(number),
            node => reader.any(node, visitor),
        })
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_absent()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bytes<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            name::BIG_INT | name::DATE | name::REG_EXP | name::URL | name::ERROR => self.named(name, visitor),
            name::GRAPH => {
                let graph = Graph::read(self.document, self.entry)?;
                visitor.visit_byte_buf(graph.to_text()?.into_bytes())
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value(|reader, node| match node {
            Node::Text(text) => visitor.visit_enum(CowStrDeserializer::new(text)),
            Node::Object { mut keys, mut values, .. } => {
                let mut members = Vec::new();
                while let (Some(key), Some(value)) =
                    (reader.document.next(&mut keys), reader.document.next(&mut values))
                {
                    members.extend(reader.document.key(key)?.map(|key| (key, value)));
                    if members.len() > 1 {
                        break;
                    }
                }
                match <[_; 1]>::try_from(members) {
                    Ok([(variant, value)]) => {
                        visitor.visit_enum(Variant { variant, value: reader.inside(value)? })
                    }
                    Err(_) => Err(Error::invalid_value(
                        Unexpected::Map,
                        &"an object with one field, the variant's name",
                    )),
                }
            }
            node => {
                let found = Self::described(&node);
                Err(Error::invalid_type(Unexpected::Other(found), &"a string or an object with one field"))
            }
        })
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

struct Elements<'d, 't> {
    reader: Reader<'d, 't>,
    items: Items,
}

impl<'t> SeqAccess<'t> for Elements<'_, 't> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.reader.document.next(&mut self.items) else { return Ok(None) };
        if self.reader.document.is_hole(item) {
            return seed.deserialize(().into_deserializer()).map(Some);
        }
        seed.deserialize(self.reader.inside(item)?).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Numbers<I> {
    elements: I,
}

impl<'t, I: Iterator<Item = Element>> SeqAccess<'t> for Numbers<I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let element = self.elements.next().map(|element| match element {
            Element::Signed(number) => seed.deserialize(number.into_deserializer()),
            Element::Unsigned(number) => seed.deserialize(number.into_deserializer()),
            Element::Float(number) => seed.deserialize(number.into_deserializer()),
        });
        element.transpose()
    }
}

struct Entries<'d, 't> {
    reader: Reader<'d, 't>,
    keys: Items,
    values: Items,
    value: Option<usize>,
    is_map: bool,
}

impl<'t> MapAccess<'t> for Entries<'_, 't> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let document = self.reader.document;
        loop {
            let (Some(key), Some(value)) = (document.next(&mut self.keys), document.next(&mut self.values))
            else {
                return Ok(None);
            };
            self.value = Some(value);
            if self.is_map {
                return seed.deserialize(self.reader.inside(key)?).map(Some);
            }
            // Symbols are no keys outside of JavaScript.
            match document.key(key)? {
                Some(Cow::Borrowed(key)) => {
                    return seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some);
                }
                Some(Cow::Owned(key)) => return seed.deserialize(StringDeserializer::new(key)).map(Some),
                None => {}
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(self.reader.inside(value)?),
            None => Err(Error::data("a value was asked for before its key")),
        }
    }
}

struct Variant<'d, 't> {
    variant: Cow<'t, str>,
    value: Reader<'d, 't>,
}

impl<'d, 't> EnumAccess<'t> for Variant<'d, 't> {
    type Error = Error;
    type Variant = Reader<'d, 't>;

    fn variant_seed<V: DeserializeSeed<'t>>(self, seed: V) -> Result<(V::Value, Reader<'d, 't>), Error> {
        seed.deserialize(CowStrDeserializer::new(self.variant)).map(|variant| (variant, self.value))
    }
}

impl<'t> VariantAccess<'t> for Reader<'_, 't> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'t>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
}

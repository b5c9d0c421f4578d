//! The shortest way from a text to a type, for what clients send most: objects, arrays, strings, numbers and constants,
//! with the fields of each node in the order in which seroval writes them. No tape, no memory: serde asks, and the text is
//! read on.
//!
//! Anything else is not told apart from a fault. It is a [`Surprise`], and the text is read anew by tape and document, which
//! know all of seroval's forms, and what to say of what is none.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::document::Form;
use super::escape;
use super::limits::Limits;
use super::read::{visit_number, visit_text, whole};
use super::scalar::name;
use super::tape;

/// What stands here is for another reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surprise;

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not in the quick form")
    }
}

impl std::error::Error for Surprise {}

impl serde::de::Error for Surprise {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads a text, or the member `member` of the object that it holds; `None` when it has to be read another way. What is
/// absent is not read here.
pub(super) fn read<T: DeserializeOwned>(
    bytes: &[u8],
    form: Form,
    member: Option<&str>,
    limits: &Limits,
) -> Option<T> {
    // Each part takes two bytes at least, with what separates it. Nothing is repeated without references, of which there
    // are none in this form. So all limits hold but that on depth.
    let parts = bytes.len() / 2 + 1;
    let fits = bytes.len() <= limits.bytes.min(limits.expanded_bytes)
        && parts <= limits.parts.min(limits.expanded_values);
    let text = std::str::from_utf8(bytes).ok().filter(|_| fits)?;
    // The other reader counts some levels more.
    let mut quick = Quick { text, at: 0, levels: limits.depth.saturating_sub(2) };
    quick.document(form, member).ok()
}

/// A text, read up to a place.
struct Quick<'t> {
    text: &'t str,
    at: usize,
    /// How much deeper values may lie in each other.
    levels: usize,
}

/// The types of nodes in this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Constant,
    Array,
    Object,
}

impl<'t> Quick<'t> {
    fn document<T: Deserialize<'t>>(&mut self, form: Form, member: Option<&str>) -> Result<T, Surprise> {
        if form == Form::Document {
            self.expect(br#"{"t":"#)?;
        }
        let value = match member {
            None => T::deserialize(&mut *self)?,
            Some(name) => self.member(name)?,
        };
        if form == Form::Document {
            self.expect(br#","f":"#)?;
            self.digits()?;
            self.expect(br#","m":[]}"#)?;
        }
        if self.at == self.text.len() { Ok(value) } else { Err(Surprise) }
    }

    fn member<T: Deserialize<'t>>(&mut self, name: &str) -> Result<T, Surprise> {
        if self.kind()? != Kind::Object {
            return Err(Surprise);
        }
        let mut found = None;
        let mut entries = self.open_object()?;
        while let Some(key) = entries.key()? {
            if key != name {
                IgnoredAny::deserialize(&mut *entries.quick)?;
            } else if found.is_some() || entries.quick.absent().is_some() {
                return Err(Surprise);
            } else {
                found = Some(T::deserialize(&mut *entries.quick)?);
            }
        }
        self.close_object()?;
        found.ok_or(Surprise)
    }

    fn rest(&self) -> &'t [u8] {
        &self.text.as_bytes()[self.at..]
    }

    #[inline]
    fn expect(&mut self, token: &[u8]) -> Result<(), Surprise> {
        if !self.rest().starts_with(token) {
            return Err(Surprise);
        }
        self.at += token.len();
        Ok(())
    }

    #[inline]
    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.rest().first() == Some(&byte);
        self.at += usize::from(is);
        is
    }

    /// A whole number that nobody looks at: an id, or flags.
    fn digits(&mut self) -> Result<(), Surprise> {
        let (_, length) = tape::whole(self.rest()).ok_or(Surprise)?;
        self.at += length;
        Ok(())
    }

    /// Begins a node.
    fn kind(&mut self) -> Result<Kind, Surprise> {
        self.expect(br#"{"t":"#)?;
        let (kind, length) = match self.rest() {
            [b'0', b',', ..] => (Kind::Number, 2),
            [b'1', b',', ..] => (Kind::Text, 2),
            [b'2', b',', ..] => (Kind::Constant, 2),
            [b'9', b',', ..] => (Kind::Array, 2),
            [b'1', b'0', b',', ..] => (Kind::Object, 3),
            _ => return Err(Surprise),
        };
        self.at += length;
        Ok(kind)
    }

    /// A string between quotes.
    fn string(&mut self) -> Result<Cow<'t, str>, Surprise> {
        self.expect(b"\"")?;
        let start = self.at;
        let (end, escaped) = tape::string_end(self.text.as_bytes(), start).map_err(|_| Surprise)?;
        self.at = end + 1;
        let raw = self.text.get(start..end).ok_or(Surprise)?;
        Ok(if escaped { escape::unescape(Cow::Owned(tape::unescape(raw))) } else { Cow::Borrowed(raw) })
    }

    fn number(&mut self) -> Result<f64, Surprise> {
        self.expect(br#""s":"#)?;
        let (number, length) = tape::number(self.rest()).ok_or(Surprise)?;
        self.at += length;
        self.expect(b"}")?;
        Ok(number)
    }

    fn text_node(&mut self) -> Result<Cow<'t, str>, Surprise> {
        self.expect(br#""s":"#)?;
        let text = self.string()?;
        self.expect(b"}")?;
        Ok(text)
    }

    /// Takes a node that is `null` or `undefined`.
    fn absent(&mut self) -> Option<()> {
        self.expect(br#"{"t":2,"s":0}"#).or_else(|_| self.expect(br#"{"t":2,"s":1}"#)).ok()
    }

    fn deeper(&mut self) -> Result<(), Surprise> {
        self.levels = self.levels.checked_sub(1).ok_or(Surprise)?;
        Ok(())
    }

    fn open_object(&mut self) -> Result<Entries<'_, 't>, Surprise> {
        self.deeper()?;
        self.expect(br#""i":"#)?;
        self.digits()?;
        self.expect(br#","p":{"k":["#)?;
        let keys = self.at;
        if !self.next_is(b']') {
            loop {
                self.expect(b"\"")?;
                let (end, _) = tape::string_end(self.text.as_bytes(), self.at).map_err(|_| Surprise)?;
                self.at = end + 1;
                if self.next_is(b']') {
                    break;
                }
                self.expect(b",")?;
            }
        }
        self.expect(br#","v":["#)?;
        Ok(Entries { keys, is_first: true, ended: false, quick: self })
    }

    fn close_object(&mut self) -> Result<(), Surprise> {
        self.expect(br#"},"o":"#)?;
        self.close()
    }

    fn close(&mut self) -> Result<(), Surprise> {
        self.digits()?;
        self.expect(b"}")?;
        self.levels += 1;
        Ok(())
    }

    fn any<V: Visitor<'t>>(&mut self, kind: Kind, visitor: V) -> Result<V::Value, Surprise> {
        match kind {
            Kind::Number => visit_number(self.number()?, visitor),
            Kind::Text => visit_text(self.text_node()?, visitor),
            Kind::Constant => {
                self.expect(br#""s":"#)?;
                let constant = *self.rest().first().ok_or(Surprise)?;
                self.at += 1;
                self.expect(b"}")?;
                match constant {
                    b'0' | b'1' => visitor.visit_unit(),
                    b'2' => visitor.visit_bool(true),
                    b'3' => visitor.visit_bool(false),
                    _ => Err(Surprise),
                }
            }
            Kind::Array => {
                self.deeper()?;
                self.expect(br#""i":"#)?;
                self.digits()?;
                self.expect(br#","a":["#)?;
                let mut elements = Elements { is_first: true, ended: false, quick: self };
                let value = visitor.visit_seq(&mut elements)?;
                // A tuple does not ask for what comes after its last element.
                if !elements.ended && !elements.quick.next_is(b']') {
                    return Err(Surprise);
                }
                self.expect(br#","o":"#)?;
                self.close()?;
                Ok(value)
            }
            Kind::Object => {
                let mut entries = self.open_object()?;
                let value = visitor.visit_map(&mut entries)?;
                if !entries.ended {
                    return Err(Surprise);
                }
                self.close_object()?;
                Ok(value)
            }
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Surprise> {
            match self.kind()? {
                Kind::Number => {
                    let number = self.number()?;
                    match whole(number) {
                        Some(whole) => visitor.visit_i64(whole),
                        None => visit_number(number, visitor),
                    }
                }
                kind => self.any(kind, visitor),
            }
        })*
    };
}

impl<'t> Deserializer<'t> for &mut Quick<'t> {
    type Error = Surprise;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Surprise> {
        let kind = self.kind()?;
        self.any(kind, visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Surprise> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Surprise> {
        match self.kind()? {
            Kind::Number => visitor.visit_f64(self.number()?),
            kind => self.any(kind, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Surprise> {
        match self.absent() {
            Some(()) => visitor.visit_none(),
            None => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Surprise> {
        // Types of JavaScript's own that serde does not know.
        if name.starts_with(name::PREFIX) { Err(Surprise) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Surprise> {
        match self.kind()? {
            Kind::Text => visitor.visit_enum(CowStrDeserializer::new(self.text_node()?)),
            _ => Err(Surprise),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Elements<'q, 't> {
    is_first: bool,
    ended: bool,
    quick: &'q mut Quick<'t>,
}

impl<'t> SeqAccess<'t> for &mut Elements<'_, 't> {
    type Error = Surprise;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, Surprise> {
        if self.ended || self.quick.next_is(b']') {
            self.ended = true;
            return Ok(None);
        }
        if !std::mem::take(&mut self.is_first) {
            self.quick.expect(b",")?;
        }
        seed.deserialize(&mut *self.quick).map(Some)
    }
}

/// An object's names and values, which stand in two arrays.
struct Entries<'q, 't> {
    /// Where the next name stands.
    keys: usize,
    is_first: bool,
    ended: bool,
    quick: &'q mut Quick<'t>,
}

impl<'t> Entries<'_, 't> {
    /// The next name; its value is what the text goes on with.
    fn key(&mut self) -> Result<Option<Cow<'t, str>>, Surprise> {
        if self.ended {
            return Ok(None);
        }
        let values = std::mem::replace(&mut self.quick.at, self.keys);
        let has_key = !self.quick.next_is(b']');
        let is_first = std::mem::take(&mut self.is_first);
        let key = if has_key {
            if !is_first {
                self.quick.expect(b",")?;
            }
            Some(self.quick.string()?)
        } else {
            None
        };
        self.keys = std::mem::replace(&mut self.quick.at, values);
        if has_key && !is_first {
            self.quick.expect(b",")?;
        }
        if !has_key {
            self.quick.expect(b"]")?;
            self.ended = true;
        }
        Ok(key)
    }
}

impl<'t> MapAccess<'t> for &mut Entries<'_, 't> {
    type Error = Surprise;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Surprise> {
        match self.key()? {
            Some(Cow::Borrowed(key)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            Some(key) => seed.deserialize(CowStrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, Surprise> {
        seed.deserialize(&mut *self.quick)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::super::{Document, Reader};
    use super::*;

    fn slowly<T: DeserializeOwned>(text: &str, form: Form) -> Result<T, super::super::Error> {
        let document = Document::read(text.as_bytes(), form, &Limits::default())?;
        T::deserialize(Reader::new(&document))
    }

    fn quickly<T: DeserializeOwned>(text: &str) -> Option<T> {
        read(text.as_bytes(), Form::Cross, None, &Limits::default())
    }

    /// As seroval writes a plain value.
    fn node(value: &Value, id: &mut u32) -> String {
        let mut next = || {
            *id += 1;
            *id - 1
        };
        let quoted = |text: &str| {
            let mut out = Vec::new();
            escape::write(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        match value {
            Value::Null => r#"{"t":2,"s":0}"#.into(),
            Value::Bool(flag) => format!(r#"{{"t":2,"s":{}}}"#, if *flag { 2 } else { 3 }),
            Value::Number(number) => format!(r#"{{"t":0,"s":{number}}}"#),
            Value::String(text) => format!(r#"{{"t":1,"s":{}}}"#, quoted(text)),
            Value::Array(items) => {
                let own = next();
                let items: Vec<_> = items.iter().map(|item| node(item, id)).collect();
                format!(r#"{{"t":9,"i":{own},"a":[{}],"o":0}}"#, items.join(","))
            }
            Value::Object(members) => {
                let own = next();
                let keys: Vec<_> = members.keys().map(|key| quoted(key)).collect();
                let values: Vec<_> = members.values().map(|value| node(value, id)).collect();
                let (keys, values) = (keys.join(","), values.join(","));
                format!(r#"{{"t":10,"i":{own},"p":{{"k":[{keys}],"v":[{values}]}},"o":0}}"#)
            }
        }
    }

    fn cross(value: &Value) -> String {
        node(value, &mut 0)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(".{0,8}", inner, 0..6)
                    .prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_seroval_writes_is_read_quickly_and_as_the_other_reader_does(value in values()) {
            let text = cross(&value);
            let read: Value = quickly(&text).unwrap();
            prop_assert_eq!(&read, &slowly::<Value>(&text, Form::Cross).unwrap());
        }

        #[test]
        fn what_is_cut_or_changed_is_read_as_the_other_reader_does_or_not_at_all(
            value in values(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut text = cross(&value).into_bytes();
            let at = at.index(text.len());
            if cut { text.truncate(at) } else { text[at] = byte }
            if let Some(read) = read::<Value>(&text, Form::Cross, None, &Limits::default()) {
                let text = String::from_utf8(text).unwrap();
                prop_assert_eq!(read, slowly::<Value>(&text, Form::Cross).unwrap(), "{}", text);
            }
        }
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        first_name: String,
        count: u8,
        price: f64,
        note: Option<String>,
        pair: (i64, bool),
        size: Size,
        lines: Vec<Line>,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Size {
        Small,
        Large,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Line(u32);

    fn order() -> Value {
        json!({
            "firstName": "Ada \"A\"\n<b>", "count": 255, "price": 3, "note": null, "pair": [-1, true], "size": "Large",
            "lines": [7, 8], "unknown": { "a": [{}, []] },
        })
    }

    #[test]
    fn types_are_read() {
        let read: Order = quickly(&cross(&order())).unwrap();
        assert_eq!(read, serde_json::from_value(order()).unwrap());
    }

    #[test]
    fn a_text_that_ends_anywhere_is_left_to_the_other_reader() {
        let text = cross(&order());
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert_eq!(quickly::<Value>(&text[..end]), None, "{}", &text[..end]);
        }
    }

    #[test]
    fn a_member_is_found_and_what_surprises_is_left_to_the_other_reader() {
        let document = |root: &str| format!(r#"{{"t":{root},"f":63,"m":[]}}"#);
        let member =
            |text: &str| read::<Order>(text.as_bytes(), Form::Document, Some("data"), &Limits::default());
        let sent = document(&cross(&json!({ "context": { "a": [1] }, "data": order() })));
        assert_eq!(member(&sent), Some(serde_json::from_value(order()).unwrap()));
        let date = sent.replacen(r#"{"t":0,"s":1}"#, r#"{"t":5,"i":99,"s":"2026-01-01T00:00:00.000Z"}"#, 1);
        for other in [
            document(&cross(&json!({ "data": null }))),
            document(&cross(&json!({ "other": order() }))),
            document(&cross(&json!([]))),
            date,
            sent.replacen("\"i\"", " \"i\"", 1),
            sent.replacen("\"m\":[]", "\"m\":[0]", 1),
            sent.replacen("255", "256", 1),
            format!("{sent} "),
            sent[..sent.len() - 1].to_owned(),
        ] {
            assert_eq!(member(&other), None, "{other}");
        }
        let shallow = Limits { depth: 4, ..Limits::default() };
        assert_eq!(read::<Order>(sent.as_bytes(), Form::Document, Some("data"), &shallow), None);
        let few = Limits { parts: sent.len() / 2, ..Limits::default() };
        assert_eq!(read::<Order>(sent.as_bytes(), Form::Document, Some("data"), &few), None);
    }
}

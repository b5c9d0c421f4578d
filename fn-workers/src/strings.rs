//! Names and texts as a type: parameters of a path, of a query, fields of a form. A text is read as what the type
//! asks for; several of one name are a sequence. A form's files are read where the type asks for a file.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::value::{CowStrDeserializer, Error as ValueError};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::form::{FILE, FormFile};

/// Names and texts in order, and the files of a form.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'s> {
    pub(crate) texts: &'s [(String, String)],
    pub(crate) files: &'s [(String, FormFile)],
}

impl<'s> Strings<'s> {
    /// Texts alone.
    pub(crate) fn of(texts: &'s [(String, String)]) -> Self {
        Self { texts, files: &[] }
    }

    fn name(self, at: usize) -> Option<&'s str> {
        match self.texts.get(at) {
            Some((name, _)) => Some(name),
            None => self.files.get(at - self.texts.len()).map(|(name, _)| name.as_str()),
        }
    }
}

impl<'s, 'de> Deserializer<'de> for Strings<'s>
where
    's: 'de,
{
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_map(Fields { all: self, at: 0, seen: HashSet::new(), current: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.name(0).is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct Fields<'s> {
    all: Strings<'s>,
    at: usize,
    seen: HashSet<&'s str>,
    current: Option<&'s str>,
}

impl<'de, 's: 'de> MapAccess<'de> for Fields<'s> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        while let Some(name) = self.all.name(self.at) {
            self.at += 1;
            if self.seen.insert(name) {
                self.current = Some(name);
                return seed.deserialize(CowStrDeserializer::new(Cow::Borrowed(name))).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ValueError> {
        seed.deserialize(Texts::Named { all: self.all, name: self.current.unwrap_or_default() })
    }
}

/// What has one name, one text, or one file.
#[derive(Clone, Copy)]
enum Texts<'s> {
    Named { all: Strings<'s>, name: &'s str },
    One(&'s str),
    File(&'s FormFile),
}

impl<'s> Texts<'s> {
    fn texts(self) -> impl Iterator<Item = &'s str> {
        let (all, wanted, one) = match self {
            Self::Named { all, name } => (all.texts, name, None),
            Self::One(text) => (&[][..], "", Some(text)),
            Self::File(_) => (&[][..], "", None),
        };
        all.iter().filter(move |(name, _)| name == wanted).map(|(_, text)| text.as_str()).chain(one)
    }

    fn one<E: serde::de::Error>(self) -> Result<&'s str, E> {
        let mut texts = self.texts();
        match (texts.next(), texts.next()) {
            (Some(text), None) => Ok(text),
            (None, _) => Err(E::invalid_type(Unexpected::Other("a file"), &"a text")),
            _ => Err(E::custom("it is given several times")),
        }
    }

    fn files(self) -> impl Iterator<Item = &'s FormFile> {
        let (all, wanted, one) = match self {
            Self::Named { all, name } => (all.files, name, None),
            Self::One(_) => (&[][..], "", None),
            Self::File(file) => (&[][..], "", Some(file)),
        };
        all.iter().filter(move |(name, _)| name == wanted).map(|(_, file)| file).chain(one)
    }

    fn file<E: serde::de::Error>(self) -> Result<&'s FormFile, E> {
        let mut files = self.files();
        match (files.next(), files.next()) {
            (Some(file), None) => Ok(file),
            (None, _) => Err(E::invalid_type(Unexpected::Other("a text"), &"a file")),
            _ => Err(E::custom("it is given several times")),
        }
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $expected:literal),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            let text = self.one()?;
            match text.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(ValueError::invalid_value(Unexpected::Str(text), &$expected)),
            }
        })*
    };
}

impl<'de, 's: 'de> Deserializer<'de> for Texts<'s> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_borrowed_str(self.one()?)
    }

    parsed! {
        deserialize_i8 visit_i8 "a whole number",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i32 visit_i32 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_i128 visit_i128 "a whole number",
        deserialize_u8 visit_u8 "a whole number",
        deserialize_u16 visit_u16 "a whole number",
        deserialize_u32 visit_u32 "a whole number",
        deserialize_u64 visit_u64 "a whole number",
        deserialize_u128 visit_u128 "a whole number",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
    }

    /// As HTML's checkboxes send it, too.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.one()? {
            "true" | "on" | "1" => visitor.visit_bool(true),
            "false" | "0" | "" => visitor.visit_bool(false),
            text => Err(ValueError::invalid_value(Unexpected::Str(text), &"true or false")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match name {
            FILE => self.file::<ValueError>()?.hand_to(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        struct Several<I>(I);
        impl<'de, I: Iterator<Item = Texts<'de>>> SeqAccess<'de> for Several<I> {
            type Error = ValueError;

            fn next_element_seed<T: DeserializeSeed<'de>>(
                &mut self,
                seed: T,
            ) -> Result<Option<T::Value>, ValueError> {
                self.0.next().map(|one| seed.deserialize(one)).transpose()
            }
        }
        visitor.visit_seq(Several(self.texts().map(Texts::One).chain(self.files().map(Texts::File))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_enum(Word(self.one()?))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}

struct Word<'s>(&'s str);

impl<'de, 's: 'de> EnumAccess<'de> for Word<'s> {
    type Error = ValueError;
    type Variant = <CowStrDeserializer<'de, ValueError> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), ValueError> {
        CowStrDeserializer::new(Cow::Borrowed(self.0)).variant_seed(seed)
    }
}

/// The names and texts of `application/x-www-form-urlencoded`, which is a query's form too.
pub(crate) fn urlencoded(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Latest,
        Oldest,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Query {
        page: u32,
        ratio: Option<f64>,
        starred: bool,
        #[serde(default)]
        tag: Vec<u8>,
        order: Order,
        text: String,
        missing: Option<String>,
    }

    #[test]
    fn texts_are_read_as_what_is_asked_for() {
        let pairs = urlencoded("page=2&ratio=0.5&starred=on&tag=1&order=oldest&tag=2&text=a+b%20%C3%A9&");
        let expected = Query {
            page: 2,
            ratio: Some(0.5),
            starred: true,
            tag: vec![1, 2],
            order: Order::Oldest,
            text: "a b é".into(),
            missing: None,
        };
        assert_eq!(Query::deserialize(Strings::of(&pairs)).unwrap(), expected);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let read = |text: &str| Query::deserialize(Strings::of(&urlencoded(text))).unwrap_err().to_string();
        assert!(read("page=two").contains("invalid value: string \"two\", expected a whole number"));
        assert!(read("page=1&page=2").contains("several times"));
        assert_eq!(Option::<Query>::deserialize(Strings::of(&[])).unwrap(), None);
    }
}

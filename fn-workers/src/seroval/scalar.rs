//! JavaScript's values that Rust has no type for. In other formats they are what stands inside: text, a sequence.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::is_big_int;
use super::time;

/// The names by which this crate's serializer and deserializer know these types.
pub(super) mod name {
    /// All of them begin so.
    pub const PREFIX: &str = "$isopod::";
    pub const UNDEFINED: &str = "$isopod::Undefined";
    pub const BIG_INT: &str = "$isopod::BigInt";
    pub const DATE: &str = "$isopod::Date";
    pub const REG_EXP: &str = "$isopod::RegExp";
    pub const SET: &str = "$isopod::Set";
    pub const MAP: &str = "$isopod::Map";
    pub const BYTES: &str = "$isopod::Uint8Array";
    pub const ERROR: &str = "$isopod::Error";
    pub const URL: &str = "$isopod::URL";
    pub const GRAPH: &str = "$isopod::Graph";
}

/// `undefined`. `()` and `None` are `null`; both read either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Undefined;

impl Serialize for Undefined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(name::UNDEFINED, &())
    }
}

impl<'de> Deserialize<'de> for Undefined {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

/// A type that is text inside, and known by a name outside.
macro_rules! text {
    ($type:ident, $name:expr, $expected:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct($name, &self.to_string())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                        $type::parse(text).ok_or_else(wrong)
                    }

                    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<$type, D::Error> {
                        inner.deserialize_str(self)
                    }
                }
                deserializer.deserialize_newtype_struct($name, Visitor)
            }
        }
    };
}

/// A whole number of any size: `10n`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInt(String);

impl BigInt {
    /// The number of these decimal digits; `None` when they are none, or more than 10,000.
    pub fn parse(digits: &str) -> Option<Self> {
        is_big_int(digits).then(|| Self(digits.to_owned()))
    }

    /// The number, where it fits.
    pub fn to_i128(&self) -> Option<i128> {
        self.0.parse().ok()
    }
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<i128> for BigInt {
    fn from(number: i128) -> Self {
        Self(number.to_string())
    }
}

text!(BigInt, name::BIG_INT, "a BigInt");

/// A point in time, to the millisecond; JavaScript's `Date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(Option<i64>);

impl Date {
    /// The date that is none: `new Date(NaN)`.
    pub const INVALID: Self = Self(None);

    /// So many milliseconds after 1970-01-01T00:00:00Z. Beyond 8.64e15 either way it is invalid (ECMA-262, 21.4.1.1).
    pub fn from_millis(millis: i64) -> Self {
        Self(Some(millis).filter(|millis| millis.unsigned_abs() <= time::MAX_MILLIS))
    }

    /// Milliseconds after 1970-01-01T00:00:00Z; `None` when it is invalid.
    pub fn millis(self) -> Option<i64> {
        self.0
    }

    /// Reads what `toISOString` writes; an empty text is the invalid date.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::INVALID) } else { time::parse(text).map(Self::from_millis) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |millis| time::write(f, millis))
    }
}

text!(Date, name::DATE, "a Date");

/// A regular expression as text: Rust's engines have another syntax.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegExp {
    /// Between the slashes.
    pub source: String,
    /// Behind them.
    pub flags: String,
}

impl RegExp {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (source, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
        Some(Self { source: source.to_owned(), flags: flags.to_owned() })
    }
}

impl fmt::Display for RegExp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.source, self.flags)
    }
}

text!(RegExp, name::REG_EXP, "a regular expression");

/// A URL as text. Start knows `URL` only where the app adds `URLPlugin` of `seroval-plugins`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url(pub String);

impl Url {
    #[expect(clippy::unnecessary_wraps, reason = "as its siblings, which can fail")]
    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text!(Url, name::URL, "a URL");

/// An `Error`, by its message: Start sends nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorValue(pub String);

impl ErrorValue {
    #[expect(clippy::unnecessary_wraps, reason = "as its siblings, which can fail")]
    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl fmt::Display for ErrorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text!(ErrorValue, name::ERROR, "an Error");

/// A `Set`, in the order of insertion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set<T>(pub Vec<T>);

impl<T: Serialize> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(name::SET, &self.0)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

/// A `Map`, in the order of insertion. Rust's own maps are plain objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<K, V>(pub Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct Entries<'a, K, V>(&'a [(K, V)]);

impl<K: Serialize, V: Serialize> Serialize for Entries<'_, K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(name::MAP, &Entries(&self.0))
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Map<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<K, V>(std::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<K, V> {
            type Value = Map<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Map(entries))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A `Uint8Array`. At most [`super::MAX_BINARY_BYTES`] fit into a value; answer with a stream beyond that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uint8Array(pub Vec<u8>);

struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for Uint8Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(name::BYTES, &Raw(&self.0))
    }
}

impl<'de> Deserialize<'de> for Uint8Array {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Uint8Array;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Uint8Array or an ArrayBuffer")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Uint8Array, E> {
                Ok(Uint8Array(bytes.to_owned()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Uint8Array, E> {
                Ok(Uint8Array(bytes))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Uint8Array, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Uint8Array(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

impl From<std::time::SystemTime> for Date {
    /// Beyond what JavaScript can hold it is invalid.
    fn from(time: std::time::SystemTime) -> Self {
        let millis = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()),
            Err(before) => i64::try_from(before.duration().as_millis()).map(|millis| -millis),
        };
        millis.map_or(Self::INVALID, Self::from_millis)
    }
}

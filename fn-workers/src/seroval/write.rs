//! Rust's values as seroval's nodes, in the form that `toCrossJSON` writes. One pass: a node's fields come in an
//! order of their own, which JSON does not mind.

use serde::ser::{Serialize, Serializer};

use super::binary::write_base64;
use super::document::{ERROR_TAG, URL_TAG};
use super::error::Error;
use super::escape;
use super::graph::Graph;
use super::parts::{Items, Members, VariantMembers};
use super::scalar::{RegExp, name};

/// seroval reads no deeper by default (`depthLimit`); Start takes one level for itself.
const MAX_DEPTH: usize = 900;

/// A text that grows up to a limit.
#[derive(Debug)]
pub struct Writer {
    pub(super) out: Vec<u8>,
    /// The names of the objects that are open, those of the innermost last: seroval has them behind their values.
    pub(super) keys: Vec<u8>,
    pub(super) next_id: u32,
    limit: usize,
    depth: usize,
    /// What the next sequence or map is to be, where it is not an array or an object.
    next: Shape,
    /// JSON would have held all of it.
    plain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Plain,
    Set,
    Map,
}

impl Writer {
    /// An empty text of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self::with_room(limit, 0)
    }

    /// The same, with room for so many bytes.
    pub(crate) fn with_room(limit: usize, bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes.max(1024)),
            keys: Vec::with_capacity(128),
            next_id: 0,
            limit,
            depth: 0,
            next: Shape::Plain,
            plain: true,
        }
    }

    /// The text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Whether JSON would have held all that was written: no types but its own, and nothing shared.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The text so far; what follows may refer to values in it. What was begun and not ended is forgotten.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.keys.clear();
        (self.depth, self.next) = (0, Shape::Plain);
        std::mem::take(&mut self.out)
    }

    /// A `ReadableStream` of values that come later; returns its id.
    pub(crate) fn readable_stream(&mut self) -> u32 {
        self.open("25");
        self.raw(r#","c":"seroval/plugins/web/ReadableStream","s":{"factory":"#);
        self.open("25");
        self.raw(r#","c":"seroval-plugins/web/ReadableStreamFactory","s":{}},"stream":"#);
        let id = self.next_id;
        self.open("31");
        self.raw(r#","a":[],"l":1}}}"#);
        id
    }

    /// What happens to a stream: a value (32), an error (33), or its end (34).
    pub(crate) fn stream_event(
        &mut self,
        kind: &str,
        id: u32,
        value: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.raw(r#"{"t":"#);
        self.raw(kind);
        self.raw(r#","i":"#);
        self.number(id);
        self.raw(r#","f":"#);
        value(self)?;
        self.raw("}");
        Ok(())
    }

    /// Begins the object that Start expects a call's result in; values follow.
    pub(crate) fn open_object(&mut self) {
        self.open("10");
        self.raw(r#","p":{"v":["#);
    }

    /// Ends the object with the names of its values.
    pub(crate) fn close_object(&mut self, keys: &[u8]) {
        self.raw(r#"],"k":["#);
        self.out.extend_from_slice(keys);
        self.raw(r#"]},"o":0}"#);
    }

    /// Ends an object or a map whose names have gathered behind `from`.
    pub(super) fn close_members(&mut self, from: usize, end: &str) {
        self.raw(r#"],"k":["#);
        self.out.extend_from_slice(&self.keys[from..]);
        self.keys.truncate(from);
        self.raw(end);
    }

    /// Appends a text that is short and known where it is written: no call, a few stores.
    #[inline(always)]
    pub(crate) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    #[inline]
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// Begins a node that others may refer to.
    #[inline]
    pub(crate) fn open(&mut self, kind: &str) {
        let id = self.next_id;
        self.next_id += 1;
        self.raw(r#"{"t":"#);
        self.raw(kind);
        self.raw(r#","i":"#);
        self.number(id);
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.fits(text.len())?;
        escape::write(&mut self.out, text);
        Ok(())
    }

    pub(super) fn text_node(&mut self, text: &str) -> Result<(), Error> {
        self.raw(r#"{"t":1,"s":"#);
        self.text(text)?;
        self.raw("}");
        Ok(())
    }

    pub(crate) fn constant(&mut self, code: u8) {
        self.plain &= matches!(code, 0 | 2 | 3);
        self.raw(r#"{"t":2,"s":"#);
        self.number(code);
        self.raw("}");
    }

    pub(super) fn float(&mut self, number: f64) {
        let code = match number {
            _ if number.is_nan() => 7,
            _ if number == f64::INFINITY => 5,
            _ if number == f64::NEG_INFINITY => 6,
            _ if number == 0.0 && number.is_sign_negative() => 4,
            _ => {
                self.raw(r#"{"t":0,"s":"#);
                // The shortest digits that read as the same number.
                self.raw(ryu::Buffer::new().format_finite(number));
                self.raw("}");
                return;
            }
        };
        self.constant(code);
    }

    pub(super) fn big_int(&mut self, digits: &str) {
        self.raw(r#"{"t":3,"s":""#);
        self.raw(digits);
        self.raw(r#""}"#);
    }

    pub(super) fn date(&mut self, iso: &str) {
        self.open("5");
        self.raw(r#","s":""#);
        self.raw(iso);
        self.raw(r#""}"#);
    }

    pub(super) fn reg_exp(&mut self, source: &str, flags: &str) -> Result<(), Error> {
        self.open("6");
        self.raw(r#","c":"#);
        self.text(source)?;
        self.raw(r#","m":"#);
        self.text(flags)?;
        self.raw("}");
        Ok(())
    }

    /// An error, as Start's plugin writes it.
    pub(crate) fn error(&mut self, message: &str) -> Result<(), Error> {
        self.plugin(ERROR_TAG, "message", message)
    }

    pub(super) fn url(&mut self, url: &str) -> Result<(), Error> {
        self.plugin(URL_TAG, "value", url)
    }

    fn plugin(&mut self, tag: &str, field: &str, text: &str) -> Result<(), Error> {
        self.open("25");
        self.raw(r#","c":""#);
        self.raw(tag);
        self.raw(r#"","s":{""#);
        self.raw(field);
        self.raw(r#"":"#);
        self.text_node(text)?;
        self.raw("}}");
        Ok(())
    }

    pub(super) fn buffer(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.fits(bytes.len() / 3 * 4)?;
        self.open("19");
        self.raw(r#","s":"#);
        write_base64(&mut self.out, bytes)?;
        self.raw("}");
        Ok(())
    }

    #[inline]
    pub(super) fn fits(&self, more: usize) -> Result<(), Error> {
        if self.out.len() + self.keys.len() + more > self.limit {
            return Err(Error::data(format!("the value is longer than {} bytes", self.limit)));
        }
        Ok(())
    }

    pub(super) fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::data(format!("the value is deeper than {MAX_DEPTH} levels")));
        }
        self.fits(0)
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    fn members(&mut self) -> Result<Members<'_>, Error> {
        let shape = std::mem::replace(&mut self.next, Shape::Plain);
        self.deeper()?;
        if shape == Shape::Map {
            self.open("8");
            self.raw(r#","e":{"v":["#);
        } else {
            self.open_object();
        }
        Ok(Members::new(self, shape))
    }

    fn items(&mut self) -> Result<Items<'_>, Error> {
        let shape = std::mem::replace(&mut self.next, Shape::Plain);
        self.deeper()?;
        self.open(if shape == Shape::Set { "7" } else { "9" });
        self.raw(r#","a":["#);
        Ok(Items::new(self, shape))
    }

    /// A variant with content is an object of one field, as in JSON.
    fn open_variant(&mut self) -> Result<(), Error> {
        self.deeper()?;
        self.open_object();
        Ok(())
    }

    pub(super) fn close_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.shallower();
        self.raw(r#"],"k":["#);
        escape::write(&mut self.out, variant);
        self.raw(r#"]},"o":0}"#);
        Ok(())
    }
}

/// What stands inside one of the types that are known by name.
fn inner_text<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    match value.serialize(serde_json::value::Serializer) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(Error::data("a type known by name holds no text")),
    }
}

macro_rules! whole_numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, number: $type) -> Result<(), Error> {
            self.raw(r#"{"t":0,"s":"#);
            self.number(number);
            self.raw("}");
            Ok(())
        })*
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'w>;
    type SerializeTuple = Items<'w>;
    type SerializeTupleStruct = Items<'w>;
    type SerializeTupleVariant = Items<'w>;
    type SerializeMap = Members<'w>;
    type SerializeStruct = Members<'w>;
    type SerializeStructVariant = VariantMembers<'w>;

    whole_numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_bool(self, flag: bool) -> Result<(), Error> {
        self.constant(if flag { 2 } else { 3 });
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), Error> {
        self.float(number.into());
        Ok(())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Error> {
        self.float(number);
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), Error> {
        self.text_node(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.text_node(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.plain = false;
        self.open("15");
        self.raw(r#","c":"Uint8Array","f":"#);
        self.buffer(bytes)?;
        self.raw(r#","b":0,"l":"#);
        self.number(bytes.len());
        self.raw("}");
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.constant(0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.text_node(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.plain &= !name.starts_with(name::PREFIX);
        match name {
            name::UNDEFINED => self.constant(1),
            name::BIG_INT => self.big_int(&inner_text(value)?),
            name::DATE => self.date(&inner_text(value)?),
            name::REG_EXP => {
                let text = inner_text(value)?;
                let Some(RegExp { source, flags }) = RegExp::parse(&text) else {
                    return Err(Error::data(format!("`{text}` is no regular expression")));
                };
                self.reg_exp(&source, &flags)?;
            }
            name::URL => self.url(&inner_text(value)?)?,
            name::ERROR => self.error(&inner_text(value)?)?,
            name::GRAPH => Graph::from_text(inner_text(value)?.as_bytes())?.write(self)?,
            name::SET | name::MAP => {
                self.next = if name == name::SET { Shape::Set } else { Shape::Map };
                let written = value.serialize(&mut *self);
                self.next = Shape::Plain;
                written?;
            }
            _ => value.serialize(self)?,
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_variant()?;
        value.serialize(&mut *self)?;
        self.close_variant(variant)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'w>, Error> {
        self.items()
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'w>, Error> {
        self.items()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'w>, Error> {
        self.items()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'w>, Error> {
        self.open_variant()?;
        Ok(self.items()?.of_variant(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'w>, Error> {
        self.members()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'w>, Error> {
        self.members()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantMembers<'w>, Error> {
        self.open_variant()?;
        Ok(VariantMembers::new(self.members()?, variant))
    }
}

//! What a writer is in the middle of: an array or a set, an object or a map, the content of a variant.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::error::Error;
use super::escape;
use super::key_text::KeyText;
use super::write::{Shape, Writer};

/// The elements of an array or a set.
#[derive(Debug)]
pub struct Items<'w> {
    writer: &'w mut Writer,
    shape: Shape,
    first: bool,
    variant: Option<&'static str>,
}

impl<'w> Items<'w> {
    pub(super) fn new(writer: &'w mut Writer, shape: Shape) -> Self {
        Self { writer, shape, first: true, variant: None }
    }

    /// The content of a variant, which is closed with it.
    pub(super) fn of_variant(mut self, variant: &'static str) -> Self {
        self.variant = Some(variant);
        self
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.first) {
            self.writer.raw(",");
        }
        self.writer.fits(0)?;
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Error> {
        self.writer.shallower();
        self.writer.raw(if self.shape == Shape::Set { "]}" } else { r#"],"o":0}"# });
        self.variant.map_or(Ok(()), |variant| self.writer.close_variant(variant))
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

macro_rules! as_items {
    ($($trait:ident::$method:ident),*) => {
        $(impl $trait for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

as_items!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// The entries of an object or a map. Values go to the text at once, keys gather beside it.
#[derive(Debug)]
pub struct Members<'w> {
    writer: &'w mut Writer,
    /// Where this one's keys begin among those of the writer.
    from: usize,
    shape: Shape,
}

impl<'w> Members<'w> {
    pub(super) fn new(writer: &'w mut Writer, shape: Shape) -> Self {
        let from = writer.keys.len();
        Self { writer, from, shape }
    }

    fn key(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.writer.keys.len() > self.from {
            self.writer.keys.push(b',');
            self.writer.raw(",");
        }
        self.writer.fits(0)?;
        write(self)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.key(|members| {
            escape::write(&mut members.writer.keys, key);
            Ok(())
        })?;
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Error> {
        self.writer.shallower();
        let end = if self.shape == Shape::Map { "]}}" } else { r#"]},"o":0}"# };
        self.writer.close_members(self.from, end);
        Ok(())
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(|members| {
            if members.shape == Shape::Map {
                let Writer { out, keys, .. } = &mut *members.writer;
                std::mem::swap(out, keys);
                let written = key.serialize(&mut *members.writer);
                let Writer { out, keys, .. } = &mut *members.writer;
                std::mem::swap(out, keys);
                return written;
            }
            escape::write(&mut members.writer.keys, &key.serialize(KeyText)?);
            Ok(())
        })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

/// The fields of a variant.
#[derive(Debug)]
pub struct VariantMembers<'w> {
    members: Members<'w>,
    variant: &'static str,
}

impl<'w> VariantMembers<'w> {
    pub(super) fn new(members: Members<'w>, variant: &'static str) -> Self {
        Self { members, variant }
    }
}

impl SerializeStructVariant for VariantMembers<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.members.field(key, value)
    }

    fn end(self) -> Result<(), Error> {
        let Members { writer, from, .. } = self.members;
        writer.shallower();
        writer.close_members(from, r#"]},"o":0}"#);
        writer.close_variant(self.variant)
    }
}

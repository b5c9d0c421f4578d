//! A tape as seroval's nodes. Fields of a node may come in any order; a field of a wrong type is a fault with its
//! place.
//!
//! The numbers are those of seroval 1.8 (`SerovalNodeType`): a node's type stands in `t`, its id in `i`.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::error::Error;
use super::escape::unescape;
use super::limits::Limits;
use super::tape::{Part, Tape};

/// In which of seroval's forms a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What `toJSON` writes and a client sends: `{"t": node, "f": .., "m": ..}`.
    Document,
    /// What `toCrossJSON` writes and a client expects: the node alone.
    Cross,
}

/// The plugin by which Start sends errors: their message alone.
pub(super) const ERROR_TAG: &str = "$TSR/Error";
/// The plugin of `seroval-plugins/web` for `URL`.
pub(super) const URL_TAG: &str = "seroval-plugins/web/URL";

/// A text, read but not yet made into values.
#[derive(Debug)]
pub struct Document<'t> {
    tape: Tape<'t>,
    root: usize,
    depth: usize,
    /// Where the values stand that others refer to; empty when there are no references.
    targets: HashMap<u32, usize>,
    /// The references that are being followed: one that comes twice is a cycle.
    following: RefCell<Vec<usize>>,
    values_left: Cell<usize>,
    bytes_left: Cell<usize>,
}

/// A node, taken apart as far as its own fields go.
#[derive(Debug)]
pub(super) enum Node<'t> {
    Null,
    Undefined,
    Bool(bool),
    Number(f64),
    BigInt(Cow<'t, str>),
    Text(Cow<'t, str>),
    Reference(usize),
    /// As `Date.prototype.toISOString` writes it; empty for an invalid one.
    Date(Cow<'t, str>),
    RegExp {
        source: Cow<'t, str>,
        flags: Cow<'t, str>,
    },
    Array(Items),
    Set(Items),
    Object {
        keys: Items,
        values: Items,
        null_prototype: bool,
    },
    Map {
        keys: Items,
        values: Items,
    },
    Buffer(&'t str),
    View(View<'t>),
    Error {
        name: usize,
        message: Cow<'t, str>,
    },
    Url(Cow<'t, str>),
    Temporal(Cow<'t, str>),
    /// A value in another: a boxed primitive, or a promise that has its value.
    Around(usize),
}

/// A part of an array buffer.
#[derive(Debug)]
pub(super) struct View<'t> {
    /// The class's name; `None` for a `DataView`.
    pub class: Option<Cow<'t, str>>,
    pub buffer: usize,
    pub offset: usize,
    /// Elements, or bytes of a `DataView`; `None` for all that is left.
    pub length: Option<usize>,
}

/// The elements of a JSON array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items {
    next: usize,
    end: usize,
    left: usize,
}

impl Items {
    /// How many elements are left.
    pub fn len(self) -> usize {
        self.left
    }
}

/// Where a node's fields stand.
#[derive(Default)]
struct Fields {
    t: Option<f64>,
    s: Option<usize>,
    a: Option<usize>,
    p: Option<usize>,
    e: Option<usize>,
    f: Option<usize>,
    c: Option<usize>,
    m: Option<usize>,
    b: Option<usize>,
    l: Option<usize>,
    i: Option<usize>,
}

const NATIVE_ERRORS: [&str; 7] =
    ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"];

impl<'t> Document<'t> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is no JSON, not seroval's, or exceeds a limit.
    pub fn read(text: &'t [u8], form: Form, limits: &Limits) -> Result<Self, Error> {
        let tape = Tape::read(text, limits)?;
        let mut document = Self {
            tape,
            root: 0,
            depth: limits.depth,
            targets: HashMap::new(),
            following: RefCell::default(),
            values_left: Cell::new(limits.expanded_values),
            bytes_left: Cell::new(limits.expanded_bytes),
        };
        if form == Form::Document {
            let missing =
                || Error::malformed(0, "this is not seroval's: an object with a node `t` is expected");
            document.root = document.field(0, b't').ok_or_else(missing)?;
        }
        document.index(limits.references)?;
        Ok(document)
    }

    pub(super) fn root(&self) -> usize {
        self.root
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn place(&self, entry: usize) -> usize {
        self.tape.place(entry)
    }

    /// Finds the values that references name. Without references there is nothing to find.
    fn index(&mut self, most: usize) -> Result<(), Error> {
        if !self.tape.may_have_references() {
            return Ok(());
        }
        let nodes =
            || (0..self.tape.len()).filter(|entry| matches!(self.tape.part(*entry), Part::Object { .. }));
        let mut references = 0;
        for node in nodes() {
            references += usize::from(self.type_of(node) == Some(4.0));
            if references > most {
                let message = format!("the value has more than {most} references");
                return Err(Error::too_large(self.place(node), message));
            }
        }
        if references == 0 {
            return Ok(());
        }
        let mut targets = HashMap::new();
        for node in nodes().filter(|node| !matches!(self.type_of(*node), None | Some(4.0))) {
            let Some(id) = self.field(node, b'i') else { continue };
            if targets.insert(self.whole(id)?, node).is_some() {
                return Err(Error::malformed(self.place(id), "two values have one id"));
            }
        }
        self.targets = targets;
        Ok(())
    }

    fn type_of(&self, node: usize) -> Option<f64> {
        match self.tape.part(self.field(node, b't')?) {
            Part::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The value of a member whose name has one letter.
    fn field(&self, object: usize, letter: u8) -> Option<usize> {
        let mut members = self.tape.members(object);
        members.find(|(name, _)| self.tape.letter(*name) == Some(letter)).map(|(_, value)| value)
    }

    fn member(&self, object: usize, name: &str) -> Option<usize> {
        let mut members = self.tape.members(object);
        members.find(|(own, _)| self.tape.plain_text(*own) == Some(name)).map(|(_, value)| value)
    }

    fn fields(&self, node: usize) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in self.tape.members(node) {
            let field = match self.tape.letter(name) {
                Some(b't') => {
                    if let Part::Number(number) = self.tape.part(value) {
                        fields.t = Some(number);
                    }
                    continue;
                }
                Some(b's') => &mut fields.s,
                Some(b'a') => &mut fields.a,
                Some(b'p') => &mut fields.p,
                Some(b'e') => &mut fields.e,
                Some(b'f') => &mut fields.f,
                Some(b'c') => &mut fields.c,
                Some(b'm') => &mut fields.m,
                Some(b'b') => &mut fields.b,
                Some(b'l') => &mut fields.l,
                Some(b'i') => &mut fields.i,
                _ => continue,
            };
            *field = Some(value);
        }
        fields
    }

    fn malformed<T>(&self, entry: usize, message: &str) -> Result<T, Error> {
        Err(Error::malformed(self.place(entry), message))
    }

    fn whole(&self, entry: usize) -> Result<u32, Error> {
        match self.tape.part(entry) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            Part::Number(number)
                if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) =>
            {
                Ok(number as u32)
            }
            _ => self.malformed(entry, "a whole number is expected"),
        }
    }

    fn text(&self, node: usize, field: Option<usize>) -> Result<Cow<'t, str>, Error> {
        let text = field.and_then(|field| self.tape.text(field));
        let Some(text) = text else { return self.malformed(field.unwrap_or(node), "a string is expected") };
        self.spend_bytes(node, text.len())?;
        Ok(plain(text))
    }

    fn items(&self, node: usize, field: Option<usize>) -> Result<Items, Error> {
        match field.map(|field| (field, self.tape.part(field))) {
            Some((field, Part::Array { end, count })) => {
                Ok(Items { next: field + 1, end: end as usize, left: count as usize })
            }
            _ => self.malformed(field.unwrap_or(node), "an array is expected"),
        }
    }

    fn pairs(&self, node: usize, field: Option<usize>) -> Result<(Items, Items), Error> {
        let Some(field) = field else {
            return self.malformed(node, "an object of keys and values is expected");
        };
        let keys = self.items(field, self.field(field, b'k'))?;
        let values = self.items(field, self.field(field, b'v'))?;
        if keys.left != values.left {
            return self.malformed(field, "there are not as many keys as values");
        }
        Ok((keys, values))
    }

    pub(super) fn next(&self, items: &mut Items) -> Option<usize> {
        let item = (items.next < items.end).then_some(items.next)?;
        items.next = self.tape.after(item);
        items.left -= 1;
        Some(item)
    }

    /// A hole of an array; seroval writes 0 for it.
    pub(super) fn is_hole(&self, entry: usize) -> bool {
        matches!(self.tape.part(entry), Part::Number(_) | Part::Null)
    }

    /// A key of an object: its text, or `None` for a symbol, which means nothing outside of JavaScript.
    pub(super) fn key(&self, entry: usize) -> Result<Option<Cow<'t, str>>, Error> {
        if let Some(text) = self.tape.text(entry) {
            self.spend_bytes(entry, text.len())?;
            return Ok(Some(plain(text)));
        }
        match self.type_of(entry) {
            // A symbol that was seen before comes as a reference.
            Some(17.0 | 4.0) => Ok(None),
            Some(1.0) => self.text(entry, self.field(entry, b's')).map(Some),
            _ => self.malformed(entry, "a key is expected"),
        }
    }

    /// Whether the node may turn out to be null: constants, and what stands for another value.
    pub(super) fn may_be_absent(&self, entry: usize) -> bool {
        matches!(self.type_of(entry), Some(2.0 | 4.0 | 12.0 | 21.0))
    }

    /// Takes the node at `entry` apart.
    pub(super) fn node(&self, entry: usize) -> Result<Node<'t>, Error> {
        let left = self.values_left.get();
        if left == 0 {
            let message = "the value is too large: its references repeat too much";
            return Err(Error::too_large(self.place(entry), message));
        }
        self.values_left.set(left - 1);
        let fields = self.fields(entry);
        let Some(kind) = fields.t else { return self.malformed(entry, "a node with a type `t` is expected") };
        let around = |field: Option<usize>| match field {
            Some(field) => Ok(Node::Around(field)),
            None => self.malformed(entry, "the value inside is missing"),
        };
        #[expect(clippy::cast_possible_truncation, reason = "what is no small whole number is no known type")]
        let number = kind as i32;
        match number {
            _ if f64::from(number) != kind => self.malformed(entry, "this type of node is not known"),
            0 => match fields.s.map(|s| self.tape.part(s)) {
                Some(Part::Number(number)) => Ok(Node::Number(number)),
                _ => self.malformed(entry, "a number is expected"),
            },
            1 => self.text(entry, fields.s).map(Node::Text),
            2 => self.constant(entry, fields.s),
            3 => self.big_int(entry, fields.s),
            4 => self.reference(entry, fields.i),
            5 => self.text(entry, fields.s).map(Node::Date),
            6 => Ok(Node::RegExp { source: self.text(entry, fields.c)?, flags: self.text(entry, fields.m)? }),
            7 => self.items(entry, fields.a).map(Node::Set),
            8 => self.pairs(entry, fields.e).map(|(keys, values)| Node::Map { keys, values }),
            9 => self.items(entry, fields.a).map(Node::Array),
            10 | 11 => {
                let (keys, values) = self.pairs(entry, fields.p)?;
                Ok(Node::Object { keys, values, null_prototype: kind > 10.0 })
            }
            12 => match fields.s.map(|s| self.tape.part(s)) {
                Some(Part::Number(1.0) | Part::True) => around(fields.f),
                _ => self.malformed(entry, "a rejected promise cannot be read"),
            },
            13 => self.native_error(entry, &fields),
            14 => Ok(Node::Error { name: 0, message: self.text(entry, fields.m)? }),
            15 | 16 => self.view(entry, Some(self.text(entry, fields.c)?), &fields),
            20 => self.view(entry, None, &fields),
            19 => match fields.s.and_then(|s| self.tape.plain_text(s)) {
                Some(text) => Ok(Node::Buffer(text)),
                None => self.malformed(entry, "base64 is expected"),
            },
            21 => around(fields.f),
            25 => self.plugin(entry, &fields),
            36 => self.text(entry, fields.s).map(Node::Temporal),
            17 => self.malformed(entry, "a symbol cannot be read in Rust"),
            22..=24 => self.malformed(entry, "a promise must have its value when it is sent"),
            27..=35 => self.malformed(entry, "an iterator or a stream cannot be read in Rust"),
            _ => self.malformed(entry, "this type of node is not known"),
        }
    }

    fn constant(&self, entry: usize, field: Option<usize>) -> Result<Node<'t>, Error> {
        let Some(Part::Number(number)) = field.map(|field| self.tape.part(field)) else {
            return self.malformed(entry, "a constant is expected");
        };
        Ok(match number {
            0.0 => Node::Null,
            1.0 => Node::Undefined,
            2.0 => Node::Bool(true),
            3.0 => Node::Bool(false),
            4.0 => Node::Number(-0.0),
            5.0 => Node::Number(f64::INFINITY),
            6.0 => Node::Number(f64::NEG_INFINITY),
            7.0 => Node::Number(f64::NAN),
            _ => return self.malformed(entry, "this constant is not known"),
        })
    }

    fn big_int(&self, entry: usize, field: Option<usize>) -> Result<Node<'t>, Error> {
        let digits = self.text(entry, field)?;
        match is_big_int(&digits) {
            true => Ok(Node::BigInt(digits)),
            false => self.malformed(entry, "decimal digits are expected"),
        }
    }

    fn reference(&self, entry: usize, id: Option<usize>) -> Result<Node<'t>, Error> {
        let Some(id) = id else { return self.malformed(entry, "the reference's id is missing") };
        match self.targets.get(&self.whole(id)?) {
            Some(target) => Ok(Node::Reference(*target)),
            None => self.malformed(id, "nothing has this id"),
        }
    }

    fn native_error(&self, entry: usize, fields: &Fields) -> Result<Node<'t>, Error> {
        let name = fields.s.map(|s| self.whole(s)).transpose()?.unwrap_or(0) as usize;
        if name >= NATIVE_ERRORS.len() {
            return self.malformed(entry, "this class of errors is not known");
        }
        Ok(Node::Error { name, message: self.text(entry, fields.m)? })
    }

    fn view(&self, entry: usize, class: Option<Cow<'t, str>>, fields: &Fields) -> Result<Node<'t>, Error> {
        let Some(buffer) = fields.f else { return self.malformed(entry, "the view's buffer is missing") };
        let whole = |field: Option<usize>| field.map(|field| self.whole(field).map(|number| number as usize));
        let offset = whole(fields.b).transpose()?.unwrap_or(0);
        Ok(Node::View(View { class, buffer, offset, length: whole(fields.l).transpose()? }))
    }

    fn plugin(&self, entry: usize, fields: &Fields) -> Result<Node<'t>, Error> {
        let tag = self.text(entry, fields.c)?;
        let inner = |name| {
            let field = fields.s.and_then(|info| self.member(info, name));
            let text = field.filter(|field| self.type_of(*field) == Some(1.0));
            self.text(entry, text.and_then(|text| self.field(text, b's')))
        };
        match &*tag {
            ERROR_TAG => Ok(Node::Error { name: 0, message: inner("message")? }),
            URL_TAG => inner("value").map(Node::Url),
            _ => self.malformed(entry, &format!("values of the plugin `{tag}` cannot be read in Rust")),
        }
    }

    /// Follows a reference to the value at `target`.
    pub(super) fn follow(&self, target: usize) -> Result<Following<'_>, Error> {
        let mut following = self.following.borrow_mut();
        if following.contains(&target) {
            let message = "the value contains itself; only a `seroval::Graph` can hold it";
            return Err(Error::data(message).or_at(self.place(target)));
        }
        following.push(target);
        Ok(Following { stack: &self.following })
    }

    /// Takes so many bytes off what may come out.
    pub(super) fn spend_bytes(&self, entry: usize, bytes: usize) -> Result<(), Error> {
        match self.bytes_left.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes_left.set(left);
                Ok(())
            }
            None => {
                let message = "the value is too large: its references repeat too much";
                Err(Error::too_large(self.place(entry), message))
            }
        }
    }
}

/// A reference that is being followed until this is dropped.
pub(super) struct Following<'d> {
    stack: &'d RefCell<Vec<usize>>,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.stack.borrow_mut().pop();
    }
}

/// A string without seroval's escapes. They begin with a backslash, which JSON escapes once more: what JSON did not have to
/// escape holds none.
fn plain(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(_) => text,
        Cow::Owned(_) => unescape(text),
    }
}

/// The name of a native class of errors.
pub(super) fn error_name(index: usize) -> &'static str {
    NATIVE_ERRORS.get(index).copied().unwrap_or(NATIVE_ERRORS[0])
}

/// Whether these are the digits of a BigInt, as `BigInt.prototype.toString` writes them. As seroval, at most 10,000.
pub(super) fn is_big_int(digits: &str) -> bool {
    let number = digits.strip_prefix('-').unwrap_or(digits);
    !number.is_empty() && digits.len() <= 10_000 && number.bytes().all(|byte| byte.is_ascii_digit())
}

//! One isolate's use of the cache: what it takes, and what it must compile and hand over afterwards.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::hash::Hasher;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::url::Url;
use deno_core::{FastString, ModuleSpecifier, SourceCodeCacheInfo, v8};
use deno_error::JsErrorBox;
use twox_hash::XxHash64;

use super::CodeCache;
use super::pack::Key;

/// What a piece of code is to V8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A module of the app.
    Module = 1,
    /// A CommonJS file, as the body of a function.
    Function = 2,
    /// A script or module of the runtime's own that is loaded when it is first used.
    Internal = 3,
    /// The names that a CommonJS file exports; not V8's.
    Exports = 4,
    /// Which modules a start loads until its first page is rendered; not V8's.
    FirstPage = 5,
}

/// So many of a first page's modules are remembered. An app with more loads the rest when it is told to.
const MAX_FIRST_PAGE: usize = 4096;

impl Kind {
    /// The key of a piece of code of this kind.
    pub fn key(self, name: &str, source: &[u8]) -> Key {
        Key { name: XxHash64::oneshot(self as u64, name.as_bytes()), content: XxHash64::oneshot(0, source) }
    }
}

/// What was not in the cache.
pub enum Missing {
    /// Can be asked for by its source while V8 still knows it.
    Module {
        /// Its URL.
        specifier: ModuleSpecifier,
        /// What V8 was given.
        source: FastString,
    },
    /// Holds its code itself.
    Function(v8::Global<v8::Function>),
    /// Has been made already.
    Bytes(Vec<u8>),
}

/// How V8 asks for the code of a CommonJS file, by its URL and its text in UTF-16.
type Ask = Box<dyn Fn(&Url, &[u16]) -> Result<SourceCodeCacheInfo, JsErrorBox>>;

/// How it says what it made instead: by URL and content.
type Tell = Box<dyn Fn(Url, u64, &[u8])>;

/// What a start took from the cache, and what it has to hand over.
pub struct Recorded {
    /// In the order of their use.
    pub used: Vec<Key>,
    /// What it had to compile.
    pub missing: Vec<(Key, Missing)>,
    /// The modules that it loaded.
    pub first_page: Vec<String>,
}

/// One isolate's use of the process's cache.
pub struct Recorder {
    cache: Arc<CodeCache>,
    /// In the order of their use.
    used: RefCell<Vec<Key>>,
    missing: RefCell<Vec<(Key, Missing)>>,
    /// The app's modules in the order in which they were loaded, by URL.
    modules: RefCell<Vec<String>>,
    /// The function that V8 is compiling, if it was not in the cache.
    compiling: Cell<Option<Key>>,
    /// Nothing is recorded any more.
    closed: Cell<bool>,
}

impl Recorder {
    /// A recorder of an isolate that is about to start.
    pub fn new(cache: Arc<CodeCache>) -> Rc<Self> {
        Rc::new(Self {
            cache,
            used: RefCell::default(),
            missing: RefCell::default(),
            modules: RefCell::default(),
            compiling: Cell::new(None),
            closed: Cell::new(false),
        })
    }

    /// The process's cache.
    pub fn cache(&self) -> &CodeCache {
        &self.cache
    }

    /// How many pieces came out of the cache, and how many did not.
    pub fn counts(&self) -> (usize, usize) {
        (self.used.borrow().len(), self.missing.borrow().len())
    }

    /// Another isolate takes the place of the one whose use was recorded so far.
    pub fn begin_again(&self) {
        self.compiling.set(None);
        self.used.take();
        self.missing.take();
        self.modules.take();
    }

    /// Stops recording; returns what was recorded.
    pub fn close(&self) -> Recorded {
        self.closed.set(true);
        self.compiling.set(None);
        Recorded { used: self.used.take(), missing: self.missing.take(), first_page: self.modules.take() }
    }

    /// The modules that an earlier start loaded until its first page was rendered, as far as this is known.
    pub fn first_page(&self) -> Vec<ModuleSpecifier> {
        let listed = self.cache.get(first_page_key()).and_then(|list| str::from_utf8(list).ok());
        let modules = listed.unwrap_or_default().lines().filter_map(|url| ModuleSpecifier::parse(url).ok());
        modules.filter(|url| url.scheme() == "file").collect()
    }

    fn take(&self, key: Key) -> Option<&'static [u8]> {
        if !self.cache.is_on() {
            return None;
        }
        let found = self.cache.get(key)?;
        if !self.closed.get() {
            self.used.borrow_mut().push(key);
        }
        Some(found)
    }

    fn miss(&self, key: Key, missing: impl FnOnce() -> Missing) {
        if self.cache.is_on() && !self.closed.get() {
            self.missing.borrow_mut().push((key, missing()));
        }
    }

    /// V8 would not take what the cache had: a new one replaces it.
    fn replace(&self, key: Key, code: &[u8]) {
        self.used.borrow_mut().retain(|used| *used != key);
        self.miss(key, || Missing::Bytes(code.to_vec()));
    }

    /// The compiled code of an app's module, for its loader.
    pub fn module(
        &self,
        specifier: &ModuleSpecifier,
        source: FastString,
    ) -> (FastString, Option<SourceCodeCacheInfo>) {
        if !self.cache.is_on() {
            return (source, None);
        }
        let mut modules = self.modules.borrow_mut();
        if !self.closed.get() && modules.len() < MAX_FIRST_PAGE {
            modules.push(specifier.to_string());
        }
        drop(modules);
        let key = Kind::Module.key(specifier.as_str(), source.as_bytes());
        if let Some(code) = self.take(key) {
            return (source, Some(info(key, Some(code))));
        }
        let (source, kept) = source.into_cheap_copy();
        self.miss(key, || Missing::Module { specifier: specifier.clone(), source: kept });
        (source, None)
    }

    /// What `require` asks and tells, for the runtime's options.
    pub fn for_commonjs(self: &Rc<Self>) -> (Ask, Tell) {
        let (asked, told) = (self.clone(), self.clone());
        (
            Box::new(move |specifier, units| asked.function(specifier, units)),
            Box::new(move |specifier, content, code| told.function_made(&specifier, content, code)),
        )
    }

    /// The compiled code of a script of the runtime's own. V8's own cache of it is asked for where there is none.
    pub fn internal(&self, specifier: &ModuleSpecifier, source: &str) -> Option<SourceCodeCacheInfo> {
        if !self.cache.is_on() || self.closed.get() {
            return None;
        }
        let key = Kind::Internal.key(specifier.as_str(), source.as_bytes());
        Some(info(key, self.take(key)))
    }

    /// V8 made a cache of a module or script that it was given none of, or one that it refused.
    pub fn made(&self, specifier: &ModuleSpecifier, content: u64, code: &[u8]) {
        let kind = if specifier.scheme() == "file" { Kind::Module } else { Kind::Internal };
        let name = kind.key(specifier.as_str(), &[]).name;
        self.replace(Key { name, content }, code);
    }

    /// The compiled code of a CommonJS file; an error where V8 is to compile it.
    ///
    /// # Errors
    /// When it is not in the cache.
    pub fn function(&self, specifier: &Url, units: &[u16]) -> Result<SourceCodeCacheInfo, JsErrorBox> {
        let key = Key { content: hash_of_units(units), ..Kind::Function.key(specifier.as_str(), &[]) };
        let found = self.take(key);
        self.compiling.set(if found.is_none() { Some(key) } else { None });
        match found {
            Some(code) => Ok(info(key, Some(code))),
            None => Err(JsErrorBox::generic("it is not in the code cache")),
        }
    }

    /// V8 refused a CommonJS file's code and made its own.
    pub fn function_made(&self, specifier: &Url, content: u64, code: &[u8]) {
        let name = Kind::Function.key(specifier.as_str(), &[]).name;
        self.replace(Key { name, content }, code);
    }

    /// The function that V8 has just compiled of the file that [`function`](Self::function) was asked for.
    pub fn compiled(&self, function: v8::Global<v8::Function>) {
        if let Some(key) = self.compiling.take() {
            self.miss(key, || Missing::Function(function));
        }
    }

    /// The names that a CommonJS file exports, as written by their maker.
    pub fn exports(&self, name: &str, source: &str) -> Option<&'static [u8]> {
        self.take(Kind::Exports.key(name, source.as_bytes()))
    }

    /// Such names have been found.
    pub fn exports_found(&self, name: &str, source: &str, found: impl FnOnce() -> Vec<u8>) {
        self.miss(Kind::Exports.key(name, source.as_bytes()), || Missing::Bytes(found()));
    }
}

/// Where the list of a first page's modules is, a URL a line. Nothing tells one list from another but the app.
pub fn first_page_key() -> Key {
    Kind::FirstPage.key("", b"")
}

/// The hash of a string's UTF-16 units.
fn hash_of_units(units: &[u16]) -> u64 {
    const UNITS: usize = 1024;
    let mut hasher = XxHash64::with_seed(0);
    let mut bytes = [0; 2 * UNITS];
    for units in units.chunks(UNITS) {
        for (unit, bytes) in units.iter().zip(bytes.chunks_exact_mut(2)) {
            bytes.copy_from_slice(&unit.to_le_bytes());
        }
        hasher.write(&bytes[..2 * units.len()]);
    }
    hasher.finish()
}

fn info(key: Key, code: Option<&'static [u8]>) -> SourceCodeCacheInfo {
    SourceCodeCacheInfo { hash: key.content, data: code.map(Cow::Borrowed) }
}

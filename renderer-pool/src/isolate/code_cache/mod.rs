//! What V8 compiled, kept between starts, so that the next start neither parses nor compiles it again.
//!
//! - [`pack`]: one file's bytes, checked. [`store`]: the file, replaced in one step, bounded.
//! - [`recorder`]: what one isolate takes from the cache, and what it has to compile.
//! - [`harvest`]: what the isolate compiled, once its first page is rendered: the functions that a render needs are
//!   compiled by then and come along, which V8's own cache at load time has not.
//!
//! An entry is found by the hash of its name and source, in a file that is named by what else it depends on: the
//! app's entry, our build with its snapshot, V8 with its flags, the processor. Nothing there is trusted that is not
//! exactly what one of this user's processes wrote.

pub mod harvest;
pub mod pack;
pub mod recorder;
pub mod store;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::v8;
use shared::setup::RendererSetup;
use twox_hash::XxHash64;

use super::snapshot::BUILD;
use pack::{BadPack, Key, Pack};
use store::Store;

/// The compiled code of a process's app, for all of its isolates.
#[derive(Debug)]
pub struct CodeCache {
    store: Option<Store>,
    build: u64,
    pack: OnceLock<Pack>,
    written: AtomicBool,
}

impl CodeCache {
    /// The cache of the set-up's app; one that is off holds nothing. V8 must have been started.
    pub fn new(setup: &RendererSetup) -> Self {
        let Some(cache) = &setup.code_cache else { return Self::off() };
        let build = build();
        let name = format!("{build:016x}-{:016x}", path_hash(&setup.app_dir));
        let store = Store::new(cache.directory.clone(), &name, cache.max_bytes);
        Self { store: Some(store), build, ..Self::off() }
    }

    /// A cache that holds nothing and keeps nothing.
    pub fn off() -> Self {
        Self { store: None, build: 0, pack: OnceLock::new(), written: AtomicBool::new(false) }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.store.is_some()
    }

    /// The compiled code of a key. Reads the file when it is first asked for.
    pub fn get(&self, key: Key) -> Option<&'static [u8]> {
        self.pack().get(key)
    }

    /// Reads the file, if nobody has.
    pub fn pack(&self) -> &Pack {
        self.pack.get_or_init(|| self.store.as_ref().map(|store| self.read(store)).unwrap_or_default())
    }

    fn read(&self, store: &Store) -> Pack {
        let path = || store.path().display().to_string();
        let bytes = match store.read() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Pack::default(),
            Err(error) => {
                tracing::warn!(path = path(), "the code cache cannot be read, all code is compiled: {error}");
                return Pack::default();
            }
        };
        match Pack::decode(bytes, self.build) {
            Ok(pack) => pack,
            // The name holds the build, so that another build's content is damage as well.
            Err(problem @ (BadPack::NoPack | BadPack::OtherBuild | BadPack::Damaged)) => {
                tracing::warn!(path = path(), "the code cache is made again: {problem}");
                Pack::default()
            }
        }
    }

    /// Whether the caller is the first of this process's isolates to have something to write; only it writes.
    pub fn claim(&self) -> bool {
        self.is_on() && !self.written.swap(true, Ordering::Relaxed)
    }

    /// Replaces the file. A failure costs the next start some time and is logged, no more.
    pub fn write(&self, entries: &[(Key, &[u8])]) {
        let Some(store) = &self.store else { return };
        let pack = pack::encode(self.build, entries);
        let (path, bytes) = (store.path().display().to_string(), pack.len());
        match store.write(&pack) {
            Ok(true) => tracing::debug!(path, bytes, entries = entries.len(), "the code cache was written"),
            Ok(false) => tracing::warn!(
                bytes,
                "the compiled code is larger than the whole cache may be and is not kept; raise code_cache_limit"
            ),
            Err(error) => tracing::warn!(path, "the code cache cannot be written: {error}"),
        }
    }
}

/// What compiled code depends on besides its source: our binaries, V8 with its flags, the processor's features.
fn build() -> u64 {
    let tag = v8::script_compiler::cached_data_version_tag();
    let version = [v8::VERSION_STRING.as_bytes(), &tag.to_le_bytes()].concat();
    XxHash64::oneshot(BUILD, &version)
}

fn path_hash(path: &Path) -> u64 {
    XxHash64::oneshot(0, path.as_os_str().as_encoded_bytes())
}

//! The memory of `ArrayBuffer`s: counted, and refused beyond a limit. JavaScript sees a `RangeError` then, after V8
//! has collected what it can.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deno_core::v8;

/// What one isolate's buffers hold.
#[derive(Debug)]
pub struct Buffers {
    held: AtomicUsize,
    limit: usize,
    refused: AtomicBool,
}

impl Buffers {
    /// No buffers; at most `limit` bytes of them.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), limit, refused: AtomicBool::new(false) })
    }

    /// Bytes that they hold.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that they may hold.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a buffer was refused since the last call.
    pub fn take_refusal(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }

    /// An allocator for an isolate that counts here.
    pub fn allocator(self: &Arc<Self>) -> v8::UniqueRef<v8::Allocator> {
        // SAFETY: the handle is an `Arc`'s own pointer, as the table's functions expect, and `release` takes it back.
        unsafe { v8::new_rust_allocator(Arc::into_raw(self.clone()), &TABLE) }
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn allocate(&self, bytes: usize, get: impl FnOnce(usize) -> *mut c_void) -> *mut c_void {
        if !self.take(bytes) {
            self.refused.store(true, Ordering::Relaxed);
            return ptr::null_mut();
        }
        // A pointer to no bytes must still be one.
        let block = get(bytes.max(1));
        if block.is_null() {
            self.give_back(bytes);
        }
        block
    }
}

static TABLE: v8::RustAllocatorVtable<Buffers> =
    v8::RustAllocatorVtable { allocate: zeroed, allocate_uninitialized: uninitialised, free, drop: release };

unsafe extern "C" fn zeroed(buffers: &Buffers, bytes: usize) -> *mut c_void {
    // SAFETY: `calloc` takes any number.
    buffers.allocate(bytes, |bytes| unsafe { libc::calloc(bytes, 1) })
}

unsafe extern "C" fn uninitialised(buffers: &Buffers, bytes: usize) -> *mut c_void {
    // SAFETY: `malloc` takes any number; V8 asked for memory that it writes before it reads.
    buffers.allocate(bytes, |bytes| unsafe { libc::malloc(bytes) })
}

unsafe extern "C" fn free(buffers: &Buffers, block: *mut c_void, bytes: usize) {
    // SAFETY: V8 gives back, once, what `zeroed` or `uninitialised` gave.
    unsafe { libc::free(block) };
    buffers.give_back(bytes);
}

unsafe extern "C" fn release(buffers: *const Buffers) {
    // SAFETY: the pointer came from `Arc::into_raw` in `allocator`, and V8 releases it once.
    drop(unsafe { Arc::from_raw(buffers) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_while_they_are_held_and_are_refused_beyond_the_limit() {
        let buffers = Buffers::new(100);
        // SAFETY: each block is freed once, with its length.
        unsafe {
            let block = zeroed(&buffers, 60);
            assert_eq!(std::slice::from_raw_parts(block.cast::<u8>(), 60), [0; 60]);
            assert!(uninitialised(&buffers, 41).is_null());
            let empty = uninitialised(&buffers, 0);
            assert!(!empty.is_null());
            assert_eq!(buffers.held(), 60);
            free(&buffers, block, 60);
            free(&buffers, empty, 0);
        }
        assert_eq!(buffers.held(), 0);
    }
}

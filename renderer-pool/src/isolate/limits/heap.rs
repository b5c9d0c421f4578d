//! V8's heap is nearly full: first the isolate asks for its replacement, then the job that runs is terminated, and
//! only a heap that fills on regardless ends the process.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deno_core::v8;

use super::buffers::Buffers;
use crate::watchdog::probe::{Excess, Probe};

/// The heap grows by at least so many bytes each time that it is nearly full, so that what runs can end: as much as
/// the young generation may hold, which can all move to the old one at once.
const MIN_HEADROOM: usize = super::super::runtime::YOUNG_BYTES;

/// By this part of its first limit otherwise.
const HEADROOM_PART: usize = 4;

/// What happens the first, second and third time.
const RETIRE: u32 = 1;
const TERMINATE: u32 = 2;
const FORCE: u32 = 3;

/// Watches one heap. Lives as long as the isolate: V8 holds its address.
#[derive(Debug)]
pub struct HeapWatch {
    isolate: v8::UnsafeRawIsolatePtr,
    probe: Arc<Probe>,
    buffers: Arc<Buffers>,
    times: AtomicU32,
}

impl HeapWatch {
    /// Watches the isolate's heap from now on. Keep it until the isolate is gone.
    pub fn install(isolate: &mut v8::Isolate, probe: Arc<Probe>, buffers: Arc<Buffers>) -> Box<Self> {
        // SAFETY: the pointer is used only where V8 calls back for this isolate.
        let isolate_ptr = unsafe { isolate.as_raw_isolate_ptr() };
        let watch = Box::new(Self { isolate: isolate_ptr, probe, buffers, times: AtomicU32::new(0) });
        let data = std::ptr::from_ref(&*watch).cast_mut().cast::<c_void>();
        isolate.add_near_heap_limit_callback(near_limit, data);
        watch
    }

    /// Whether the heap has been nearly full.
    pub fn was_near_limit(&self) -> bool {
        self.times.load(Ordering::Relaxed) > 0
    }

    /// The new limit, where `used` bytes are on the heap: V8 may come here late.
    fn on_near_limit(&self, used: usize, current: usize, initial: usize) -> usize {
        // V8 also asks for room on its heap before it tells JavaScript that a buffer was refused.
        if self.buffers.take_refusal() {
            return current;
        }
        let times = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        let running = self.probe.running();
        match (times, running) {
            (RETIRE, _) => {}
            (TERMINATE, Some(turn)) => self.probe.terminate_soon(turn, Excess::Heap),
            (FORCE, Some(turn)) => self.probe.force(turn, Excess::Heap, None),
            // V8 ends the process, which other processes outlive.
            _ => return current,
        }
        current.max(used) + (initial / HEADROOM_PART).max(MIN_HEADROOM)
    }
}

/// V8 calls this on the isolate's thread, in the midst of a collection.
unsafe extern "C" fn near_limit(watch: *mut c_void, current: usize, initial: usize) -> usize {
    // SAFETY: the pointer is the one that `install` gave to V8: a box that outlives the isolate, only ever shared.
    let watch = unsafe { &*watch.cast::<HeapWatch>() };
    // SAFETY: V8 calls this on the isolate's thread while it lives.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(watch.isolate) };
    watch.on_near_limit(isolate.get_heap_statistics().used_heap_size(), current, initial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_grows_three_times_while_something_runs() {
        let (probe, buffers) = (Arc::new(Probe::new(0)), Buffers::new(0));
        let isolate = v8::UnsafeRawIsolatePtr::null();
        let watch = HeapWatch { isolate, probe, buffers, times: AtomicU32::new(0) };
        let turn = watch.probe.turn();
        let mut limit = 800 << 20;
        for _ in 0..3 {
            let next = watch.on_near_limit(0, limit, 800 << 20);
            assert_eq!(next, limit + (200 << 20));
            assert!(watch.was_near_limit());
            limit = next;
        }
        assert_eq!(watch.on_near_limit(0, limit, 800 << 20), limit);
        drop(turn);
    }
}

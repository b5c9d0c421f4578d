//! What V8 makes in the old generation, and is made in the young one here.
//!
//! A collection of the young generation takes what an old object refers to for living, whether that one lives or not. So
//! whatever a dead old object reaches stays, is copied twice, and dies old, with the next collection of the whole heap.
//! V8 makes two kinds of objects old at once, since classes and modules, which have them, live for long:
//!
//! - the pair behind the accessors of an object literal, each time that one is evaluated (`FactoryBase::NewAccessorPair`):
//!   Solid's components get their children by such;
//! - a function that is assigned to a property, `this.load = () => ..` (`CreateClosureFlags::Encode`): TanStack's router
//!   has dozens.
//!
//! Pages are made of them: a fifth of what one had made died old (`docs/performance.md`, "What dies young").
//!
//! The linker gives V8's calls to the functions below instead of V8's own (`--wrap`, see the build script). Objects are
//! the same, where most others are made; V8 writes to them as to any, with barriers that do nothing for young ones, and
//! moves them to the old generation when they have lived. With another V8 the names below may be others, which the
//! linker says, or may name something else, which `tests/dying_young.rs` says.

use std::cell::Cell;
use std::ffi::c_void;

/// The tag of a reference to an object of the heap (`kHeapObjectTag` in v8-internal.h).
const TAG: usize = 1;

/// Where a map has the type of its objects, in bytes (`Internals::kMapInstanceTypeOffset` there, without compressed
/// pointers).
const TYPE_AT: usize = 12;

/// `AllocationType::kYoung`.
const YOUNG: u8 = 0;

/// `Factory`, of which nothing is known here.
type Factory = *mut c_void;

/// `Handle<T>`: where the collector keeps a reference for C++.
type Handle = *const usize;

/// The words of a pair: its map, and getter and setter, each `null` in a new one.
type Words = [usize; 3];

unsafe extern "C" {
    #[link_name = "__real__ZN2v88internal11FactoryBaseINS0_7FactoryEE15NewAccessorPairEv"]
    fn old_accessor_pair(factory: Factory) -> Handle;

    #[link_name = "_ZN2v88internal11FactoryBaseINS0_7FactoryEE9NewStructENS0_12InstanceTypeENS0_14AllocationTypeE"]
    fn new_struct(factory: Factory, instance_type: u16, allocation: u8) -> Handle;

    #[link_name = "__real__ZN2v88internal11interpreter18CreateClosureFlags6EncodeEbb"]
    safe fn closure_flags(is_old: bool, is_function_context: bool) -> u8;
}

thread_local! {
    /// What this thread's isolate has for a new pair, learnt of its first.
    static NEW_PAIR: Cell<Option<Words>> = const { Cell::new(None) };
}

/// In place of `FactoryBase<Factory>::NewAccessorPair`.
///
/// # Safety
/// Called by V8, with an isolate's factory, on the isolate's thread.
#[unsafe(export_name = "__wrap__ZN2v88internal11FactoryBaseINS0_7FactoryEE15NewAccessorPairEv")]
unsafe extern "C" fn new_accessor_pair(factory: Factory) -> Handle {
    let Some(template) = NEW_PAIR.get() else {
        // SAFETY: this is the call that V8 made.
        let pair = unsafe { old_accessor_pair(factory) };
        // SAFETY: the handle leads to a pair, which is its map and two references.
        NEW_PAIR.set(Some(unsafe { *words(pair) }));
        return pair;
    };
    // SAFETY: the template's map is one for all isolates of the process and never moves: it is read-only.
    let instance_type = unsafe { *((template[0] - TAG + TYPE_AT) as *const u16) };
    // SAFETY: V8 calls this so for all structures, of which a pair is one. What is new is not yet seen by others, and `null`
    // is read-only, of which the collector need not be told.
    unsafe {
        let pair = new_struct(factory, instance_type, YOUNG);
        let words = words(pair);
        (*words)[1] = template[1];
        (*words)[2] = template[2];
        pair
    }
}

/// The words of a handle's object.
///
/// # Safety
/// Until the next thing that is made in the heap.
unsafe fn words(handle: Handle) -> *mut Words {
    // SAFETY: a handle's reference is a tagged address.
    (unsafe { *handle } - TAG) as *mut Words
}

/// In place of `CreateClosureFlags::Encode`: how bytecode is to make a function, here never an old one.
#[unsafe(export_name = "__wrap__ZN2v88internal11interpreter18CreateClosureFlags6EncodeEbb")]
extern "C" fn young_closure_flags(_is_old: bool, is_function_context: bool) -> u8 {
    closure_flags(false, is_function_context)
}

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

/// What a new pair of an isolate is.
#[derive(Debug, Clone, Copy)]
struct Pair {
    map: usize,
    null: usize,
    instance_type: u16,
}

thread_local! {
    /// That of the isolate which this thread has at the moment. One after the other it may have several.
    static NEW_PAIR: Cell<Option<Pair>> = const { Cell::new(None) };
}

/// In place of `FactoryBase<Factory>::NewAccessorPair`.
///
/// # Safety
/// Called by V8, with an isolate's factory, on the isolate's thread.
#[unsafe(export_name = "__wrap__ZN2v88internal11FactoryBaseINS0_7FactoryEE15NewAccessorPairEv")]
unsafe extern "C" fn new_accessor_pair(factory: Factory) -> Handle {
    // SAFETY: V8 calls the first so for all structures, of which a pair is one, and has called for the second. What is new
    // is not yet seen by others, and `null` is read-only, of which the collector need not be told. That of another isolate
    // would be none here: its map would be another too, as it comes from the same snapshot and lies beside it.
    unsafe {
        let Some(known) = NEW_PAIR.get() else { return learn(factory) };
        let pair = new_struct(factory, known.instance_type, YOUNG);
        let words = words(pair);
        if (*words)[0] != known.map {
            return learn(factory);
        }
        (*words)[1] = known.null;
        (*words)[2] = known.null;
        pair
    }
}

/// Has V8 make a pair, and remembers what it is.
///
/// # Safety
/// As for [`new_accessor_pair`].
unsafe fn learn(factory: Factory) -> Handle {
    // SAFETY: this is the call that V8 has made. Its handle leads to a pair, which is its map and two references; a map is
    // an object, with the type where it says.
    unsafe {
        let pair = old_accessor_pair(factory);
        let [map, null, _] = *words(pair);
        let instance_type = *((map - TAG + TYPE_AT) as *const u16);
        NEW_PAIR.set(Some(Pair { map, null, instance_type }));
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

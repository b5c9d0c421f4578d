//! `TextEncoder.encodeInto`, which a renderer of pages calls for every few words.
//!
//! The build script includes this file too.

use deno_core::{op2, v8};

/// The largest number of UTF-16 units read that fits beside the bytes written, see [`op_encode_into`].
const MAX_PACKED_READ: usize = (1 << 21) - 1;

/// What does not fit into the answer.
const DOES_NOT_FIT: f64 = -1.0;

/// Writes a string into a `Uint8Array` as UTF-8, as much of it as there is room for whole characters (Encoding
/// Standard, section 7.2: lone surrogates become U+FFFD).
///
/// Returns UTF-16 units read and bytes written: where they are equal, as in ASCII, that number, which costs no object;
/// else `-(read * 2^32 + written)`; -1 where so much might be read that it would not be exact. The script that calls
/// it (`ext:deno_web/08_text_encoding.js`) has looked at the arguments' types.
///
/// It takes the array's bytes itself: `#[buffer]` would take part in their ownership for the time of the call, which
/// costs as much as the encoding of a few words.
#[op2(nofast)]
pub fn op_encode_into(
    scope: &mut v8::PinScope<'_, '_>,
    source: v8::Local<'_, v8::Value>,
    destination: v8::Local<'_, v8::Value>,
) -> f64 {
    let Ok(source) = v8::Local::<v8::String>::try_from(source) else { return DOES_NOT_FIT };
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(destination) else { return DOES_NOT_FIT };
    let length = view.byte_length();
    if source.length().min(length) > MAX_PACKED_READ {
        return DOES_NOT_FIT;
    }
    if length == 0 {
        return 0.0;
    }
    // SAFETY: the view keeps its buffer, which is not detached (its length would be 0) and does not move; nothing else
    // on this thread touches the bytes while V8 writes them, and no JavaScript runs.
    let bytes = unsafe { std::slice::from_raw_parts_mut(view.data().cast::<u8>(), length) };
    let mut read = 0;
    let written = source.write_utf8_v2(scope, bytes, v8::WriteFlags::kReplaceInvalidUtf8, Some(&mut read));
    answer(read, written)
}

#[expect(clippy::cast_precision_loss, reason = "both are far below 2^53, and so is their packed sum")]
fn answer(read: usize, written: usize) -> f64 {
    if read == written { read as f64 } else { -(read as f64 * 4_294_967_296.0 + written as f64) }
}

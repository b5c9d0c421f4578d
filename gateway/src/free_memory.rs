//! How long the allocator keeps memory that is free before it gives it back to the system.
//!
//! mimalloc gives back after a second whatever is free at that moment. Under load that is what the next page needs: each
//! long page cost four page faults, many of a huge page that the kernel had to clear, a fifth of the gateway's CPU time.

use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` of `mimalloc.h`.
const PURGE_DELAY: c_int = 15;

/// Milliseconds.
const KEPT_FOR: c_long = 10_000;

unsafe extern "C" {
    /// Sets an option of mimalloc; not to be called while other threads use the allocator.
    fn mi_option_set(option: c_int, value: c_long);
}

/// Keeps free memory for ten seconds. To be called before there are other threads.
pub fn keep() {
    // SAFETY: mimalloc is linked, as the program's allocator, with this function of its `mimalloc.h`; it stores a number, and
    // no other thread runs yet.
    unsafe { mi_option_set(PURGE_DELAY, KEPT_FOR) };
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number, which no other test of this program writes.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "mimalloc's own delay is a second: another option has this number now");
        keep();
        assert_eq!(delay(), KEPT_FOR);
    }
}

//! Rights that a renderer gives up: those that a program could gain (`no_new_privs`), and the superuser's
//! (capabilities), which it has where the gateway was started by root.

use std::io;

/// What stays of the superuser's rights: the app's files may belong to anyone. Which files it reaches at all is
/// landlock's affair. Numbers of `linux/capability.h`.
const KEPT: &[u32] = &[
    1, // CAP_DAC_OVERRIDE
    2, // CAP_DAC_READ_SEARCH
    3, // CAP_FOWNER
];

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits.
const VERSION: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// No program that this thread starts gains rights by being started.
///
/// # Errors
/// Why the kernel does not do that.
pub fn gain_none() -> Result<(), String> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| errno.to_string())
}

/// Gives the superuser's rights up, all but those over files.
///
/// # Errors
/// Why the kernel does not do that.
pub fn give_up() -> Result<(), String> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut words = [Word::default(); 2];
    // SAFETY: both structures have the layout of `linux/capability.h`; version 3 reads and writes two words.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
    if got != 0 {
        return Err(io::Error::last_os_error().to_string());
    }
    let kept = KEPT.iter().fold(0, |kept, capability| kept | 1 << capability);
    let [low, high] = &mut words;
    for (word, kept) in [(low, kept), (high, 0)] {
        word.effective &= kept;
        word.permitted &= kept;
        word.inheritable = 0;
    }
    // SAFETY: as above; the kernel copies from both.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error().to_string()) }
}

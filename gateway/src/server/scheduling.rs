//! How the kernel treats the gateway's threads beside renderers on the same core.
//!
//! A thread that wakes up waits until the one that runs has had its time slice, and the kernel looks at that at its ticks,
//! 4 ms apart as a rule. A renderer computes all the time under load, so that each request would wait that long for the
//! gateway. Since Linux 6.12 a thread with a shorter slice takes over at once, as long as it has not had more than its share
//! of the core (EEVDF, `sched(7)`): it comes sooner and gets no more. Older kernels take the value and ignore it.

use std::io;
use std::time::Duration;

use nix::libc;

/// The slice of a gateway thread. The kernel's own is 1 to 3 ms.
pub const GATEWAY_SLICE: Duration = Duration::from_micros(500);

/// `struct sched_attr` of `sched_setattr(2)`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets the calling thread's time slice; its policy and priority stay.
///
/// # Errors
/// When the kernel does not let it.
pub fn shorten_slice(slice: Duration) -> io::Result<()> {
    let mut attributes = Attributes::default();
    let size = u32::try_from(size_of::<Attributes>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes into the structure, which has as many; all bits of it are valid.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.size = size;
    attributes.runtime = u64::try_from(slice.as_nanos()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of the structure, which has as many and outlives the call.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_slice_is_what_was_asked_for_where_the_kernel_has_such() {
        std::thread::spawn(|| {
            shorten_slice(GATEWAY_SLICE).unwrap();
            let shown = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
            // Only kernels that take a slice of its own show one.
            if let Some(line) = shown.lines().find(|line| line.starts_with("se.slice")) {
                let nanos: u128 = line.rsplit(' ').next().unwrap().parse().unwrap();
                assert!(nanos == GATEWAY_SLICE.as_nanos() || !has_custom_slices(), "{line}");
            }
        })
        .join()
        .unwrap();
    }

    fn has_custom_slices() -> bool {
        let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(12))
    }
}

//! How the kernel treats the gateway's threads beside renderers on the same core.
//!
//! A thread that wakes up waits until the one that runs has had its time slice, and the kernel looks at that at its ticks,
//! 4 ms apart as a rule. A renderer computes all the time under load, so that each request would wait that long for the
//! gateway. Since Linux 6.12 a thread with a shorter slice takes over at once, as long as it has not had more than its share
//! of the core (EEVDF, `sched(7)`), and as long as the one that runs is not about to end its own slice: it comes sooner and gets
//! no more. So the gateway's threads have a short slice, and those of renderers a long one. Older kernels take the values and
//! ignore them.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

/// The slice of the gateway's threads. The kernel's own is 1 to 3 ms.
pub const GATEWAY_SLICE: Duration = Duration::from_micros(500);

/// The slice of a renderer's threads. With the kernel's own, of 1.4 ms on two cores, up to one in three of the
/// gateway's wake-ups would wait for a tick.
pub const RENDERER_SLICE: Duration = Duration::from_millis(10);

/// `struct sched_attr` of `sched_setattr(2)`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
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

/// Its length, as the kernel's second version has it (`SCHED_ATTR_SIZE_VER1`).
const SIZE: u32 = 56;

const _: () = assert!(size_of::<Attributes>() == 56);

/// Gives the calling thread, and those that it starts from now on, a time slice; `None` is the kernel's own. Policy and
/// priority stay. Safe between fork and exec: system calls alone.
///
/// # Errors
/// When the kernel does not let it.
pub fn set_slice(slice: Option<Duration>) -> Result<(), Errno> {
    let mut attributes = Attributes {
        size: SIZE,
        policy: 0,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime: 0,
        deadline: 0,
        period: 0,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: the kernel writes at most `SIZE` bytes into the structure, which has as many; all bits of it are valid.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    Errno::result(read)?;
    attributes.size = SIZE;
    // 0 stands for the kernel's own; it knows 0.1 to 100 ms.
    attributes.runtime = slice.map_or(0, |slice| u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX));
    // SAFETY: the kernel reads `SIZE` bytes of the structure, which has as many and outlives the call.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slice of the calling thread, where the kernel shows it and lets threads have slices of their own.
    fn own_slice() -> Option<u64> {
        let shown = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = shown.lines().find(|line| line.starts_with("se.slice"))?;
        has_custom_slices().then(|| line.rsplit(' ').next()?.parse().ok())?
    }

    fn on_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(act).join().unwrap()
    }

    #[test]
    fn a_slice_is_that_of_the_thread_and_of_those_that_it_starts() {
        let usual = on_a_thread(own_slice);
        let slices = on_a_thread(|| {
            set_slice(Some(GATEWAY_SLICE)).unwrap();
            let of_a_child = |slice| {
                on_a_thread(move || {
                    set_slice(slice).unwrap();
                    own_slice()
                })
            };
            [own_slice(), on_a_thread(own_slice), of_a_child(Some(RENDERER_SLICE)), of_a_child(None)]
        });
        let [short, long] = [500_000, 10_000_000].map(|nanos| usual.map(|_| nanos));
        assert_eq!(slices, [short, short, long, usual]);
    }

    fn has_custom_slices() -> bool {
        let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(12))
    }
}

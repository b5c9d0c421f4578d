//! The process's resident memory, watched from outside of its isolates.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::{SysconfVar, sysconf};

/// At this many halves of the limit the process ends at once: 3 are one and a half times the limit.
const HARD_HALVES: u64 = 3;

/// What the process's memory calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// Its replacement.
    Replace,
    /// Its end: it would take memory from others before a replacement is there.
    End,
}

/// The file that tells; opened once, before the process gives up the right to open files.
#[derive(Debug)]
pub struct Resident {
    statm: File,
    page_bytes: u64,
}

impl Resident {
    /// # Errors
    /// When the kernel does not say.
    pub fn open() -> io::Result<Self> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| u64::try_from(bytes).ok());
        let page_bytes = page.ok_or_else(|| io::Error::other("the size of a page is unknown"))?;
        Ok(Self { statm: File::open("/proc/self/statm")?, page_bytes })
    }

    /// Resident bytes now; `None` when the kernel does not say.
    pub fn bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0).ok()?;
        let pages = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace().nth(1)?;
        Some(pages.parse::<u64>().ok()? * self.page_bytes)
    }
}

/// Judges `resident` bytes by the limit.
pub fn judge(resident: u64, limit: u64) -> Verdict {
    match resident {
        _ if resident / HARD_HALVES >= limit / 2 => Verdict::End,
        _ if resident >= limit => Verdict::Replace,
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_replaced_at_the_limit_and_ends_half_beyond_it() {
        let limit = 100 << 20;
        assert_eq!(judge(limit - 1, limit), Verdict::Fine);
        assert_eq!(judge(limit, limit), Verdict::Replace);
        assert_eq!(judge(limit / 2 * 3 - 4, limit), Verdict::Replace);
        assert_eq!(judge(limit / 2 * 3, limit), Verdict::End);
    }

    #[test]
    fn memory_that_is_touched_counts() {
        let resident = Resident::open().unwrap();
        let before = resident.bytes().unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident.bytes().unwrap() >= before + (48 << 20));
        drop(block);
    }
}

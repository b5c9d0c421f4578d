//! When an isolate asks for its replacement. Pure.

use shared::message::RetireReason;

/// At so many quarters of their limit buffers make the isolate retire; at all of it they are refused.
const BUFFER_QUARTERS: usize = 3;

/// What an isolate has come to.
#[derive(Debug, Clone, Copy)]
pub struct Wear {
    /// V8's heap was nearly full.
    pub heap_near_limit: bool,
    /// Bytes in buffers.
    pub buffers: usize,
    /// Bytes that they may hold.
    pub buffer_limit: usize,
    /// Jobs that were started.
    pub jobs: u64,
    /// Jobs after which it is replaced; 0 for no limit.
    pub max_jobs: u64,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Serve,
    /// Collect garbage and judge again: dead buffers may be held.
    Collect,
    /// It asks for its replacement.
    Retire(RetireReason),
}

/// Judges an isolate; `collected` says that its garbage has just been collected.
pub fn judge(wear: &Wear, collected: bool) -> Verdict {
    if wear.heap_near_limit {
        return Verdict::Retire(RetireReason::HeapLimit);
    }
    if wear.max_jobs > 0 && wear.jobs >= wear.max_jobs {
        return Verdict::Retire(RetireReason::MaxJobs);
    }
    match wear.buffers > wear.buffer_limit / 4 * BUFFER_QUARTERS {
        true if collected => Verdict::Retire(RetireReason::ExternalLimit),
        true => Verdict::Collect,
        false => Verdict::Serve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Wear = Wear { heap_near_limit: false, buffers: 0, buffer_limit: 400, jobs: 0, max_jobs: 0 };

    #[test]
    fn a_fresh_isolate_serves_and_jobs_count_only_against_a_limit() {
        assert_eq!(judge(&FRESH, false), Verdict::Serve);
        assert_eq!(judge(&Wear { jobs: 1 << 40, ..FRESH }, false), Verdict::Serve);
        let many = Wear { jobs: 10, max_jobs: 10, ..FRESH };
        assert_eq!(judge(&many, false), Verdict::Retire(RetireReason::MaxJobs));
    }

    #[test]
    fn dead_buffers_are_collected_first() {
        assert_eq!(judge(&Wear { buffers: 300, ..FRESH }, false), Verdict::Serve);
        let full = Wear { buffers: 301, ..FRESH };
        assert_eq!(judge(&full, false), Verdict::Collect);
        assert_eq!(judge(&full, true), Verdict::Retire(RetireReason::ExternalLimit));
    }

    #[test]
    fn a_full_heap_goes_before_all_else() {
        let worn = Wear { heap_near_limit: true, buffers: 400, jobs: 1, max_jobs: 1, ..FRESH };
        assert_eq!(judge(&worn, false), Verdict::Retire(RetireReason::HeapLimit));
    }
}

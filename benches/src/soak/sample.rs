//! What the processes hold at one moment, from the admin port's metrics.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::load::Slice;
use super::outcome::Failures;

const MIB: f64 = 1024.0 * 1024.0;

/// The admin port.
pub struct Admin {
    url: String,
}

/// Mebibytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    renderer_resident: f64,
    gateway_resident: f64,
    heap_used: f64,
    external: f64,
}

/// One moment of the run, and what was answered since the one before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the start.
    pub seconds: f64,
    /// The renderer's resident memory, MiB.
    pub renderer_resident: f64,
    /// The gateway's, MiB.
    pub gateway_resident: f64,
    /// V8's heap, MiB.
    pub heap_used: f64,
    /// `ArrayBuffer`s and the like, MiB.
    pub external: f64,
    /// Whole answers.
    pub answers: u64,
    /// Everything else.
    pub failures: Failures,
    /// Latency, milliseconds: median and further percentiles, here and below.
    pub p50_millis: f64,
    pub p90_millis: f64,
    pub p99_millis: f64,
    pub p999_millis: f64,
}

impl Admin {
    /// The admin port at this address.
    pub fn at(address: &str) -> Self {
        Self { url: format!("http://{address}/metrics") }
    }

    /// What the processes hold now.
    pub fn memory(&self) -> Option<Memory> {
        Memory::read(&ureq::get(&self.url).call().ok()?.body_mut().read_to_string().ok()?)
    }
}

impl Memory {
    fn read(metrics: &str) -> Option<Self> {
        let of = |name: &str, label: &str| {
            let mut lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.next()?.rsplit(' ').next()?.parse::<f64>().ok().map(|bytes| bytes / MIB)
        };
        Some(Self {
            renderer_resident: of("isopod_process_resident_bytes{", "kind=\"renderer\"")?,
            gateway_resident: of("isopod_process_resident_bytes{", "kind=\"gateway\"")?,
            heap_used: of("isopod_isolate_heap_bytes{", "renderer=\"0\"")?,
            external: of("isopod_isolate_external_bytes{", "renderer=\"0\"")?,
        })
    }
}

impl Sample {
    /// At this time.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of latency are far below 2^52")]
    pub fn new(time: Duration, memory: Memory, slice: &Slice) -> Self {
        let millis = |quantile| slice.latency.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            seconds: time.as_secs_f64(),
            renderer_resident: memory.renderer_resident,
            gateway_resident: memory.gateway_resident,
            heap_used: memory.heap_used,
            external: memory.external,
            answers: slice.answers,
            failures: slice.failures,
            p50_millis: millis(0.5),
            p90_millis: millis(0.9),
            p99_millis: millis(0.99),
            p999_millis: millis(0.999),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} s: {:.1} MiB resident, {:.1} MiB heap, p50 {:.1} ms, p99 {:.1} ms, {}",
            self.seconds,
            self.renderer_resident,
            self.heap_used,
            self.p50_millis,
            self.p99_millis,
            self.failures
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_metrics() {
        let text = "isopod_process_resident_bytes{kind=\"gateway\",slot=\"0\"} 1048576\n\
                    isopod_process_resident_bytes{kind=\"renderer\",slot=\"0\"} 2097152\n\
                    isopod_isolate_heap_bytes{isolate=\"0\",renderer=\"0\"} 3145728\n\
                    isopod_isolate_external_bytes{isolate=\"0\",renderer=\"0\"} 0\n";
        let memory = Memory::read(text).unwrap();
        assert_eq!((memory.gateway_resident, memory.renderer_resident, memory.heap_used), (1.0, 2.0, 3.0));
        assert_eq!(Memory::read("nothing 1\n"), None);
    }
}

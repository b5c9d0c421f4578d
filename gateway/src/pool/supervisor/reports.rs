//! What children say of themselves, in metrics and in the log.

use std::time::Duration;

use shared::app_metrics::AppMetrics;
use shared::message::control::{CodeUse, IdleTime, Layers, RefusalCount, StartPhases};

use super::super::roster::Heap;
use super::super::slot::{ChildId, IsolateId};
use super::Supervisor;

impl Supervisor {
    pub(super) fn count_code(&self, code: CodeUse) {
        for (source, pieces) in [("cached", code.cached), ("compiled", code.compiled)] {
            self.pool.metrics.loaded_code.with_label_values(&[source]).inc_by(pieces as u64);
        }
    }

    pub(super) fn observe_start(&self, phases: StartPhases) {
        for (phase, micros) in phases.labelled() {
            let seconds = Duration::from_micros(micros).as_secs_f64();
            self.pool.metrics.isolate_start_seconds.with_label_values(&[phase]).observe(seconds);
        }
    }

    pub(super) fn take_app_metrics(&self, isolate: IsolateId, metrics: AppMetrics) {
        let lost = self.pool.app_metrics().report(isolate, metrics);
        self.pool.metrics.app_metric_overflows.inc_by(lost.overflowed);
        if lost.refused > 0 {
            let refused = lost.refused;
            tracing::warn!(%isolate, refused, "metrics of the app cannot be shown: they are no metrics, or too many");
        }
    }

    pub(super) fn take_refusals(&self, id: ChildId, counts: &[RefusalCount]) {
        for RefusalCount { refusal, count } in counts {
            let reason = refusal.label();
            self.pool.metrics.native_refusals.with_label_values(&[reason]).inc_by(*count);
            tracing::warn!(child = %id, reason, count, "an fn worker refused what it was sent");
        }
    }

    pub(super) fn take_own_refusals(&self) {
        if let Some(embedded) = &self.pool.embedded {
            self.take_refusals(embedded.id(), &embedded.functions.take_refusals());
        }
    }

    pub(super) fn locked_in(&self, id: ChildId, layers: Layers) {
        let Layers { no_new_privs, capabilities, seccomp, landlock_abi, problems } = &layers;
        let mode = self.pool.settings.renderer_setup.sandbox;
        tracing::info!(child = %id, ?mode, no_new_privs, capabilities, seccomp, landlock_abi, "a renderer is locked in");
        for problem in problems {
            tracing::warn!(child = %id, problem, "a layer of the sandbox is missing");
        }
        if let Some(member) = self.pool.roster().member(id) {
            member.sandbox = Some(layers);
        }
    }

    pub(super) fn take_background(&self, isolate: IsolateId, pending: u32, outcomes: [(&str, u32); 4]) {
        for (outcome, count) in outcomes {
            self.pool.metrics.background.with_label_values(&[outcome]).inc_by(count.into());
        }
        // What an isolate leaves behind when it is replaced is not pending any more.
        if self.pool.roster().isolate(isolate).is_some() {
            let labels = [isolate.slot.to_string(), isolate.isolate.to_string()];
            let labels = [labels[0].as_str(), labels[1].as_str()];
            self.pool.metrics.background_pending.with_label_values(&labels).set(pending.into());
        }
    }

    pub(super) fn take_stats(&self, isolate: IsolateId, heap: Heap, idle: Option<IdleTime>) {
        if let Some(IdleTime { idle_us, passed_us }) = idle {
            let (idle, passed) = (Duration::from_micros(idle_us), Duration::from_micros(passed_us));
            self.pool.admission.told(isolate, idle, passed);
        }
        let mut roster = self.pool.roster();
        let Some(entry) = roster.isolate(isolate) else { return };
        entry.heap = heap;
        let labels = [isolate.slot.to_string(), isolate.isolate.to_string()];
        let labels = [labels[0].as_str(), labels[1].as_str()];
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.pool.metrics.isolate_heap_bytes.with_label_values(&labels).set(bytes(heap.used_bytes));
        self.pool.metrics.isolate_external_bytes.with_label_values(&labels).set(bytes(heap.external_bytes));
    }
}

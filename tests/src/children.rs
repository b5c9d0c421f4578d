//! The child processes, as `/status` tells of them.

use serde_json::Value;

/// A child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildStatus {
    /// `renderer` or `fn_worker`.
    pub kind: String,
    /// Its place.
    pub slot: u64,
    /// Its process id.
    pub pid: i32,
    /// Jobs that its isolates run, or calls that an fn worker does.
    pub in_flight: u64,
}

impl ChildStatus {
    /// All child processes that `/status` names, by kind and slot.
    pub fn all(status: &Value) -> Vec<Self> {
        let mut children = Vec::new();
        collect(status, &mut children);
        children.sort_by(|a, b| (&a.kind, a.slot).cmp(&(&b.kind, b.slot)));
        children
    }

    fn read(object: &Value) -> Option<Self> {
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let isolates = object["isolates"].as_array().into_iter().flatten();
        Some(Self {
            kind: object.get("kind")?.as_str()?.into(),
            slot: number("slot")?,
            pid: number("pid")?.try_into().ok()?,
            in_flight: isolates.filter_map(|isolate| isolate["in_flight"].as_u64()).sum::<u64>()
                + number("calls_in_flight").unwrap_or(0),
        })
    }
}

/// Takes every child, wherever it stands.
fn collect(value: &Value, children: &mut Vec<ChildStatus>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, children)),
        Value::Object(fields) => match ChildStatus::read(value) {
            Some(child) => children.push(child),
            None => fields.values().for_each(|value| collect(value, children)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_wherever_they_stand() {
        let status = serde_json::json!({ "pool": { "children": [
            { "kind": "renderer", "slot": 1, "pid": 7, "isolates": [{ "in_flight": 2 }, { "in_flight": 1 }] },
            { "kind": "fn_worker", "slot": 0, "pid": 8, "isolates": [] },
        ] } });
        let found: Vec<_> =
            ChildStatus::all(&status).into_iter().map(|child| (child.pid, child.in_flight)).collect();
        assert_eq!(found, [(8, 0), (7, 3)]);
    }
}

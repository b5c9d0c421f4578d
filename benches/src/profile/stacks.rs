//! Stacks folded: how often each was seen, from perf's text and from V8's profiles. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

/// Stacks, the outermost frame first, and their weights.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stacks(pub BTreeMap<Vec<String>, u64>);

impl Stacks {
    /// Takes what `perf script -F comm,ip,sym` prints: a line for the thread, a line for each frame, the innermost
    /// first, and an empty one.
    pub fn of_perf(text: &str) -> Self {
        let mut stacks = Self::default();
        let mut stack: Vec<String> = Vec::new();
        for line in text.lines().chain([""]) {
            if line.trim().is_empty() {
                if !stack.is_empty() {
                    // The thread's name was pushed first and belongs outermost.
                    stack[1..].reverse();
                    *stacks.0.entry(std::mem::take(&mut stack)).or_default() += 1;
                }
            } else if line.starts_with([' ', '\t']) && !stack.is_empty() {
                let (_, symbol) = line.trim().split_once(' ').unwrap_or((line, "[unknown]"));
                stack.push(plain(symbol));
            } else if stack.is_empty() {
                stack.push(line.trim().trim_end_matches(':').to_owned());
            }
        }
        stacks
    }

    /// Takes a `.cpuprofile` of V8's; weights are microseconds.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn of_v8(text: &str) -> Result<Self, serde_json::Error> {
        let profile: Profile = serde_json::from_str(text)?;
        let mut parents: HashMap<u32, u32> = HashMap::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        for node in &profile.nodes {
            names.insert(node.id, node.call_frame.name());
            parents.extend(node.children.iter().map(|child| (*child, node.id)));
        }
        let mut stacks = Self::default();
        for (sample, micros) in profile.samples.iter().zip(&profile.time_deltas) {
            let mut stack = Vec::new();
            let mut at = Some(*sample);
            while let Some(id) = at {
                stack.extend(names.get(&id).cloned());
                at = parents.get(&id).copied();
            }
            stack.reverse();
            if stack.last().is_none_or(|innermost| innermost != "(idle)") {
                *stacks.0.entry(stack).or_default() += u64::try_from(*micros).unwrap_or(0);
            }
        }
        Ok(stacks)
    }

    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The functions in which most time was spent themselves, and their parts of all.
    pub fn hottest(&self, count: usize) -> Vec<(String, f64)> {
        let mut own: HashMap<&str, u64> = HashMap::new();
        for (stack, weight) in &self.0 {
            if let Some(innermost) = stack.last() {
                *own.entry(innermost).or_default() += weight;
            }
        }
        let total = self.total().max(1) as f64;
        let mut sorted: Vec<_> =
            own.into_iter().map(|(name, weight)| (name.to_owned(), weight as f64 / total)).collect();
        sorted.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        sorted.truncate(count);
        sorted
    }
}

/// Without offset and without the hash that Rust adds.
fn plain(symbol: &str) -> String {
    let symbol = symbol.split_once("+0x").map_or(symbol, |(symbol, _)| symbol).trim();
    match symbol.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            name.to_owned()
        }
        _ => symbol.to_owned(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    nodes: Vec<Node>,
    samples: Vec<u32>,
    time_deltas: Vec<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: u32,
    call_frame: CallFrame,
    #[serde(default)]
    children: Vec<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallFrame {
    function_name: String,
    url: String,
    line_number: i64,
}

impl CallFrame {
    fn name(&self) -> String {
        let function = if self.function_name.is_empty() { "(anonymous)" } else { &self.function_name };
        match self.url.rsplit('/').next() {
            Some(file) if !file.is_empty() => format!("{function} {file}:{}", self.line_number + 1),
            _ => function.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stacks;

    #[test]
    fn perfs_stacks_are_turned_and_counted() {
        let text = "gateway \n\t  55 inner::h0123456789abcdef+0x10\n\t  66 outer\n\n\
                    gateway \n\t  55 inner::h0123456789abcdef+0x20\n\t  66 outer\n\n";
        let stacks = Stacks::of_perf(text);
        let stack: Vec<String> = ["gateway", "outer", "inner"].map(str::to_owned).to_vec();
        assert_eq!(stacks.0, [(stack, 2)].into());
        assert_eq!(stacks.hottest(1), [("inner".to_owned(), 1.0)]);
    }

    #[test]
    fn v8s_profile_becomes_stacks_without_idle_time() {
        let text = r#"{"nodes":[
            {"id":1,"callFrame":{"functionName":"(root)","url":"","lineNumber":-1},"children":[2,3]},
            {"id":2,"callFrame":{"functionName":"render","url":"file:///a/b.js","lineNumber":4}},
            {"id":3,"callFrame":{"functionName":"(idle)","url":"","lineNumber":-1}}],
            "samples":[2,3,2],"timeDeltas":[100,5000,50]}"#;
        let stacks = Stacks::of_v8(text).unwrap();
        assert_eq!(stacks.0, [(vec!["(root)".to_owned(), "render b.js:5".to_owned()], 150)].into());
        assert!(Stacks::of_v8("{}").is_err());
    }
}

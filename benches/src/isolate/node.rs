//! Node, told over its standard input what to render.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;

use super::{Page, Renders, USER_AGENT};
use crate::error::BenchFailure;
use crate::machine;

/// A Node process with an app's bundle; killed when dropped.
#[derive(Debug)]
pub struct NodeRenders {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl NodeRenders {
    /// Starts Node on one core.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(node: &Path, root: &Path, dist: &Path, core: usize) -> Result<Self, BenchFailure> {
        let mut command = Command::new(node);
        command.arg(root.join("benches/src/isolate/renders.mjs")).arg(dist).env("NODE_ENV", "production");
        let mut command = machine::pinned(core, &command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("has no pipes".to_owned()));
        };
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }
}

fn failed(problem: String) -> BenchFailure {
    BenchFailure::Render { who: "node26", problem }
}

impl Renders for NodeRenders {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn render(&mut self, page: &Page, count: usize) -> Result<usize, BenchFailure> {
        let order = json!({
            "path": page.path, "count": count, "concurrency": page.concurrency, "userAgent": USER_AGENT,
        });
        let mut line = String::new();
        writeln!(self.orders, "{order}")
            .and_then(|()| self.answers.read_line(&mut line))
            .map_err(|error| failed(error.to_string()))?;
        line.trim().parse().map_err(|_| failed(format!("stopped at {}; it said {line:?}", page.path)))
    }
}

impl Drop for NodeRenders {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The table of stages and times.

use std::fmt;
use std::time::Duration;

use crate::progress::seconds;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Passed,
    /// Not.
    Failed,
    /// One before it failed.
    NotRun,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        })
    }
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub stage: String,
    /// How long it took.
    pub time: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// One line a stage, and the sum.
pub fn render(rows: &[Row]) -> String {
    let total = rows.iter().map(|row| row.time).sum();
    let lines = rows.iter().map(|row| line(&row.stage, &seconds(row.time), &row.outcome.to_string()));
    let header = line("stage", "time", "result");
    let footer = line("total", &seconds(total), "");
    std::iter::once(header).chain(lines).chain(std::iter::once(footer)).collect::<Vec<_>>().join("\n")
}

fn line(stage: &str, time: &str, result: &str) -> String {
    format!("{stage:<12}{time:>10}  {result}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Outcome, Row, render};

    #[test]
    fn the_table_has_a_line_for_each_stage_and_a_total() {
        let row = |stage: &str, seconds, outcome| Row {
            stage: stage.to_owned(),
            time: Duration::from_secs_f64(seconds),
            outcome,
        };
        let rows = [
            row("format", 1.25, Outcome::Passed),
            row("build", 600.0, Outcome::Failed),
            row("rust", 0.0, Outcome::NotRun),
        ];
        assert_eq!(
            render(&rows),
            "stage             time  result\n\
             format           1.2 s  passed\n\
             build          600.0 s  FAILED\n\
             rust             0.0 s  not run\n\
             total          601.2 s"
        );
    }
}

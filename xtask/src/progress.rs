//! Progress: a spinner on a terminal, plain lines with seconds elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a step that takes long says so where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Writes one line to the terminal.
pub fn say(line: &str) {
    // Progress is for a reader; where there is none the work goes on.
    let _unread = writeln!(io::stderr(), "{line}");
}

/// A step that takes long, from its start to its end.
#[derive(Debug)]
pub struct Task {
    label: String,
    started: Instant,
    view: View,
}

#[derive(Debug)]
enum View {
    Spinner(ProgressBar),
    /// Dropping it ends the heartbeat.
    Lines {
        _heartbeat: SyncSender<()>,
    },
}

impl Task {
    /// Starts to show a step; `label` reads like `building threads-react`.
    pub fn start(label: &str) -> Self {
        let view = if io::stderr().is_terminal() { spinner(label) } else { lines(label) };
        Self { label: label.to_owned(), started: Instant::now(), view }
    }

    /// Shows what the step does now, on a terminal.
    pub fn detail(&self, text: &str) {
        if let View::Spinner(bar) = &self.view {
            bar.set_message(text.to_owned());
        }
    }

    /// The step is complete.
    pub fn done(self) {
        let line = format!("{}: done in {}", self.label, seconds(self.started.elapsed()));
        self.end(&line);
    }

    /// The step failed, and this is what it said.
    pub fn failed(self, output: &str) {
        let line = format!("{}: failed after {}\n{output}", self.label, seconds(self.started.elapsed()));
        self.end(&line);
    }

    fn end(self, line: &str) {
        if let View::Spinner(bar) = &self.view {
            bar.finish_and_clear();
        }
        drop(self.view);
        say(line);
    }
}

/// `12.3 s`
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn spinner(label: &str) -> View {
    let bar = ProgressBar::new_spinner().with_prefix(label.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} ({elapsed}) {wide_msg:.dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    View::Spinner(bar)
}

fn lines(label: &str) -> View {
    say(&format!("{label} ..."));
    let (heartbeat, stopped) = mpsc::sync_channel(0);
    let label = label.to_owned();
    let started = Instant::now();
    thread::spawn(move || {
        while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
            say(&format!("{label}: {} so far", seconds(started.elapsed())));
        }
    });
    View::Lines { _heartbeat: heartbeat }
}

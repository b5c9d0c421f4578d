//! Programs: shown, quiet, or read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::Failure;
use crate::progress::{self, Task};

/// The most bytes of a quiet program's output that are kept for the case that it fails.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// The command as a person would type it.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}

/// Runs a program that shows its own progress, on this terminal.
///
/// # Errors
///
/// When it does not start, or ends without success.
pub fn shown(command: &mut Command) -> Result<(), Failure> {
    progress::say(&format!("$ {}", describe(command)));
    let status = command.status().map_err(Failure::spawn(command))?;
    succeeded(describe(command), status)
}

/// Runs a program behind a line of progress; its output is shown if it fails.
///
/// # Errors
///
/// When it does not start, or ends without success.
pub fn quietly(label: &str, mut command: Command) -> Result<(), Failure> {
    let description = describe(&command);
    let task = Task::start(label);
    let mut output = Tail::default();
    let status = capture(&mut command, &description, |line| {
        task.detail(&line);
        output.push(line);
    })?;
    if status.success() {
        task.done();
    } else {
        task.failed(&output.text());
    }
    succeeded(description, status)
}

/// Runs a program and returns what it wrote to its standard output; its errors go to this terminal.
///
/// # Errors
///
/// When it does not start, ends without success, or writes no UTF-8.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(Failure::spawn(command))?;
    succeeded(describe(command), output.status)?;
    String::from_utf8(output.stdout)
        .map_err(Failure::unreadable(format!("the output of `{}`", describe(command))))
}

/// Replaces xtask by a program, so that Ctrl-C and every other signal reach that, and its exit code the caller.
///
/// # Errors
///
/// When it cannot be started.
pub fn replace(mut program: Command) -> Result<Infallible, Failure> {
    progress::say(&format!("$ {}", describe(&program)));
    let source = program.exec();
    Err(Failure::spawn(&program)(source))
}

fn succeeded(command: String, status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Command { command, status }) }
}

fn capture(
    command: &mut Command,
    description: &str,
    mut each_line: impl FnMut(String),
) -> Result<ExitStatus, Failure> {
    let unstarted = |source| Failure::Spawn { command: description.to_owned(), source };
    let (reader, writer) = io::pipe().map_err(unstarted)?;
    let copy = writer.try_clone().map_err(unstarted)?;
    let mut child = command.stdin(Stdio::null()).stdout(copy).stderr(writer).spawn().map_err(unstarted)?;
    // The command holds the pipe's write ends; while it does, the reader would never see its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(unstarted)? > 0 {
        each_line(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
    child.wait().map_err(unstarted)
}

/// The last lines of an output, bounded by bytes.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > MAX_KEPT_BYTES && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |oldest| oldest.len());
        }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{MAX_KEPT_BYTES, Tail, capture, describe, output};
    use crate::error::Failure;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_is_described_as_it_is_typed() {
        let mut command = Command::new("npm");
        command.args(["run", "build"]);
        assert_eq!(describe(&command), "npm run build");
    }

    #[test]
    fn both_streams_are_captured_in_order() {
        let mut lines = Vec::new();
        let mut command = shell("echo one; echo two >&2; printf three; exit 3");
        let status = capture(&mut command, "sh", |line| lines.push(line)).unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_failing_program_has_no_output_to_read() {
        assert!(matches!(output(&mut shell("echo half; exit 1")), Err(Failure::Command { .. })));
        assert!(matches!(output(&mut Command::new("./not-there")), Err(Failure::Spawn { .. })));
        assert_eq!(output(&mut shell("echo whole")).unwrap(), "whole\n");
    }

    #[test]
    fn the_kept_output_is_bounded() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.push(format!("{number:>100}"));
        }
        assert!(tail.bytes <= MAX_KEPT_BYTES);
        assert!(tail.text().ends_with("9999\n"));
    }
}

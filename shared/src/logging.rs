//! One format of log lines for all processes, on standard error.

use std::cell::Cell;
use std::fmt;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// The text names no log format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no log format: use `json` or `text`")]
pub struct UnknownLogFormat(String);

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(UnknownLogFormat(other.into())),
        }
    }
}

/// Whether `filter` is one that [`init`] takes.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), ParseError> {
    EnvFilter::try_new(filter).map(drop)
}

/// Starts logging for this process. Lines below `filter` cost a branch.
///
/// # Errors
/// When `filter` is not in the syntax of [`EnvFilter`].
pub fn init(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    let for_eyes = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(for_eyes);
    // A second call in one process (tests that share one) leaves the first in place.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text if for_eyes => builder.try_init(),
        LogFormat::Text => builder.fmt_fields(PlainFields).try_init(),
    };
    Ok(())
}

/// Fields as `tracing-subscriber` writes them without colours, `name="value"`. A span writes its fields when it begins,
/// whether a line of the log will have them or not: texts, which most of them are, go the short way.
struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        thread_local! {
            /// Where fields are put together: a span's own text would grow with each part of each of them.
            static TEXT: Cell<String> = const { Cell::new(String::new()) };
        }
        // A value that writes a line of its own while it is written finds nothing here, and uses a new one.
        let mut text = TEXT.take();
        text.clear();
        let mut fields_out = FieldWriter { text, is_first: true, result: Ok(()) };
        fields.record(&mut fields_out);
        let FieldWriter { text, result, .. } = fields_out;
        let written = result.and_then(|()| writer.write_str(&text));
        if text.capacity() <= KEPT_BYTES {
            TEXT.set(text);
        }
        written
    }
}

/// So much room for fields is kept for the next ones, in bytes.
const KEPT_BYTES: usize = 4096;

struct FieldWriter {
    text: String,
    is_first: bool,
    result: fmt::Result,
}

impl FieldWriter {
    fn name(&mut self, field: &Field) {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(' ');
        }
        let name = field.name();
        if name != "message" {
            self.text.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.text.push('=');
        }
    }

    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.name(field);
        if self.result.is_ok() {
            self.result = self.text.write_fmt(value);
        }
    }
}

/// Whether `Debug` writes a text as it is, between quotes.
fn is_plain(text: &str) -> bool {
    // Without a branch for each byte, so that many are looked at together.
    let odd = |byte: u8| !matches!(byte, b' '..=b'~') | matches!(byte, b'"' | b'\\' | b'\'');
    !text.bytes().fold(false, |found, byte| found | odd(byte))
}

impl Visit for FieldWriter {
    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.name(field);
            self.text.push_str(text);
        } else if is_plain(text) {
            self.name(field);
            self.text.reserve(text.len() + 2);
            self.text.push('"');
            self.text.push_str(text);
            self.text.push('"');
        } else {
            self.write(field, format_args!("{text:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.write(field, format_args!("{error}"));
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        if !causes.is_empty() && self.result.is_ok() {
            self.result = write!(self.text, " {}.sources=[{}]", field.name(), causes.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Where a test's lines go.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn speak() {
        let error = io::Error::other(LogFormat::from_str("yaml").unwrap_err());
        let error: &(dyn std::error::Error + 'static) = &error;
        let span =
            tracing::info_span!("call", function = "a.b", odd = "q\"\\'é\n", later = tracing::field::Empty);
        span.record("later", "x");
        span.in_scope(
            || tracing::warn!(number = 7, text = "plain", error, none = ?None::<u8>, "it is {}", "late"),
        );
        tracing::error!("nothing but a message");
        tracing::error!(r#type = "x");
    }

    #[test]
    fn lines_are_those_of_tracing_subscriber() {
        let written = |own: bool| {
            let lines = Lines::default();
            let writer = lines.clone();
            let builder =
                tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time();
            if own {
                tracing::subscriber::with_default(builder.fmt_fields(PlainFields).finish(), speak);
            } else {
                tracing::subscriber::with_default(builder.finish(), speak);
            }
            let bytes = lines.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(written(true), written(false));
        assert!(written(true).contains("function=\"a.b\""), "{}", written(true));
    }
}

//! One format of log lines for all processes, on standard error.

use std::fmt;
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
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut fields_out = FieldWriter { writer, is_first: true, result: Ok(()) };
        fields.record(&mut fields_out);
        fields_out.result
    }
}

struct FieldWriter<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl FieldWriter<'_> {
    fn name(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if field.name() == "message" {
            return Ok(());
        }
        let name = field.name();
        self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.writer.write_char('=')
    }

    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.name(field).and_then(|()| value(&mut self.writer));
        }
    }
}

impl Visit for FieldWriter<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.write(field, |writer| {
            if field.name() == "message" {
                return writer.write_str(text);
            }
            // As `Debug` has it.
            if text.bytes().any(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\' | b'\'')) {
                return write!(writer, "{text:?}");
            }
            writer.write_char('"')?;
            writer.write_str(text)?;
            writer.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |writer| write!(writer, "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.write(field, |writer| write!(writer, "{error}"));
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        if !causes.is_empty() && self.result.is_ok() {
            self.result = write!(self.writer, " {}.sources=[{}]", field.name(), causes.join(", "));
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

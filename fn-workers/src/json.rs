//! JSON in and out, within limits.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{FunctionError, Invalid};

/// Reads an input. An absent one (nothing, or `null`) is `null` for types that take it, else an object without
/// fields: `callNative()` and `callNative({})` are one call.
pub(crate) fn read<Input: DeserializeOwned>(input: &[u8]) -> Result<Input, FunctionError> {
    let trimmed = input.trim_ascii();
    if trimmed.is_empty() || trimmed == b"null" { read_absent() } else { parse(input) }
}

/// What an input is that nobody gave.
pub(crate) fn read_absent<Input: DeserializeOwned>() -> Result<Input, FunctionError> {
    serde_json::from_slice(b"null").or_else(|_| parse(b"{}"))
}

fn parse<Input: DeserializeOwned>(input: &[u8]) -> Result<Input, FunctionError> {
    serde_json::from_slice(input).map_err(|error| {
        // The field's path costs more than the reading: it is looked for where it is told.
        let path = (error.classify() == Category::Data).then(|| {
            let mut json = serde_json::Deserializer::from_slice(input);
            serde_path_to_error::deserialize::<_, Input>(&mut json)
                .err()
                .map(|error| error.path().to_string())
        });
        describe(&error, path.flatten().filter(|path| path != "."))
    })
}

fn describe(error: &serde_json::Error, path: Option<String>) -> FunctionError {
    match error.classify() {
        Category::Data => Invalid::field(path.unwrap_or_else(|| "input".into()), error.to_string()).into(),
        Category::Syntax | Category::Eof | Category::Io => {
            FunctionError::bad_request(format!("the input is no JSON: {error}"))
        }
    }
}

/// A value of at most `limit` bytes; a longer one is refused before it is allocated.
pub(crate) fn write<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Vec<u8>, FunctionError> {
    let mut json = Limited { bytes: Vec::with_capacity(256), limit };
    serde_json::to_writer(&mut json, value)?;
    Ok(json.bytes)
}

struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::Error::other(format!("the output is longer than {} bytes", self.limit)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Which bodies are compressed.

use crate::config::read::Reader;

/// Which bodies are compressed.
#[derive(Debug, Clone, Copy)]
pub struct Compression {
    /// What is.
    pub mode: CompressionMode,
    /// Shorter bodies are not, in bytes.
    pub min_bytes: u64,
}

/// What is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionMode {
    /// Files that the build has compressed, and whatever else is worth it.
    On,
    /// Files that the build has compressed.
    Static,
    /// Nothing.
    Off,
}

pub(super) fn compression(reader: &mut Reader<'_>) -> Option<Compression> {
    let mode = reader.parsed("compression", |text| match text {
        "on" => Some(CompressionMode::On),
        "static" => Some(CompressionMode::Static),
        "off" => Some(CompressionMode::Off),
        _ => None,
    });
    let min_bytes = reader.size("compression_min_size");
    Some(Compression { mode: mode?, min_bytes: min_bytes? })
}

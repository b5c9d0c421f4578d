//! How large a value from outside may be. Each limit holds before the memory that it bounds is taken.

/// The limits of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes. Default 16 MiB.
    pub bytes: usize,
    /// How deep values may lie in each other. Default 100; a level takes up to a kilobyte of stack.
    pub depth: usize,
    /// The most parts of JSON: each object, array, string, number, word and name counts one. Default 2,000,000;
    /// each takes 16 bytes.
    pub parts: usize,
    /// The most references to values that stand elsewhere in the text. Default 10,000.
    pub references: usize,
    /// The most bytes of text and binary data that come out, where references repeat them. Default 64 MiB.
    pub expanded_bytes: usize,
    /// The most values that come out, where references repeat them. Default 1,000,000.
    pub expanded_values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            depth: 100,
            parts: 2_000_000,
            references: 10_000,
            expanded_bytes: 64 << 20,
            expanded_values: 1_000_000,
        }
    }
}

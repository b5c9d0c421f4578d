//! What forms and values may hold, as a worker that no gateway started is told: as the keys of the gateway's
//! configuration have it.

use shared::setup::{FormLimits, ValueLimits};

use super::args::Given;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The options, in the order of the fields.
pub(super) const OPTIONS: &[(&str, &str, &str)] = &[
    ("form-limit", "SIZE", "the longest form that a function takes (32MiB)"),
    ("form-parts", "N", "parts of a form, texts and files (200)"),
    ("form-fields", "N", "fields of text of a form (100)"),
    ("form-field-limit", "SIZE", "the longest field of text, and the longest name of a field (64KiB)"),
    ("form-file-limit", "SIZE", "the longest file of a form (32MiB)"),
    ("form-memory", "SIZE", "a longer file lies in a temporary file (256KiB)"),
    ("value-depth", "N", "how deep values may lie in each other (100)"),
    ("value-nodes", "N", "parts of a value (2000000)"),
    ("value-references", "N", "references in a value to others in it (10000)"),
    ("value-limit", "SIZE", "bytes in a value, where references repeat them (64MiB)"),
];

/// Limits of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadLimits {
    pub(super) forms: FormLimits,
    pub(super) values: ValueLimits,
}

/// Reads them; `None` when something is wrong with one, which `given` has noted.
pub(super) fn read(given: &mut Given<'_>) -> Option<ReadLimits> {
    let form = given.parsed("form-limit", "32MiB", "1KiB to 16GiB", size(KIB, 16 * GIB));
    let parts = given.parsed("form-parts", "200", "1 to 100000", count(1, 100_000));
    let fields = given.parsed("form-fields", "100", "0 to 100000", count(0, 100_000));
    let field = given.parsed("form-field-limit", "64KiB", "1B to 16MiB", short(1, 16 * MIB));
    let file = given.parsed("form-file-limit", "32MiB", "0B to 16GiB", size(0, 16 * GIB));
    let memory = given.parsed("form-memory", "256KiB", "0B to 64MiB", short(0, 64 * MIB));
    let depth = given.parsed("value-depth", "100", "1 to 500", count(1, 500));
    let nodes = given.parsed("value-nodes", "2000000", "16 to 100000000", count(16, 100_000_000));
    let references = given.parsed("value-references", "10000", "0 to 100000000", count(0, 100_000_000));
    let value = given.parsed("value-limit", "64MiB", "1KiB to 16GiB", size(KIB, 16 * GIB));
    Some(ReadLimits {
        forms: FormLimits {
            max_bytes: form?,
            max_parts: parts?,
            max_fields: fields?,
            max_field_bytes: field?,
            max_file_bytes: file?,
            spill_bytes: memory?,
        },
        values: ValueLimits {
            max_depth: depth?,
            max_nodes: nodes?,
            max_references: references?,
            max_bytes: value?,
        },
    })
}

fn count(least: u32, most: u32) -> impl Fn(&str) -> Option<u32> {
    move |text| text.parse().ok().filter(|count| (least..=most).contains(count))
}

fn size(least: u64, most: u64) -> impl Fn(&str) -> Option<u64> {
    move |text| bytes(text).filter(|bytes| (least..=most).contains(bytes))
}

/// A size that fits 32 bits.
fn short(least: u64, most: u64) -> impl Fn(&str) -> Option<u32> {
    move |text| size(least, most)(text).and_then(|bytes| bytes.try_into().ok())
}

/// A number of bytes with its unit, such as `64KiB`.
fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("B", 1)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit() {
        for (text, expected) in [
            ("64KiB", Some(64 << 10)),
            ("1GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("7", None),
            ("+7B", None),
            ("KiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!((short(0, 64 * MIB)("64MiB"), short(0, 64 * MIB)("65MiB")), (Some(64 << 20), None));
    }
}

//! The documented configuration file, as the table of keys says it.

use std::fmt::Write;

use super::keys::Key;
use super::sources::example;
use super::table::SECTIONS;
use super::tables::{Absent, TABLES, Table};

const PREFACE: &str = "\
# Every key of the gateway with its default. Take what you need into a file of your own: gateway --config FILE.
#
# Each key is also a flag (queue_wait: --queue-wait) and an environment variable (ISOPOD_QUEUE_WAIT).
# A flag wins over the environment, the environment over this file, this file over the default.
# In variables, several values are separated by commas. Relative paths here are relative to this file.
# `gateway check` says all that is wrong, without starting anything.
";

const WIDTH: usize = 110;

/// The text of `config/gateway.toml`.
pub fn text() -> String {
    let mut text = PREFACE.to_owned();
    for section in SECTIONS {
        let title = format!("# --- {} ", section.title);
        // Writing to a string does not fail.
        let _ = write!(text, "\n{title:-<WIDTH$}\n");
        for key in section.keys {
            let _ = write!(text, "\n{}", entry(key));
        }
    }
    for table in TABLES {
        let _ = write!(text, "\n{}", rows(table));
    }
    text
}

/// What stands between a table's documentation and its example.
const EXAMPLE: &str = "# For example:";

/// A list of tables: its documentation, its fields and, commented out, an example.
fn rows(table: &Table) -> String {
    let title = format!("# --- [[{}]] ", table.name);
    let mut text = format!("{title:-<WIDTH$}\n\n");
    wrap(&format!("{} At most {}, in this file alone.", table.doc, table.most), &mut text);
    for field in table.fields {
        let default = match field.fallback {
            Absent::Required => "Required".to_owned(),
            Absent::Text(text) | Absent::Unset(text) => format!("Default: {text}"),
        };
        wrap(&format!("- {}: {} Takes {}. {default}.", field.name, field.doc, field.takes), &mut text);
    }
    let _ = write!(text, "{EXAMPLE}\n#\n");
    for line in table.example.lines() {
        let _ = writeln!(text, "# {line}");
    }
    text
}

/// A key's documentation and, commented out, its default.
fn entry(key: &Key) -> String {
    let mut entry = String::new();
    for line in [key.doc.to_owned(), format!("Takes {}. Default: {}.", key.kind, key.fallback)] {
        wrap(&line, &mut entry);
    }
    format!("{entry}# {}\n", example(key))
}

fn wrap(text: &str, out: &mut String) {
    let mut column = 0;
    for word in text.split(' ') {
        if column == 0 || column + 1 + word.len() > WIDTH {
            out.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::keys::Fallback;
    use crate::config::sources::Sources;
    use crate::config::table;

    fn tracked() -> String {
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/gateway.toml")).unwrap()
    }

    #[test]
    fn the_tracked_file_is_the_reference() {
        assert!(tracked() == text(), "config/gateway.toml is not up to date; it must be:\n\n{}", text());
    }

    #[test]
    fn every_documented_default_is_the_true_one() {
        let example =
            |line: &str| line.strip_prefix("# ").filter(|line| line.contains(" = ")).map(str::to_owned);
        let keys = tracked().split_once("# --- [[").unwrap().0.to_owned();
        let lines: Vec<_> = keys.lines().filter_map(example).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.path().to_str());
        assert_eq!(sources.problems(), []);
        for key in table::all() {
            let given = sources.get(key.name).unwrap_or_else(|| panic!("{} is not documented", key.name));
            if let Fallback::Text(default) = key.fallback {
                assert_eq!(given.texts, [default], "{}", key.name);
            }
        }
    }

    #[test]
    fn every_example_of_a_table_is_right() {
        let tracked = tracked();
        let (_, tables) = tracked.split_once("# --- [[").unwrap();
        let mut lines =
            vec!["app = \"dist\"\nrenderer_bin = \"/bin/sh\"\nfn_worker_bin = \"/bin/sh\"".to_owned()];
        for part in tables.split("# --- [[") {
            let (_, example) = part.split_once(&format!("{EXAMPLE}\n#\n")).unwrap();
            lines.extend(example.lines().map_while(|line| line.strip_prefix("# ")).map(str::to_owned));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.path().to_str());
        assert!(
            TABLES.iter().all(|table| sources.rows(table.name).is_some_and(|given| !given.rows.is_empty()))
        );
        crate::config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

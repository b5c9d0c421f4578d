//! A mix of requests as a script for wrk.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use xtask::error::Failure;

use crate::traffic::ask::{Ask, Mix};

const SCRIPT: &str = include_str!("mix.lua");

/// Requests until a mix repeats itself.
const ORDER: usize = 1000;

/// Writes the script of a mix; without `checks` its answers are checked by their number of bytes alone.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(directory: &Path, name: &str, asks: &[&Ask], checks: bool) -> Result<PathBuf, Failure> {
    fs::create_dir_all(directory).map_err(Failure::file("create", directory))?;
    let path = directory.join(format!("{name}.lua"));
    fs::write(&path, text(asks, checks)).map_err(Failure::file("write", &path))?;
    Ok(path)
}

fn text(asks: &[&Ask], checks: bool) -> String {
    let mut text = format!("checks = {checks}\nasks = {{\n");
    for ask in asks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {},", table(ask));
    }
    let mut mix = Mix::of(asks.iter().map(|ask| ask.weight));
    let order: Vec<String> = (0..ORDER).map(|_| (mix.next() + 1).to_string()).collect();
    let _ = writeln!(text, "}}\norder = {{ {} }}", order.join(", "));
    text.push_str(SCRIPT);
    text
}

fn table(ask: &Ask) -> String {
    let headers: Vec<String> = ask
        .headers
        .iter()
        .map(|(name, value)| format!("[{}] = {}", quoted(name.as_str().as_bytes()), quoted(value.as_bytes())))
        .collect();
    let body = if ask.body.is_empty() { "nil".to_owned() } else { quoted(&ask.body) };
    let lengths = ask.expected.lengths.clone().unwrap_or(0..=usize::MAX >> 12);
    let holds: Vec<String> = ask.expected.holds.iter().map(|text| quoted(text.as_bytes())).collect();
    format!(
        "{{ method = {}, path = {}, headers = {{ {} }}, body = {body}, least = {}, most = {}, holds = {{ {} }} }}",
        quoted(ask.method.as_str().as_bytes()),
        quoted(ask.path.as_bytes()),
        headers.join(", "),
        lengths.start(),
        lengths.end(),
        holds.join(", ")
    )
}

/// A string of Lua's: everything but plain characters by number.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=31 | 127.. => {
                let _ = write!(text, "\\{byte:03}");
            }
            plain => text.push(char::from(*plain)),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Ask, quoted, text};

    #[test]
    fn a_mix_is_written_with_its_parts() {
        let (mut often, mut seldom) = (Ask::get("/a", HeaderMap::new()), Ask::get("/b", HeaderMap::new()));
        (often.weight, seldom.weight) = (3, 1);
        let script = text(&[&often, &seldom], true);
        let order = script.lines().find(|line| line.starts_with("order")).unwrap();
        assert!((749..=751).contains(&order.matches('1').count()), "{order}");
        assert!((249..=251).contains(&order.matches('2').count()), "{order}");
        assert!(script.contains("path = \"/a\""));
    }

    #[test]
    fn any_bytes_can_be_quoted() {
        assert_eq!(quoted(b"a\"b\\\n\xff"), "\"a\\034b\\092\\010\\255\"");
    }
}

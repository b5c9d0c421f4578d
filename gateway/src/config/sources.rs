//! Where values come from, as raw text: command line, environment, file.

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::{self, VARIABLE_PREFIX};
use super::problem::{Origin, Problem};
use super::{table, tables, value as values};

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "ISOPOD_CONFIG";

/// A key's raw values and their origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The raw values; several only for keys that take several.
    pub texts: Vec<String>,
    /// Where they came from.
    pub origin: Origin,
}

/// The rows of a list of tables and their origin.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenRows {
    /// The rows, as they stand in the file.
    pub rows: Vec<toml::Table>,
    /// The file.
    pub origin: Origin,
}

/// All raw values, the strongest source of each key already chosen, and what could not be read at all.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    values: BTreeMap<&'static str, Given>,
    rows: BTreeMap<&'static str, GivenRows>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Sources {
    /// Joins the three sources; the flag wins over the environment, the environment over the file.
    ///
    /// `flags` holds the raw values of the flags that were given, by key. `file` is `--config`; without it
    /// `ISOPOD_CONFIG` names the file, and without that there is none.
    pub fn gather(
        flags: &BTreeMap<&'static str, Vec<String>>,
        environment: &BTreeMap<String, String>,
        file: Option<&str>,
    ) -> Self {
        let mut sources = Self::default();
        if let Some(path) = file.or(environment.get(CONFIG_VARIABLE).map(String::as_str)) {
            sources.read_file(path);
        }
        sources.read_environment(environment);
        for (name, texts) in flags {
            let flag = name.replace('_', "-");
            sources
                .values
                .insert(name, Given { texts: texts.clone(), origin: Origin::Flag(format!("--{flag}")) });
        }
        sources
    }

    /// The raw values of a key.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.values.get(name)
    }

    /// The rows of a list of tables.
    pub fn rows(&self, name: &str) -> Option<&GivenRows> {
        self.rows.get(name)
    }

    /// What could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What looks like a mistake and need not be one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// An unknown variable is a warning: orchestrators set some of their own (`ISOPOD_SERVICE_HOST` for a
    /// service that is called isopod).
    fn read_environment(&mut self, environment: &BTreeMap<String, String>) {
        for (variable, text) in environment {
            let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
            if variable == CONFIG_VARIABLE {
                continue;
            }
            let Some(key) = table::all().find(|key| key.variable() == *variable) else {
                let nearest = table::nearest(&name.to_ascii_lowercase()).and_then(table::find);
                let hint = nearest.map_or(String::new(), |key| format!(", did you mean {}?", key.variable()));
                self.warnings
                    .push(format!("environment variable {variable} is not one of the gateway's{hint}"));
                continue;
            };
            let origin = Origin::Variable(variable.clone());
            let texts = if key.kind.is_many() { listed(text) } else { vec![text.clone()] };
            self.values.insert(key.name, Given { texts, origin });
        }
    }

    fn read_file(&mut self, path: &str) {
        let origin = || Origin::File(path.to_owned());
        let mut wrong = |given: String, allowed: &str, remedy: &str| {
            let (allowed, remedy) = (allowed.to_owned(), remedy.to_owned());
            self.problems.push(Problem { key: "config".into(), origin: origin(), given, allowed, remedy });
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return wrong(
                    error.to_string(),
                    "a file that can be read",
                    "name another file with --config",
                );
            }
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                let given = error.to_string().trim_end().replace('\n', "\n             ");
                return wrong(given, "TOML", "correct the file where the message points");
            }
        };
        for (name, value) in table {
            self.read_entry(Path::new(path), &name, &value);
        }
    }

    fn read_entry(&mut self, file: &Path, name: &str, value: &toml::Value) {
        let origin = Origin::File(file.display().to_string());
        if let Some(table) = tables::find(name) {
            return self.read_rows(table, value, origin);
        }
        let Some(key) = table::find(name) else {
            return self.unknown(name, origin);
        };
        let texts = match value {
            toml::Value::Array(items) if key.kind.is_many() => items.iter().map(plain).collect(),
            value => plain(value).map(|text| vec![text]),
        };
        match texts {
            Some(texts) => {
                let texts = match key.kind {
                    keys::Kind::Path | keys::Kind::Paths => beside(file, texts),
                    keys::Kind::DirectoryOrOff if texts != [values::OFF] => beside(file, texts),
                    _ => texts,
                };
                self.values.insert(key.name, Given { texts, origin });
            }
            None => self.problems.push(Problem {
                key: name.to_owned(),
                origin,
                given: value.to_string(),
                allowed: key.kind.to_string(),
                remedy: format!("write it as {}", example(key)),
            }),
        }
    }

    fn read_rows(&mut self, table: &'static tables::Table, value: &toml::Value, origin: Origin) {
        let rows = match value {
            toml::Value::Array(items) => items.iter().map(|item| item.as_table().cloned()).collect(),
            _ => None,
        };
        let rows: Option<Vec<toml::Table>> = rows;
        let fits = |rows: &Vec<toml::Table>| rows.len() <= table.most;
        match rows.filter(fits) {
            Some(rows) => {
                self.rows.insert(table.name, GivenRows { rows, origin });
            }
            None => self.problems.push(Problem {
                key: table.name.to_owned(),
                origin,
                given: value.as_array().map_or(value.to_string(), |items| format!("{} entries", items.len())),
                allowed: format!("at most {} tables, each below its own [[{}]]", table.most, table.name),
                remedy: format!(
                    "write them as in:\n             {}",
                    table.example.trim_end().replace('\n', "\n             ")
                ),
            }),
        }
    }

    fn unknown(&mut self, name: &str, origin: Origin) {
        let remedy = match table::nearest(name) {
            Some(nearest) => format!("did you mean {nearest}? Correct or remove it"),
            None => "remove it; `gateway --help` lists every key".to_owned(),
        };
        self.problems.push(Problem {
            key: name.to_owned(),
            origin,
            given: "a key that does not exist".into(),
            allowed: "the keys of config/gateway.toml".into(),
            remedy,
        });
    }
}

/// Relative paths in a file are relative to that file, wherever the gateway is started.
fn beside(file: &Path, texts: Vec<String>) -> Vec<String> {
    let folder = file.parent().unwrap_or(Path::new(""));
    texts.into_iter().map(|text| folder.join(text).display().to_string()).collect()
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn listed(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A line for the file, with the default or a plausible value; the same on every machine.
pub fn example(key: &keys::Key) -> String {
    let text = match key.fallback {
        keys::Fallback::Cores { .. } => Some("4".to_owned()),
        fallback => fallback.text(),
    };
    match key.kind {
        keys::Kind::Count { .. } | keys::Kind::Switch => {
            format!("{} = {}", key.name, text.unwrap_or_default())
        }
        kind if kind.is_many() => format!("{} = [\"...\"]", key.name),
        _ => format!("{} = {:?}", key.name, text.as_deref().unwrap_or("...")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = file("renderers = 1\nisolates = 1\nfn_workers = 1");
        let flags = BTreeMap::from([("renderers", vec!["3".to_owned()])]);
        let environment = environment(&[("ISOPOD_RENDERERS", "2"), ("ISOPOD_ISOLATES", "2")]);
        let sources = Sources::gather(&flags, &environment, file.path().to_str());
        assert_eq!(sources.problems(), []);
        assert_eq!(sources.get("renderers").unwrap().texts, ["3"]);
        assert_eq!(sources.get("isolates").unwrap().texts, ["2"]);
        assert_eq!(sources.get("fn_workers").unwrap().texts, ["1"]);
        assert_eq!(sources.get("threads"), None);
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_known_one() {
        let file = file("rendrers = 1");
        let environment = environment(&[("ISOPOD_LISTN", "x"), ("PATH", "/bin")]);
        let sources = Sources::gather(&BTreeMap::new(), &environment, file.path().to_str());
        let [problem] = sources.problems() else { panic!("{:?}", sources.problems()) };
        assert!(problem.remedy.contains("renderers"), "{problem}");
        let [warning] = sources.warnings() else { panic!("{:?}", sources.warnings()) };
        assert!(warning.contains("ISOPOD_LISTEN?"), "{warning}");
    }

    #[test]
    fn lists_come_from_arrays_and_from_commas() {
        let file = file("trusted_proxy = [\"10.0.0.0/8\", \"::1\"]");
        let environment = environment(&[("ISOPOD_ENV", "A, B_*,")]);
        let sources = Sources::gather(&BTreeMap::new(), &environment, file.path().to_str());
        assert_eq!(sources.get("trusted_proxy").unwrap().texts, ["10.0.0.0/8", "::1"]);
        assert_eq!(sources.get("env").unwrap().texts, ["A", "B_*"]);
    }

    #[test]
    fn a_path_in_a_file_is_relative_to_the_file() {
        let file = file("app = \"dist\"\nlisten = 1.5");
        let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.path().to_str());
        let expected = file.path().with_file_name("dist");
        assert_eq!(sources.get("app").unwrap().texts, [expected.display().to_string()]);
        assert_eq!(sources.problems()[0].key, "listen");
    }

    #[test]
    fn a_file_that_is_not_there_or_not_toml_is_a_problem_among_others() {
        let broken = file("renderers = = 1");
        for path in ["/nowhere/gateway.toml", broken.path().to_str().unwrap()] {
            let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), Some(path));
            assert_eq!(sources.problems().len(), 1);
            assert_eq!(sources.problems()[0].key, "config");
        }
    }
}

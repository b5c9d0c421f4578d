//! Reads typed values out of raw ones and keeps every problem until the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::{Key, Kind};
use super::problem::{Origin, Problem, Problems};
use super::rows::Row;
use super::sources::{Given, Sources, example};
use super::{table, tables, value};

/// Reads values key by key. A wrong value yields `None` and is remembered, so that reading goes on.
#[derive(Debug)]
pub struct Reader<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader of these sources.
    pub fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: sources.problems().to_vec() }
    }

    /// What looked like a mistake and need not be one.
    pub fn warnings(&self) -> Vec<String> {
        self.sources.warnings().to_vec()
    }

    /// The settings, or all problems.
    ///
    /// # Errors
    /// When any value was wrong.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, Problems> {
        debug_assert!(settings.is_some() || !self.problems.is_empty(), "a value is missing without a word");
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(Problems(self.problems)),
        }
    }

    /// Remembers a problem with the value of `name` that only shows beside other values.
    pub fn refuse(&mut self, name: &str, given: String, allowed: String, remedy: String) {
        let origin = self.sources.get(name).map_or(Origin::Default, |given| given.origin.clone());
        self.problems.push(Problem { key: name.to_owned(), origin, given, allowed, remedy });
    }

    /// Remembers a problem with one row of a list of tables that only shows beside other rows.
    pub fn refuse_row(
        &mut self,
        name: &str,
        field: &str,
        row: usize,
        given: String,
        allowed: String,
        remedy: String,
    ) {
        let origin = self.sources.rows(name).map_or(Origin::Default, |given| given.origin.clone());
        let key = format!("{name}.{field}, row {row}");
        self.problems.push(Problem { key, origin, given, allowed, remedy });
    }

    /// A socket address.
    pub fn address(&mut self, name: &'static str) -> Option<SocketAddr> {
        self.one(name, |_, text| value::address(text))
    }

    /// Yes or no.
    pub fn switch(&mut self, name: &'static str) -> Option<bool> {
        self.one(name, |_, text| value::switch(text))
    }

    /// Flags of V8.
    pub fn v8_flags(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.many(name, value::v8_flag)
    }

    /// Where clients connect.
    pub fn listen(&mut self, name: &'static str) -> Option<value::Listen> {
        self.one(name, |_, text| value::listen(text))
    }

    /// Paths of files.
    pub fn paths(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        self.many(name, |text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    /// A whole number.
    pub fn count(&mut self, name: &'static str) -> Option<usize> {
        self.one(name, |kind, text| {
            let Kind::Count { min, max } = kind else { return None };
            text.parse().ok().filter(|number| (min..=max).contains(number))
        })
    }

    /// A time.
    pub fn time(&mut self, name: &'static str) -> Option<Duration> {
        self.one(name, |kind, text| {
            let Kind::Time { min, max } = kind else { return None };
            value::duration(text).filter(|time| (min..=max).contains(time))
        })
    }

    /// A number of bytes.
    pub fn size(&mut self, name: &'static str) -> Option<u64> {
        self.one(name, |kind, text| {
            let Kind::Size { min, max } = kind else { return None };
            value::bytes(text).filter(|bytes| (min..=max).contains(bytes))
        })
    }

    /// A path prefix, empty for the root.
    pub fn base_path(&mut self, name: &'static str) -> Option<String> {
        self.one(name, |_, text| value::base_path(text))
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.one(name, |_, text| parse(text))
    }

    /// A path, if one was given; whether it must be is the caller's to say.
    pub fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let given = self.sources.get(name)?;
        match given.texts.as_slice() {
            [text] if !text.is_empty() => Some(PathBuf::from(text)),
            _ => {
                self.wrong(table::find(name)?, given);
                None
            }
        }
    }

    /// Whether a value was given at all, right or wrong.
    pub fn is_given(&self, name: &str) -> bool {
        self.sources.get(name).is_some()
    }

    /// The rows of a list of tables, each read by `read`; `None` when any was wrong.
    pub fn rows<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Row<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let table = tables::find(name)?;
        let Some(given) = self.sources.rows(name) else { return Some(Vec::new()) };
        let mut values = Some(Vec::with_capacity(given.rows.len()));
        for (index, row) in given.rows.iter().enumerate() {
            let mut row = Row::new(table, index + 1, row, &given.origin);
            let value = read(&mut row);
            let problems = row.into_problems();
            debug_assert!(value.is_some() || !problems.is_empty(), "a row is missing without a word");
            values = values.zip(value).filter(|_| problems.is_empty()).map(|(mut values, value)| {
                values.push(value);
                values
            });
            self.problems.extend(problems);
        }
        values
    }

    /// Texts, each as `parse` understands it.
    pub fn texts<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.many(name, parse)
    }

    /// Names of environment variables.
    pub fn env_patterns(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.many(name, value::env_pattern)
    }

    /// Networks.
    pub fn networks(&mut self, name: &'static str) -> Option<Vec<IpNet>> {
        self.many(name, value::network)
    }

    fn one<T>(&mut self, name: &'static str, parse: impl Fn(Kind, &str) -> Option<T>) -> Option<T> {
        let key = table::find(name)?;
        let Some(given) = self.sources.get(name) else {
            return key.fallback.text().and_then(|text| parse(key.kind, &text));
        };
        let value = match given.texts.as_slice() {
            [text] => parse(key.kind, text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, given);
        }
        value
    }

    /// Texts that `parse` understands; none if the key was not given.
    pub fn many<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let key = table::find(name)?;
        let Some(given) = self.sources.get(name) else { return Some(Vec::new()) };
        // Flags may be repeated and may hold commas.
        let texts = || given.texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        let values = texts().map(|text| parse(text).ok_or(text)).collect::<Result<Vec<_>, _>>();
        match values {
            Ok(values) => Some(values),
            Err(wrong) => {
                self.wrong(key, &Given { texts: vec![wrong.to_owned()], origin: given.origin.clone() });
                None
            }
        }
    }

    fn wrong(&mut self, key: &Key, given: &Given) {
        let remedy = match &given.origin {
            Origin::Flag(flag) => match key.fallback.text() {
                Some(text) => format!("for example {flag} {text}"),
                None => format!("correct {flag}, or leave it out"),
            },
            Origin::Variable(name) => format!("set {name} to such a value, or unset it"),
            Origin::File(_) | Origin::Default => format!("for example: {}", example(key)),
        };
        let once = given.texts.len() > 1 && !key.kind.is_many();
        self.problems.push(Problem {
            key: key.name.to_owned(),
            origin: given.origin.clone(),
            given: given.texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" and "),
            allowed: if once { format!("{}, once", key.kind) } else { key.kind.to_string() },
            remedy,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn flags(pairs: &[(&'static str, &str)]) -> Sources {
        let flags = pairs.iter().map(|(name, text)| (*name, vec![(*text).to_owned()])).collect();
        Sources::gather(&flags, &BTreeMap::new(), None)
    }

    #[test]
    fn every_default_is_a_value_that_its_key_takes() {
        let sources = Sources::default();
        let mut reader = Reader::new(&sources);
        for key in table::all().filter(|key| key.fallback.text().is_some()) {
            let fine = match key.kind {
                Kind::Address => reader.address(key.name).is_some(),
                Kind::Switch => reader.switch(key.name).is_some(),
                Kind::Listen => reader.listen(key.name).is_some(),
                Kind::Count { .. } => reader.count(key.name).is_some(),
                Kind::Time { .. } => reader.time(key.name).is_some(),
                Kind::Size { .. } => reader.size(key.name).is_some(),
                Kind::BasePath => reader.base_path(key.name).is_some(),
                Kind::RequestPath => reader.parsed(key.name, value::request_path).is_some(),
                Kind::SubjectPrefix => reader.parsed(key.name, ::remote::subject::Subjects::new).is_some(),
                Kind::Choice(words) => {
                    reader.parsed(key.name, |text| words.contains(&text).then_some(())).is_some()
                }
                Kind::LogFilter => {
                    reader.parsed(key.name, |text| shared::logging::check_filter(text).ok()).is_some()
                }
                Kind::Path
                | Kind::Paths
                | Kind::DirectoryOrOff
                | Kind::EnvPatterns
                | Kind::Networks
                | Kind::EgressRules
                | Kind::Origins
                | Kind::Patterns
                | Kind::RedisUrl
                | Kind::NatsServers
                | Kind::Text
                | Kind::V8Flags => false,
            };
            assert!(fine, "{}", key.name);
        }
    }

    #[test]
    fn wrong_values_are_all_reported_each_with_what_to_do() {
        let sources =
            flags(&[("renderers", "zero"), ("queue_wait", "250"), ("trusted_proxy", "::1,10.0.0.0/99")]);
        let mut reader = Reader::new(&sources);
        assert_eq!(reader.count("renderers"), None);
        assert_eq!(reader.time("queue_wait"), None);
        assert_eq!(reader.networks("trusted_proxy"), None);
        let text = reader.finish(None::<()>).unwrap_err().to_string();
        for part in
            ["3 problems", "renderers (flag --renderers)", "\"zero\"", "1 to 256", "--queue-wait 250ms"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("given:   \"10.0.0.0/99\""), "{text}");
    }
}

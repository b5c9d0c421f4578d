//! Reads the rows of a list of tables and keeps every problem, as [`super::read`] does for single values.

use std::fmt::Display;

use super::problem::{Origin, Problem};
use super::tables::{Absent, Field, Table};

/// One row of a list of tables.
#[derive(Debug)]
pub struct Row<'a> {
    table: &'static Table,
    number: usize,
    values: &'a toml::Table,
    origin: &'a Origin,
    problems: Vec<Problem>,
}

impl<'a> Row<'a> {
    /// The row `number`, from 1 on. Fields that do not exist are a problem at once.
    pub fn new(table: &'static Table, number: usize, values: &'a toml::Table, origin: &'a Origin) -> Self {
        let mut row = Self { table, number, values, origin, problems: Vec::new() };
        for name in values.keys().filter(|name| table.field(name).is_none()) {
            let known: Vec<_> = table.fields.iter().map(|field| field.name).collect();
            let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
            let remedy = nearest
                .map_or(String::new(), |nearest| format!("did you mean {nearest}? Correct or remove it"));
            row.problem(name, "a field that does not exist".into(), known.join(", "), remedy);
        }
        row
    }

    /// What was wrong with it.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A field's text as `parse` understands it; the fallback's where the row does not have it.
    pub fn parsed<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.checked(name, |text| parse(text).ok_or(""))
    }

    /// Like [`Self::parsed`], with the reason for what is refused.
    pub fn checked<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let field = self.table.field(name)?;
        let text = match (self.values.get(name), field.fallback) {
            (Some(value), _) => match plain(value) {
                Some(text) => text,
                None => return self.wrong(field, value.to_string(), ""),
            },
            (None, Absent::Text(text)) => text.to_owned(),
            (None, _) => return self.wrong(field, "nothing".into(), ""),
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => self.wrong(field, format!("{text:?}"), &reason.to_string()),
        }
    }

    /// A field that a row need not have.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.values.contains_key(name) { self.parsed(name, parse).map(Some) } else { Some(None) }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.parsed(name, |text| text.parse().ok())
    }

    /// A list of texts, each as `parse` understands it. The fallback's items are separated by commas.
    pub fn list<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let field = self.table.field(name)?;
        let texts: Vec<String> = match (self.values.get(name), field.fallback) {
            (Some(toml::Value::Array(items)), _) => match items.iter().map(plain).collect() {
                Some(texts) => texts,
                None => return self.wrong(field, format!("{items:?}"), ""),
            },
            (Some(value), _) => return self.wrong(field, value.to_string(), "it is no list"),
            (None, Absent::Text(text)) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            (None, Absent::Unset(_)) => return Some(Vec::new()),
            (None, Absent::Required) => return self.wrong(field, "nothing".into(), ""),
        };
        if texts.is_empty() && field.fallback == Absent::Required {
            return self.wrong(field, "an empty list".into(), "");
        }
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse(text) {
                Some(value) => values.push(value),
                None => return self.wrong(field, format!("{text:?}"), ""),
            }
        }
        Some(values)
    }

    /// A table of names and values; several values of one name are a list.
    pub fn pairs<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let field = self.table.field(name)?;
        let table = match self.values.get(name) {
            None => return Some(Vec::new()),
            Some(toml::Value::Table(table)) => table,
            Some(value) => return self.wrong(field, value.to_string(), "it is no table"),
        };
        let mut pairs = Vec::new();
        for (key, value) in table {
            let values = match value {
                toml::Value::Array(items) => items.iter().map(plain).collect(),
                value => plain(value).map(|text| vec![text]),
            };
            let values: Option<Vec<T>> =
                values.and_then(|values| values.iter().map(|value| parse(key, value)).collect());
            match values {
                Some(values) => pairs.extend(values),
                None => return self.wrong(field, format!("{key} = {value}"), "a name or value is none"),
            }
        }
        Some(pairs)
    }

    /// Refuses the row for what only shows beside other fields or rows.
    pub fn refuse<T>(&mut self, name: &str, given: String, allowed: String, remedy: String) -> Option<T> {
        self.problem(name, given, allowed, remedy);
        None
    }

    fn wrong<T>(&mut self, field: &Field, given: String, reason: &str) -> Option<T> {
        let given = if reason.is_empty() { given } else { format!("{given}: {reason}") };
        let remedy = format!(
            "write it as in:\n             {}",
            self.table.example.trim_end().replace('\n', "\n             ")
        );
        self.problem(field.name, given, field.takes.to_owned(), remedy);
        None
    }

    fn problem(&mut self, field: &str, given: String, allowed: String, remedy: String) {
        let key = format!("{}.{field}, row {}", self.table.name, self.number);
        self.problems.push(Problem { key, origin: self.origin.clone(), given, allowed, remedy });
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

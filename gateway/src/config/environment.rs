//! Which environment variables the app sees.

use std::collections::BTreeMap;

/// The variables of `environment` that `patterns` name. `NODE_ENV` is `production` unless a pattern names it and
/// it is set.
pub fn visible(patterns: &[String], environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let named = |variable: &str| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => variable.starts_with(start),
            None => variable == pattern,
        })
    };
    let mut visible = BTreeMap::from([("NODE_ENV".to_owned(), "production".to_owned())]);
    visible.extend(
        environment.iter().filter(|(name, _)| named(name)).map(|(name, text)| (name.clone(), text.clone())),
    );
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(patterns: &[&str]) -> Vec<(String, String)> {
        let environment = [("APP_A", "1"), ("APP_B", "2"), ("NODE_ENV", "test"), ("SECRET", "x")];
        let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        visible(&patterns, &environment).into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn nothing_is_visible_that_was_not_named() {
        assert_eq!(seen(&[]), pairs(&[("NODE_ENV", "production")]));
        assert_eq!(seen(&["APP_B"]), pairs(&[("APP_B", "2"), ("NODE_ENV", "production")]));
        assert_eq!(seen(&["APP_*"]), pairs(&[("APP_A", "1"), ("APP_B", "2"), ("NODE_ENV", "production")]));
    }

    #[test]
    fn node_env_can_be_passed_on() {
        assert_eq!(seen(&["NODE_ENV"]), pairs(&[("NODE_ENV", "test")]));
    }
}

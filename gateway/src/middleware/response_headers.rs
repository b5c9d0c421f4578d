//! Header fields that the configuration gives responses, and takes from them.

use actix_web::http::header::{self, HeaderMap};

use crate::config::edge::{HeaderRule, Security};

/// Which of at most 128 rules a request falls under: a bit for each. Not one number of 16 bytes, whose alignment would make
/// the allocation of each future around it a dear one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matching([u64; 2]);

impl Matching {
    /// The rules that this path falls under.
    pub fn of(rules: &[HeaderRule], path: &str) -> Self {
        let mut matching = Self::default();
        for (at, _) in rules.iter().enumerate().filter(|(_, rule)| rule.path.find(path).is_some()) {
            if let Some(bits) = matching.0.get_mut(at / 64) {
                *bits |= 1 << (at % 64);
            }
        }
        matching
    }

    fn holds(self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    /// Applies them, in their order.
    pub fn apply(self, rules: &[HeaderRule], headers: &mut HeaderMap) {
        if self.0 == [0; 2] {
            return;
        }
        for (_, rule) in rules.iter().enumerate().filter(|(at, _)| self.holds(*at)) {
            rule.remove.iter().for_each(|name| drop(headers.remove(name)));
            // Several values of one name replace the old ones together.
            rule.set.iter().for_each(|(name, _)| drop(headers.remove(name)));
            for (name, value) in rule.set.iter().chain(&rule.add) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
}

/// Adds the security fields that a response lacks.
pub fn secure(security: &Security, is_secure: bool, headers: &mut HeaderMap) {
    for (name, value) in &security.fields {
        if !headers.contains_key(name) {
            // There is none to replace, and no look for one.
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(hsts) = security.hsts.as_ref().filter(|_| is_secure)
        && !headers.contains_key(header::STRICT_TRANSPORT_SECURITY)
    {
        headers.append(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use shared::route::{Pattern, Policy, TreeBuilder};

    use super::*;

    fn rule(path: &str, set: &[(&'static str, &'static str)], remove: &[&'static str]) -> HeaderRule {
        let mut tree = TreeBuilder::new(Policy::default());
        tree.insert(Pattern::parse(path).unwrap(), ()).unwrap();
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let remove = remove.iter().map(|name| HeaderName::from_static(name)).collect();
        HeaderRule { path: tree.build(), set: set.iter().map(field).collect(), add: vec![], remove }
    }

    #[test]
    fn all_rules_that_match_apply_in_order() {
        let mut rules = vec![
            rule("/$", &[("x-a", "1"), ("x-b", "1")], &["server"]),
            rule("/other", &[("x-a", "2")], &[]),
            rule("/p/$id", &[("x-a", "3"), ("x-a", "4")], &[]),
        ];
        rules[2].add.push((HeaderName::from_static("x-b"), HeaderValue::from_static("2")));
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, HeaderValue::from_static("own"));
        Matching::of(&rules, "/p/7").apply(&rules, &mut headers);
        let values = |name: &str| -> Vec<String> {
            headers.get_all(name).map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            (values("x-a"), values("x-b"), values("server")),
            (vec!["3".into(), "4".into()], vec!["1".into(), "2".into()], vec![])
        );
    }

    #[test]
    fn so_many_rules_are_told_apart() {
        let mut rules: Vec<_> = (0..128).map(|number| rule(&format!("/{}", number % 3), &[], &[])).collect();
        for (number, rule) in rules.iter_mut().enumerate() {
            let value = HeaderValue::from_str(&number.to_string()).unwrap();
            rule.add.push((HeaderName::from_static("x-rule"), value));
        }
        let mut headers = HeaderMap::new();
        Matching::of(&rules, "/1").apply(&rules, &mut headers);
        let numbers: Vec<usize> =
            headers.get_all("x-rule").map(|value| value.to_str().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (1..128).step_by(3).collect::<Vec<_>>());
    }

    #[test]
    fn the_apps_own_word_counts_and_tls_is_asked_for_over_tls() {
        let field = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let fields = vec![field("referrer-policy", "a"), field("x-content-type-options", "nosniff")];
        let security = Security { fields, hsts: Some(HeaderValue::from_static("max-age=1")) };
        let mut headers = HeaderMap::new();
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("own"));
        secure(&security, false, &mut headers);
        assert_eq!(headers.get("referrer-policy").unwrap(), "own");
        assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
        assert!(!headers.contains_key("strict-transport-security"));
        secure(&security, true, &mut headers);
        assert_eq!(headers.get("strict-transport-security").unwrap(), "max-age=1");
    }
}

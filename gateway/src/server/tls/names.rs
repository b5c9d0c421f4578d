//! Which certificate fits the name that a client asks for (RFC 9525 section 6.3). Pure.

/// Whether one of a certificate's names is `wanted`, or a wildcard for it.
pub fn any_fits(names: &[String], wanted: &str) -> bool {
    names.iter().any(|name| fits(name, wanted))
}

/// A `*` stands for exactly one label, the leftmost.
fn fits(name: &str, wanted: &str) -> bool {
    let wanted = wanted.strip_suffix('.').unwrap_or(wanted);
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(wanted),
        Some(parent) => wanted
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, wanted, expected) in [
            ("shop.example", "shop.example", true),
            ("shop.example", "SHOP.Example.", true),
            ("*.shop.example", "de.shop.example", true),
            ("*.shop.example", "a.de.shop.example", false),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", ".shop.example", false),
            ("shop.example", "example", false),
        ] {
            assert_eq!(fits(name, wanted), expected, "{name} for {wanted}");
        }
    }
}

//! The subjects that gateways and workers meet at. All begin with one prefix, so that an account may be given rights
//! over it alone, and several clusters may share a server.

use std::fmt::Write as _;

/// The prefix unless another is configured.
pub const DEFAULT_PREFIX: &str = "isopod";

/// The longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// All subjects below one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Subjects {
    /// The subjects below `prefix`: tokens of letters, digits, `-` and `_`, with dots between them. `None` for
    /// anything else.
    pub fn new(prefix: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(plain);
        let fits = prefix.len() <= MAX_PREFIX_BYTES && prefix.split('.').all(is_token);
        fits.then(|| Self { prefix: prefix.to_owned() })
    }

    /// The prefix; also the name of the workers' queue group.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where calls of a function open. A queue group takes them.
    pub fn function(&self, name: &str) -> String {
        format!("{}.fn.{name}", self.prefix)
    }

    /// Where requests of a route open. A queue group takes them.
    pub fn route(&self, pattern: &str) -> String {
        let mut subject = format!("{}.route.", self.prefix);
        for byte in pattern.bytes() {
            match byte {
                b'.' | b'*' | b'>' | b'%' | 0..=b' ' | 0x7f.. => {
                    // Writing to a string does not fail.
                    let _ = write!(subject, "%{byte:02X}");
                }
                plain => subject.push(char::from(plain)),
            }
        }
        subject
    }

    /// Where one worker is reached.
    pub fn worker(&self, instance: &str) -> String {
        format!("{}.at.{instance}", self.prefix)
    }

    /// What a gateway thread's answers begin with.
    pub fn inbox(&self, name: &str) -> String {
        format!("{}.to.{name}", self.prefix)
    }

    /// Where workers say who they are.
    pub fn announcements(&self) -> String {
        format!("{}.announce", self.prefix)
    }

    /// Where gateways ask for that.
    pub fn hello(&self) -> String {
        format!("{}.hello", self.prefix)
    }
}

/// Whether calls of a function of this name can have a subject: no part between its dots is empty.
pub fn is_subject(name: &str) -> bool {
    name.split('.').all(|token| !token.is_empty())
}

/// A name that nobody else has: 128 random bits.
pub fn unique_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_made_of_plain_tokens() {
        assert_eq!(Subjects::new("shop.eu-1").unwrap().function("threads.list"), "shop.eu-1.fn.threads.list");
        for bad in ["", ".", "a.", "a b", "a.*", "a.>", "\u{e9}", &"a".repeat(65)] {
            assert_eq!(Subjects::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_route_is_one_token_whatever_its_pattern() {
        let subjects = Subjects::new(DEFAULT_PREFIX).unwrap();
        assert_eq!(subjects.route("/threads/$id"), "isopod.route./threads/$id");
        assert_eq!(subjects.route("/a[.]b *>%\u{e9}"), "isopod.route./a[%2E]b%20%2A%3E%25%C3%A9");
    }

    #[test]
    fn a_function_with_an_empty_part_has_no_subject() {
        assert!(is_subject("threads.list") && is_subject("a-b_c"));
        assert!(!is_subject("a..b") && !is_subject(".a") && !is_subject("a."));
    }
}

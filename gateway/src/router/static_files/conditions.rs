//! What a conditional or ranged request is due (RFC 9110 sections 13 and 14). Pure.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};

use super::index::Entry;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes; never empty.
    Part(Range<u64>),
    /// 304.
    NotModified,
    /// 416.
    Unsatisfiable,
}

/// What a GET or HEAD with these header fields is due.
pub fn due(method: &Method, headers: &HeaderMap, entry: &Entry) -> Due {
    if is_known(headers, entry) {
        return Due::NotModified;
    }
    let Some(range) = text(headers, &header::RANGE).filter(|_| *method == Method::GET) else {
        return Due::Whole;
    };
    if !range_applies(headers, entry) {
        return Due::Whole;
    }
    match parse_range(range, entry.length) {
        Parsed::Range(range) => Due::Part(range),
        Parsed::Unsatisfiable => Due::Unsatisfiable,
        // A range that is not understood is ignored (section 14.2), and so are several at once.
        Parsed::Ignored => Due::Whole,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the client has this content; tags count before dates.
fn is_known(headers: &HeaderMap, entry: &Entry) -> bool {
    let mut tags = headers.get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).peekable();
    if tags.peek().is_some() {
        let weak = |tag: &str| tag.trim().trim_start_matches("W/") == entry.tag();
        return tags.any(|list| list.trim() == "*" || list.split(',').any(weak));
    }
    let since =
        text(headers, &header::IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
    since.is_some_and(|since| seconds(entry.modified) <= seconds(since))
}

/// `If-Range`: the range counts only for the content that the client has a part of.
fn range_applies(headers: &HeaderMap, entry: &Entry) -> bool {
    match text(headers, &header::IF_RANGE) {
        None => true,
        Some(tag) if tag.starts_with(['"', 'W']) && tag.ends_with('"') => tag == entry.tag(),
        Some(date) => {
            httpdate::parse_http_date(date).is_ok_and(|date| seconds(date) == seconds(entry.modified))
        }
    }
}

/// HTTP's dates have whole seconds.
fn seconds(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(since.as_secs())
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Range(Range<u64>),
    Unsatisfiable,
    Ignored,
}

fn parse_range(text: &str, length: u64) -> Parsed {
    let one = || {
        let (unit, spec) = text.split_once('=')?;
        let (first, last) = spec.trim().split_once('-')?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            // Beyond what fits is beyond every file.
            is_number.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
        };
        let (first, last) = match (first, last) {
            ("", last) => (length.saturating_sub(number(last)?), length),
            (first, "") => (number(first)?, length),
            (first, last) => (number(first)?, number(last)?.saturating_add(1)),
        };
        (unit.trim().eq_ignore_ascii_case("bytes") && (first < last || last >= length))
            .then_some((first, last))
    };
    match one() {
        None => Parsed::Ignored,
        Some((first, _)) if first >= length => Parsed::Unsatisfiable,
        Some((first, last)) => Parsed::Range(first..last.min(length)),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry::in_memory(
            "a.txt",
            "0123456789".into(),
            SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_500),
        )
    }

    fn asked(fields: &[(&str, &str)]) -> Due {
        asked_by(&Method::GET, fields)
    }

    fn asked_by(method: &Method, fields: &[(&str, &str)]) -> Due {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        due(method, &headers, &entry())
    }

    const ITS_DATE: &str = "Fri, 02 Jan 1970 00:00:00 GMT";
    const EARLIER: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

    #[test]
    fn tags_count_before_dates() {
        let tag = entry().tag().to_owned();
        assert_eq!(asked(&[("if-none-match", &tag)]), Due::NotModified);
        assert_eq!(asked(&[("if-none-match", &format!("\"x\", W/{tag}"))]), Due::NotModified);
        assert_eq!(asked(&[("if-none-match", "*")]), Due::NotModified);
        assert_eq!(asked(&[("if-none-match", "\"x\""), ("if-modified-since", ITS_DATE)]), Due::Whole);
        assert_eq!(asked(&[("if-modified-since", ITS_DATE)]), Due::NotModified);
        assert_eq!(asked(&[("if-modified-since", EARLIER)]), Due::Whole);
        assert_eq!(asked(&[("if-modified-since", "yesterday")]), Due::Whole);
    }

    #[test]
    fn single_ranges_are_served() {
        for (range, expected) in [
            ("bytes=0-0", Due::Part(0..1)),
            ("bytes=2-", Due::Part(2..10)),
            ("bytes=-3", Due::Part(7..10)),
            ("bytes=-30", Due::Part(0..10)),
            ("bytes=5-99", Due::Part(5..10)),
            ("BYTES=5-6", Due::Part(5..7)),
            ("bytes=0-18446744073709551615", Due::Part(0..10)),
            ("bytes=10-", Due::Unsatisfiable),
            ("bytes=-0", Due::Unsatisfiable),
            ("bytes=99999999999999999999-", Due::Unsatisfiable),
            ("bytes=5-2", Due::Whole),
            ("bytes=a-b", Due::Whole),
            ("bytes=-", Due::Whole),
            ("bytes=+1-2", Due::Whole),
            ("lines=1-2", Due::Whole),
            ("bytes=0-1,4-5", Due::Whole),
        ] {
            assert_eq!(asked(&[("range", range)]), expected, "{range}");
        }
        assert_eq!(asked_by(&Method::HEAD, &[("range", "bytes=0-1")]), Due::Whole);
    }

    #[test]
    fn a_range_of_other_content_is_the_whole() {
        let tag = entry().tag().to_owned();
        let with = |condition: &str| asked(&[("range", "bytes=0-1"), ("if-range", condition)]);
        assert_eq!(with(&tag), Due::Part(0..2));
        assert_eq!(with(&format!("W/{tag}")), Due::Whole);
        assert_eq!(with("\"x\""), Due::Whole);
        assert_eq!(with(ITS_DATE), Due::Part(0..2));
        assert_eq!(with(EARLIER), Due::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(text in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0u64..200) {
            if let Parsed::Range(range) = parse_range(&text, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}

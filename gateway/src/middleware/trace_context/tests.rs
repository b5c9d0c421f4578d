//! The rules of W3C Trace Context, with the cases of its own test suite (`w3c/trace-context`, `test/test.py`).

use std::collections::HashSet;

use super::*;

const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

const ANY: TraceSettings = TraceSettings { trust: TraceTrust::Any, sampled_percent: 100, in_response: false };

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// What goes on of a request with these fields: the trace's id and the `tracestate`, where they are kept.
fn passed(fields: &[(&str, &str)]) -> (Option<String>, String) {
    let mut headers = headers(fields);
    let trace = Trace::of(ANY, &headers, false).unwrap();
    headers.retain(|name, _| !trace.replaces(name.as_str()));
    assert!(!headers.contains_key(&TRACEPARENT));
    let (id, _, _) = parse(&trace.traceparent()).unwrap();
    assert_eq!(halves(id), trace.id);
    let states: Vec<_> = headers.get_all(&TRACESTATE).map(|value| value.to_str().unwrap()).collect();
    (trace.parent.map(|_| trace.id().to_string()), states.join(","))
}

fn is_continued(traceparent: &str) -> bool {
    passed(&[("traceparent", traceparent)]).0.is_some()
}

#[test]
fn a_trace_is_continued_in_a_span_of_its_own() {
    let trace = Trace::of(ANY, &headers(&[("traceparent", PARENT)]), false).unwrap();
    let passed = trace.to_header();
    let passed = passed.to_str().unwrap();
    assert_eq!(&passed[..36], &PARENT[..36]);
    assert_ne!(&passed[36..52], &PARENT[36..52], "the parent of those downstream is this request");
    assert_eq!(&passed[36..52], trace.span().to_string());
    assert_eq!(trace.parent().unwrap().to_string(), "1234567890123456");
    assert_eq!(&passed[52..], "-01");
}

#[test]
fn without_one_a_new_one_begins() {
    assert_eq!(passed(&[]), (None, String::new()));
    let traces: HashSet<_> = (0..1000).map(|_| Trace::of(ANY, &headers(&[]), false).unwrap().id).collect();
    assert_eq!(traces.len(), 1000);
}

#[test]
fn a_version_that_is_not_known_is_read_as_far_as_it_is() {
    assert!(is_continued("cc-12345678901234567890123456789012-1234567890123456-01"));
    assert!(is_continued(
        "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like"
    ));
    for wrong in [
        "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
        "cc-12345678901234567890123456789012-1234567890123456-01.",
        "ff-12345678901234567890123456789012-1234567890123456-01",
    ] {
        assert!(!is_continued(wrong), "{wrong}");
    }
}

#[test]
fn what_is_not_as_it_should_be_begins_a_new_trace() {
    for wrong in [
        // Version: illegal characters, too short, too long.
        ".0-12345678901234567890123456789012-1234567890123456-01",
        "0.-12345678901234567890123456789012-1234567890123456-01",
        "000-12345678901234567890123456789012-1234567890123456-01",
        "0000-12345678901234567890123456789012-1234567890123456-01",
        "0-12345678901234567890123456789012-1234567890123456-01",
        // The first version has nothing behind its flags.
        "00-12345678901234567890123456789012-1234567890123456-01-",
        "00-12345678901234567890123456789012-1234567890123456-01.",
        // Trace id: all zeros, illegal characters, too long, too short.
        "00-00000000000000000000000000000000-1234567890123456-01",
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901.-1234567890123456-01",
        "00-123456789012345678901234567890123-1234567890123456-01",
        "00-1234567890123456789012345678901-1234567890123456-01",
        "00-1234567890ABCDEF1234567890ABCDEF-1234567890123456-01",
        // Parent id.
        "00-12345678901234567890123456789012-0000000000000000-01",
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345.-01",
        "00-12345678901234567890123456789012-12345678901234567-01",
        "00-12345678901234567890123456789012-123456789012345-01",
        "00-12345678901234567890123456789012-1234567890ABCDEF-01",
        // Flags.
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789012-1234567890123456-0.",
        "00-12345678901234567890123456789012-1234567890123456-001",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00-12345678901234567890123456789012-1234567890123456-0A",
        // Other separators, none, and nothing.
        "00_12345678901234567890123456789012_1234567890123456_01",
        "00-12345678901234567890123456789012 1234567890123456-01",
        "+0-12345678901234567890123456789012-1234567890123456-01",
        "",
    ] {
        assert!(!is_continued(wrong), "{wrong}");
    }
}

#[test]
fn white_space_around_it_is_allowed_and_two_of_them_are_not() {
    assert!(is_continued(&format!(" \t{PARENT}\t ")));
    let twice = passed(&[("traceparent", PARENT), ("traceparent", PARENT)]);
    assert_eq!(twice, (None, String::new()));
}

#[test]
fn flags_that_are_not_known_are_cleared() {
    let flags = |given: &str| {
        let headers = headers(&[("traceparent", &format!("{}{given}", &PARENT[..53]))]);
        Trace::of(ANY, &headers, false).unwrap().to_header().to_str().unwrap()[53..].to_owned()
    };
    assert_eq!(["00", "01", "02", "ff", "fc"].map(flags), ["00", "01", "02", "03", "00"]);
}

#[test]
fn the_state_goes_on_with_its_trace_alone() {
    assert_eq!(passed(&[("tracestate", "foo=1,bar=2")]).1, "", "there is no trace that it belongs to");
    assert_eq!(passed(&[("traceparent", "garbage"), ("tracestate", "foo=1")]).1, "");
    let kept = |states: &[&str]| {
        let mut fields = vec![("traceparent", PARENT)];
        fields.extend(states.iter().map(|state| ("tracestate", *state)));
        let (id, state) = passed(&fields);
        assert!(id.is_some(), "a state that is wrong does not end the trace");
        state
    };
    assert_eq!(kept(&["foo=1,bar=2"]), "foo=1,bar=2");
    assert_eq!(kept(&["foo=1", "bar=2"]), "foo=1,bar=2", "several fields are one list");
    assert_eq!(kept(&["foo=1,"]), "foo=1,", "members may be empty");
    assert_eq!(kept(&["foo=1 \t , \t bar=2, \t baz=3"]), "foo=1 \t , \t bar=2, \t baz=3");
}

fn is_state_of(text: &str) -> bool {
    is_state([text.as_bytes()].into_iter())
}

#[test]
fn keys_of_a_state() {
    let long = |count: usize, rest: &str| format!("{}{rest}=1", "a".repeat(count));
    for right in
        ["foo=1", "f=1", "0tenant@system=1", "foo-_*/0=1", &long(256, ""), &long(241, "@bbbbbbbbbbbbbb")]
    {
        assert!(is_state_of(right), "{right}");
    }
    for wrong in [
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "=1",
        "foo",
        "foo@=1",
        "@foo=1",
        "foo@@bar=1",
        "foo@bar@baz=1",
        "0foo=1",
        "foo@0bar=1",
        "foo=1,foo=1",
        "foo=1,foo=2",
        &long(257, ""),
        &long(242, "@v"),
        &long(1, "@aaaaaaaaaaaaaaa"),
    ] {
        assert!(!is_state_of(wrong), "{wrong}");
    }
}

#[test]
fn values_of_a_state() {
    let all: String = (' '..='~').filter(|sign| !",=".contains(*sign)).collect();
    for right in [format!("a={}", "v".repeat(256)), format!("a=b{all}"), "a=\t 1".replace('\t', " ")] {
        assert!(is_state_of(&right), "{right}");
    }
    for wrong in [format!("a={}", "v".repeat(257)), "a=".into(), "a=b=c".into(), "a=caf\u{e9}".into()] {
        assert!(!is_state_of(&wrong), "{wrong}");
    }
}

#[test]
fn a_state_has_thirty_two_members_at_most() {
    let members =
        |count: usize| (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
    assert!(is_state_of(&members(32)));
    assert!(!is_state_of(&members(33)));
}

#[test]
fn a_strangers_word_is_taken_only_where_all_are_believed() {
    let headers = headers(&[("traceparent", PARENT), ("tracestate", "foo=1")]);
    let trusted = TraceSettings { trust: TraceTrust::Trusted, ..ANY };
    assert_eq!(Trace::of(trusted, &headers, true).unwrap().id().to_string(), PARENT[3..35]);
    let own = Trace::of(trusted, &headers, false).unwrap();
    assert!(own.parent().is_none() && !own.keeps_state);
    assert_ne!(own.id().to_string(), PARENT[3..35]);
    assert_eq!(Trace::of(TraceSettings { trust: TraceTrust::Off, ..ANY }, &headers, true), None);
}

#[test]
fn so_many_of_the_new_traces_are_sampled() {
    let sampled = |percent| {
        let settings = TraceSettings { sampled_percent: percent, ..ANY };
        (0..2000).filter(|_| Trace::of(settings, &headers(&[]), false).unwrap().is_sampled()).count()
    };
    assert_eq!((sampled(0), sampled(100)), (0, 2000));
    assert!((150..=450).contains(&sampled(15)));
    assert!(
        !Trace::of(ANY, &headers(&[("traceparent", &PARENT.replace("-01", "-00"))]), false)
            .unwrap()
            .is_sampled()
    );
}

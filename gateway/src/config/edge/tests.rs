//! Rows of a file become rules, or all their problems at once.

use std::collections::BTreeMap;

use super::*;
use crate::config::{Sources, load};

fn edge(toml: &str) -> Result<Arc<Edge>, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let basics = "app = \"dist\"\nrenderer_bin = \"/bin/sh\"\nfn_worker_bin = \"/bin/sh\"\n";
    std::fs::write(file.path(), format!("{basics}{toml}")).unwrap();
    let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.path().to_str());
    load(&sources).map(|settings| settings.edge).map_err(|problems| problems.to_string())
}

fn redirects(rows: &[(&str, &str)]) -> Result<Arc<Edge>, String> {
    let row = |(from, to): &(&str, &str)| format!("[[redirects]]\nfrom = {from:?}\nto = {to:?}\n");
    edge(&rows.iter().map(row).collect::<String>())
}

#[test]
fn defaults_refuse_nobody() {
    let edge = edge("").unwrap();
    assert!(!edge.access.maintenance.is_closed() && edge.access.basic_auth.is_empty());
    assert!(edge.rate_limits.is_empty() && edge.redirects.is_empty());
    assert!(edge.csrf.enabled && !edge.csrf.refuse_unknown);
    assert_eq!(edge.compression.mode, CompressionMode::On);
}

#[test]
fn all_problems_of_all_rows_come_together() {
    let text = edge(
        "csrf_exempt = [\"hooks\"]\nmaintenance_page = \"/nowhere.html\"\n\
         [[redirects]]\nfrom = \"a\"\nto = \"/b\"\nstatus = 200\n\
         [[redirects]]\nfrom = \"/a/$id\"\nto = \"/b/$di\"\nkind = 1\n\
         [[rewrites]]\nfrom = \"/x\"\nto = \"https://example.com/\"\n\
         [[headers]]\nset = { \"a b\" = \"c\" }\n[[headers]]\n\
         [[cors]]\norigins = [\"*\"]\ncredentials = true\n\
         [[basic_auth]]\nusers = [\"ann\"]\n\
         [[rate_limits]]\nlimit = 0\nkey = \"name\"\n",
    )
    .unwrap_err();
    for part in [
        "csrf_exempt",
        "maintenance_page",
        "redirects.from, row 1",
        "redirects.status, row 1",
        "redirects.to, row 2",
        "\"di\" is not one of the pattern's",
        "redirects.kind, row 2",
        "rewrites.to, row 1",
        "headers.set, row 1",
        "headers.set, row 2",
        "cors.origins, row 1",
        "basic_auth.users, row 1",
        "rate_limits.limit, row 1",
        "rate_limits.key, row 1",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn what_frames_a_message_is_neither_set_nor_taken() {
    for name in ["content-length", "Content-Encoding", "transfer-encoding", "connection", "upgrade"] {
        for row in [format!("set = {{ {name} = \"1\" }}"), format!("remove = [\"{name}\"]")] {
            let text = edge(&format!("[[headers]]\n{row}\n")).unwrap_err();
            assert!(text.contains("headers.") && text.contains(name), "{row}: {text}");
        }
    }
    assert!(edge("[[headers]]\nset = { vary = \"cookie\" }\nremove = [\"etag\"]\n").is_ok());
}

#[test]
fn a_loop_is_refused_with_its_steps() {
    for rows in [
        &[("/a", "/b"), ("/b", "/a")][..],
        &[("/a", "/a")],
        &[("/$", "/app/$")],
        &[("/a", "/b"), ("/b/{-$x}", "/c"), ("/C", "/a")],
        &[("/{-$l}/about", "/about")],
    ] {
        let text = redirects(rows).unwrap_err();
        assert_eq!(text.matches("a loop: ").count(), 1, "{text}");
    }
    assert!(redirects(&[("/a", "/b"), ("/b", "/c")]).is_ok());
    assert!(redirects(&[("/$", "https://example.com/$")]).is_ok());
    // A path that has become /posts/.. is not /blog/.. again, whatever else it is.
    assert!(redirects(&[("/blog/$x", "/posts/$x"), ("/{-$l}/about", "/{-$l}/info")]).is_ok());
    let text = redirects(&[("/a", "/b"), ("/b", "/a")]).unwrap_err();
    assert!(text.contains("/a -> row 1 -> /b -> row 2 -> /a"), "{text}");
}

#[test]
fn a_path_may_lead_to_its_one_spelling_where_spellings_differ() {
    let under = |policy: &str, from: &str, to: &str| {
        edge(&format!("{policy}\n[[redirects]]\nfrom = {from:?}\nto = {to:?}\n"))
    };
    let (strict, sensitive) = ("path_trailing_slash = \"strict\"", "path_case = \"sensitive\"");
    for (policy, from, to) in [
        (strict, "/a/", "/a"),
        (strict, "/a", "/a/"),
        (strict, "/$x/$y/", "/$x/$y"),
        (sensitive, "/A", "/a"),
        (sensitive, "/Docs/$", "/docs/$"),
    ] {
        assert!(under(policy, from, to).is_ok(), "{policy}: {from} -> {to}");
        assert!(under("", from, to).unwrap_err().contains("a loop: "), "{from} -> {to}");
    }
    let both = "path_trailing_slash = \"strict\"\n[[redirects]]\nfrom = \"/b\"\nto = \"/b/\"";
    assert!(under(both, "/b/", "/b").unwrap_err().contains("a loop: "));
    assert!(under(strict, "/A/", "/a/").unwrap_err().contains("a loop: "));
}

#[test]
fn authorities_are_for_redis_over_tls_and_must_be_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let given = |url: &str, pem: &str| {
        std::fs::write(&file, pem).unwrap();
        edge(&format!("rate_limit_redis = {url:?}\nrate_limit_redis_ca = {:?}\n", file.display().to_string()))
    };
    let pair = rcgen::KeyPair::generate().unwrap();
    let pem =
        rcgen::CertificateParams::new(vec!["redis.test".into()]).unwrap().self_signed(&pair).unwrap().pem();
    let good = given("rediss://redis.test", &pem).unwrap();
    assert_eq!(good.buckets.redis_ca.as_deref(), Some(pem.as_bytes()));
    for (url, pem, part) in [
        ("redis://redis.test", pem.as_str(), "rediss://"),
        ("rediss://redis.test", "", "no certificates"),
        (
            "rediss://redis.test",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "broken ones",
        ),
        ("rediss://redis.test/#insecure", &pem, "rate_limit_redis"),
    ] {
        let text = given(url, pem).unwrap_err();
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn rows_between_which_no_path_can_choose_are_refused() {
    let text = redirects(&[("/u/$id", "/x"), ("/u/$name", "/y")]).unwrap_err();
    assert!(text.contains("redirects.from, row 2") && text.contains("match the same paths"), "{text}");
}

#[test]
fn thousands_of_redirects_are_read_in_time() {
    let rows: String = (0..10_000)
        .map(|n| format!("[[redirects]]\nfrom = \"/old-{n}/$x\"\nto = \"/new-{n}/$x\"\n"))
        .collect();
    assert_eq!(edge(&rows).unwrap().redirects.len(), 10_000);
}

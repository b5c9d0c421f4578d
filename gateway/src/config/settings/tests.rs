//! Values of all sources become settings, or all their problems at once.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::problem::Problems;
use crate::config::{Sources, load};

/// With programs that exist, so that only what the test is about can be wrong.
fn settings(pairs: &[(&'static str, &str)]) -> Result<Settings, Problems> {
    let mut flags = BTreeMap::from([
        ("app", vec!["dist".to_owned()]),
        ("renderer_bin", vec!["/bin/sh".to_owned()]),
        ("fn_worker_bin", vec!["/bin/sh".to_owned()]),
    ]);
    flags.extend(pairs.iter().map(|(name, text)| (*name, vec![(*text).to_owned()])));
    load(&Sources::gather(&flags, &BTreeMap::new(), None))
}

#[test]
fn defaults_are_enough_beside_the_app() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.app, Path::new("dist"));
    assert_eq!(settings.clients.body_limit, 10 << 20);
    assert_eq!(settings.jobs.queue_wait, Duration::from_millis(250));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert_eq!(settings.base_path, "");
}

#[test]
fn problems_of_all_kinds_come_together() {
    let problems = settings(&[
        ("listen", "localhost"),
        ("threads", "0"),
        ("restart_backoff", "20s"),
        ("renderer_bin", "/nowhere/renderer-pool"),
        ("log_filter", "info,=="),
        ("log_format", "xml"),
    ])
    .unwrap_err();
    let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["listen", "threads", "renderer_bin", "restart_backoff", "log_filter", "log_format"]);
}

#[test]
fn an_app_must_be_named() {
    let problems = load(&Sources::default()).unwrap_err();
    assert!(problems.0.iter().any(|problem| problem.key == "app" && problem.remedy.contains("--app dist")));
}

#[test]
fn the_number_of_sockets_is_bounded() {
    let problems = settings(&[("threads", "64"), ("renderers", "64"), ("isolates", "2")]).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert!(problems.to_string().contains("4096"), "{problems}");
}

#[test]
fn the_inspector_is_for_this_machine_alone() {
    let problems = settings(&[("inspect", "0.0.0.0:9229")]).unwrap_err().to_string();
    assert!(problems.contains("loopback") && problems.contains("ssh -L"), "{problems}");
    let settings = settings(&[("inspect", "127.0.0.1:9229")]).unwrap();
    assert_eq!(settings.debugging.inspect.unwrap().port(), 9229);
}

#[test]
fn flags_of_v8_are_flags() {
    let settings = |text| settings(&[("v8_flags", text)]);
    let given = settings("--max-lazy,--stack-size=512").unwrap();
    assert_eq!(given.processes.v8_flags, ["--max-lazy", "--stack-size=512"]);
    for bad in ["max-lazy", "--", "-x", "--a b"] {
        settings(bad).unwrap_err();
    }
}

#[test]
fn both_servers_cannot_have_one_address() {
    assert!(settings(&[("listen", "127.0.0.1:9090")]).is_err());
    assert!(settings(&[("listen", "127.0.0.1:0"), ("admin", "127.0.0.1:0")]).is_ok());
}

#[test]
fn what_an_app_may_reach_is_checked_before_anything_starts() {
    assert!(settings(&[]).unwrap().access.egress.is_all());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let access = settings(&[("egress", "db.test:5432,10.0.0.0/8"), ("writable", path)]).unwrap().access;
    assert_eq!(access.egress.rules().len(), 2);
    assert_eq!(access.writable, [directory.path().canonicalize().unwrap()]);
    let problems =
        settings(&[("egress", "none,db.test"), ("writable", "/,/nowhere/at/all,/bin/sh")]).unwrap_err();
    let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["egress", "writable", "writable", "writable"]);
    let problems = settings(&[("egress", "http://db.test")]).unwrap_err().to_string();
    assert!(problems.contains("http://db.test") && problems.contains("network"), "{problems}");
}

#[test]
fn each_certificate_has_its_key() {
    let problems = settings(&[("tls_cert", "a.pem,b.pem"), ("tls_key", "a.key")]).unwrap_err();
    assert!(problems.to_string().contains("1 for 2 of tls_cert"), "{problems}");
    let settings = settings(&[("tls_cert", "a.pem,b.pem"), ("tls_key", "a.key,b.key")]).unwrap();
    let files = CertificateFiles { chain: "b.pem".into(), key: "b.key".into() };
    assert_eq!(settings.protocols.certificates[1], files);
}

#[test]
fn no_fn_workers_need_no_program() {
    let flags = BTreeMap::from([
        ("app", vec!["dist".to_owned()]),
        ("renderer_bin", vec!["/bin/sh".to_owned()]),
        ("fn_workers", vec!["0".to_owned()]),
    ]);
    assert!(load(&Sources::gather(&flags, &BTreeMap::new(), None)).is_ok());
}

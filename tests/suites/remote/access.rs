//! Who NATS lets in: each way to say who one is, against a server that asks for it.

use std::path::Path;

use tempfile::TempDir;
use tests::certificate::Certificate;
use tests::nats::{Nats, StartWorker};
use tests::nats_identity::{Accounts, user_key};
use tests::wait::eventually;

use super::{PROGRAM, call, gateway, knows};

/// Secrets as files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// With the file `right` under `flag` a worker and a gateway are let in, also when the server has been away; a worker
/// with `wrong` ends, and so does one that does not say who it is.
async fn only_who_has_it_is_let_in(mut nats: Nats, flag: &str, right: &str, wrong: &str) {
    for stranger in
        [StartWorker::of(PROGRAM, &nats.url()).flag(flag, wrong), StartWorker::of(PROGRAM, &nats.url())]
    {
        let (code, log) = stranger.fail().await;
        assert_eq!(code, 69, "{log}");
        assert!(log.to_string().contains("refuses this side's credentials"), "{log}");
    }
    // By the variable of the same name.
    let variable = format!("ISOPOD_{}", flag.trim_start_matches("--").replace('-', "_").to_uppercase());
    let _worker = StartWorker::of(PROGRAM, &nats.url()).variable(&variable, right).spawn().await;
    let cluster = gateway(&nats.url(), &[(flag, right)]).await;
    knows(&cluster, 1.0).await;
    assert_eq!(call(&cluster, "remote.read", r#"{"id":1}"#).await.status, 200, "{}", cluster.log());
    nats.kill().await;
    cluster
        .metrics_until("no connection is up", |metrics| metrics.sum("isopod_nats_connections", &[]) == 0.0)
        .await;
    nats.restart().await;
    eventually("calls are served again", async || {
        (call(&cluster, "remote.read", r#"{"id":2}"#).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_nkey_is_asked_for_its_signature() {
    let (files, (key, seed), (_, other)) = (Files::new(), user_key(), user_key());
    let nats = Nats::start(&format!("authorization {{ users: [ {{ nkey: {key} }} ] }}")).await;
    let (right, wrong) = (files.file("right", &format!("{seed}\n")), files.file("wrong", &other));
    only_who_has_it_is_let_in(nats, "--nats-nkey", &right, &wrong).await;
}

#[tokio::test]
async fn a_credentials_file_is_checked_up_to_the_operator() {
    let (files, known, unknown) = (Files::new(), Accounts::new(), Accounts::new());
    let nats = Nats::start(&known.server_config()).await;
    let right = files.file("right.creds", &known.credentials());
    let wrong = files.file("wrong.creds", &unknown.credentials());
    only_who_has_it_is_let_in(nats, "--nats-credentials", &right, &wrong).await;
}

#[tokio::test]
async fn a_token_is_compared() {
    let files = Files::new();
    let nats = Nats::start("authorization { token: \"a long token\" }").await;
    let (right, wrong) = (files.file("right", "a long token\n"), files.file("wrong", "another"));
    only_who_has_it_is_let_in(nats, "--nats-token", &right, &wrong).await;
}

#[tokio::test]
async fn what_is_no_credentials_file_is_told() {
    let files = Files::new();
    let nats = Nats::start("").await;
    let broken = files.file("broken.creds", "-----BEGIN NOTHING-----");
    let (code, log) = StartWorker::of(PROGRAM, &nats.url()).flag("--nats-credentials", &broken).fail().await;
    assert_eq!(code, 69, "{log}");
    assert!(log.to_string().contains("broken.creds cannot be used"), "{log}");
}

#[tokio::test]
async fn a_server_that_wants_credentials_lets_in_who_has_them() {
    let nats = Nats::start("authorization { user: ann, password: right }").await;
    let files = Files::new();
    let (right, wrong) = (files.file("right", "right\n"), files.file("wrong", "wrong"));
    let worker = |password: &str| {
        StartWorker::of(PROGRAM, &nats.url()).flag("--nats-user", "ann").flag("--nats-password", password)
    };
    let (code, log) = worker(&wrong).fail().await;
    assert_eq!(code, 69, "{log}");
    assert!(log.to_string().contains("refuses this side's credentials"), "{log}");
    let (code, log) = StartWorker::of(PROGRAM, &nats.url()).flag("--nats-user", "ann").fail().await;
    assert_eq!(code, 64, "{log}");
    assert!(log.to_string().contains("user alone"), "{log}");

    let _worker = worker(&right).spawn().await;
    let refused = gateway(&nats.url(), &[("--nats-user", "ann"), ("--nats-password", &wrong)]).await;
    let log = refused.log().find(|line| line.contains("refuses something").then(|| line.to_owned())).await;
    assert!(log.unwrap().contains("authorization"), "{}", refused.log());
    assert_eq!(call(&refused, "remote.read", r#"{"id":1}"#).await.status, 503);
    let cluster = gateway(&nats.url(), &[("--nats-user", "ann"), ("--nats-password", &right)]).await;
    knows(&cluster, 1.0).await;
    assert_eq!(call(&cluster, "remote.read", r#"{"id":1}"#).await.status, 200);
}

#[tokio::test]
async fn tls_is_checked_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) =
        (Certificate::write(dir.path(), "127.0.0.1"), Certificate::write(dir.path(), "worker"));
    let path = |path: &Path| path.display().to_string();
    let (server_chain, client_chain) = (path(&server.chain), path(&client.chain));
    let (server_key, client_key) = (path(&server.key), path(&client.key));
    let nats = Nats::start(&format!(
        "tls {{ cert_file: \"{server_chain}\", key_file: \"{server_key}\", ca_file: \"{client_chain}\", verify: true }}"
    ))
    .await;
    let url = nats.url().replace("nats://", "tls://");
    let believing = || StartWorker::of(PROGRAM, &url).flag("--nats-ca", &server_chain);
    let (code, log) = StartWorker::of(PROGRAM, &url).flag("--nats-ca", &client_chain).fail().await;
    assert_eq!(code, 69, "a server that nobody vouches for: {log}");
    let own = believing().flag("--nats-cert", &client_chain).flag("--nats-key", &client_key);
    let _worker = own.spawn().await;
    let flags = [
        ("--nats-ca", &server_chain[..]),
        ("--nats-cert", &client_chain),
        ("--nats-key", &client_key),
        ("--nats-tls", "true"),
    ];
    let cluster = gateway(&url, &flags).await;
    knows(&cluster, 1.0).await;
    assert_eq!(call(&cluster, "remote.read", r#"{"id":1}"#).await.status, 200);
}

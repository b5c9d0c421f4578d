//! How clients reach a cluster: TLS and its certificates, Unix sockets, shared ports, limits of connections.

use tests::certificate::Certificate;
use tests::http::RawAnswer;
use tests::http2::Http2;
use tests::wait::{eventually, within_patience};
use tests::{Bundle, Cluster};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn app() -> Bundle {
    Bundle::fetch("return new Response(request.url)")
}

async fn asked(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> RawAnswer {
    stream.write_all(ASK).await.unwrap();
    let mut answer = Vec::new();
    // An end without a closing alert is an end too.
    let _ = within_patience("an answer", stream.read_to_end(&mut answer)).await;
    RawAnswer::parse(&String::from_utf8_lossy(&answer))
}

async fn tcp(cluster: &Cluster) -> TcpStream {
    TcpStream::connect(cluster.address()).await.unwrap()
}

async fn with(certificates: &[&Certificate], config: &str) -> Cluster {
    let mut builder = Cluster::of(app()).config(config);
    for (name, value) in certificates.iter().flat_map(|certificate| certificate.flags()) {
        builder = builder.flag(name, value);
    }
    builder.start().await
}

fn refusals(metrics: &tests::metrics::Metrics, reason: &str) -> f64 {
    metrics.sum("isopod_refusals_total", &[("reason", reason)])
}

#[tokio::test]
async fn tls_speaks_what_the_client_prefers() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::write(dir.path(), "localhost");
    let cluster = with(&[&certificate], "").await;
    let over_1 = certificate.connect(tcp(&cluster).await, &["http/1.1"]).await.unwrap();
    assert_eq!(over_1.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(asked(over_1).await.body, "https://localhost/");
    let without = certificate.connect(tcp(&cluster).await, &[]).await.unwrap();
    assert_eq!(asked(without).await.body, "https://localhost/");
    let over_2 = certificate.connect(tcp(&cluster).await, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(over_2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(Http2::over(over_2, "localhost").await.get("/", &[]).await.body, "https://localhost/");
    let plain = asked_in_the_clear(&cluster).await;
    assert!(!plain.contains("200 OK"), "{plain}");
    let metrics = cluster.metrics().await;
    let handshakes = |outcome| metrics.sum("isopod_tls_handshakes_total", &[("outcome", outcome)]);
    assert_eq!((handshakes("completed"), handshakes("failed")), (3.0, 1.0));
    cluster.stop().await;
}

async fn asked_in_the_clear(cluster: &Cluster) -> String {
    let mut stream = tcp(cluster).await;
    stream.write_all(ASK).await.unwrap();
    let mut answer = Vec::new();
    let _ = within_patience("an end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn each_name_has_its_certificate_and_the_first_is_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["shop.example", "blog.example"];
    let [shop, blog] = names.map(|name| Certificate::write(dir.path(), name));
    let cluster = with(&[&shop, &blog], "").await;
    for certificate in [&shop, &blog] {
        assert!(certificate.connect(tcp(&cluster).await, &[]).await.is_ok());
    }
    let other = tempfile::tempdir().unwrap();
    let unknown = Certificate::write(other.path(), "unknown.example");
    assert!(unknown.connect(tcp(&cluster).await, &[]).await.is_err());
}

#[tokio::test]
async fn a_wildcard_is_shown_for_one_label() {
    let dir = tempfile::tempdir().unwrap();
    let first = Certificate::write(dir.path(), "first.example");
    let wild = Certificate::write(dir.path(), "*.wild.example");
    let cluster = with(&[&first, &wild], "").await;
    assert!(wild.asked_for("shop.wild.example").connect(tcp(&cluster).await, &[]).await.is_ok());
    for other in ["wild.example", "a.shop.wild.example"] {
        assert!(
            wild.asked_for(other).connect(tcp(&cluster).await, &[]).await.is_err(),
            "{other} is shown the first"
        );
    }
}

#[tokio::test]
async fn changed_certificates_are_taken_over_and_wrong_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = Certificate::write(dir.path(), "localhost");
    let cluster = with(&[&first], "tls_reload = \"50ms\"").await;
    let open = first.connect(tcp(&cluster).await, &[]).await.unwrap();
    let second = Certificate::write(dir.path(), "localhost");
    eventually("the new one is shown", async || second.connect(tcp(&cluster).await, &[]).await.ok()).await;
    assert!(first.connect(tcp(&cluster).await, &[]).await.is_err());
    assert_eq!(asked(open).await.status, 200, "open connections go on");

    std::fs::write(&second.key, "no key").unwrap();
    let reloads = |outcome: &'static str| {
        move |metrics: &tests::metrics::Metrics| {
            metrics.sum("isopod_tls_reloads_total", &[("outcome", outcome)]) >= 1.0
        }
    };
    cluster.metrics_until("the failure is counted", reloads("failed")).await;
    assert!(second.connect(tcp(&cluster).await, &[]).await.is_ok(), "the old one stays in use");
    assert!(cluster.log().to_string().contains("the old one stays in use"), "{}", cluster.log());
}

#[tokio::test]
async fn certificates_that_cannot_be_shown_end_the_start_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let good = Certificate::write(dir.path(), "good.example");
    let other = Certificate::write(dir.path(), "other.example");
    let old = Certificate::write_valid(dir.path(), "old.example", 2001);
    let (mut mismatch, mut missing) = (good.clone(), good.clone());
    mismatch.key.clone_from(&other.key);
    missing.chain = dir.path().join("nowhere.pem");
    for (certificate, said) in [
        (&old, "expired on Mon, 01 Jan 2001"),
        (&mismatch, "is not the key of"),
        (&missing, "nowhere.pem cannot be read"),
    ] {
        let [cert, key] = certificate.flags();
        let exit = Cluster::of(app()).flag(cert.0, cert.1).flag(key.0, key.1).start_to_end().await;
        exit.expect_code(64).expect_said(&[said, "to do:"]);
    }
    let [cert, _] = good.flags();
    let exit = Cluster::of(app()).flag(cert.0, cert.1).start_to_end().await;
    exit.expect_code(64).expect_said(&["tls_key", "0 for 1 of tls_cert"]);
}

#[tokio::test]
async fn a_unix_socket_serves_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("public.sock");
    let listen = format!("unix:{}", path.display());
    let config = "trusted_proxy = [\"127.0.0.1\"]\nh2c = true";
    let cluster = Cluster::of(app()).listen(&listen).config(config).start().await;
    assert_eq!(asked(UnixStream::connect(&path).await.unwrap()).await.body, "http://localhost/");
    let mut http2 = Http2::over(UnixStream::connect(&path).await.unwrap(), "localhost").await;
    let answer =
        http2.get("/", &[("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")]).await;
    assert_eq!(answer.body, "https://shop.example/", "who comes over the socket counts as 127.0.0.1");
    let second = Cluster::of(app()).listen(&listen).start_to_end().await;
    second.expect_code(69).expect_said(&["cannot be used"]);
    cluster.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn over_a_unix_socket_come_the_connections_of_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("public.sock");
    let listen = format!("unix:{}", path.display());
    let cluster = Cluster::of(app()).listen(&listen).config("max_connections_per_ip = 1").start().await;
    let _held = UnixStream::connect(&path).await.unwrap();
    cluster.metrics_until("it is open", |metrics| metrics.sum("isopod_connections", &[]) == 1.0).await;
    assert_eq!(asked(UnixStream::connect(&path).await.unwrap()).await.status, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn gateways_can_share_a_port() {
    let first = Cluster::of(app()).config("reuse_port = true").start().await;
    let address = first.address().to_string();
    let second = Cluster::of(app()).config("reuse_port = true").listen(&address).start().await;
    let served = |metrics: tests::metrics::Metrics| metrics.sum("isopod_requests_total", &[]);
    eventually("both serve", async || {
        assert_eq!(asked(tcp(&first).await).await.status, 200);
        (served(first.metrics().await) > 0.0 && served(second.metrics().await) > 0.0).then_some(())
    })
    .await;
    first.stop().await;
    assert_eq!(asked(tcp(&second).await).await.status, 200, "the other one goes on");
    Cluster::of(app()).listen(&address).start_to_end().await.expect_code(69);
}

#[tokio::test]
async fn there_are_only_so_many_connections_and_more_wait_to_be_accepted() {
    let cluster = Cluster::of(app()).config("threads = 1\nmax_connections = 2").start().await;
    let held = [tcp(&cluster).await, tcp(&cluster).await];
    let both = |metrics: &tests::metrics::Metrics| metrics.sum("isopod_connections", &[]) == 2.0;
    cluster.metrics_until("both are open", both).await;
    let waits = tokio::spawn(asked(tcp(&cluster).await));
    cluster.metrics_until("no more are", both).await;
    assert!(!waits.is_finished());
    drop(held);
    assert_eq!(waits.await.unwrap().status, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let cluster = Cluster::of(app()).config("max_connections_per_ip = 2").start().await;
    let held = [tcp(&cluster).await, tcp(&cluster).await];
    let connections = |wanted: f64| {
        move |metrics: &tests::metrics::Metrics| metrics.sum("isopod_connections", &[]) == wanted
    };
    cluster.metrics_until("both are open", connections(2.0)).await;
    let refused = asked(tcp(&cluster).await).await;
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(refusals(&cluster.metrics().await, "connections_per_ip"), 1.0);
    drop(held);
    cluster.metrics_until("both are gone", connections(0.0)).await;
    assert_eq!(asked(tcp(&cluster).await).await.status, 200);
}

#[tokio::test]
async fn a_client_that_takes_a_byte_now_and_then_is_cut() {
    let bundle = Bundle::fetch(
        "const chunk = new Uint8Array(65536)
         return new Response(new ReadableStream({ pull(controller) { controller.enqueue(chunk.slice()) } }))",
    );
    let config = "write_timeout = \"2s\"\nmin_download_rate = \"1MiB\"";
    let cluster = Cluster::of(bundle).config(config).start().await;
    let mut client = tcp(&cluster).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let slowly = async {
        let mut byte = [0; 1];
        while client.read_exact(&mut byte).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let counted = cluster.metrics_until("it is cut", |metrics| refusals(metrics, "read_slow") == 1.0);
    tokio::select! {
        _ = counted => {}
        () = slowly => panic!("the client ended first"),
    }
    cluster.metrics_until("its job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_body_that_drips_is_408() {
    let config = "body_timeout = \"500ms\"\nmin_upload_rate = \"1MiB\"";
    let bundle = Bundle::fetch("await request.arrayBuffer()\nreturn new Response('read')");
    let cluster = Cluster::of(bundle).config(config).start().await;
    let mut client = cluster.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n").await;
    let drip = async {
        loop {
            client.send("x").await;
            if cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "body_slow")]) > 0.0 {
                break;
            }
        }
    };
    within_patience("it is refused", drip).await;
    assert_eq!(client.read_to_end().await.status, 408);
}

#[tokio::test]
async fn what_never_becomes_a_request_has_its_reason_and_a_body() {
    let cluster = Cluster::of(app()).config("head_timeout = \"300ms\"").start().await;
    for (head, status, reason) in [
        ("GARBAGE\r\n\r\n", 400, "head_malformed"),
        ("GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n", 400, "head_malformed"),
        ("GET / HTTP/9.9\r\nhost: a\r\n\r\n", 505, "version"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "body_length"),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
            "body_length",
        ),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400, "body_length"),
        ("GET / HTTP/1.1\r\nhost: a\r\n", 408, "head_slow"),
        ("GET /%zz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 400, "path"),
        ("BREW / HTTP/1.1\r\nhost: a\r\n\r\n", 501, "method"),
    ] {
        let before = refusals(&cluster.metrics().await, reason);
        let mut connection = cluster.connect().await;
        connection.send(head).await;
        let answer = connection.read_to_end().await;
        assert_eq!(answer.status, status, "{head:?}");
        assert!(answer.body.starts_with(&status.to_string()), "{head:?}: {:?}", answer.body);
        assert_eq!(refusals(&cluster.metrics().await, reason), before + 1.0, "{head:?}");
    }
}

//! Where an app may connect to and what it may write, as its rules say, against real servers.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use shared::egress::Egress;
use shared::setup::RendererSetup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use renderer::Renderer;

/// Tries the way that the query names: `to` is an address with a port.
const WAYS: &str = r#"
    import { lookup } from "node:dns";
    import { createServer, get } from "node:http";
    import { connect } from "node:net";
    import { connect as connectTls } from "node:tls";
    import { createSocket } from "node:dgram";

    const code = (error) => [error.constructor.name, error.code ?? null].join(" ");
    const dial = (options, make = connect) => new Promise((resolve) => {
      try {
        const socket = make(options, () => { socket.destroy(); resolve("connected"); });
        socket.on("error", (error) => resolve(code(error)));
      } catch (error) { resolve(code(error)); }
    });
    const ways = {
      fetch: (to) => fetch(`http://${to}/`).then((response) => response.text(), code),
      request: (to) => new Promise((resolve) => {
        try {
          get(`http://${to}/`, (response) => { response.resume(); resolve("answered"); })
            .on("error", (error) => resolve(code(error)));
        } catch (error) { resolve(code(error)); }
      }),
      net: (to) => dial({ host: new URL("http://" + to).hostname.replace(/[\[\]]/g, ""), port: +to.split(":").pop() }),
      tls: (to) => dial({ host: to.split(":")[0], port: +to.split(":").pop(), rejectUnauthorized: false }, connectTls),
      // What a name server under foreign control would do: a name that was allowed leads elsewhere.
      rebound: (to, address) => dial({
        host: to.split(":")[0],
        port: +to.split(":").pop(),
        lookup: (name, options, done) => options.all ? done(null, [{ address, family: 4 }]) : done(null, address, 4),
      }),
      lookup: (to) => new Promise((resolve) => {
        try { lookup(to, (error, address) => resolve(error ? code(error) : address)); }
        catch (error) { resolve(code(error)); }
      }),
      udp: (to) => new Promise((resolve) => {
        const socket = createSocket("udp4");
        const done = (error) => { resolve(error ? code(error) : "sent"); try { socket.close(); } catch {} };
        socket.on("error", done);
        try { socket.send("x", +to.split(":")[1], to.split(":")[0], done); } catch (error) { done(error); }
      }),
      listen: () => new Promise((resolve) => {
        try {
          const server = createServer().listen(0, "127.0.0.1", () => { server.close(); resolve("listens"); });
          server.on("error", (error) => resolve(code(error)));
        } catch (error) { resolve(code(error)); }
      }),
    };
    export default {
      async fetch(request) {
        const query = new URL(request.url).searchParams;
        const way = ways[query.get("way")];
        return new Response(way ? await way(query.get("to"), query.get("as")) : "");
      },
    };"#;

const REFUSED_FETCH: &str = "TypeError ERR_ACCESS_DENIED";
const REFUSED: &str = "NotCapable ERR_ACCESS_DENIED";

fn rules(rules: &[&str]) -> impl FnOnce(&mut RendererSetup) {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    move |setup: &mut RendererSetup| setup.access.egress = Egress::new(rules).unwrap()
}

/// A server on the loopback that answers every connection with `answer`; its port.
async fn server(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

async fn greeter() -> u16 {
    server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".into()).await
}

async fn try_way(renderer: &mut Renderer, way: &str, to: &str) -> String {
    renderer.get(&format!("/?way={way}&to={to}")).await.1
}

#[tokio::test]
async fn an_allow_list_opens_what_it_names_and_nothing_else() {
    let (open, closed) = (greeter().await, greeter().await);
    let mut renderer = Renderer::bundle(WAYS, rules(&[&format!("127.0.0.1:{open}")])).await;
    let (open, closed) = (format!("127.0.0.1:{open}"), format!("127.0.0.1:{closed}"));
    for (way, allowed, refused) in
        [("fetch", "hello", REFUSED_FETCH), ("request", "answered", REFUSED), ("net", "connected", REFUSED)]
    {
        assert_eq!(try_way(&mut renderer, way, &open).await, allowed, "{way}");
        assert_eq!(try_way(&mut renderer, way, &closed).await, refused, "{way}");
    }
    assert_eq!(try_way(&mut renderer, "tls", &closed).await, REFUSED);
    assert_eq!(try_way(&mut renderer, "listen", "").await, REFUSED);
    assert_eq!(try_way(&mut renderer, "udp", &open).await, "sent");
    assert_ne!(try_way(&mut renderer, "udp", &closed).await, "sent");
}

#[tokio::test]
async fn none_closes_every_way() {
    let port = greeter().await;
    let mut renderer = Renderer::bundle(WAYS, rules(&["none"])).await;
    let to = format!("127.0.0.1:{port}");
    assert_eq!(try_way(&mut renderer, "fetch", &to).await, REFUSED_FETCH);
    for way in ["request", "net", "tls", "udp", "listen"] {
        assert_eq!(try_way(&mut renderer, way, &to).await, REFUSED, "{way}");
    }
    assert_eq!(try_way(&mut renderer, "lookup", "localhost").await, "Error EPERM");
}

#[tokio::test]
async fn a_redirect_is_checked_again() {
    let closed = greeter().await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{closed}/\r\ncontent-length: 0\r\n\r\n");
    let open = server(redirect).await;
    let mut renderer = Renderer::bundle(WAYS, rules(&[&format!("127.0.0.1:{open}")])).await;
    assert_eq!(try_way(&mut renderer, "fetch", &format!("127.0.0.1:{open}")).await, REFUSED_FETCH);
}

#[tokio::test]
async fn a_names_rule_is_for_the_name_and_an_addresses_for_the_address() {
    let port = greeter().await;
    let mut by_name = Renderer::bundle(WAYS, rules(&[&format!("localhost:{port}")])).await;
    assert_eq!(try_way(&mut by_name, "fetch", &format!("localhost:{port}")).await, "hello");
    assert_eq!(try_way(&mut by_name, "net", &format!("localhost:{port}")).await, "connected");
    assert_eq!(try_way(&mut by_name, "fetch", &format!("127.0.0.1:{port}")).await, REFUSED_FETCH);
    let mut by_address = Renderer::bundle(WAYS, rules(&["127.0.0.0/8"])).await;
    assert_eq!(try_way(&mut by_address, "fetch", &format!("127.0.0.1:{port}")).await, "hello");
    assert_eq!(try_way(&mut by_address, "fetch", &format!("localhost:{port}")).await, REFUSED_FETCH);
}

#[tokio::test]
async fn metadata_services_are_out_of_reach_by_every_spelling() {
    let mut renderer = Renderer::bundle(WAYS, rules(&["all"])).await;
    for address in ["169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]", "[fe80::1]"] {
        let to = format!("{address}:80");
        assert_eq!(try_way(&mut renderer, "fetch", &to).await, REFUSED_FETCH, "{address}");
        assert_eq!(try_way(&mut renderer, "net", &to).await, REFUSED, "{address}");
    }
}

#[tokio::test]
async fn an_allowed_name_that_leads_elsewhere_is_refused() {
    let port = greeter().await;
    let mut renderer = Renderer::bundle(WAYS, rules(&["localhost", "rebound.test"])).await;
    for to in [format!("localhost:{port}"), "rebound.test:80".to_owned()] {
        let found = renderer.get(&format!("/?way=rebound&to={to}&as=169.254.169.254")).await.1;
        assert_eq!(found, REFUSED, "{to}");
        // An address that was not asked for is not the name's.
        assert_eq!(renderer.get(&format!("/?way=rebound&to={to}&as=127.0.0.1")).await.1, REFUSED, "{to}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_allows_it() {
    let mut renderer = Renderer::with_setup(
        r#"const errors = [];
           await fetch("http://10.0.0.1:81/").catch((error) => errors.push(error.message, error.cause.name));
           const { writeFile } = await import("node:fs/promises");
           await writeFile("/nowhere", "").catch((error) => errors.push(error.message));
           return Response.json(errors);"#,
        rules(&["db.test"]),
    )
    .await;
    let (_, body) = renderer.get("/").await;
    for part in ["fetch failed: ", "10.0.0.1:81", "--egress", "NotCapable", "--writable"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(!body.contains("--allow-"), "{body}");
}

#[tokio::test]
async fn a_writable_directory_is_read_and_written() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().canonicalize().unwrap();
    let named = path.clone();
    let mut renderer = Renderer::with_setup(
        r#"const { readFile, symlink, writeFile } = await import("node:fs/promises");
           const { file, link } = Object.fromEntries(new URL(request.url).searchParams);
           if (link) return new Response(await symlink("/etc", link).then(() => "linked", (error) => error.code));
           try { await writeFile(file, "kept"); return new Response(await readFile(file, "utf8")); }
           catch (error) { return new Response(error.code ?? "ok"); }"#,
        move |setup| setup.access.writable = vec![named],
    )
    .await;
    assert_eq!(renderer.get(&format!("/?file={}/a.txt", path.display())).await.1, "kept");
    assert_eq!(std::fs::read_to_string(path.join("a.txt")).unwrap(), "kept");
    let beside = format!("/?file={}-other.txt", path.display());
    assert_eq!(renderer.get(&beside).await.1, "ERR_ACCESS_DENIED");
    // The app makes no link that leads elsewhere.
    assert_eq!(renderer.get(&format!("/?link={}/out", path.display())).await.1, "ERR_ACCESS_DENIED");
    assert!(!path.join("out").exists());
}

//! Apps as `vite build` writes them, with their packages in `node_modules`, in a real renderer.
//!
//! `cargo xtask apps` builds them; PostgreSQL and Redis come from Debian's packages.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shared::head::RequestHead;
use shared::message::{FromRenderer, ToRenderer};

use renderer::{Renderer, head, services};

fn built(app: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/apps").join(app);
    assert!(directory.join("server/server.js").exists(), "{app} is not built: run `cargo xtask apps`");
    directory
}

async fn ok(renderer: &mut Renderer, path: &str) -> String {
    let (status, body) = renderer.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn plain_builds_of_start_apps_render_and_stream() {
    for app in ["threads-react/plain/dist", "threads-solid/plain/dist"] {
        let mut renderer = Renderer::ready(&built(app), &[]).await;
        let page = ok(&mut renderer, "/links-100").await;
        assert!(page.contains("</html>") && page.matches("<a ").count() >= 100, "{app}: {page}");
        assert_eq!(renderer.get("/no-such-page").await.0, 404, "{app}");

        renderer.job(1, head("GET", "/deferred")).await;
        let started = Instant::now();
        let (mut first, mut html) = (None, Vec::new());
        loop {
            match renderer.hear().await {
                FromRenderer::Body { bytes, .. } => {
                    first.get_or_insert_with(|| started.elapsed());
                    html.extend_from_slice(&bytes);
                }
                FromRenderer::Head { .. } => {}
                FromRenderer::End { .. } => break,
                other => panic!("{app}: {other:?}"),
            }
        }
        let late = started.elapsed() - first.unwrap();
        assert!(late > Duration::from_millis(100), "{app}: the page came at once, not in pieces: {late:?}");
        assert!(String::from_utf8(html).unwrap().contains("</html>"), "{app}");
    }
}

#[tokio::test]
async fn nodes_modules_work_as_in_node() {
    let mut renderer = Renderer::ready(&built("threads-node/dist"), &[]).await;
    let results = ok(&mut renderer, "/builtins").await;
    let failed = results.split("\",\"").filter(|result| !result.trim_end_matches("\"}").ends_with(":\"ok"));
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn an_app_touches_only_what_it_may() {
    let mut renderer = Renderer::ready(&built("threads-node/dist"), &[("NAMED", "1")]).await;
    assert_eq!(
        ok(&mut renderer, "/permissions").await,
        concat!(
            r#"{"readApp":"allowed","readPackage":"allowed","readSystem":"ERR_ACCESS_DENIED","#,
            r#""writeApp":"ERR_ACCESS_DENIED","writeTemporary":"allowed","run":"ERR_ACCESS_DENIED","#,
            r#""metadataByAddress":"ERR_ACCESS_DENIED","metadataByFetch":"ERR_ACCESS_DENIED","#,
            r#""worker":"ERR_FEATURE_UNAVAILABLE_ON_PLATFORM","env":["NAMED","NODE_ENV"],"deno":"undefined"}"#
        )
    );
}

#[tokio::test]
async fn packages_without_a_server_work() {
    let mut renderer = Renderer::ready(&built("threads-node/dist"), &[]).await;
    let jose = ok(&mut renderer, "/jose").await;
    assert_eq!(jose, r#"{"role":"reader","sub":"me","forged":"ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}"#);
    assert_eq!(ok(&mut renderer, "/zod?page=2").await, r#"{"page":2,"sort":"new"}"#);
    assert_eq!(renderer.get("/zod?page=0").await, (400, r#"["page"]"#.into()));
    let pino = ok(&mut renderer, "/pino").await;
    assert_eq!(
        pino,
        r#"[{"level":30,"msg":"hello","user":7},{"level":50,"msg":"failed","part":"db","err":"broken"}]"#
    );
    assert_eq!(ok(&mut renderer, "/query").await, r#"{"html":"<h1>first</h1>","state":[["thread",1]]}"#);
}

#[tokio::test]
async fn ioredis_speaks_to_a_real_redis() {
    let (_redis, url) = services::redis();
    let mut renderer = Renderer::ready(&built("threads-node/dist"), &[("REDIS_URL", &url)]).await;
    assert_eq!(
        ok(&mut renderer, "/redis").await,
        r#"{"greeting":"hello","piped":[1,2,"hello"],"message":"fresh"}"#
    );
}

#[tokio::test]
async fn pg_drizzle_and_better_auth_speak_to_a_real_postgres() {
    let (_postgres, url) = services::postgres();
    let mut renderer = Renderer::ready(&built("threads-node/dist"), &[("DATABASE_URL", &url)]).await;
    assert_eq!(
        ok(&mut renderer, "/pg").await,
        r#"{"sum":42,"doc":{"deep":[1,2]},"many":190,"notification":"hello","failure":"42P01"}"#
    );
    assert_eq!(
        ok(&mut renderer, "/drizzle").await,
        r#"{"found":[{"title":"second"}],"rolledBack":"undone","count":2}"#
    );

    assert_eq!(ok(&mut renderer, "/migrate").await, r#"{"created":4}"#);
    assert_eq!(renderer.get("/guarded").await.0, 401);
    let person = r#"{"email":"a@b.test","password":"correct horse","name":"A"}"#;
    assert_eq!(post(&mut renderer, "/api/auth/sign-up/email", person).await.0, 200);
    let wrong = r#"{"email":"a@b.test","password":"wrong horse"}"#;
    assert_eq!(post(&mut renderer, "/api/auth/sign-in/email", wrong).await.0, 401);
    let (status, cookie) = post(&mut renderer, "/api/auth/sign-in/email", person).await;
    assert_eq!(status, 200);
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("better-auth.session_token="), "{cookie}");
    let mut guarded = head("GET", "/guarded");
    guarded.headers.push(("cookie".into(), cookie.into()));
    renderer.job(1, guarded).await;
    let (status, _, body) = renderer.response(1).await;
    assert_eq!((status, body.as_str()), (200, r#"{"hello":"a@b.test"}"#));
}

/// Posts JSON; the status and the first cookie.
async fn post(renderer: &mut Renderer, path: &str, json: &str) -> (u16, String) {
    let mut head = RequestHead { has_body: true, ..head("POST", path) };
    head.headers.push(("content-type".into(), "application/json".into()));
    head.headers.push(("origin".into(), "http://app.test".into()));
    renderer.job(1, head).await;
    renderer.say(ToRenderer::Body { id: 1, bytes: json.to_owned().into() }).await;
    renderer.say(ToRenderer::BodyEnd { id: 1 }).await;
    let (status, headers, _) = renderer.response(1).await;
    let cookie = headers.into_iter().find(|(name, _)| name == "set-cookie").map(|(_, value)| value);
    (status, cookie.map(|value| String::from_utf8(value.to_vec()).unwrap()).unwrap_or_default())
}

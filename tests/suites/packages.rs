//! Packages of Node's world, from a plain `vite build`, through the real gateway: `tests/apps/threads-node`.

use tests::http::Answer;
use tests::{App, Cluster, services};

/// Where the app's users see it; a proxy would pass that name on.
const HOST: &str = "app.test";

/// Gets a path as a visitor with this cookie.
async fn get(cluster: &Cluster, path: &str, cookie: &str) -> Answer {
    let request = cluster.client().get(cluster.url(path)).header("host", HOST).header("cookie", cookie);
    cluster.answer(request).await
}

/// Posts JSON as the app's own pages do.
async fn post(cluster: &Cluster, path: &str, json: &str, cookie: &str) -> Answer {
    let request = cluster.client().post(cluster.url(path)).header("host", HOST);
    let request =
        request.header("origin", format!("http://{HOST}")).header("content-type", "application/json");
    cluster.answer(request.header("cookie", cookie).body(json.to_owned())).await
}

/// What a browser would send back: each cookie of the answer, without its attributes.
fn cookies(answer: &Answer) -> String {
    let pairs = answer.headers("set-cookie").into_iter().map(|cookie| cookie.split(';').next().unwrap());
    pairs.collect::<Vec<_>>().join("; ")
}

async fn text(cluster: &Cluster, path: &str) -> String {
    let answer = cluster.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

#[tokio::test]
async fn a_plain_build_serves_its_page_and_its_client() {
    let cluster = Cluster::of(App::ThreadsNode).start().await;
    let page = text(&cluster, "/").await;
    let script = page.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let asset = cluster.get(script).await;
    assert_eq!((asset.status, asset.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert!(asset.text().contains("/guarded"), "{}", asset.text());
    cluster.stop().await;
}

#[tokio::test]
async fn packages_without_a_server_answer_over_http() {
    let cluster = Cluster::of(App::ThreadsNode).start().await;
    let jose = r#"{"role":"reader","sub":"me","forged":"ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}"#;
    assert_eq!(text(&cluster, "/jose").await, jose);
    assert_eq!(text(&cluster, "/zod?page=2").await, r#"{"page":2,"sort":"new"}"#);
    assert_eq!(cluster.get("/zod?page=0").await.text(), r#"["page"]"#);
    let query = r#"{"html":"<h1>first</h1>","state":[["thread",1]]}"#;
    assert_eq!(text(&cluster, "/query").await, query);
    let pino =
        r#"[{"level":30,"msg":"hello","user":7},{"level":50,"msg":"failed","part":"db","err":"broken"}]"#;
    assert_eq!(text(&cluster, "/pino").await, pino);
    cluster.stop().await;
}

#[tokio::test]
async fn ioredis_over_http_with_egress_to_its_server_alone() {
    let (_redis, url) = services::redis();
    let address = url.trim_start_matches("redis://").to_owned();
    let cluster =
        Cluster::of(App::ThreadsNode).env("REDIS_URL", &url).flag("--egress", &address).start().await;
    let expected = r#"{"greeting":"hello","piped":[1,2,"hello"],"message":"fresh"}"#;
    for _ in 0..3 {
        assert_eq!(text(&cluster, "/redis").await, expected);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn pg_drizzle_and_better_auth_over_http() {
    let (_postgres, url) = services::postgres();
    let cluster = Cluster::of(App::ThreadsNode).env("DATABASE_URL", &url).start().await;
    let pg = r#"{"sum":42,"doc":{"deep":[1,2]},"many":190,"notification":"hello","failure":"42P01"}"#;
    assert_eq!(text(&cluster, "/pg").await, pg);
    let drizzle = r#"{"found":[{"title":"second"}],"rolledBack":"undone","count":2}"#;
    assert_eq!(text(&cluster, "/drizzle").await, drizzle);

    assert_eq!(text(&cluster, "/migrate").await, r#"{"created":4}"#);
    assert_eq!(get(&cluster, "/guarded", "").await.status, 401);
    let person = r#"{"email":"a@b.test","password":"correct horse","name":"A"}"#;
    assert_eq!(post(&cluster, "/api/auth/sign-up/email", person, "").await.status, 200);
    let wrong = r#"{"email":"a@b.test","password":"wrong horse"}"#;
    assert_eq!(post(&cluster, "/api/auth/sign-in/email", wrong, "").await.status, 401);

    let signed_in = post(&cluster, "/api/auth/sign-in/email", person, "").await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let session = cookies(&signed_in);
    assert!(session.contains("better-auth.session_token="), "{session}");
    let page = get(&cluster, "/guarded", &session).await;
    assert_eq!((page.status, page.text()), (200, r#"{"hello":"a@b.test"}"#.into()));
    let forged = session.replace("session_token=", "session_token=x");
    assert_eq!(get(&cluster, "/guarded", &forged).await.status, 401);

    assert_eq!(post(&cluster, "/api/auth/sign-out", "{}", &session).await.status, 200);
    assert_eq!(get(&cluster, "/guarded", &session).await.status, 401, "the session is over");
    cluster.stop().await;
}

//! Server functions as TanStack Start's own client calls them, straight to the worker.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::message::{FromWorker, Target};

use crate::fixture;
use crate::gateway::{Gateway, Got, Sent, fixture_worker};
use crate::peer::Peer;

struct Client {
    gateway: Gateway,
    peer: Peer,
}

impl Client {
    async fn start() -> Self {
        assert!(!fixture::RUN.is_empty());
        Self { gateway: fixture_worker(2, 8).await, peer: Peer::start() }
    }

    /// What Start's client sends.
    fn request(&mut self, method: &str, data: &str, context: Option<&str>) -> Sent {
        self.peer.request(method, data, context)
    }

    /// What Start's client makes of it, as an expression about `it` tells.
    fn sees(&mut self, got: &Got, expression: &str) -> Value {
        let body = STANDARD.encode(&got.body);
        let input =
            json!({ "status": got.status, "headers": got.headers, "body": body, "expression": expression });
        self.peer.ask("answer", input).unwrap_or_else(|error| panic!("{error}: {got:?}"))
    }

    async fn call(&mut self, method: &str, name: &str, data: &str) -> Got {
        let request = self.request(method, data, None);
        self.gateway.answer(Target::Function(name.into()), &request).await
    }
}

const ORDER: &str = "{ title: 'Tea', at: new Date(0), amount: 3, tags: new Set(['a']) }";

impl Peer {
    /// What Start's client sends for a call with the value of an expression.
    pub fn request(&mut self, method: &str, data: &str, context: Option<&str>) -> Sent {
        let input = json!({ "method": method, "expression": data, "context": context });
        let sent = self.ask("request", input).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Sent {
            method: text(&sent["method"]),
            url: text(&sent["url"]),
            headers: sent["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect(),
            body: STANDARD.decode(text(&sent["body"])).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_value_goes_there_and_back() {
    let mut client = Client::start().await;
    let got = client.call("POST", "start.order", ORDER).await;
    assert_eq!((got.status, got.header("x-tss-serialized")), (200, Some("true")));
    let expression = "it.result.title === 'Tea' && it.result.at.getTime() === 0 && it.result.amount === 3
        && it.result.tags.has('a')";
    assert_eq!(client.sees(&got, expression), json!(true), "{got:?}");
}

#[tokio::test]
async fn context_cookies_and_middleware_work_around_a_value() {
    let mut client = Client::start().await;
    let mut request = client.request("GET", "undefined", Some("{ from: 'a page' }"));
    let target = || Target::Function("start.greet".into());
    let got = client.gateway.answer(target(), &request).await;
    assert_eq!(client.sees(&got, "it.result"), json!("Ada by a page at 192.0.2.7"));
    assert_eq!(client.sees(&got, "it.context.seen"), json!(true));
    assert_eq!(got.header("set-cookie"), Some("seen=yes; Path=/; HttpOnly; Secure; SameSite=Lax"));
    assert_eq!(got.header("x-stamp"), Some("1"));
    request.headers.push(("cookie".into(), "banned=1".into()));
    let got = client.gateway.answer(target(), &request).await;
    assert_eq!((got.status, got.header("x-stamp")), (403, None));
    assert_eq!(client.sees(&got, "it.error.message"), json!("go away"));
}

#[tokio::test]
async fn failures_reject_the_call() {
    let mut client = Client::start().await;
    let got = client.call("GET", "start.fails", "undefined").await;
    assert_eq!(got.status, 409);
    assert_eq!(
        client.sees(&got, "it.error instanceof Error && it.error.message"),
        json!("somebody was quicker")
    );
    assert!(!got.text().contains("secret"));

    let got = client
        .call("POST", "start.order", "{ title: 'T', at: new Date(0), amount: 0, tags: new Set() }")
        .await;
    assert_eq!(got.status, 422);
    let message = client.sees(&got, "it.error.message");
    let message = message.as_str().unwrap();
    assert!(message.contains("title: ") && message.contains("amount: "), "{message}");

    let got = client.call("POST", "start.order", "{ title: 'Tea', at: 'today' }").await;
    assert_eq!(client.sees(&got, "it.error.message"), json!("at: invalid type: string, expected a Date"));
}

#[tokio::test]
async fn the_router_acts_on_redirects_and_what_is_not_there() {
    let mut client = Client::start().await;
    let got = client.call("GET", "start.elsewhere", "undefined").await;
    let expression = "[it.thrown instanceof Response, it.thrown.options.to, it.thrown.options.params.id]";
    assert_eq!(client.sees(&got, expression), json!([true, "/threads/$id", "7"]));
    let got = client.call("GET", "start.nothing", "undefined").await;
    assert_eq!(got.status, 404);
    assert_eq!(client.sees(&got, "[it.thrown.isNotFound, it.thrown.data]"), json!([true, "gone"]));
}

#[tokio::test]
async fn responses_and_streams_arrive_as_such() {
    let mut client = Client::start().await;
    let got = client.call("GET", "start.file", "undefined").await;
    let expression = "[it instanceof Response, it.headers.get('content-type'), await it.text()]";
    assert_eq!(client.sees(&got, expression), json!([true, "text/csv", "a,b"]));

    let got = client.call("GET", "start.bytes", "undefined").await;
    let expression = "(async () => {
        let total = 0, last
        for await (const chunk of it.result) { total += chunk.byteLength; last = chunk.at(-1) }
        return [total, last] })()";
    assert_eq!(client.sees(&got, expression), json!([400_000, 39]));

    let got = client.call("GET", "start.values", "undefined").await;
    let expression = "(async () => {
        const all = []
        for await (const value of it.result) all.push(value instanceof Set && [...value][0])
        return all })()";
    assert_eq!(client.sees(&got, expression), json!([0, 1, 2]));

    let got = client.call("GET", "start.breaks", "undefined").await;
    let expression = "(async () => {
        try { for await (const value of it.result) ; } catch (error) { return error.message } })()";
    assert_eq!(client.sees(&got, expression), json!("it broke"));
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let mut client = Client::start().await;
    let got = client.call("POST", "start.greet", "undefined").await;
    assert_eq!((got.status, got.header("allow")), (405, Some("GET")));
    let got = client.call("GET", "start.lost", "undefined").await;
    assert_eq!(got.status, 404);

    let request = |body: &str| Sent {
        method: "POST".into(),
        url: "http://localhost/_serverFn/x".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    };
    let order = || Target::Function("start.order".into());
    let got = client.gateway.answer(order(), &request("{\"t\":{\"t\":10,}}")).await;
    assert_eq!(got.status, 400);
    assert!(got.text().contains("at byte 13"), "{}", got.text());
    let got =
        client.gateway.answer(Target::Function("start.small".into()), &request("{\"t\": 12345678}")).await;
    assert_eq!(got.status, 413, "{}", got.text());
    let mut form = request("a=1");
    form.headers[0].1 = "text/plain".into();
    assert_eq!(client.gateway.answer(order(), &form).await.status, 415);
    let got = client.gateway.answer(Target::Route, &request("")).await;
    assert_eq!(got.status, 404);
    // A panic answers this request alone.
    let panicked = client.call("GET", "test.panic", "undefined").await;
    assert_eq!(panicked.status, 500);
    assert_eq!(client.call("POST", "start.order", ORDER).await.status, 200);
}

#[tokio::test]
async fn a_short_body_comes_with_its_request() {
    let mut client = Client::start().await;
    let request = client.request("POST", ORDER, None);
    let target = || Target::Function("start.order".into());
    let in_pieces = client.gateway.answer(target(), &request).await;
    let id = client.gateway.send_whole(target(), &request).await;
    let whole = client.gateway.rest_of(id).await;
    assert_eq!((whole.status, whole.text()), (200, in_pieces.text()));
}

#[tokio::test]
async fn a_client_that_reads_no_further_stops_the_stream_and_one_that_leaves_ends_it() {
    let mut client = Client::start().await;
    let request = client.request("GET", "undefined", None);
    let id = client.gateway.send_request(Target::Function("start.bytes".into()), &request).await;
    let mut come = 0;
    // As many whole pieces as fit into the window, each with its frame's head.
    let piece = 10_009;
    let fit = shared::window::INITIAL_WINDOW / piece * piece;
    while come < fit {
        match client.gateway.heard().await {
            FromWorker::Head { .. } => {}
            FromWorker::Body { bytes, .. } => come += bytes.len(),
            other => panic!("{other:?}"),
        }
    }
    assert!(come <= shared::window::INITIAL_WINDOW, "not a byte beyond the window: {come}");
    client.gateway.cancel(id).await;
    match client.gateway.heard().await {
        FromWorker::Failed { id: ended, .. } => assert_eq!(ended, id),
        other => panic!("{other:?}"),
    }
}

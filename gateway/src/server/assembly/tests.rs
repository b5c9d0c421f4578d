//! The whole service of a thread, in front of a pool that is played.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::time::Duration;

use actix_http::Request;
use actix_web::body::{BodySize, MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service, try_call_service};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use shared::head::{JobContext, RequestHead};
use shared::message::{NativeCall, Outcome, Target};
use shared::route::Policy;

use super::*;
use crate::admission::{RefusalReason, Turn, Wish};
use crate::config::{Sources, load};
use crate::hooks::{Call, Flow, Server, Visit};
use crate::pool::{NativeError, NativeRequest, RenderError, RenderJob};
use crate::router::backend::Answer;
use crate::router::build::Build;
use crate::router::static_files::index::{Index, IndexSettings};

/// What a played isolate was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    method: String,
    url: String,
    client_ip: String,
    headers: Vec<String>,
    body: Option<Result<Bytes, RenderError>>,
    retry_safe: bool,
}

type Play = Rc<dyn Fn() -> Result<Answer<Chunks>, RenderError>>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, RenderError>>>>;

/// A pool that answers as it is told and remembers what it was asked.
#[derive(Clone)]
struct PlayedPool {
    play: Play,
    asked: Rc<RefCell<Vec<Asked>>>,
    called: Rc<RefCell<Vec<NativeCall>>>,
    /// The contexts of jobs and of requests that passed the isolates by, as JSON.
    contexts: Rc<RefCell<Vec<String>>>,
}

impl PlayedPool {
    fn note_context(&self, context: Option<&JobContext>) {
        let json = context.map(|context| String::from_utf8(context.as_json().to_vec()).unwrap());
        self.contexts.borrow_mut().extend(json);
    }
}

impl Backend for PlayedPool {
    type Body = Chunks;

    fn enter(&self, _: Wish) -> Result<Option<Turn>, RefusalReason> {
        Ok(None)
    }

    async fn render(&self, job: RenderJob<'_>, _: Duration) -> Result<Answer<Chunks>, RenderError> {
        self.note_context(job.head.options.context);
        let mut headers: Vec<_> =
            job.headers.iter().map(|(name, _)| String::from_utf8(name.into()).unwrap()).collect();
        headers.sort();
        let body = match job.body {
            None => None,
            Some(mut body) => {
                let mut whole = Vec::new();
                loop {
                    match body.next().await {
                        None => break Some(Ok(whole.into())),
                        Some(Ok(piece)) => whole.extend_from_slice(&piece),
                        Some(Err(error)) => break Some(Err(RenderError::from(error))),
                    }
                }
            }
        };
        self.asked.borrow_mut().push(Asked {
            method: job.head.method.into(),
            url: job.head.url.into(),
            client_ip: job.head.client_ip.into(),
            headers,
            body: body.clone(),
            retry_safe: job.retry_safe,
        });
        match body {
            Some(Err(error)) => Err(error),
            _ => (self.play)(),
        }
    }

    async fn call(&self, call: NativeCall) -> Outcome {
        self.called.borrow_mut().push(call);
        Outcome::Value("{\"ok\":true}".into())
    }

    async fn answer_natively(&self, request: NativeRequest<'_>) -> Result<Answer<Chunks>, NativeError> {
        self.note_context(request.head.options.context);
        let Target::Function(name) = request.target else { return Err(NativeError::Lost) };
        let body = format!("{name} {}", request.head.url);
        let headers = vec![("x-tss-serialized".into(), "true".into())];
        let chunks = stream::iter(vec![Ok(Bytes::from(body.clone()))]).boxed_local();
        Ok(Answer { status: 200, headers, whole: Some(body.len()), body: chunks })
    }

    fn has_native_route(&self, path: &str) -> bool {
        path.starts_with("/rust/")
    }
}

fn played(status: u16, headers: &[(&'static str, &'static str)], chunks: &[&'static str]) -> PlayedPool {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let chunks: Vec<Bytes> = chunks.iter().map(|chunk| (*chunk).into()).collect();
    play(move || {
        let body = stream::iter(chunks.clone().into_iter().map(Ok)).boxed_local();
        Ok(Answer { status, headers: headers.clone(), whole: None, body })
    })
}

fn play(play: impl Fn() -> Result<Answer<Chunks>, RenderError> + 'static) -> PlayedPool {
    PlayedPool { play: Rc::new(play), asked: Rc::default(), called: Rc::default(), contexts: Rc::default() }
}

fn plan(flags: &[(&'static str, &str)]) -> (Plan, tempfile::TempDir) {
    plan_with(flags, Additions::default())
}

fn plan_with(flags: &[(&'static str, &str)], additions: Additions) -> (Plan, tempfile::TempDir) {
    let client = tempfile::tempdir().unwrap();
    std::fs::write(client.path().join("hello.txt"), "hello").unwrap();
    let mut given = BTreeMap::from([
        ("app", vec!["dist".to_owned()]),
        ("renderer_bin", vec!["/bin/sh".to_owned()]),
        ("fn_worker_bin", vec!["/bin/sh".to_owned()]),
    ]);
    given.extend(flags.iter().map(|(name, text)| (*name, vec![(*text).to_owned()])));
    let settings = load(&Sources::gather(&given, &BTreeMap::new(), None)).unwrap();
    let index = IndexSettings { base_path: settings.base_path.clone(), memory: 1 << 20 };
    let files = Arc::new(Index::of(client.path(), &index).unwrap());
    let own_host = HeaderValue::from_static("127.0.0.1:3000");
    let direct_functions = HashMap::from([("/_serverFn/abc".to_owned(), "threads.list".to_owned())]);
    let builds = Builds::new(Build::new(files, direct_functions));
    (Plan::new(Arc::new(settings), builds, Metrics::new().unwrap(), own_host, additions), client)
}

async fn service(
    pool: &PlayedPool,
    flags: &[(&'static str, &str)],
) -> impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    init_service(plan(flags).0.assemble(pool.clone())).await
}

/// The status, the header fields and the body; `None` for a body that broke off.
struct Got {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    size: BodySize,
    body: Option<Bytes>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(pool: &PlayedPool, flags: &[(&'static str, &str)], request: TestRequest) -> Got {
    let service = service(pool, flags).await;
    let mut request = request.to_request();
    if *request.method() == Method::GET {
        // As actix-http says it of a request without a body.
        request = request.replace_payload(actix_web::dev::Payload::None).0;
    }
    let response = try_call_service(&service, request).await.unwrap().into_parts().1;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let size = response.body().size();
    Got { status, headers, size, body: to_bytes(response.into_body()).await.ok() }
}

fn request(method: Method, uri: &str) -> TestRequest {
    let request = TestRequest::default().method(method).uri(uri).insert_header(("host", "example.com"));
    request.peer_addr("203.0.113.9:4711".parse().unwrap())
}

fn get(uri: &str) -> TestRequest {
    request(Method::GET, uri)
}

#[actix_web::test]
async fn the_bundle_sees_the_request_as_it_was_sent() {
    let pool = played(200, &[("content-type", "text/html")], &["<p>", "hi</p>"]);
    let sent = get("/a%20b/%C3%A9?q=%zz&x=//")
        .insert_header(("Cookie", "a=1"))
        .insert_header(("Connection", "close, X-Own"))
        .insert_header(("X-Own", "1"))
        .insert_header(("X-Forwarded-For", "6.6.6.6"));
    let got = ask(&pool, &[], sent).await;
    assert_eq!((got.status, got.body.as_deref()), (200, Some(&b"<p>hi</p>"[..])));
    assert_eq!(got.size, BodySize::Stream);
    assert_eq!(got.header("x-request-id").len(), 32);
    let asked = pool.asked.borrow();
    let expected = Asked {
        method: "GET".into(),
        url: "http://example.com/a%20b/%C3%A9?q=%zz&x=//".into(),
        client_ip: "203.0.113.9".into(),
        headers: vec!["cookie".into(), "host".into(), "traceparent".into()],
        body: None,
        retry_safe: true,
    };
    assert_eq!(*asked, [expected]);
}

#[actix_web::test]
async fn files_are_served_without_an_isolate_and_their_other_methods_are_the_bundles() {
    let pool = played(200, &[], &["bundle"]);
    assert_eq!(ask(&pool, &[], get("/hello.txt?v=1")).await.body.unwrap(), "hello");
    assert!(pool.asked.borrow().is_empty());
    let posted = request(Method::POST, "/hello.txt").set_payload("x");
    assert_eq!(ask(&pool, &[], posted).await.body.unwrap(), "bundle");
    assert!(!pool.asked.borrow()[0].retry_safe);
}

#[actix_web::test]
async fn a_base_path_holds_the_files_and_the_bundle_sees_it() {
    let pool = played(200, &[], &["bundle"]);
    let flags = [("base_path", "/shop")];
    assert_eq!(ask(&pool, &flags, get("/shop/hello.txt")).await.body.unwrap(), "hello");
    assert_eq!(ask(&pool, &flags, get("/hello.txt")).await.body.unwrap(), "bundle");
    assert_eq!(ask(&pool, &flags, get("/shop/page")).await.body.unwrap(), "bundle");
    assert_eq!(pool.asked.borrow()[1].url, "http://example.com/shop/page");
}

#[actix_web::test]
async fn what_is_refused_reaches_no_isolate() {
    let pool = played(200, &[], &[]);
    let long = "x".repeat(70_000);
    for (sent, status) in [
        (get("/a//b"), 400),
        (get("/%00"), 400),
        (get("/../a"), 400),
        (get("/").insert_header(("host", "a b")), 400),
        (get("/").insert_header(("x", long.as_str())), 431),
        (request(Method::TRACE, "/"), 405),
        (request(Method::from_bytes(b"BREW").unwrap(), "/"), 501),
        (request(Method::POST, "/").insert_header(("content-length", "99999999")), 413),
    ] {
        assert_eq!(ask(&pool, &[], sent).await.status, status);
    }
    assert!(pool.asked.borrow().is_empty());
}

#[actix_web::test]
async fn cookies_stay_several_and_lengths_are_kept() {
    let headers =
        [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "2"), ("connection", "close")];
    let got = ask(&played(200, &headers, &["ok"]), &[], get("/")).await;
    let cookies: Vec<_> = got.headers.get_all("set-cookie").collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(got.size, BodySize::Sized(2));
    assert!(!got.headers.contains_key("connection"));
}

#[actix_web::test]
async fn where_no_body_may_be_none_is_sent() {
    let headers = [("content-length", "2")];
    let head = ask(&played(200, &headers, &["ok"]), &[], request(Method::HEAD, "/")).await;
    assert_eq!((head.size, head.body.unwrap().len()), (BodySize::Sized(2), 0));
    let unknown = ask(&played(200, &[], &["ok"]), &[], request(Method::HEAD, "/")).await;
    assert_eq!(unknown.size, BodySize::None);
    for status in [204, 304] {
        let got = ask(&played(status, &[], &["ok"]), &[], get("/")).await;
        assert_eq!((got.status, got.size), (status, BodySize::None));
    }
}

#[actix_web::test]
async fn a_head_that_cannot_be_sent_is_a_fault_of_the_app() {
    for (status, headers) in
        [(99, &[][..]), (101, &[]), (1000, &[]), (200, &[("a b", "c")]), (200, &[("a", "b\nc")])]
    {
        assert_eq!(ask(&played(status, headers, &["ok"]), &[], get("/")).await.status, 500);
    }
}

#[actix_web::test]
async fn each_failure_has_its_status() {
    for (error, status) in [
        (RenderError::Refused(RefusalReason::QueueFull), 503),
        (RenderError::Refused(RefusalReason::Draining), 503),
        (RenderError::Lost, 502),
        (RenderError::Protocol, 502),
        (RenderError::Threw, 500),
        (RenderError::Timeout, 504),
        (RenderError::BodyTooLarge, 413),
        (RenderError::BodyBroken, 400),
        (RenderError::BodyTimeout, 408),
    ] {
        let got =
            ask(&play(move || Err(error)), &[], get("/").insert_header(("accept", "application/json"))).await;
        assert_eq!(got.status, status, "{error}");
        assert_eq!(got.headers.contains_key("retry-after"), status == 503, "{error}");
        let body: serde_json::Value = serde_json::from_slice(&got.body.unwrap()).unwrap();
        assert!(body["error"].is_string());
    }
}

#[actix_web::test]
async fn a_stream_that_breaks_never_ends_cleanly() {
    let pool = play(|| {
        let body = stream::iter([Ok(Bytes::from("half")), Err(RenderError::Lost)]).boxed_local();
        Ok(Answer { status: 200, headers: vec![], whole: None, body })
    });
    let got = ask(&pool, &[], get("/")).await;
    assert_eq!((got.status, got.body), (200, None));
}

#[actix_web::test]
async fn a_body_is_counted_as_it_comes() {
    let pool = played(200, &[], &["ok"]);
    let flags = [("body_limit", "8B")];
    let fits = request(Method::POST, "/").set_payload("12345678");
    assert_eq!(ask(&pool, &flags, fits).await.status, 200);
    assert_eq!(pool.asked.borrow()[0].body, Some(Ok("12345678".into())));
    // No length is announced, as by a chunked upload.
    let mut too_long = request(Method::POST, "/").set_payload("123456789").to_request();
    too_long.head_mut().headers_mut().remove("content-length");
    let service = service(&pool, &flags).await;
    let response = try_call_service(&service, too_long).await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(response.response().head().connection_type() == actix_web::http::ConnectionType::Close);
}

#[actix_web::test]
async fn a_native_function_is_called_without_an_isolate() {
    let pool = played(200, &[], &["bundle"]);
    let call = |uri: &str| {
        let call = request(Method::POST, uri).insert_header(("content-type", "application/json"));
        call.set_payload("{\"limit\":3}")
    };
    for uri in ["/_native/threads.list", "/shop/_native/threads.list"] {
        let got = ask(&pool, &[("base_path", "/shop")], call(uri)).await;
        assert_eq!((got.status, got.header("content-type")), (200, "application/json"), "{uri}");
        assert_eq!(got.body.unwrap(), "{\"ok\":true}");
    }
    let foreign = call("/_native/threads.list").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(ask(&pool, &[], foreign).await.status, 403);
    assert_eq!(ask(&pool, &[], get("/_native/threads.list")).await.header("allow"), "POST");
    let calls = pool.called.borrow();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[0].name.as_str(), &calls[0].input[..]), ("threads.list", &b"{\"limit\":3}"[..]));
    let head = RequestHead::decode(calls[1].head.clone()).unwrap();
    assert_eq!(
        (&head.method[..], &head.url[..]),
        (&b"POST"[..], &b"http://example.com/shop/_native/threads.list"[..])
    );
    assert!(head.headers.iter().any(|(name, _)| name == "traceparent"));
    assert!(pool.asked.borrow().is_empty());
}

#[actix_web::test]
async fn a_panic_is_answered_counted_and_hurts_no_other_request() {
    let (plan, _client) = plan(&[]);
    let service = init_service(plan.assemble(play(|| panic!("a played panic")))).await;
    for seen in 1..=2 {
        let error = try_call_service(&service, get("/").to_request()).await.err().unwrap();
        let response = error.error_response();
        assert_eq!(response.status(), 500);
        assert!(!to_bytes(response.into_body()).await.unwrap().is_empty());
        assert_eq!(plan.metrics.requests.with_label_values(&["bundle", "GET", "500"]).get(), seen);
    }
    assert_eq!(plan.metrics.requests_in_flight.get(), 0);
}

#[actix_web::test]
async fn requests_are_counted_by_route_class() {
    let (plan, _client) = plan(&[]);
    let service = init_service(plan.assemble(played(200, &[], &["ok"]))).await;
    for uri in ["/", "/hello.txt", "/a//b", "/page"] {
        let response = try_call_service(&service, get(uri).to_request()).await.unwrap();
        let _ = to_bytes(response.into_body()).await;
    }
    let counted = |class, status| plan.metrics.requests.with_label_values(&[class, "GET", status]).get();
    assert_eq!(counted("bundle", "200"), 2);
    assert_eq!(counted("static", "200"), 1);
    assert_eq!(counted("none", "400"), 1);
    assert_eq!(plan.metrics.refusals.with_label_values(&["path"]).get(), 1);
    assert_eq!(plan.metrics.requests_in_flight.get(), 0);
}

fn direct(
    pool: &PlayedPool,
) -> impl Future<Output = impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = Error>>
{
    init_service(plan(&[]).0.assemble(pool.clone()))
}

#[actix_web::test]
async fn direct_functions_and_routes_pass_the_bundle_by() {
    let pool = play(|| Err(RenderError::Lost));
    let service = direct(&pool).await;
    let get = |path: &str| {
        let own = TestRequest::get().uri(path).insert_header(("sec-fetch-site", "same-origin"));
        own.insert_header(("host", "a.example")).to_request()
    };
    let answered = try_call_service(&service, get("/_serverFn/abc?payload=1")).await.unwrap();
    assert_eq!(answered.headers().get("x-tss-serialized").unwrap(), "true");
    let body = to_bytes(answered.into_body()).await.ok().unwrap();
    assert_eq!(body, "threads.list http://a.example/_serverFn/abc?payload=1");
    let lost = try_call_service(&service, get("/rust/time")).await.unwrap();
    assert_eq!(lost.status(), 502);
    assert!(pool.asked.borrow().is_empty(), "no isolate was asked");
    let _ = try_call_service(&service, get("/_serverFn/other")).await.unwrap();
    assert_eq!(pool.asked.borrow().len(), 1, "other functions are the bundle's");
}

#[actix_web::test]
async fn another_site_calls_no_direct_function() {
    let pool = play(|| Err(RenderError::Lost));
    let service = direct(&pool).await;
    for (method, path) in
        [(Method::GET, "/_serverFn/abc"), (Method::POST, "/_serverFn/abc"), (Method::POST, "/rust/a")]
    {
        let request = TestRequest::default().method(method).uri(path);
        let request =
            request.insert_header(("host", "a.example")).insert_header(("sec-fetch-site", "cross-site"));
        let refused = try_call_service(&service, request.to_request()).await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
    }
}

#[actix_web::test]
async fn what_hooks_know_reaches_isolates_and_workers() {
    let mut hooks = Server::<BTreeMap<&'static str, String>>::default();
    hooks.before(async |visit: Visit<'_, BTreeMap<&'static str, String>>| {
        visit.context.insert("from", visit.path().into_owned());
        Flow::Next
    });
    let hooks = hooks.finish(Policy::default()).unwrap().map(Arc::from);
    let (plan, _client) = plan_with(&[], Additions { hooks, ..Additions::default() });
    let pool = played(200, &[], &["ok"]);
    let service = init_service(plan.assemble(pool.clone())).await;
    for path in ["/page", "/rust/time", "/hello.txt"] {
        let _ = try_call_service(&service, get(path).to_request()).await.unwrap();
    }
    assert_eq!(*pool.contexts.borrow(), ["{\"from\":\"/page\"}", "{\"from\":\"/rust/time\"}"]);
}

#[actix_web::test]
async fn a_context_that_is_no_object_is_a_fault_and_reaches_nobody() {
    let mut hooks = Server::<Vec<u8>>::default();
    hooks.before(async |_: Visit<'_, Vec<u8>>| Flow::Next);
    let hooks = hooks.finish(Policy::default()).unwrap().map(Arc::from);
    let (plan, _client) = plan_with(&[], Additions { hooks, ..Additions::default() });
    let pool = played(200, &[], &["ok"]);
    let service = init_service(plan.assemble(pool.clone())).await;
    assert_eq!(try_call_service(&service, get("/page").to_request()).await.unwrap().status(), 500);
    assert!(pool.asked.borrow().is_empty());
}

#[test]
fn routes_that_cannot_be_are_all_told() {
    let mut server = Server::<()>::default();
    let answer = async |_: Call<'_, ()>| actix_web::HttpResponse::Ok().finish();
    server.route(Method::GET, "/a/$x", answer).route(Method::POST, "/a/$x", answer);
    server.route(Method::GET, "/a/$x", answer).route(Method::GET, "/a/$y", answer);
    server.route(Method::GET, "b", answer);
    let errors = server.finish(Policy::default()).unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("GET /a/$x is there already"), "{texts:?}");
    assert!(texts[1].contains("\"b\" is no path of a route"), "{texts:?}");
    assert!(texts[2].contains("/a/$y and /a/$x match the same paths"), "{texts:?}");
}

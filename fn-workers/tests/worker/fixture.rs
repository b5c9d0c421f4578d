//! A worker whose functions go wrong in every way. It runs in a process of this test binary: the ignored tests
//! here are its `main`s and do nothing without the arguments that [`crate::gateway::spawn_fixture`] passes.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fn_workers::seroval::{Date, Set};
use fn_workers::{
    Added, Answer, Chunks, Context, Cookie, Event, Form, FormFile, FormLimits, Function, FunctionError,
    Middleware, Next, NotFound, Redirect, RequestBody, Response, Route, RouteGroup, Sessions, State, Values,
    Worker,
};
use futures_util::{StreamExt, stream};
use garde::Validate;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The variable that holds the worker's arguments.
pub const ARGS: &str = "ISOPOD_FIXTURE_ARGS";

/// The tests that are a `main`.
pub const RUN: &str = "fixture::run";
pub const RUN_WRONG: &str = "fixture::run_wrong";

#[test]
#[ignore = "the main function of a process that other tests spawn"]
fn run() {
    // One call at a time for each actor, so that a second one waits in the mailbox.
    run_as_process(
        Worker::new()
            .concurrency(1)
            .function(Function::read("test.echo", echo))
            .function(Function::write("values.take", echo))
            .function(Function::read("test.panic", panics))
            .function(Function::read("test.panic_in_pool", panics_in_pool))
            .function(Function::read("test.hold", hold))
            .function(Function::read("test.nap", nap))
            .function(Function::read("test.brief", hold).deadline(Duration::from_millis(20)))
            .function(Function::read("test.block_thread", block_thread))
            .function(Function::read("test.big", big))
            .function(Function::read("far.call", far))
            .function(Function::read("far.dates", far_dates))
            .function(Function::read("far.brief", far).deadline(Duration::from_millis(50)))
            .function(Function::read("far.late", far_late))
            .function(Function::read("far.many", far_many))
            .function(Function::write("start.order", order).validate(Validate::validate))
            .function(Function::read("start.greet", greet).middleware(user("Ada")).middleware(stamp))
            .function(Function::read("start.fails", fails))
            .function(Function::read("start.elsewhere", elsewhere))
            .function(Function::read("start.nothing", nothing))
            .function(Function::read("start.file", file))
            .function(Function::read("start.bytes", bytes))
            .function(Function::read("start.values", values))
            .function(Function::read("start.breaks", breaks))
            .state(Arc::new(sessions()))
            .function(Function::write("session.visit", visit))
            .function(Function::write("session.leave", leave))
            .routes(
                RouteGroup::new("/api")
                    .middleware(stamp)
                    .route(
                        Route::new("/threads/$id")
                            .get(thread)
                            .on("POST", Function::endpoint(rename).middleware(user("Ada"))),
                    )
                    .route(Route::new("/_grouped/files/$").get(splat))
                    .route(Route::new("/upload").post(upload_to_route))
                    .route(Route::new("/events").get(events))
                    .group(
                        RouteGroup::new("/posts").middleware(user("Grace")).route(Route::new("/").get(index)),
                    ),
            )
            .routes(Route::new("/api_/posts/free").get(index))
            .function(Function::write("start.small", order).body_limit(10))
            .function(Function::write("form.upload", upload))
            .function(Function::write("form.plain", plain))
            .function(Function::write("form.context", upload_context))
            .function(Function::write("form.panics", upload_panics))
            .function(Function::write("form.holds", upload_holds))
            .function(Function::write("form.small", plain).form_limits(FormLimits {
                max_bytes: 5000,
                max_parts: 5,
                max_fields: 3,
                max_field_bytes: 64,
                max_file_bytes: 2000,
                spill_bytes: 100,
            })),
    );
}

#[test]
#[ignore = "the main function of a process that other tests spawn"]
fn run_wrong() {
    run_as_process(
        Worker::new().function(Function::read("test.echo", echo)).function(Function::read("test.echo", echo)),
    );
}

fn run_as_process(worker: Worker) {
    let Ok(args) = std::env::var(ARGS) else { return };
    let code = worker.run_with(args.split(' ').map(Into::into));
    let codes = [0, 64, 65, 70];
    let code = codes.into_iter().find(|known| ExitCode::from(*known) == code).unwrap_or(1);
    std::process::exit(code.into());
}

async fn echo(input: serde_json::Value) -> Result<serde_json::Value, FunctionError> {
    Ok(input)
}

async fn panics(_: ()) -> Result<(), FunctionError> {
    panic!("something impossible")
}

async fn panics_in_pool(_: (), context: Context) -> Result<(), FunctionError> {
    context.blocking(|| panic!("something impossible in the pool")).await
}

/// Never ends by itself; the log tells when it starts, when it is dropped and when its token fires.
async fn hold(_: (), context: Context) -> Result<(), FunctionError> {
    struct Told(String);
    impl Drop for Told {
        fn drop(&mut self) {
            tracing::info!("dropped {}", self.0);
        }
    }
    let id = context.request_id().to_owned();
    let _told = Told(id.clone());
    let token = context.cancellation();
    tokio::spawn({
        let id = id.clone();
        async move {
            token.cancelled().await;
            tracing::info!("token of {id} fired");
        }
    });
    tracing::info!("holding {id}");
    std::future::pending().await
}

/// Calls a function of another process.
async fn far(name: String, context: Context) -> Result<serde_json::Value, FunctionError> {
    tracing::info!("calls {name}");
    context.call(&name, &serde_json::json!({ "from": context.function() })).await
}

/// Values that are no JSON, in both directions.
async fn far_dates(name: String, context: Context) -> Result<i64, FunctionError> {
    let next: Date = context.call(&name, &Date::from_millis(1000)).await?;
    Ok(next.millis().unwrap_or_default())
}

/// Calls when its own call has ended.
async fn far_late(_: (), context: Context) -> Result<(), FunctionError> {
    let later = context.clone();
    let ended = context.cancellation();
    context.wait_until(async move {
        // The reply leaves meanwhile.
        let _ = tokio::time::timeout(Duration::from_millis(50), ended.cancelled()).await;
        let called = later.call::<()>("elsewhere", &()).await;
        tracing::info!("late: {}", called.unwrap_err().message());
    });
    Ok(())
}

/// Calls so many at a time; the status of each.
async fn far_many(count: usize, context: Context) -> Result<Vec<u16>, FunctionError> {
    let calls = (0..count).map(|_| async {
        context.call::<()>("elsewhere", &()).await.map_or_else(|error| error.status(), |()| 200)
    });
    Ok(futures_util::future::join_all(calls).await)
}

/// Work that takes its time.
async fn nap(milliseconds: u64) -> Result<&'static str, FunctionError> {
    tracing::info!("napping");
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Ok("rested")
}

async fn block_thread(_: ()) -> Result<(), FunctionError> {
    tracing::info!("blocking");
    loop {
        std::thread::park();
    }
}

async fn big(bytes: usize) -> Result<String, FunctionError> {
    Ok("x".repeat(bytes))
}

#[derive(Debug, Deserialize, Serialize, TS, Validate)]
struct Order {
    #[garde(length(min = 2))]
    title: String,
    #[garde(skip)]
    at: Date,
    #[garde(range(min = 1))]
    amount: u64,
    #[garde(skip)]
    tags: Set<String>,
}

async fn order(order: Order) -> Result<Order, FunctionError> {
    Ok(order)
}

#[derive(Deserialize)]
struct Upload {
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    file: FormFile,
}

async fn told_of(upload: Upload, context: Context) -> Result<serde_json::Value, FunctionError> {
    let from = context.sent_context::<Sent>()?.map(|sent| sent.from);
    let file = upload.file;
    let mut sum = 0;
    let mut pieces = std::pin::pin!(file.clone().into_stream());
    while let Some(piece) = pieces.next().await {
        sum += piece?.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    let mut told = serde_json::json!({
        "title": upload.title, "tags": upload.tags, "name": file.name(), "safe": file.safe_name(),
        "type": file.content_type(), "length": file.len(), "on_disk": file.is_on_disk(), "sum": sum,
    });
    if let Some(from) = from {
        told["from"] = from.into();
    }
    Ok(told)
}

async fn upload(form: Form<Upload>, context: Context) -> Result<serde_json::Value, FunctionError> {
    told_of(form.0, context).await
}

async fn upload_to_route(
    _: (),
    mut body: RequestBody,
    context: Context,
) -> Result<serde_json::Value, FunctionError> {
    told_of(body.form(&context).await?, context).await
}

async fn upload_context(_: Form<serde_json::Value>, context: Context) -> Result<bool, FunctionError> {
    Ok(context.sent_context::<Sent>()?.is_some())
}

async fn upload_panics(form: Form<Upload>) -> Result<(), FunctionError> {
    panic!("cannot bear {} bytes on disk: {}", form.file.len(), form.file.is_on_disk())
}

async fn upload_holds(form: Form<Upload>) -> Result<(), FunctionError> {
    tracing::info!("holds {} bytes", form.file.len());
    std::future::pending::<()>().await;
    drop(form);
    Ok(())
}

#[derive(Deserialize, TS)]
struct Plain {
    title: String,
    amount: u32,
    starred: bool,
}

async fn plain(form: Plain) -> Result<String, FunctionError> {
    Ok(format!("{}, {}, {}", form.title, form.amount, form.starred))
}

struct User(&'static str);

/// Middleware with a parameter: hands a user on.
fn user(name: &'static str) -> impl Middleware {
    move |context: Context, next: Next| async move {
        if context.cookie("banned").is_some() {
            return Err(FunctionError::new(403, "go away"));
        }
        context.add(User(name));
        next.run(context).await
    }
}

/// Middleware that works on the way out.
async fn stamp(context: Context, next: Next) -> Result<Answer, FunctionError> {
    let answer = next.run(context.clone()).await;
    context.add_header("x-stamp".parse()?, "1".parse()?);
    answer
}

#[derive(Deserialize)]
struct Sent {
    from: String,
}

async fn greet(_: (), user: Added<User>, context: Context) -> Result<String, FunctionError> {
    context.set_cookie(&Cookie::new("seen", "yes"))?;
    context.send_context(serde_json::json!({ "seen": true }));
    let from = context.sent_context::<Sent>()?.map_or_else(|| "nobody".into(), |sent| sent.from);
    let ip = context.request().client_ip().to_owned();
    Ok(format!("{} by {from} at {ip}", user.0))
}

async fn fails(_: ()) -> Result<(), FunctionError> {
    Err(FunctionError::new(409, "somebody was quicker").because("row 7 of table `secret`"))
}

async fn elsewhere(_: ()) -> Result<(), FunctionError> {
    Err(Redirect::to("/threads/$id").param("id", "7").into())
}

async fn nothing(_: ()) -> Result<(), FunctionError> {
    Err(NotFound::new().data(&"gone").into())
}

async fn file(_: ()) -> Result<Response, FunctionError> {
    Ok(Response::text("a,b").content_type("text/csv"))
}

async fn bytes(
    _: (),
) -> Result<Chunks<impl futures_util::Stream<Item = Result<Bytes, FunctionError>>>, FunctionError> {
    // More than a window.
    Ok(Chunks(stream::iter((0..40u8).map(|byte| Ok(Bytes::from(vec![byte; 10_000]))))))
}

async fn values(
    _: (),
) -> Result<Values<impl futures_util::Stream<Item = Result<Set<u8>, FunctionError>>>, FunctionError> {
    Ok(Values(stream::iter((0..3).map(|number| Ok(Set(vec![number]))))))
}

async fn breaks(
    _: (),
) -> Result<Values<impl futures_util::Stream<Item = Result<u8, FunctionError>>>, FunctionError> {
    Ok(Values(stream::iter([Ok(1), Err(FunctionError::new(500, "it broke"))])))
}

pub const PASSWORD: &str = "a password of at least thirty-two characters";
pub const OLD_PASSWORD: &str = "an old password of thirty-two characters and more";

fn sessions() -> Sessions {
    let hour = Duration::from_secs(3600);
    Sessions::new("visits", PASSWORD).unwrap().accept("old", OLD_PASSWORD).unwrap().max_age(hour)
}

#[derive(Default, Deserialize, Serialize)]
struct Visits {
    count: u32,
    #[serde(default)]
    note: String,
}

/// Counts visits, with a note of so many letters.
async fn visit(letters: usize, sessions: State<Sessions>, context: Context) -> Result<u32, FunctionError> {
    let mut session = sessions.open::<Visits>(&context).await?;
    session.data.count += 1;
    session.data.note = "n".repeat(letters);
    sessions.save(&context, &session).await?;
    Ok(session.data.count)
}

async fn leave(_: (), sessions: State<Sessions>, context: Context) -> Result<(), FunctionError> {
    sessions.clear(&context)
}

#[derive(Deserialize)]
struct ThreadPath {
    id: u32,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    page: u32,
}

async fn thread(path: ThreadPath, context: Context) -> Result<serde_json::Value, FunctionError> {
    let Page { page } = context.request().query_as()?;
    Ok(serde_json::json!({ "id": path.id, "page": page }))
}

#[derive(Deserialize)]
struct Rename {
    title: String,
}

async fn rename(
    path: ThreadPath,
    user: Added<User>,
    mut body: RequestBody,
) -> Result<Response, FunctionError> {
    let Rename { title } = body.json(100).await?;
    Ok(Response::text(format!("{} {title} by {}", path.id, user.0)).status(201))
}

#[derive(Deserialize)]
struct Splat {
    #[serde(rename = "_splat")]
    rest: String,
}

async fn splat(path: Splat) -> Result<Response, FunctionError> {
    Ok(Response::text(path.rest))
}

async fn index(_: (), context: Context) -> Result<Response, FunctionError> {
    Ok(Response::text(context.added::<User>().map_or("nobody", |user| user.0)))
}

async fn events(_: ()) -> Result<Response, FunctionError> {
    Ok(Response::events(stream::iter((1..3).map(|number| Ok(Event::data(number.to_string()))))))
}

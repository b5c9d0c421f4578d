//! Functions that take and give every kind of value; the suites call them through a bundle.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fn_workers::seroval::{Date, Graph};
use fn_workers::{
    Chunks, Context, Form, FormFile, Function, FunctionError, NotFound, Redirect, Response, Values, Worker,
};
use futures_util::{Stream, stream};
use serde::Deserialize;

/// Pieces of endless streams that were asked for.
static PRODUCED: AtomicUsize = AtomicUsize::new(0);

/// The length of such a piece, in bytes.
const PIECE_BYTES: usize = 10_000;

/// A worker that has them.
pub fn worker() -> Worker {
    Worker::new()
        .function(Function::read("values.echo", echo))
        .function(Function::read("values.day", day))
        .function(Function::read("values.bytes", bytes))
        .function(Function::read("values.dates", dates))
        .function(Function::read("values.breaks", breaks))
        .function(Function::read("values.endless", endless))
        .function(Function::read("values.produced", produced))
        .function(Function::read("values.download", download))
        .function(Function::read("values.elsewhere", elsewhere))
        .function(Function::read("values.nothing", nothing))
        .function(Function::write("values.upload", upload))
        .function(Function::read("values.visitor", visitor))
}

async fn echo(value: Graph) -> Result<Graph, FunctionError> {
    Ok(value)
}

async fn day(date: Date) -> Result<Date, FunctionError> {
    Ok(Date::from_millis(date.millis().unwrap_or_default() + 86_400_000))
}

fn pieces(count: usize) -> impl Stream<Item = Result<Bytes, FunctionError>> {
    stream::iter((0..count).map(|_| {
        PRODUCED.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from(vec![7; PIECE_BYTES]))
    }))
}

async fn bytes(
    count: usize,
) -> Result<Chunks<impl Stream<Item = Result<Bytes, FunctionError>>>, FunctionError> {
    Ok(Chunks(pieces(count)))
}

async fn endless(_: ()) -> Result<Chunks<impl Stream<Item = Result<Bytes, FunctionError>>>, FunctionError> {
    Ok(Chunks(pieces(usize::MAX)))
}

async fn produced(_: ()) -> Result<usize, FunctionError> {
    Ok(PRODUCED.load(Ordering::Relaxed) * PIECE_BYTES)
}

async fn dates(count: i64) -> Result<Values<impl Stream<Item = Result<Date, FunctionError>>>, FunctionError> {
    Ok(Values(stream::iter((0..count).map(|millis| Ok(Date::from_millis(millis))))))
}

async fn breaks(_: ()) -> Result<Values<impl Stream<Item = Result<u8, FunctionError>>>, FunctionError> {
    Ok(Values(stream::iter([Ok(1), Err(FunctionError::new(500, "it broke").because("a secret"))])))
}

async fn download(count: usize) -> Result<Response, FunctionError> {
    Ok(Response::new(201).content_type("application/x-seven").stream(pieces(count)))
}

async fn elsewhere(_: ()) -> Result<(), FunctionError> {
    Err(Redirect::to("/threads/$id").param("id", "7").into())
}

async fn nothing(_: ()) -> Result<(), FunctionError> {
    Err(NotFound::new().data(&"gone").into())
}

#[derive(Deserialize)]
struct Upload {
    title: String,
    file: FormFile,
}

async fn upload(form: Form<Upload>) -> Result<serde_json::Value, FunctionError> {
    let file = &form.file;
    Ok(serde_json::json!({
        "title": form.title, "name": file.safe_name(), "length": file.len(), "on_disk": file.is_on_disk(),
    }))
}

/// What the middleware of `examples/edge` finds out, as far as a function wants to know.
#[derive(Deserialize)]
struct Visitor {
    locale: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

async fn visitor(_: (), context: Context) -> Result<String, FunctionError> {
    let visitor: Option<Visitor> = context.request().gateway_context()?;
    Ok(visitor.map_or_else(
        || "nobody".to_owned(),
        |Visitor { locale, user }| {
            format!("{} reads {locale}", user.map_or("somebody".to_owned(), |user| user.name))
        },
    ))
}

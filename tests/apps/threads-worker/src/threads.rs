//! Threads of one owner: nobody sees or changes those of others.

use bytes::Bytes;
use fn_workers::seroval::Date;
use fn_workers::{Added, Context, FunctionError, NotFound, RequestBody, Response, State, Values};
use futures_util::Stream;
use garde::Validate;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::account::User;
use crate::store::{Store, ask};

const DEFAULT_LIMIT: u32 = 20;

/// What is asked for.
#[derive(Debug, Deserialize, TS, Validate)]
pub struct List {
    /// What the title holds.
    #[garde(length(chars, max = 200))]
    pub query: Option<String>,
    /// Those with a star alone.
    #[garde(skip)]
    pub starred: Option<bool>,
    /// How many at most; 20 unless said otherwise.
    #[garde(range(min = 1, max = 100))]
    pub limit: Option<u32>,
}

impl List {
    /// How many are shown at most.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub id: u32,
    pub title: String,
    pub starred: bool,
    pub updated_at: Date,
}

/// The latest threads, and how many there are beyond the limit.
#[derive(Debug, PartialEq, Serialize, TS)]
pub struct Page {
    pub threads: Vec<Summary>,
    pub total: u32,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
pub struct Thread {
    #[serde(flatten)]
    pub summary: Summary,
    pub labels: Vec<String>,
    /// The beginning of its text.
    pub text: String,
    /// Words of the whole text.
    pub words: u32,
    /// Bytes of the whole text.
    pub bytes: u32,
}

/// Which thread.
#[derive(Debug, Deserialize, TS)]
pub struct ThreadId {
    pub id: u32,
}

/// A new title and new labels.
#[derive(Debug, Deserialize, TS, Validate)]
pub struct Rename {
    #[garde(skip)]
    pub id: u32,
    #[garde(length(chars, min = 3, max = 60))]
    pub title: String,
    /// Those that it has stay when there are none here.
    #[garde(length(max = 5), inner(inner(length(chars, min = 2, max = 20))))]
    pub labels: Option<Vec<String>>,
}

/// A star, or none.
#[derive(Debug, Deserialize, TS)]
pub struct Star {
    pub id: u32,
    pub starred: bool,
}

/// Lists the user's threads, the latest first.
pub async fn list(
    input: List,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Page, FunctionError> {
    let owner = user.0.clone();
    ask(store, &context, move |store| store.list(&owner, &input)).await
}

/// The threads of [`list`] one by one.
pub async fn follow(
    input: List,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Values<impl Stream<Item = Result<Summary, FunctionError>>>, FunctionError> {
    let page = list(input, user, store, context).await?;
    Ok(Values(futures_util::stream::iter(page.threads.into_iter().map(Ok))))
}

/// The path of the feed.
#[derive(Debug, Deserialize)]
pub struct Feed {
    limit: u32,
}

/// The latest titles, one on each line.
pub async fn feed(
    path: Feed,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Response, FunctionError> {
    let wanted = List { query: None, starred: None, limit: Some(path.limit.clamp(1, 100)) };
    let page = list(wanted, user, store, context).await?;
    let lines = page.threads.into_iter().map(|thread| Ok(Bytes::from(format!("{}\n", thread.title))));
    Ok(Response::text("").stream(futures_util::stream::iter(lines)))
}

/// How many bytes were posted.
pub async fn measure(_: Feed, mut body: RequestBody) -> Result<Response, FunctionError> {
    let mut length = 0;
    while let Some(piece) = body.next().await? {
        length += piece.len();
    }
    Ok(Response::text(length.to_string()))
}

/// Reads a thread.
pub async fn read(
    input: ThreadId,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Thread, FunctionError> {
    let owner = user.0.clone();
    let thread = ask(store, &context, move |store| store.read(&owner, input.id)).await?;
    thread.ok_or_else(|| NotFound::new().into())
}

/// Gives a thread a title and labels.
pub async fn rename(
    input: Rename,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Thread, FunctionError> {
    let owner = user.0.clone();
    let thread = ask(store, &context, move |store| {
        store.rename(&owner, &input)?;
        store.read(&owner, input.id)
    });
    thread.await?.ok_or_else(|| NotFound::new().into())
}

/// Gives a thread a star, or takes it.
pub async fn star(
    input: Star,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<(), FunctionError> {
    let owner = user.0.clone();
    changed(ask(store, &context, move |store| store.star(&owner, input.id, input.starred)).await?)
}

/// Removes a thread.
pub async fn remove(
    input: ThreadId,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<(), FunctionError> {
    let owner = user.0.clone();
    changed(ask(store, &context, move |store| store.remove(&owner, input.id)).await?)
}

fn changed(is_there: bool) -> Result<(), FunctionError> {
    if is_there { Ok(()) } else { Err(NotFound::new().into()) }
}

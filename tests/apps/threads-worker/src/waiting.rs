//! A call that ends only when its caller leaves, and the rows that tell of it.

use fn_workers::{Added, Context, FunctionError, State};
use serde::Serialize;
use ts_rs::TS;

use crate::account::User;
use crate::store::{Store, WaitCounts, ask};

/// How many calls wait, and how many were left by their callers.
#[derive(Debug, Serialize, TS)]
pub struct Waits {
    running: u32,
    cancelled: u32,
}

/// Waits for ever. Its row is marked when the caller has gone.
pub async fn wait(
    _: (),
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<(), FunctionError> {
    let owner = user.0.clone();
    let wait = ask(store.clone(), &context, move |store| store.begin_wait(&owner)).await?;
    let (left, services) = (context.cancellation(), context.clone());
    context.wait_until(async move {
        left.cancelled().await;
        if let Err(error) = ask(store, &services, move |store| store.end_wait(wait)).await {
            error.log();
        }
    });
    std::future::pending().await
}

/// What has become of the user's calls.
pub async fn waits(
    _: (),
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Waits, FunctionError> {
    let owner = user.0.clone();
    let WaitCounts { running, cancelled } = ask(store, &context, move |store| store.waits(&owner)).await?;
    Ok(Waits { running, cancelled })
}

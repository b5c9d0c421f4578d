//! Who is signed in. The session's cookie is sealed as `useSession` seals it, with the app's own password.

use fn_workers::{Answer, Context, FunctionError, Next, Redirect, Sessions, State};
use garde::Validate;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::store::{Store, ask};

/// The cookie, and the variable with its password: the app's JavaScript has the same.
const COOKIE: &str = "service";
const PASSWORD: &str = "SERVICE_PASSWORD";

/// The page that asks for a name.
const SIGN_IN: &str = "/service/sign-in";

/// What the session holds.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Visitor {
    user: Option<String>,
}

/// The owner whose threads a call may see.
#[derive(Debug, Clone)]
pub struct User(pub String);

/// Sessions are off when they cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// Nobody has said how.
    #[error("{PASSWORD} is not set: give it 32 characters or more, to the app as well")]
    NoPassword(#[from] std::env::VarError),
    /// The password protects nothing.
    #[error("{PASSWORD} is no password")]
    Weak(#[from] fn_workers::session::WeakPassword),
}

/// The sessions that JavaScript shares.
///
/// # Errors
/// When there is no password for them.
pub fn sessions() -> Result<Sessions, SessionsError> {
    // One round is what `useSession` of this TanStack Start reads; the password is random. The tests speak HTTP, over
    // which browsers do not send a secure cookie.
    Ok(Sessions::new(COOKIE, std::env::var(PASSWORD)?)?.rounds(1).secure(false))
}

/// Middleware: hands the user on, and leads everybody else to the page that asks for a name.
pub async fn signed_in(context: Context, next: Next) -> Result<Answer, FunctionError> {
    let sessions = context.state::<Sessions>()?;
    let visitor = sessions.open::<Visitor>(&context).await?.data;
    let Some(user) = visitor.user else { return Err(Redirect::to(SIGN_IN).into()) };
    context.add(User(user));
    next.run(context).await
}

/// A name is all that it takes.
#[derive(Debug, Deserialize, TS, Validate)]
pub struct SignIn {
    #[garde(length(chars, min = 2, max = 40))]
    name: String,
}

/// Signs in, gives a new user some threads, and leads to them.
pub async fn sign_in(
    input: SignIn,
    sessions: State<Sessions>,
    store: State<Store>,
    context: Context,
) -> Result<(), FunctionError> {
    let mut session = sessions.open::<Visitor>(&context).await?;
    session.data.user = Some(input.name.clone());
    sessions.save(&context, &session).await?;
    ask(store, &context, move |store| store.welcome(&input.name)).await?;
    Err(Redirect::to("/service").into())
}

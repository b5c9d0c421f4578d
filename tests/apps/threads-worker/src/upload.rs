//! A thread made of a file.

use fn_workers::{Added, Context, Form, FormFile, FunctionError, Invalid, State};
use garde::Validate;
use serde::Deserialize;

use crate::account::User;
use crate::extraction::{ExtractionError, extract};
use crate::store::{NewThread, Store, ask};
use crate::threads::Thread;

/// A form with a file.
#[derive(Debug, Deserialize, Validate)]
pub struct Upload {
    #[garde(skip)]
    file: FormFile,
    /// The file's name when there is none.
    #[garde(length(chars, max = 60))]
    title: Option<String>,
}

/// Keeps the file's text as a thread.
pub async fn upload(
    input: Form<Upload>,
    user: Added<User>,
    store: State<Store>,
    context: Context,
) -> Result<Thread, FunctionError> {
    let Form(Upload { file, title }) = input;
    let title = title.filter(|title| !title.is_empty()).unwrap_or_else(|| file.safe_name());
    let reader = file.reader();
    let extracted = match context.blocking(move || extract(reader)).await? {
        Ok(extracted) => extracted,
        Err(error @ ExtractionError::NotText { .. }) => {
            return Err(Invalid::field("file", error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    let thread = NewThread { title, text: extracted.text, words: extracted.words, bytes: extracted.bytes };
    let owner = user.0.clone();
    let added = ask(store, &context, move |store| store.add(&owner, &thread)).await?;
    added.ok_or_else(|| FunctionError::internal("a thread is gone as soon as it is there"))
}

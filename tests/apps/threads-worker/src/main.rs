//! The threads service: what the apps' `/service` pages call.
//!
//! - [`account`]: who is signed in, in a session that JavaScript shares.
//! - [`threads`]: the threads of one owner.
//! - [`upload`]: a thread made of a file, with the text of [`extraction`].
//! - [`waiting`]: a call that ends only when its caller leaves.
//! - [`store`]: the database.

mod account;
mod extraction;
mod store;
mod threads;
mod upload;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

use fn_workers::{Form, Function, Route, Worker};
use garde::Validate;

use account::signed_in;
use store::Store;
use upload::Upload;

fn main() -> ExitCode {
    Worker::new()
        .open_state(Store::from_environment)
        .open_state(account::sessions)
        .function(Function::write("service.signIn", account::sign_in).validate(Validate::validate))
        .function(
            Function::read("service.list", threads::list)
                .validate(Validate::validate)
                .middleware(signed_in)
                .deadline(Duration::from_secs(5)),
        )
        .function(
            Function::read("service.follow", threads::follow)
                .validate(Validate::validate)
                .middleware(signed_in),
        )
        .function(Function::read("service.read", threads::read).middleware(signed_in))
        .function(
            Function::write("service.rename", threads::rename)
                .validate(Validate::validate)
                .middleware(signed_in),
        )
        .function(Function::write("service.star", threads::star).middleware(signed_in).idempotent())
        .function(Function::write("service.remove", threads::remove).middleware(signed_in))
        .function(
            Function::write("service.upload", upload::upload)
                .validate(|form: &Form<Upload>| form.0.validate())
                .middleware(signed_in)
                .concurrency(4),
        )
        .function(Function::read("service.wait", waiting::wait).middleware(signed_in))
        .function(Function::read("service.waits", waiting::waits).middleware(signed_in))
        .routes(
            Route::new("/service/feed/$limit")
                .middleware(signed_in)
                .get(threads::feed)
                .post(threads::measure),
        )
        .run()
}

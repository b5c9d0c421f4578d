//! The functions of `bench functions`: as an fn worker, or with `--bare` as handlers of actix-web and nothing else.

use std::process::ExitCode;

use actix_web::web::{Json, Query};
use actix_web::{App, HttpResponse, HttpServer, web};
use mimalloc::MiMalloc;

mod functions;
mod work;

use work::{ListInput, OrderInput};

/// As the worker that comes with the gateway has it; the bare handlers too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == "--bare") {
        return bare();
    }
    functions::worker().run()
}

async fn bare_list(Query(input): Query<ListInput>) -> HttpResponse {
    match input.check() {
        Ok(()) => HttpResponse::Ok().json(work::list(&input)),
        Err(wrong) => HttpResponse::UnprocessableEntity().body(wrong),
    }
}

async fn bare_order(Json(input): Json<OrderInput>) -> HttpResponse {
    match input.check() {
        Ok(()) => HttpResponse::Ok().json(work::order(input)),
        Err(wrong) => HttpResponse::UnprocessableEntity().body(wrong),
    }
}

#[expect(clippy::print_stdout, reason = "who started it waits for the address")]
#[actix_web::main]
async fn bare() -> ExitCode {
    let app =
        || App::new().route("/list", web::get().to(bare_list)).route("/order", web::post().to(bare_order));
    let Ok(server) = HttpServer::new(app).workers(1).bind("127.0.0.1:0") else { return ExitCode::FAILURE };
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    match server.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

//! The functions of `bench functions`: as an fn worker, or with `--bare` as handlers of actix-web and nothing else.

use std::process::ExitCode;

use actix_web::web::{Json, Query};
use actix_web::{App, HttpResponse, HttpServer, web};
use fn_workers::{Function, FunctionError, Invalid, Worker};
use mimalloc::MiMalloc;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

mod work;

use work::{ListInput, Order, OrderInput, Page};

/// As the worker that comes with the gateway has it; the bare handlers too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A number to give back.
#[derive(Debug, Deserialize, Serialize, TS)]
struct Echo {
    number: u32,
}

fn invalid(wrong: &'static str) -> Invalid {
    let (field, message) = wrong.split_once(": ").unwrap_or(("", wrong));
    Invalid::field(field, message.to_owned())
}

async fn list(input: ListInput) -> Result<Page, FunctionError> {
    Ok(work::list(&input))
}

async fn order(input: OrderInput) -> Result<Order, FunctionError> {
    Ok(work::order(input))
}

async fn echo(input: Echo) -> Result<u32, FunctionError> {
    Ok(input.number)
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == "--bare") {
        return bare();
    }
    Worker::new()
        .function(
            Function::read("bench.list", list).validate(|input: &ListInput| input.check().map_err(invalid)),
        )
        .function(
            Function::write("bench.order", order)
                .validate(|input: &OrderInput| input.check().map_err(invalid)),
        )
        .function(Function::read("bench.echo", echo))
        .run()
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

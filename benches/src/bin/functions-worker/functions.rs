//! The functions of `bench functions`, for a worker's process and for a gateway's own.

use fn_workers::{Function, FunctionError, Invalid, Worker};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::work::{self, ListInput, Order, OrderInput, Page};

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

/// A worker that has them.
pub fn worker() -> Worker {
    Worker::new()
        .function(
            Function::read("bench.list", list).validate(|input: &ListInput| input.check().map_err(invalid)),
        )
        .function(
            Function::write("bench.order", order)
                .validate(|input: &OrderInput| input.check().map_err(invalid)),
        )
        .function(Function::read("bench.echo", echo))
}

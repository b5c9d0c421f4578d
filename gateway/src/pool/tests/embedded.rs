//! Functions of this process, on a gateway thread.

use bytes::BytesMut;
use fn_workers::{Embedded, Function, FunctionError, Worker as FnWorker};
use shared::message::{Caller, NativeCall, Outcome};

use super::*;
use crate::pool::State;

async fn double(number: u32) -> Result<u32, FunctionError> {
    Ok(number * 2)
}

async fn hang(_: u32) -> Result<(), FunctionError> {
    std::future::pending().await
}

/// A gateway thread with functions of its own, and so many worker processes to come.
fn gateway(fn_workers: usize) -> Gateway {
    let worker = FnWorker::new()
        .function(Function::read("own.double", double))
        .function(Function::write("own.hang", hang));
    let settings = settings();
    let functions = Embedded::open(worker, &settings.worker_setup).unwrap();
    // Panics of this test are not a function's.
    drop(std::panic::take_hook());
    let settings = PoolSettings { fn_workers, embedded: Some(Arc::new(functions)), ..settings };
    let pool = Arc::new(Pool::new(settings, Metrics::new().unwrap(), scratch()));
    let thread = Rc::new(Thread::new(0, pool.clone()));
    thread.host_embedded();
    Gateway { thread, pool }
}

fn call(name: &str) -> NativeCall {
    let head = RequestHeadRef {
        method: "POST",
        url: "http://localhost/",
        client_ip: "127.0.0.1",
        request_id: "r1",
        has_body: false,
        options: HandlerOptions::default(),
    };
    let mut encoded = BytesMut::new();
    head.encode(&mut encoded, std::iter::empty());
    NativeCall {
        name: name.into(),
        caller: Caller::Client,
        deadline_ms: 5000,
        request_id: "r1".into(),
        head: encoded.freeze(),
        input: "21".into(),
    }
}

impl Gateway {
    async fn answer(&self, name: &str) -> Result<Bytes, u16> {
        match self.thread.call(call(name)).await {
            Outcome::Value(value) => Ok(value),
            Outcome::Failed { status, .. } => Err(status),
            other @ Outcome::Answer { .. } => panic!("more than a value: {other:?}"),
        }
    }
}

#[actix_web::test]
async fn a_call_is_answered_on_its_thread() {
    let gateway = gateway(0);
    assert_eq!(gateway.answer("own.double").await, Ok("42".into()));
    assert_eq!(gateway.answer("own.none").await, Err(404));
    let slot = gateway.thread.embedded.borrow().as_ref().unwrap().slot.clone();
    assert_eq!(slot.in_flight(), 0);
}

#[actix_web::test]
async fn what_workers_have_goes_to_them_and_what_nobody_has_too() {
    let gateway = gateway(1);
    assert_eq!(gateway.answer("own.double").await, Ok("42".into()));
    assert_eq!(gateway.answer("theirs").await, Err(503), "their worker is not there");
    let mut worker = gateway.worker(0);
    let thread = gateway.thread.clone();
    let running = actix_web::rt::spawn(async move { thread.call(call("theirs")).await });
    let ToWorker::Call { id, .. } = worker.receive().await else { panic!("no call") };
    let outcome = Outcome::Value("1".into());
    worker.channel.send(&FromWorker::Reply { id, outcome: outcome.clone() }).await.unwrap();
    assert_eq!(running.await.unwrap(), outcome);
}

#[actix_web::test]
async fn a_link_that_breaks_costs_its_calls_and_is_made_anew() {
    let gateway = gateway(0);
    let thread = gateway.thread.clone();
    let hanging = actix_web::rt::spawn(async move { thread.call(call("own.hang")).await });
    while gateway.pool.in_flight.count() == 0 {
        tokio::task::yield_now().await;
    }
    let broken = gateway.thread.embedded.borrow().clone().unwrap();
    broken.lose_calls(false);
    assert!(matches!(hanging.await.unwrap(), Outcome::Failed { status: 502, .. }));
    assert_eq!(gateway.answer("own.double").await, Err(503));
    // The clock goes on by itself while nothing else does.
    tokio::time::pause();
    while gateway.thread.embedded.borrow().as_ref().is_none_or(|link| Rc::ptr_eq(link, &broken)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::resume();
    assert_eq!(gateway.answer("own.double").await, Ok("42".into()));
}

#[actix_web::test]
async fn a_drain_refuses_calls_and_shows_in_the_status() {
    let gateway = gateway(0);
    let states = || -> Vec<_> {
        let status = gateway.pool.status();
        status.children.iter().map(|child| (child.embedded, child.pid, child.state)).collect()
    };
    let own = std::process::id();
    assert_eq!(states(), [(true, own, State::Ready)]);
    gateway.pool.drain_embedded(Duration::from_secs(5)).await;
    assert_eq!(states(), [(true, own, State::Draining)]);
    assert_eq!(gateway.answer("own.double").await, Err(503));
    assert_eq!(gateway.pool.roster().alive(ChildKind::FnWorker), 0, "no process is waited for");
}

//! How the process begins and ends.

use std::mem::swap;

use shared::message::{FromChild, Outcome, ToChild};
use shared::setup::{FormLimits, RendererSetup, Setup, ValueLimits, WorkerSetup};
use tokio::process::Command;

use crate::fixture;
use crate::gateway::{Gateway, LONG_MS, default_worker, fixture_worker, spawn_fixture};

fn default_binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fn-workers"))
}

#[tokio::test]
async fn it_reports_its_functions_when_it_is_ready() {
    let mut gateway = Gateway::spawn(default_binary(), |args| args);
    assert_eq!(gateway.set_up(1, 8).await, ["markdown.render", "threads.list"]);
}

#[tokio::test]
async fn a_drain_refuses_what_is_new_finishes_what_runs_and_exits_0() {
    let mut gateway = fixture_worker(2, 16).await;
    let naps = gateway.start("test.nap", "500", LONG_MS).await;
    gateway.logged("napping").await;
    gateway.tell(ToChild::Drain).await;
    swap(&mut gateway.link, &mut gateway.other_link);
    while gateway.call("test.echo", "1").await == Outcome::Value("1".into()) {}
    assert_eq!(gateway.failure("test.echo", "1").await, (503, "the function worker is ending".into()));
    swap(&mut gateway.link, &mut gateway.other_link);
    assert_eq!(gateway.reply().await, (naps, Outcome::Value(r#""rested""#.into())));
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_idle_worker_drains_at_once() {
    let mut gateway = default_worker().await;
    gateway.tell(ToChild::Drain).await;
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn it_never_outlives_its_gateway() {
    let mut gateway = fixture_worker(1, 16).await;
    gateway.start("test.hold", "", LONG_MS).await;
    gateway.logged("holding").await;
    drop(gateway.control.take());
    gateway.exit().await;

    let mut gateway = fixture_worker(1, 16).await;
    gateway.start("test.hold", "", LONG_MS).await;
    drop(gateway.link.take());
    gateway.exit().await;

    let mut gateway = Gateway::spawn(default_binary(), |args| args);
    drop(gateway.control.take());
    gateway.exit().await;
}

#[tokio::test]
async fn a_drain_that_waits_still_follows_its_gateway() {
    let mut gateway = fixture_worker(1, 16).await;
    gateway.start("test.hold", "", LONG_MS).await;
    gateway.logged("holding").await;
    gateway.tell(ToChild::Drain).await;
    gateway.logged("drains").await;
    drop(gateway.control.take());
    gateway.exit().await;
}

#[tokio::test]
async fn wrong_registrations_are_reported_and_exit_65() {
    let mut gateway = spawn_fixture(fixture::RUN_WRONG);
    gateway
        .tell(ToChild::Setup(Setup::Worker(WorkerSetup {
            arbiters: 1,
            mailbox: 1,
            forms: FormLimits::default(),
            values: ValueLimits::default(),
        })))
        .await;
    let FromChild::LoadFailed(failure) = gateway.hear().await else { panic!("it starts") };
    assert!(failure.problem.contains("two functions are named `test.echo`"), "{failure:?}");
    assert_eq!(gateway.exit().await.code(), Some(65));
}

#[tokio::test]
async fn a_start_by_hand_is_told_so_and_exits_64() {
    let mut gateway = Gateway::spawn(default_binary(), |_| vec!["--help".into()]);
    gateway.logged("started by `gateway`, not by hand").await;
    assert_eq!(gateway.exit().await.code(), Some(64));
}

#[tokio::test]
async fn messages_for_another_kind_of_process_end_it() {
    let mut gateway = Gateway::spawn(default_binary(), |args| args);
    let setup = RendererSetup::new("/", "/");
    gateway.tell(ToChild::Setup(Setup::Renderer(setup))).await;
    gateway.logged("`be a renderer` does not fit").await;
    assert_eq!(gateway.exit().await.code(), Some(70));
}

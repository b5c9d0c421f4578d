//! Faults in loaders and components of the real apps: `tests/apps/threads-shared/faults.ts`.

use tests::wait::within_patience;
use tests::{App, Cluster};

use super::incident::{CONFIG, Seen, Work, ask, faults_happen, turn, under_load};

async fn faults_happen_in(app: App) {
    let cluster = Cluster::of(app).renderers(2).spares(1).fn_workers(0).config(CONFIG).start().await;
    let faults = vec![
        turn("`while (true) {}` in a loader", "/faults/loop", "at spin"),
        turn("the same after an `await`", "/faults/later", "at spin"),
        turn("a loop around one that V8 unrolls, in a loader", "/faults/unrolled", "at spinAround"),
        turn("a catastrophic regular expression in a loader", "/faults/regexp", "/faults/regexp"),
        turn("an endless chain of microtasks in a loader", "/faults/microtasks", "/faults/microtasks"),
        turn("a storm of promises in a loader", "/faults/promises", "/faults/promises"),
        turn("`while (true) {}` in a component", "/faults/render", "at misbehaveInRender"),
    ];
    faults_happen(cluster, Work::PAGE, faults).await;
}

#[tokio::test]
async fn each_fault_of_the_react_app_costs_its_own_request_and_no_other() {
    faults_happen_in(App::ThreadsReact).await;
}

#[tokio::test]
async fn each_fault_of_the_solid_app_costs_its_own_request_and_no_other() {
    faults_happen_in(App::ThreadsSolid).await;
}

/// Start hears of the abort and answers itself, with a 500.
async fn a_loader_without_an_end_is_ended_by_the_clock(app: App) {
    let config = "abort_delay = \"400ms\"\nabort_grace = \"2s\"";
    let cluster = Cluster::of(app).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    let (seen, others) = under_load(&cluster, Work::PAGE, ask(&cluster, "/faults/never")).await;
    assert!(matches!(&seen, Seen::Answer(500, text) if text.contains("HTTPError")), "{seen:?}");
    assert_eq!(Work::PAGE.hurt(&others), Vec::<&Seen>::new());
    let line = cluster.log().nth("a request takes longer than abort_delay", 1);
    within_patience("the log says so", line).await;
    println!("| a loader that never ends | {seen} | {} answers, all 200 |", others.len());
    cluster.stop().await;
}

#[tokio::test]
async fn a_react_loader_without_an_end_is_ended_by_the_clock() {
    a_loader_without_an_end_is_ended_by_the_clock(App::ThreadsReact).await;
}

#[tokio::test]
async fn a_solid_loader_without_an_end_is_ended_by_the_clock() {
    a_loader_without_an_end_is_ended_by_the_clock(App::ThreadsSolid).await;
}

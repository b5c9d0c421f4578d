//! The command line and the configuration, before anything runs.

use tests::{App, Bundle, Cluster, Gateway};

#[tokio::test]
async fn all_wrong_values_are_told_together() {
    let exit = Cluster::of(Bundle::fetch("return new Response('ok')"))
        .flag("--body-limit", "a lot")
        .flag("--threads", "-3")
        .variable("ISOPOD_QUEUE_WAIT", "soon")
        .config("job_timeout = \"never\"\nmax_jobs = 7")
        .start_to_end()
        .await;
    exit.expect_code(64).expect_said(&[
        "body_limit",
        "a lot",
        "threads",
        "-3",
        "queue_wait",
        "soon",
        "ISOPOD_QUEUE_WAIT",
        "job_timeout",
        "never",
        "max_jobs",
    ]);
    assert_eq!(exit.stdout, "", "it never listens");
}

#[tokio::test]
async fn an_unknown_flag_is_a_usage_error() {
    Gateway::run(&["--rendrers", "2"]).await.expect_code(64).expect_said(&["--rendrers"]);
    Gateway::run(&[]).await.expect_code(64).expect_said(&["--app"]);
}

#[tokio::test]
async fn help_shows_how_it_is_used() {
    let help = Gateway::run(&["--help"]).await;
    help.expect_code(0);
    for part in [
        "--app",
        "--listen",
        "--admin",
        "--renderers",
        "--isolates",
        "--fn-workers",
        "--config",
        "gateway --app dist",
    ] {
        assert!(help.stdout.contains(part), "{part} is not in:\n{}", help.stdout);
    }
}

#[tokio::test]
async fn check_tells_without_serving() {
    let dist = App::ThreadsReact.dist();
    let good = Gateway::run(&["check", "--app", dist.to_str().unwrap()]).await;
    good.expect_code(0);
    assert!(!good.stdout.contains("listening on"), "{}", good.stdout);
    Gateway::run(&["check", "--app", dist.to_str().unwrap(), "--renderers", "0"]).await.expect_code(64);
    Gateway::run(&["check", "--app", "/no/such/dist"]).await.expect_code(65);
}

#[tokio::test]
async fn a_taken_address_is_a_service_that_is_not_there() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let app = App::ThreadsReact.dist();
    let args = ["--app", app.to_str().unwrap(), "--listen", &taken, "--admin", "127.0.0.1:0"];
    Gateway::run(&args).await.expect_code(69).expect_said(&[&taken]);
}

#[tokio::test]
async fn v8_gets_its_flags_and_unknown_ones_are_named() {
    let app = || {
        Bundle::fetch(
            "const f = (n) => n ? f(n - 1) : new Error().stack.split('\\n').length\nreturn new Response(f(9))",
        )
    };
    let cluster = Cluster::of(app()).flag("--v8-flags", "--stack-trace-limit=3").start().await;
    assert_eq!(cluster.get("/").await.text(), "4", "the message and three frames");
    let exit =
        Cluster::of(app()).variable("ISOPOD_V8_FLAGS", "--max-lazy,--no-such-flag=1").start_to_end().await;
    exit.expect_code(64).expect_said(&["v8_flags", "--no-such-flag=1"]);
    assert!(!exit.stderr.contains("know --max-lazy"), "{}", exit.stderr);
}

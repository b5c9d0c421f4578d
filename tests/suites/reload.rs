//! Another build of the app takes over while requests are answered.

use std::cell::Cell;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::load::each;
use tests::metrics::Metrics;
use tests::wait::within_patience;
use tests::{Bundle, Cluster};

const CLIENTS: usize = 4;

/// A build that answers with its name, after a moment, and has a file whose name holds a hash.
fn build(name: &str, hash: &str) -> Bundle {
    let body = format!(
        "const ms = url.pathname === '/slow' ? 8000 : 5
         await new Promise((resolve) => setTimeout(resolve, ms)); return new Response({name:?})"
    );
    Bundle::fetch(&body).file(&format!("client/assets/app-{hash}.js"), name).file("client/name.txt", name)
}

/// Where `--app` points: to one of several builds.
struct Place(TempDir);

impl Place {
    fn with(build: &Bundle) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        symlink(build.path(), place.link()).unwrap();
        place
    }

    fn link(&self) -> std::path::PathBuf {
        self.0.path().join("current")
    }

    /// As deployments do: in one step.
    fn point_to(&self, build: &Path) {
        let next = self.0.path().join("next");
        symlink(build, &next).unwrap();
        std::fs::rename(next, self.link()).unwrap();
    }
}

fn reloads(metrics: &Metrics, outcome: &str) -> f64 {
    metrics.sum("isopod_reloads_total", &[("outcome", outcome)])
}

/// How often there were too few isolates for a while.
fn recoveries(metrics: &Metrics) -> f64 {
    metrics.sum("isopod_recovery_seconds_count", &[])
}

/// Clients ask until `incident` is over; all of what they saw.
async fn seen_during(cluster: &Cluster, incident: impl Future<Output = ()>) -> Vec<String> {
    let over = AtomicBool::new(false);
    let seen = each(0..CLIENTS, CLIENTS, async |_| {
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let answer = cluster.get("/").await;
            assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
            seen.push(answer.text());
        }
        seen
    });
    let incident = async {
        incident.await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(seen, incident).0.into_iter().flatten().collect()
}

async fn a_build_takes_over_under_load(renderers: usize, spares: usize) {
    let (first, second) = (build("first", "Bx3kd9Qz"), build("second", "C1fk20aP"));
    let place = Place::with(&first);
    let cluster =
        Cluster::of(place.link().as_path()).renderers(renderers).spares(spares).fn_workers(0).start().await;
    let strength = f64::from(u32::try_from(renderers).unwrap());
    cluster
        .metrics_until("the spares are there", |now| {
            now.isolates("standby") == f64::from(u32::try_from(spares).unwrap())
        })
        .await;
    let slow = cluster.get("/slow");
    let seen = seen_during(&cluster, async {
        assert_eq!(cluster.get("/").await.text(), "first");
        cluster.metrics_until("a slow request runs", |now| now.jobs_in_flight() > 0.0).await;
        place.point_to(second.path());
        cluster.signal(Signal::SIGHUP);
        let least = Cell::new(strength);
        cluster
            .metrics_until("it has taken over", |now| {
                least.set(least.get().min(now.isolates("ready")));
                reloads(now, "done") == 1.0
            })
            .await;
        assert_eq!(least.get(), strength, "never fewer isolates than there should be");
    });
    let (slow, seen) = tokio::join!(slow, seen);
    assert_eq!(slow.text(), "first", "what runs is finished by the build that it began with");
    assert_eq!(seen.first().map(String::as_str), Some("first"));
    for _ in 0..CLIENTS * renderers {
        assert_eq!(cluster.get("/").await.text(), "second");
    }
    assert_eq!(cluster.get("/assets/app-C1fk20aP.js").await.text(), "second");
    assert_eq!(cluster.get("/assets/app-Bx3kd9Qz.js").await.text(), "first", "open pages ask for it");
    assert_eq!(cluster.get("/name.txt").await.text(), "second");
    let metrics = cluster.metrics().await;
    assert_eq!(metrics.sum("isopod_job_failures_total", &[]), 0.0);
    assert_eq!(recoveries(&metrics), 0.0, "the gateway itself has counted no moment with fewer");
    cluster.stop().await;
}

#[tokio::test]
async fn a_build_takes_over_through_a_spare_and_no_request_fails() {
    a_build_takes_over_under_load(2, 1).await;
}

#[tokio::test]
async fn a_build_takes_over_without_spares_and_no_request_fails() {
    a_build_takes_over_under_load(2, 0).await;
}

#[tokio::test]
async fn a_build_that_cannot_run_is_not_taken_over() {
    let good = build("good", "Bx3kd9Qz");
    let place = Place::with(&good);
    let cluster = Cluster::of(place.link().as_path())
        .renderers(2)
        .spares(1)
        .fn_workers(0)
        .config("load_timeout = \"5s\"")
        .start()
        .await;
    cluster.metrics_until("a spare is ready", |now| now.isolates("standby") == 1.0).await;
    let reload = || cluster.answer(cluster.client().post(cluster.admin_url("/reload")));
    let broken = Bundle::new("throw new Error('this build is broken')\n").file("client/name.txt", "broken");
    let endless = Bundle::new("await new Promise((resolve) => setTimeout(resolve, 1e9))\n");
    let ends = Bundle::new("process.exit(7)\n");
    let without_server = Bundle::without_server();
    let builds = [
        (broken.path(), "this build is broken"),
        (endless.path(), "load_timeout"),
        (ends.path(), "exit"),
        (without_server.path(), "server/server.js"),
        (Path::new("/nowhere/at/all"), "/current"),
    ];
    let seen = seen_during(&cluster, async {
        for (build, part) in builds {
            place.point_to(build);
            let answer = reload().await;
            assert_eq!(answer.status, 422, "{}", answer.text());
            assert!(answer.text().contains(part), "{part}: {}", answer.text());
            assert_eq!(cluster.get("/name.txt").await.text(), "good");
        }
        cluster
            .metrics_until("full strength", |now| {
                now.isolates("ready") == 2.0 && now.isolates("standby") == 1.0
            })
            .await;
    })
    .await;
    assert!(seen.iter().all(|text| text == "good"));
    assert_eq!(cluster.get("/name.txt").await.text(), "good");
    let metrics = cluster.metrics().await;
    assert_eq!((reloads(&metrics, "failed"), recoveries(&metrics)), (builds.len() as f64, 0.0));

    let next = build("next", "C1fk20aP");
    place.point_to(next.path());
    let answer = reload().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(cluster.get("/").await.text(), "next");
    let line = cluster.log().find(|line| line.contains("another build is served").then_some(()));
    within_patience("the log says so", line).await.unwrap();
    let read = cluster.answer(cluster.client().get(cluster.admin_url("/reload"))).await;
    assert_eq!(read.status, 405, "a link could ask for it");
    let page =
        cluster.client().post(cluster.admin_url("/reload")).header("origin", "https://elsewhere.example");
    assert_eq!(cluster.answer(page).await.status, 403, "a page of another site could ask for it");
    cluster.stop().await;
}

#[tokio::test]
async fn one_build_at_a_time_takes_over_and_none_once_the_gateway_stops() {
    let first = build("first", "Bx3kd9Qz");
    let place = Place::with(&first);
    let cluster = Cluster::of(place.link().as_path()).renderers(1).spares(0).fn_workers(0).start().await;
    let reload = || cluster.answer(cluster.client().post(cluster.admin_url("/reload")));
    let endless = Bundle::new("await new Promise((resolve) => setTimeout(resolve, 1e9))\n");
    place.point_to(endless.path());
    let (stopped, children) = tokio::join!(reload(), async {
        cluster.metrics_until("it loads", |now| now.isolates("starting") == 1.0).await;
        assert_eq!(reload().await.status, 409);
        assert_eq!(reloads(&cluster.metrics().await, "refused"), 1.0);
        assert_eq!(cluster.get("/").await.text(), "first");
        let children = cluster.child_pids();
        cluster.signal(Signal::SIGTERM);
        children
    });
    assert_eq!(stopped.status, 503, "{}", stopped.text());
    cluster.exit(children).await.expect_code(0);
}

#[tokio::test]
async fn renderers_that_have_changed_over_change_back_when_the_next_one_cannot() {
    let first = build("first", "Bx3kd9Qz");
    let place = Place::with(&first);
    let marks = tempfile::tempdir().unwrap();
    let second = Bundle::new(&format!(
        "import {{ existsSync, writeFileSync }} from 'node:fs'
         const mark = {:?}
         if (existsSync(mark)) throw new Error('this build runs only once')
         writeFileSync(mark, '')
         export default {{ fetch: () => new Response('second') }}\n",
        marks.path().join("loaded")
    ))
    .file("client/assets/app-C1fk20aP.js", "second");
    let cluster = Cluster::of(place.link().as_path())
        .renderers(2)
        .spares(0)
        .fn_workers(0)
        .flag("--writable", marks.path().to_str().unwrap())
        .start()
        .await;
    let seen = seen_during(&cluster, async {
        place.point_to(second.path());
        let answer = cluster.answer(cluster.client().post(cluster.admin_url("/reload"))).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains("this build runs only once"), "{}", answer.text());
        // Two at the start, one of the new build, and one of the old one in each of the two places.
        within_patience("five were ready in all", cluster.log().nth("a child is ready", 5)).await;
        cluster
            .metrics_until("what had changed over has changed back", |now| {
                ["starting", "ready", "draining"].map(|state| now.isolates(state)) == [0.0, 2.0, 0.0]
            })
            .await;
    })
    .await;
    assert!(seen.iter().any(|text| text == "second"), "one had changed over");
    for _ in 0..2 * CLIENTS {
        assert_eq!(cluster.get("/").await.text(), "first");
    }
    assert_eq!(cluster.get("/assets/app-C1fk20aP.js").await.text(), "second", "pages of it ask for it");
    assert_eq!(recoveries(&cluster.metrics().await), 0.0);
    cluster.stop().await;
}

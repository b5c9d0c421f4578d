//! A renderer's memory stays where it is, however many pages it has rendered.

use tests::load::each;
use tests::process::resident_bytes;
use tests::{App, Cluster};

const WARM: usize = 5_000;
const ALL: usize = 50_000;
const AT_A_TIME: usize = 16;

async fn render(cluster: &Cluster, requests: std::ops::Range<usize>) -> u64 {
    each(requests, AT_A_TIME, async |_| {
        let status = cluster.get("/").await.status;
        assert_eq!(status, 200);
    })
    .await;
    resident_bytes(cluster.children("renderer").await[0].pid)
}

#[tokio::test]
async fn fifty_thousand_pages_take_no_more_memory_than_five_thousand() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    let warm = render(&cluster, 0..WARM).await;
    let after = render(&cluster, WARM..ALL).await;
    assert!(after * 10 <= warm * 13, "{warm} bytes after {WARM} pages, {after} after {ALL}");
    cluster.stop().await;
}

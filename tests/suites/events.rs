//! Server-sent events: they last as long as somebody listens, and stand in nobody's way.

use tests::http::RawConnection;
use tests::http2::Http2;
use tests::wait::within_patience;
use tests::{Bundle, Cluster};
use tokio::net::TcpStream;

/// An app with a stream of events that says a word every 100 ms.
fn app() -> Bundle {
    Bundle::fetch(
        "if (url.pathname === '/open') return Response.json({ open: globalThis.open ?? 0 })
         if (url.pathname !== '/events') return new Response('ok')
         globalThis.open = (globalThis.open ?? 0) + 1
         let timer
         return new Response(new ReadableStream({
           start(controller) {
             let count = 0
             const say = () => controller.enqueue(new TextEncoder().encode(`data: ${count++}\\n\\n`))
             say()
             timer = setInterval(say, 100)
           },
           cancel() { clearInterval(timer); globalThis.open-- },
         }), { headers: { 'content-type': 'Text/Event-Stream' } })",
    )
}

async fn listen(cluster: &Cluster) -> RawConnection {
    let mut connection = cluster.connect().await;
    connection.send("GET /events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n").await;
    connection.read_until("data: 0\n\n").await;
    connection
}

#[tokio::test]
async fn events_come_one_by_one_beyond_the_time_of_documents_and_end_with_their_client() {
    let config = "job_timeout = \"500ms\"\nkeep_alive = \"1s\"\nwrite_timeout = \"500ms\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let mut connection = listen(&cluster).await;
    let head = connection.read_until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream") && !head.contains("content-length"), "{head}");
    let received = connection.read_until("data: 25\n\n").await;
    assert!(!received.contains("data: 26"), "each comes when it is said: {received}");
    assert_eq!(cluster.get("/open").await.json()["open"], 1);
    drop(connection);
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/open").await.json()["open"], 0);
}

#[tokio::test]
async fn events_come_over_http2_as_well() {
    let config = "job_timeout = \"500ms\"\nwrite_timeout = \"500ms\"\nh2c = true";
    let cluster = Cluster::of(app()).config(config).start().await;
    let stream = TcpStream::connect(cluster.address()).await.unwrap();
    let mut http2 = Http2::over(stream, "localhost").await;
    let (response, sender) = http2.begin("GET", "/events", &[], false).await.unwrap();
    let mut events = within_patience("the head", response).await.unwrap().into_body();
    let mut received = String::new();
    while !received.contains("data: 12\n\n") {
        let piece = within_patience("an event", events.data()).await.unwrap().unwrap();
        events.flow_control().release_capacity(piece.len()).unwrap();
        received.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert_eq!(cluster.get("/open").await.json()["open"], 1);
    drop((events, sender));
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/open").await.json()["open"], 0);
    assert_eq!(http2.get("/", &[]).await.body, "ok", "the connection goes on");
}

#[tokio::test]
async fn listeners_take_no_places_from_pages() {
    let config = "max_jobs_per_isolate = 1\nqueue_wait = \"1s\"\nmax_event_streams_per_isolate = 3";
    let cluster = Cluster::of(app()).config(config).start().await;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(listen(&cluster).await);
    }
    assert_eq!(cluster.get("/").await.status, 200, "three listen, and the one place is free");
    listeners.push(listen(&cluster).await);
    let refused = cluster.get("/").await;
    assert_eq!(refused.status, 503, "one more than may takes a place");
    drop(listeners.pop());
    cluster.metrics_until("it is gone", |metrics| metrics.jobs_in_flight() == 3.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}

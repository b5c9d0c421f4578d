//! What native functions are sent and answer when a bundle calls them: values of every type, streams, forms.

use std::ops::Deref;

use serde_json::json;
use tests::nats::{Nats, RemoteWorker, StartWorker};
use tests::{Bundle, Cluster};

/// A bundle that answers a path by one expression; `call` is a native function's.
fn bundle(expression: &str) -> Bundle {
    Bundle::fetch(&format!(
        r#"if (new URL(request.url).pathname === "/") return new Response("warm");
           const call = (name, data) => globalThis[Symbol.for("isopod.host")].callNative(name, data);
           return Response.json(await (async () => {{ {expression} }})());"#
    ))
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_values-worker");

/// Where the worker is.
#[derive(Clone, Copy)]
enum Place {
    /// Beside the gateway.
    Here,
    /// In the gateway's own process.
    Within,
    /// On another machine, behind a NATS server whose messages are far shorter than a window.
    Elsewhere,
}

/// A cluster with a worker, and what the worker needs.
struct Served {
    cluster: Cluster,
    _elsewhere: Option<(Nats, RemoteWorker)>,
}

impl Deref for Served {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

async fn cluster(place: Place, expression: &str) -> Served {
    cluster_with(place, expression, |worker| worker).await
}

/// As [`cluster`]; a worker on another machine is started with flags of its own.
async fn cluster_with(
    place: Place,
    expression: &str,
    flags: impl FnOnce(StartWorker) -> StartWorker,
) -> Served {
    let cluster = Cluster::of(bundle(expression)).config("body_limit = \"64MiB\"");
    if let Place::Here = place {
        let cluster = cluster.flag("--fn-worker-bin", PROGRAM).start().await;
        return Served { cluster, _elsewhere: None };
    }
    if let Place::Within = place {
        let cluster = cluster.fn_workers(0).program("embedding-gateway").start().await;
        return Served { cluster, _elsewhere: None };
    }
    let nats = Nats::start("max_payload: 65536").await;
    let cluster = cluster.fn_workers(0).flag("--threads", "1").flag("--nats", &nats.url()).start().await;
    let worker = flags(StartWorker::of(PROGRAM, &nats.url())).spawn().await;
    cluster
        .metrics_until("the gateway knows the worker", |metrics| {
            metrics.sum("isopod_nats_workers", &[]) + metrics.sum("isopod_nats_connections", &[]) == 2.0
        })
        .await;
    Served { cluster, _elsewhere: Some((nats, worker)) }
}

async fn every_type_survives_the_way_to_rust_and_back(place: Place) {
    let cluster = cluster(
        place,
        r#"
        const cycle = { name: "cycle", list: [] };
        cycle.list.push(cycle);
        const shared = { a: 1 };
        const sparse = [1, , 3];
        const proto = JSON.parse('{"__proto__":1,"constructor":2}');
        const bytes = new Uint8Array([1, 2, 255, 4]).subarray(1, 3);
        const values = {
          null: null, undefined: undefined, yes: true, text: 'a\\b"<\n\u2028\u{1f600}', zero: -0, nan: NaN,
          most: Infinity, least: -Infinity, fraction: 0.1, big: 123456789012345678901234567890n,
          date: new Date(86400000), invalid: new Date(NaN), pattern: /a\/b\\/gi, url: new URL("http://a.test/b?c"),
          set: new Set([1, "b"]), map: new Map([[{ k: 1 }, [2]], ["x", undefined]]), sparse, bytes,
          floats: new Float64Array([0.5, -0]), bigs: new BigInt64Array([-5n]), buffer: new Uint8Array([9]).buffer,
          view: new DataView(new Uint8Array([1, 2, 3]).buffer, 1), error: new RangeError("too far"),
          bare: Object.assign(Object.create(null), { x: 1 }), shared: [shared, shared], cycle, proto,
        };
        const it = await call("values.echo", values);
        const is = Object.is;
        const checks = {
          null: is(it.null, null), undefined: "undefined" in it && is(it.undefined, undefined), yes: it.yes === true,
          text: it.text === values.text, zero: is(it.zero, -0), nan: is(it.nan, NaN), most: it.most === Infinity,
          least: it.least === -Infinity, fraction: it.fraction === 0.1, big: it.big === values.big,
          date: it.date instanceof Date && it.date.getTime() === 86400000, invalid: isNaN(it.invalid.getTime()),
          pattern: String(it.pattern) === String(values.pattern), url: it.url instanceof URL && it.url.search === "?c",
          set: it.set instanceof Set && it.set.has(1) && it.set.has("b"),
          map: it.map instanceof Map && [...it.map][0][0].k === 1 && [...it.map][0][1][0] === 2 && it.map.has("x"),
          sparse: it.sparse.length === 3 && !(1 in it.sparse) && it.sparse[2] === 3,
          bytes: it.bytes instanceof Uint8Array && String(it.bytes) === "2,255",
          floats: it.floats instanceof Float64Array && is(it.floats[1], -0), bigs: it.bigs[0] === -5n,
          buffer: it.buffer instanceof ArrayBuffer && new Uint8Array(it.buffer)[0] === 9,
          view: it.view instanceof DataView && it.view.byteLength === 2 && it.view.getUint8(0) === 2,
          error: it.error instanceof Error && it.error.message === "too far",
          bare: Object.getPrototypeOf(it.bare) === null && it.bare.x === 1,
          shared: it.shared[0] === it.shared[1], cycle: it.cycle.list[0] === it.cycle,
          proto: Object.hasOwn(it.proto, "__proto__") && it.proto.constructor === 2 && ({}).constructor === Object,
        };
        const day = await call("values.day", new Date(0));
        checks.day = day instanceof Date && day.getTime() === 86400000;
        checks.plain = JSON.stringify(await call("values.echo", { a: [1, "x", null, { b: true }] })) === '{"a":[1,"x",null,{"b":true}]}';
        for (const wrong of [() => {}, Symbol("s"), Promise.resolve(1), { deep: new ReadableStream() }]) {
          checks[`refused ${typeof wrong}`] = await call("values.echo", wrong).then(() => false, (error) => error instanceof TypeError);
        }
        return Object.keys(checks).filter((name) => !checks[name]);"#,
    )
    .await;
    let answer = cluster.get("/values").await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
    assert_eq!(answer.json(), json!([]));
}

async fn streams_arrive_as_streams_and_end_with_their_error(place: Place) {
    let cluster = cluster(
        place,
        r#"
        let total = 0;
        const bytes = await call("values.bytes", 300);
        for await (const chunk of bytes) { if (!(chunk instanceof Uint8Array)) return "no bytes"; total += chunk.byteLength; }
        const dates = [];
        for await (const date of await call("values.dates", 3)) dates.push(date instanceof Date && date.getTime());
        let broke;
        const seen = [];
        try { for await (const value of await call("values.breaks")) seen.push(value); }
        catch (error) { broke = [error.name, error.message]; }
        const download = await call("values.download", 100);
        const length = (await download.arrayBuffer()).byteLength;
        return { total, dates, seen, broke, status: download.status, type: download.headers.get("content-type"), length };"#,
    )
    .await;
    let answer = cluster.get("/streams").await;
    let expected = json!({
        "total": 3_000_000, "dates": [0, 1, 2], "seen": [1], "broke": ["NativeError", "it broke"],
        "status": 201, "type": "application/x-seven", "length": 1_000_000,
    });
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
    assert_eq!(answer.json(), expected);
}

async fn a_stream_that_is_not_read_stops_its_function_and_one_that_is_cancelled_ends_it(place: Place) {
    let cluster = cluster(
        place,
        r#"
        const reader = (await call("values.endless")).getReader();
        await reader.read();
        let before, after = -1;
        do { before = after; after = await call("values.produced"); } while (before !== after);
        await reader.cancel();
        // The places of cancelled calls are free again.
        for (let i = 0; i < 200; i++) await (await call("values.endless")).cancel();
        return { held: after };"#,
    )
    .await;
    let answer = cluster.get("/held").await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
    let held = answer.json()["held"].as_u64().unwrap();
    // A window from the worker to the gateway, one from there to the isolate, and what is being written.
    assert!(held < 1_000_000, "{held} bytes were produced for a reader of one piece");
}

async fn a_form_of_twenty_megabytes_goes_through_the_bundle(place: Place) {
    let cluster = cluster(place, "return call('values.upload', await request.formData());").await;
    let boundary = "----form";
    let file = vec![b'x'; 20 << 20];
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nbig\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"../a b.bin\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let request = cluster
        .client()
        .post(cluster.url("/upload"))
        .header("content-type", format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let answer = cluster.answer(request).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
    let expected = json!({ "title": "big", "name": "a b.bin", "length": 20 << 20, "on_disk": true });
    assert_eq!(answer.json(), expected);
}

async fn redirects_and_what_is_not_there_reject_as_start_has_them(place: Place) {
    let cluster = cluster(
        place,
        r#"
        const rejection = (name) => call(name).then(() => "no rejection", (error) => error);
        const redirect = await rejection("values.elsewhere");
        const missing = await rejection("values.nothing");
        const unknown = await rejection("values.none");
        return [redirect instanceof Response, redirect.options.to, redirect.options.params.id, missing.isNotFound,
          missing.data, unknown.status];"#,
    )
    .await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.text(), "warm");
    let answer = cluster.get("/acts").await;
    assert_eq!(answer.json(), json!([true, "/threads/$id", "7", true, "gone", 404]), "{}", cluster.log());
}

#[tokio::test]
async fn a_worker_on_another_machine_has_limits_of_its_own() {
    let expression = r#"
        const refusal = (value) => call("values.echo", value).then(() => 200, (error) => error.status);
        return [await refusal([new Date(0)]), await refusal([[[[new Date(0)]]]])];"#;
    let flags = |worker: StartWorker| worker.flag("--value-depth", "3");
    let cluster = cluster_with(Place::Elsewhere, expression, flags).await;
    assert_eq!(cluster.get("/depths").await.json(), json!([200, 413]), "{}", cluster.log());
}

/// Each of them in each place.
macro_rules! in_all_places {
    ($($name:ident),* $(,)?) => {
        mod here {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::Here).await;
            })*
        }

        mod within {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::Within).await;
            })*
        }

        mod elsewhere {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Place::Elsewhere).await;
            })*
        }
    };
}

in_all_places!(
    every_type_survives_the_way_to_rust_and_back,
    streams_arrive_as_streams_and_end_with_their_error,
    a_stream_that_is_not_read_stops_its_function_and_one_that_is_cancelled_ends_it,
    a_form_of_twenty_megabytes_goes_through_the_bundle,
    redirects_and_what_is_not_there_reject_as_start_has_them,
);

//! What a request leaves behind in a real `renderer-pool` process is collected while it is young. What is not fills the old
//! generation, until V8 collects the whole heap.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use renderer::{Renderer, app};

/// Objects of 100 kB and more, made by each request.
const GARBAGE: &str =
    "const garbage = () => Array.from({ length: 3000 }, (_, index) => ({ index, twice: [index, index] }));";

/// An object that only a collection of the whole heap takes: it lived until it was old, and nothing refers to it then.
/// Whoever looks at it keeps it for a while.
const CANARY: &str = "let kept = {};
    const canary = new WeakRef(kept);
    const look = {
        '/drop': () => { kept = null; },
        '/look': () => canary.deref() !== undefined,
    };";

/// Before a canary is dropped. The first ones of a process may fill the old generation once.
const FIRST: u64 = 1_000;

/// Then. They make more than 600 MB; the old generation takes some 80 without a collection.
const REQUESTS: u64 = 2_000;

async fn never_collects_the_whole_heap(head: &str, handler: &str) {
    let bundle = format!(
        "{head} {GARBAGE} {CANARY}
        async function answer() {{ {handler} }}
        export default {{ fetch: async (request) => {{
            const path = new URL(request.url).pathname;
            return new Response(`${{path in look ? look[path]() : await answer()}}`);
        }} }};"
    );
    let mut renderer = Renderer::spawn(app(&[("server/server.js", &bundle)])).await;
    renderer.report().await;
    for _ in 0..FIRST {
        assert_eq!(renderer.get("/").await, (200, "3000".to_owned()));
    }
    renderer.get("/drop").await;
    for _ in 0..REQUESTS {
        assert_eq!(renderer.get("/").await, (200, "3000".to_owned()));
    }
    assert_eq!(renderer.get("/look").await, (200, "true".to_owned()), "the whole heap was collected");
}

#[tokio::test]
async fn what_a_request_keeps_in_async_local_storage_dies_young() {
    let handler = "return storage.run(garbage(), async () => {
        await null;
        return storage.getStore().length;
    });";
    let import =
        "import { AsyncLocalStorage } from 'node:async_hooks'; const storage = new AsyncLocalStorage();";
    never_collects_the_whole_heap(import, handler).await;
}

#[tokio::test]
async fn what_getters_of_object_literals_reach_dies_young() {
    let handler = "const children = garbage();
        const properties = { get children() { return children; }, set children(value) {} };
        await null;
        return properties.children.length;";
    never_collects_the_whole_heap("", handler).await;
}

#[tokio::test]
async fn what_defined_accessors_reach_dies_young() {
    let handler = "const children = garbage();
        const properties = Object.defineProperty({}, 'children', { get: () => children, enumerable: true });
        await null;
        return properties.children.length;";
    never_collects_the_whole_heap("", handler).await;
}

#[tokio::test]
async fn what_functions_of_an_object_reach_dies_young() {
    let class = "class Router { constructor(children) { this.load = () => children; } }";
    let handler = "const router = new Router(garbage());
        await null;
        return router.load().length;";
    never_collects_the_whole_heap(class, handler).await;
}

#[tokio::test]
async fn accessors_go_on_working_when_they_have_lived_for_long() {
    let bundle = format!(
        "{GARBAGE}
        let made = 0;
        const own = [];
        class Counter {{ static get made() {{ return made; }} get twice() {{ return 2 * made; }} }}
        const counter = new Counter();
        export default {{ fetch: () => {{
            const at = made++;
            own.push({{ get at() {{ return at; }}, set at(value) {{ made = value; }} }});
            garbage();
            const wrong = own.findIndex((one, index) => one.at !== index);
            return new Response(`${{wrong}} ${{Counter.made === made}} ${{counter.twice === 2 * made}}`);
        }} }};"
    );
    let mut renderer = Renderer::spawn(app(&[("server/server.js", &bundle)])).await;
    renderer.report().await;
    for _ in 0..REQUESTS {
        assert_eq!(renderer.get("/").await, (200, "-1 true true".to_owned()));
    }
}

//! Node's modules, CommonJS and packages in a real renderer: small bundles with a `node_modules` of their own.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::path::Path;
use std::time::Duration;

use shared::message::FromChild;
use tempfile::TempDir;
use tokio::time::timeout;

use renderer::{PATIENCE, Renderer, app, head};

/// A bundle that answers with what `expression` is, after these imports.
fn answers(imports: &str, expression: &str) -> String {
    format!(
        "{imports}\nexport default {{ async fetch() {{ return Response.json(await ({expression})); }} }};"
    )
}

async fn answer(files: &[(&str, &str)]) -> String {
    let app = app(files);
    let mut renderer = Renderer::ready(app.path(), &[]).await;
    let (status, body) = renderer.get("/").await;
    assert_eq!(status, 200, "{body}");
    body
}

/// An app's files, the file that is at fault, and what its failure must say.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

#[tokio::test]
async fn every_built_in_module_can_be_imported() {
    let modules = [
        "assert",
        "assert/strict",
        "async_hooks",
        "buffer",
        "child_process",
        "cluster",
        "console",
        "constants",
        "crypto",
        "dgram",
        "diagnostics_channel",
        "dns",
        "dns/promises",
        "domain",
        "events",
        "fs",
        "fs/promises",
        "http",
        "http2",
        "https",
        "inspector",
        "module",
        "net",
        "os",
        "path",
        "path/posix",
        "perf_hooks",
        "process",
        "punycode",
        "querystring",
        "readline",
        "readline/promises",
        "stream",
        "stream/consumers",
        "stream/promises",
        "stream/web",
        "string_decoder",
        "sys",
        "timers",
        "timers/promises",
        "tls",
        "tty",
        "url",
        "util",
        "util/types",
        "v8",
        "vm",
        "worker_threads",
        "zlib",
    ];
    let list = serde_json_list(&modules);
    let expression = format!(
        r#"(async () => {{
             const failed = {{}};
             for (const name of {list}) {{
               try {{ if (Object.keys(await import("node:" + name)).length === 0) failed[name] = "empty"; }}
               catch (error) {{ failed[name] = String(error); }}
             }}
             return failed;
           }})()"#
    );
    assert_eq!(answer(&[("server/server.js", &answers("", &expression))]).await, "{}");
}

fn serde_json_list(names: &[&str]) -> String {
    format!("{names:?}")
}

#[tokio::test]
async fn nothing_of_deno_is_to_be_seen() {
    let expression = r#"{
        deno: typeof Deno, bootstrap: typeof __bootstrap, node: typeof nodeBootstrap,
        own: Object.getOwnPropertyNames(globalThis).filter((name) => /deno|bootstrap/i.test(name)),
        versions: "deno" in process.versions, release: process.release.name, late: typeof fs.statSync("/").size,
      }"#;
    let expression = expression.replace("fs.statSync(\"/\").size", "fs.statSync(import.meta.dirname).size");
    let bundle =
        answers("import fs from 'fs'; import 'node:module'; import process from 'process';", &expression);
    assert_eq!(
        answer(&[("server/server.js", &bundle)]).await,
        r#"{"deno":"undefined","bootstrap":"undefined","node":"undefined","own":[],"versions":false,"release":"node","late":"number"}"#
    );
}

#[tokio::test]
async fn commonjs_is_required_and_imported() {
    let bundle = r#"
        import lib, { one, two } from "lib";
        import { createRequire } from "node:module";
        import data from "lib/data.json" with { type: "json" };
        const require = createRequire(import.meta.url);
        export default { fetch: () => Response.json({
          one, two: two(), same: require("lib") === lib, json: require("lib/data.json").n + data.n,
          esm: require("esm-only").named, dir: lib.dirname.endsWith("node_modules/lib"), cycle: lib.cycle,
        }) };"#;
    let lib = r#"
        const inner = require("./lib/inner");
        exports.one = 1;
        exports.two = () => inner.two;
        exports.dirname = __dirname;
        exports.cycle = inner.cycle();"#;
    let inner = r#"const outer = require(".."); exports.two = 2; exports.cycle = () => outer.one;"#;
    let body = answer(&[
        ("server/server.js", bundle),
        ("node_modules/lib/package.json", r#"{ "name": "lib", "main": "index.js" }"#),
        ("node_modules/lib/index.js", lib),
        ("node_modules/lib/lib/inner.js", inner),
        ("node_modules/lib/data.json", r#"{ "n": 21 }"#),
        (
            "node_modules/esm-only/package.json",
            r#"{ "name": "esm-only", "type": "module", "exports": "./i.js" }"#,
        ),
        ("node_modules/esm-only/i.js", "export const named = 'esm';"),
    ])
    .await;
    assert_eq!(body, r#"{"one":1,"two":2,"same":true,"json":42,"esm":"esm","dir":true,"cycle":1}"#);
}

#[tokio::test]
async fn node_modules_beside_the_app_are_found() {
    let project = app(&[
        ("package.json", r#"{ "type": "module" }"#),
        (
            "dist/server/server.js",
            "import { x } from 'lib'; export default { fetch: () => new Response(x) };",
        ),
        (
            "node_modules/lib/package.json",
            r#"{ "name": "lib", "exports": { "node": "./n.mjs", "default": "./d.mjs" } }"#,
        ),
        ("node_modules/lib/n.mjs", "export const x = 'for node';"),
    ]);
    let mut renderer = Renderer::ready(&project.path().join("dist"), &[]).await;
    assert_eq!(renderer.get("/").await, (200, "for node".into()));
}

#[tokio::test]
async fn a_package_linked_from_a_workspace_runs() {
    let project = app(&[
        (
            "dist/server/server.js",
            "import { x } from '@ws/lib'; export default { fetch: () => new Response(x) };",
        ),
        ("packages/lib/package.json", r#"{ "name": "@ws/lib", "type": "module", "main": "index.js" }"#),
        ("packages/lib/index.js", "export const x = 'linked';"),
        ("node_modules/@ws/.keep", ""),
    ]);
    let link = project.path().join("node_modules/@ws/lib");
    std::os::unix::fs::symlink(project.path().join("packages/lib"), link).unwrap();
    let mut renderer = Renderer::ready(&project.path().join("dist"), &[]).await;
    assert_eq!(renderer.get("/").await, (200, "linked".into()));
}

#[tokio::test]
async fn what_cannot_be_loaded_is_named_with_its_importers_and_a_remedy() {
    const ENTRY: &str = "export default { fetch() {} };";
    let lib = ("node_modules/lib/package.json", r#"{ "name": "lib", "type": "module", "main": "i.js" }"#);
    let imports_lib = format!("import 'lib'; {ENTRY}");
    let entry = ("server/server.js", imports_lib.as_str());
    let malformed = ("node_modules/lib/package.json", "{ not json");
    let cases: [Case; 8] = [
        (
            &[entry, lib, ("node_modules/lib/i.js", "import 'absent';")],
            "node_modules/lib/i.js",
            &["package `absent`", "imported by `server/server.js`"],
        ),
        (
            &[entry, lib, ("node_modules/lib/i.js", "import './x.node';"), ("node_modules/lib/x.node", "")],
            "node_modules/lib/i.js",
            &["native addon `node_modules/lib/x.node`"],
        ),
        (
            &[
                entry,
                ("node_modules/lib/package.json", r#"{ "name": "lib", "exports": { "./a": "./a.js" } }"#),
            ],
            "server/server.js",
            &["`lib`", "exports"],
        ),
        (&[entry, malformed, ("node_modules/lib/index.js", "")], "server/server.js", &["package.json"]),
        (
            &[("server/server.js", "import 'node:no_such_module'; export default {};")],
            "server/server.js",
            &["Node's module `node:no_such_module`"],
        ),
        (
            &[("server/server.js", "process.exit(3); export default { fetch() {} };")],
            "server/server.js",
            &["process.exit(3)"],
        ),
        (
            &[
                entry,
                ("node_modules/lib/package.json", r#"{ "name": "lib" }"#),
                ("node_modules/lib/index.js", "exports.a = 1; throw new Error('half-way');"),
            ],
            "server/server.js",
            &["half-way"],
        ),
        (
            &[
                entry,
                ("node_modules/lib/package.json", r#"{ "name": "lib" }"#),
                ("node_modules/lib/index.js", "require('./x.node');"),
                ("node_modules/lib/x.node", ""),
            ],
            "server/server.js",
            &["native addon", "native function"],
        ),
    ];
    for (files, file, parts) in cases {
        let failure = Renderer::load_failure(files).await;
        for part in parts {
            assert!(failure.problem.contains(part), "{part}: {failure:?}");
        }
        assert_eq!(failure.file, file, "{failure:?}");
        assert!(!failure.remedy.is_empty());
    }
}

#[tokio::test]
async fn a_loop_of_links_is_an_error_not_a_hang() {
    let project = app(&[("server/server.js", "import 'lib'; export default { fetch() {} };")]);
    let modules = project.path().join("node_modules");
    std::fs::create_dir(&modules).unwrap();
    std::os::unix::fs::symlink("loop", modules.join("lib")).unwrap();
    std::os::unix::fs::symlink("lib", modules.join("loop")).unwrap();
    let mut renderer = Renderer::spawn(project).await;
    assert!(
        matches!(renderer.report().await, FromChild::LoadFailed(failure) if failure.problem.contains("`lib`"))
    );
}

#[tokio::test]
async fn an_app_that_exits_takes_its_isolate_along_and_says_so() {
    let mut renderer =
        Renderer::with_fetch(r#"if (request.url.endsWith("/exit")) process.exit(4); return new Response();"#)
            .await;
    renderer.job(1, head("GET", "/exit")).await;
    let report = renderer.report().await;
    assert!(
        matches!(&report, FromChild::IsolateFailed { reason, .. } if reason.contains("process.exit(4)")),
        "{report:?}"
    );
    timeout(PATIENCE, renderer.process.wait()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_caught_goes_to_the_apps_listeners() {
    let bundle = r#"
        const heard = [];
        process.on("uncaughtException", (error) => heard.push("exception " + error.message));
        process.on("unhandledRejection", (reason) => heard.push("rejection " + reason.message));
        export default { async fetch(request) {
          setTimeout(() => { throw new Error("a"); }, 0);
          Promise.reject(new Error("b"));
          await new Promise((resolve) => setTimeout(resolve, 20));
          return Response.json(heard.splice(0).sort());
        } };"#;
    assert_eq!(answer(&[("server/server.js", bundle)]).await, r#"["exception a","rejection b"]"#);
}

#[tokio::test]
async fn web_assembly_and_chunks_are_imported() {
    let dir = wasm_app();
    let mut renderer = Renderer::ready(dir.path(), &[]).await;
    assert_eq!(renderer.get("/").await, (200, "[42,\"chunk\",true]".into()));
}

fn wasm_app() -> TempDir {
    let bundle = r#"
        import { answer } from "./answer.wasm";
        export default { async fetch() {
          const chunk = await import("./chunk.js");
          return Response.json([answer(), chunk.name, import.meta.filename.endsWith("server/server.js")]);
        } };"#;
    let dir = app(&[("server/server.js", bundle), ("server/chunk.js", "export const name = 'chunk';")]);
    // (module (func (export "answer") (result i32) i32.const 42))
    let wasm: &[u8] = b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x07\x0a\x01\x06answer\0\0\x0a\x06\x01\x04\0\x41\x2a\x0b";
    std::fs::write(dir.path().join("server/answer.wasm"), wasm).unwrap();
    dir
}

#[tokio::test]
async fn the_temporary_directory_goes_with_the_process() {
    let bundle = answers("import os from 'node:os';", "os.tmpdir()");
    let app = app(&[("server/server.js", &bundle)]);
    let mut renderer = Renderer::ready(app.path(), &[]).await;
    let (_, directory) = renderer.get("/").await;
    let directory = directory.trim_matches('"').to_owned();
    assert!(Path::new(&directory).is_dir(), "{directory}");
    renderer.control.send(&shared::message::ToChild::Drain).await.unwrap();
    timeout(Duration::from_secs(10), renderer.process.wait()).await.unwrap().unwrap();
    assert!(!Path::new(&directory).exists(), "{directory}");
}

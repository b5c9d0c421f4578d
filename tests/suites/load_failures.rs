//! Apps that cannot run: the gateway says which file and what to do, exits 65, and never listens.

use tests::{Bundle, Cluster};

async fn refused(app: Bundle, said: &[&str]) {
    let exit = Cluster::of(app).start_to_end().await;
    exit.expect_code(65).expect_said(said);
    assert_eq!(exit.stdout, "", "it never listens");
    let remedy = exit.stderr.lines().find_map(|line| line.trim().strip_prefix("to do:"));
    assert!(remedy.is_some_and(|remedy| !remedy.trim().is_empty()), "there is a remedy in:\n{}", exit.stderr);
}

#[tokio::test]
async fn the_bundle_is_missing() {
    refused(Bundle::without_server(), &["server/server.js", "vite build"]).await;
}

#[tokio::test]
async fn the_app_is_missing() {
    let exit = Cluster::of(std::path::Path::new("/no/such/dist")).start_to_end().await;
    exit.expect_code(65).expect_said(&["/no/such/dist", "vite build"]);
}

#[tokio::test]
async fn the_bundle_is_not_javascript() {
    refused(Bundle::new("<!doctype html><p>not a module"), &["server/server.js", "SyntaxError"]).await;
}

#[tokio::test]
async fn the_bundle_has_no_fetch() {
    for source in
        ["export default {}", "export const fetch = () => new Response()", "export default { fetch: 7 }"]
    {
        refused(Bundle::new(source), &["server/server.js", "fetch"]).await;
    }
}

#[tokio::test]
async fn the_bundle_throws_at_load() {
    let app = Bundle::new("throw new Error('no database URL')");
    refused(app, &["server/server.js", "no database URL"]).await;
    let app = Bundle::new("import './chunk.js'\nexport default { fetch: () => new Response('ok') }")
        .file("server/chunk.js", "await Promise.reject(new Error('no database URL'))");
    refused(app, &["chunk.js", "no database URL"]).await;
}

#[tokio::test]
async fn the_bundle_imports_what_is_not_there() {
    let app = Bundle::new("import './gone.js'\nexport default { fetch: () => new Response('ok') }");
    refused(app, &["gone.js"]).await;
    let app =
        Bundle::new("import pad from 'left-pad'\nexport default { fetch: () => new Response(pad('ok')) }");
    refused(app, &["left-pad"]).await;
}

#[tokio::test]
async fn the_bundle_never_finishes_to_load() {
    let app = Bundle::new("await new Promise(() => {})\nexport default { fetch: () => new Response('ok') }");
    let exit = Cluster::of(app).config("load_timeout = \"2s\"").start_to_end().await;
    assert!(matches!(exit.code(), Some(65 | 70)), "{exit:?}");
    assert_eq!(exit.stdout, "", "it never listens");
}

const IMPORTS_LIB: &str = "import 'lib'\nexport default { fetch: () => new Response('ok') }";

/// An app that imports `lib`, of these files.
fn with_lib(files: &[(&str, &str)]) -> Bundle {
    files.iter().fold(Bundle::new(IMPORTS_LIB), |app, (path, text)| {
        app.file(&format!("node_modules/lib/{path}"), text)
    })
}

#[tokio::test]
async fn a_packages_package_json_is_of_no_use() {
    let index = "index.js";
    for (package, file, text, said) in [
        ("{ not json", index, "", "package.json"),
        (r#"{ "name": "lib", "main": "." }"#, "other.js", "", "lib"),
        (r#"{ "name": "lib", "exports": "./gone.js" }"#, index, "", "gone.js"),
        (r#"{ "name": "lib", "exports": { "./other": "./index.js" } }"#, index, "", "exports"),
        (
            r##"{ "name": "lib", "type": "module", "main": "index.js", "imports": { "#a": "#b", "#b": "#a" } }"##,
            index,
            "import '#a'",
            "#a",
        ),
    ] {
        refused(with_lib(&[("package.json", package), (file, text)]), &[said]).await;
    }
}

#[tokio::test]
async fn links_lead_in_a_circle() {
    let app = Bundle::new(IMPORTS_LIB).file("node_modules/.keep", "");
    let modules = app.path().join("node_modules");
    std::os::unix::fs::symlink("again", modules.join("lib")).unwrap();
    std::os::unix::fs::symlink("lib", modules.join("again")).unwrap();
    refused(app, &["lib"]).await;
    // A package that holds the folder that holds it.
    let app = with_lib(&[
        ("package.json", r#"{ "name": "lib", "type": "module" }"#),
        ("index.js", "import 'absent'"),
    ]);
    std::os::unix::fs::symlink("..", app.path().join("node_modules/lib/node_modules")).unwrap();
    refused(app, &["absent"]).await;
}

#[tokio::test]
async fn a_package_throws_half_way_or_is_machine_code() {
    let package = ("package.json", r#"{ "name": "lib" }"#);
    let half_way = with_lib(&[
        package,
        ("index.js", "exports.a = 1; require('./inner')"),
        ("inner.js", "throw new Error('half-way')"),
    ]);
    refused(half_way, &["half-way", "inner.js"]).await;
    let addon = with_lib(&[
        package,
        ("index.js", "module.exports = require('./build/lib.node')"),
        ("build/lib.node", ""),
    ]);
    refused(addon, &["native addon", "lib.node"]).await;
}

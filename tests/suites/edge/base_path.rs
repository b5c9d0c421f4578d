//! An app below a path of its site.

use tests::Cluster;

use super::{echo, said};

const SCRIPT: &str = "console.log('below the shop')";

#[tokio::test]
async fn an_app_below_a_path_has_its_files_routes_and_functions_there() {
    let manifest = r#"{"format":1,"routes":["/","/items/$id"],"immutable":[],"sourceMaps":[],"packages":{}}"#;
    let bundle = echo()
        .file("isopod.json", manifest)
        .file("client/assets/index-DbD6Fl5e.js", SCRIPT)
        .file("client/docs/index.html", "<p>docs</p>");
    // Paths of rows are whole ones: they lead into the base from outside as well as within it.
    let config = "[[redirects]]\nfrom = \"/\"\nto = \"/shop\"\nstatus = 308\n\
                  [[redirects]]\nfrom = \"/shop/old/$id\"\nto = \"/shop/items/$id\"\nstatus = 308";
    let cluster = Cluster::of(bundle).flag("--base-path", "/shop/").config(config).start().await;

    let script = cluster.get("/shop/assets/index-DbD6Fl5e.js").await;
    assert_eq!((script.status, script.text().as_str()), (200, SCRIPT));
    assert!(script.header("cache-control").contains("immutable"), "{:?}", script.headers);
    assert_eq!(said(&cluster.get("/shop/docs/").await), "<p>docs</p>");

    // The app sees whole paths; what is outside the base is its own to answer.
    for path in ["/shop", "/shop/", "/shop/items/7?x=1", "/assets/index-DbD6Fl5e.js", "/shopping/items/7"] {
        assert_eq!(said(&cluster.get(path).await), format!("GET {path}"));
    }
    for (path, location) in [("/?from=home", "/shop?from=home"), ("/shop/old/7", "/shop/items/7")] {
        let moved = cluster.get(path).await;
        assert_eq!((moved.status, moved.header("location")), (308, location), "{path}");
    }
    for path in ["/shop/_native/threads.list", "/_native/threads.list"] {
        assert_eq!(cluster.post_json(path, r#"{"limit":1}"#).await.status, 200, "{path}");
    }

    let metrics = cluster.metrics().await;
    for (pattern, requests) in [("/", 2.0), ("/items/$id", 1.0), ("other", 2.0)] {
        let counted = metrics.sum("isopod_route_requests_total", &[("pattern", pattern)]);
        assert_eq!(counted, requests, "{pattern}");
    }
    for (route, requests) in [("static", 2.0), ("redirect", 2.0), ("native", 2.0), ("bundle", 5.0)] {
        assert_eq!(metrics.sum("isopod_requests_total", &[("route", route)]), requests, "{route}");
    }
    cluster.stop().await;
}

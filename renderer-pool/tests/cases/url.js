// The URL standard and the URL Pattern standard.
import assert from "node:assert";

export default {
  "URL: parts, resolution and setters": () => {
    const url = new URL("../b?q=1#f", "https://user:pw@Example.COM:443/a/x/y");
    assert.equal(url.href, "https://user:pw@example.com/a/b?q=1#f");
    assert.deepEqual([url.origin, url.port, url.host, url.pathname], ["https://example.com", "", "example.com", "/a/b"]);
    url.port = "8080";
    url.search = "?a=b c";
    url.hash = "";
    assert.equal(url.href, "https://user:pw@example.com:8080/a/b?a=b%20c");
  },
  "URL: hosts by number, IPv6 and international names": () => {
    const host = (text) => new URL(`http://${text}/`).hostname;
    assert.deepEqual(
      ["0x7f.1", "2130706433", "[::0:1]", "m\u00fcnchen.test", "a.%41"].map(host),
      ["127.0.0.1", "127.0.0.1", "[::1]", "xn--mnchen-3ya.test", "a.a"],
    );
    for (const bad of ["http://", "http://a b/", "http://1.2.3.256/", "http://[::1", "//x", "http://a:99999/"]) {
      assert.throws(() => new URL(bad), TypeError, bad);
    }
  },
  "URL: canParse and parse": () => {
    assert.deepEqual([URL.canParse("x:y"), URL.canParse("x"), URL.canParse("x", "http://a")], [true, false, true]);
    assert.equal(URL.parse("nothing"), null);
    assert.equal(URL.parse("/x", "http://a.test").href, "http://a.test/x");
  },
  "URLSearchParams: encoding, order, and the URL that it belongs to": () => {
    const params = new URLSearchParams([["b", "1 2"], ["a", "\u00e9&="], ["b", "3"]]);
    assert.equal(params.toString(), "b=1+2&a=%C3%A9%26%3D&b=3");
    params.sort();
    assert.deepEqual([...params.keys()], ["a", "b", "b"]);
    params.delete("b", "3");
    assert.deepEqual([params.getAll("b"), params.has("b", "3"), params.size], [["1 2"], false, 2]);
    const url = new URL("http://a.test/?x=1");
    url.searchParams.append("y", "2");
    assert.equal(url.search, "?x=1&y=2");
  },
  "URLPattern: groups, wildcards, optional parts": () => {
    const pattern = new URLPattern({ pathname: "/users/:id{/:tab}?" });
    assert.deepEqual({ ...pattern.exec("http://a.test/users/7/posts").pathname.groups }, { id: "7", tab: "posts" });
    assert.equal(pattern.test("http://a.test/users/7"), true);
    assert.equal(pattern.test("http://a.test/users"), false);
    const files = new URLPattern("/files/*.(png|jpg)", "https://a.test");
    assert.deepEqual({ ...files.exec("https://a.test/files/x/y.png").pathname.groups }, { 0: "x/y", 1: "png" });
    assert.equal(files.test("https://b.test/files/x.png"), false);
    assert.throws(() => new URLPattern({ pathname: "/(" }), TypeError);
  },
};

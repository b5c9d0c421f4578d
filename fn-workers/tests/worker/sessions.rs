//! One session, written by Rust and by h3's `useSession`.

use serde_json::{Value, json};
use shared::message::Target;

use crate::fixture::{OLD_PASSWORD, PASSWORD};
use crate::gateway::{Gateway, Got, Sent, fixture_worker};
use crate::peer::Peer;

/// A browser's cookies.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    fn take(&mut self, field: &str) {
        let (pair, attributes) = field.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        self.0.retain(|(own, _)| own != name);
        if !attributes.contains("Max-Age=0") {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

async fn call(gateway: &mut Gateway, jar: &mut Jar, name: &str, input: &str) -> Got {
    let body = format!(r#"{{"t":{{"t":10,"i":0,"p":{{"k":["data"],"v":[{input}]}},"o":0}},"f":127,"m":[]}}"#);
    let request = Sent {
        method: "POST".into(),
        url: "http://localhost/_serverFn/x".into(),
        headers: vec![("content-type".into(), "application/json".into()), ("cookie".into(), jar.header())],
        body: body.into(),
    };
    let got = gateway.answer(Target::Function(name.into()), &request).await;
    got.headers.iter().filter(|(name, _)| name == "set-cookie").for_each(|(_, field)| jar.take(field));
    got
}

async fn visit(gateway: &mut Gateway, jar: &mut Jar, letters: usize) -> String {
    let input = format!(r#"{{"t":0,"s":{letters}}}"#);
    call(gateway, jar, "session.visit", &input).await.text().to_owned()
}

/// What `useSession` makes of the cookies, and sets after adding to the count.
fn in_javascript(peer: &mut Peer, jar: &mut Jar, password: Value, iterations: u32) -> Value {
    let config = json!({ "name": "visits", "password": password, "maxAge": 3600, "iterations": iterations });
    let answer = peer.ask("session", json!({ "cookie": jar.header(), "config": config })).unwrap();
    for field in answer["cookies"].as_array().unwrap() {
        jar.take(field.as_str().unwrap());
    }
    answer["data"].clone()
}

#[tokio::test]
async fn rust_and_javascript_count_the_same_visits() {
    let (mut gateway, mut peer, mut jar) = (fixture_worker(1, 8).await, Peer::start(), Jar::default());
    assert_eq!(visit(&mut gateway, &mut jar, 3).await, "1");
    assert_eq!(in_javascript(&mut peer, &mut jar, json!(PASSWORD), 8192)["count"], 2);
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "3");
    // Longer than a cookie.
    assert_eq!(visit(&mut gateway, &mut jar, 9000).await, "4");
    assert!(jar.0.len() > 3, "{:?}", jar.0.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let data = in_javascript(&mut peer, &mut jar, json!(PASSWORD), 8192);
    assert_eq!((&data["count"], data["note"].as_str().unwrap().len()), (&json!(5), 9000));
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "6");
    assert_eq!(jar.0.len(), 1, "the pieces are gone");
    call(&mut gateway, &mut jar, "session.leave", r#"{"t":2,"s":1}"#).await;
    assert!(jar.0.is_empty());
}

#[tokio::test]
async fn an_old_password_and_an_old_h3_are_still_read() {
    let (mut gateway, mut peer) = (fixture_worker(1, 8).await, Peer::start());
    let mut jar = Jar::default();
    let old = json!({ "id": "old", "secret": OLD_PASSWORD });
    in_javascript(&mut peer, &mut jar, old, 8192);
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "2");
    assert_eq!(
        in_javascript(&mut peer, &mut jar, json!(PASSWORD), 8192)["count"],
        3,
        "sealed with the new one"
    );

    let mut jar = Jar::default();
    in_javascript(&mut peer, &mut jar, json!(PASSWORD), 1);
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "2");
}

#[tokio::test]
async fn a_changed_or_foreign_cookie_begins_anew() {
    let (mut gateway, mut peer) = (fixture_worker(1, 8).await, Peer::start());
    let mut jar = Jar::default();
    in_javascript(&mut peer, &mut jar, json!("quite another password of some forty letters"), 8192);
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "1");
    let value = &mut jar.0[0].1;
    let swapped = if value.ends_with('A') { "B" } else { "A" };
    value.replace_range(value.len() - 1.., swapped);
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "1");
    jar.0[0].1 = "__chunked__99999999".into();
    assert_eq!(visit(&mut gateway, &mut jar, 0).await, "1");
}

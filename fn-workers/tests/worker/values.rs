//! What values are refused, with the limits that the gateway's configuration sets.

use shared::message::control::{FromChild, Refusal};
use shared::message::{Outcome, Target, ToChild};
use shared::setup::{FormLimits, Setup, ValueLimits, WorkerSetup};

use crate::fixture;
use crate::gateway::{Gateway, Sent, spawn_fixture};

/// A worker that takes 5 levels, 200 parts, 3 references, 1000 bytes.
async fn strict_worker() -> Gateway {
    let mut gateway = spawn_fixture(fixture::RUN);
    let values = ValueLimits { max_depth: 5, max_nodes: 200, max_references: 3, max_bytes: 1000 };
    let setup = WorkerSetup { arbiters: 1, mailbox: 8, forms: FormLimits::default(), values };
    gateway.tell(ToChild::Setup(Setup::Worker(setup))).await;
    assert!(matches!(gateway.hear().await, FromChild::WorkerReady { .. }));
    gateway
}

const LEAF: &str = r#"{"t":2,"s":2}"#;

fn array(id: u32, items: &[String]) -> String {
    format!(r#"{{"t":9,"i":{id},"a":[{}],"o":0}}"#, items.join(","))
}

fn nested(levels: u32) -> String {
    (0..levels).fold(LEAF.to_owned(), |inner, id| array(id + 10, &[inner]))
}

fn document(data: &str) -> String {
    format!(r#"{{"t":{{"t":10,"i":0,"p":{{"k":["data"],"v":[{data}]}},"o":0}},"f":63,"m":[]}}"#)
}

#[tokio::test]
async fn every_limit_of_values_is_the_configuration_s() {
    let mut gateway = strict_worker().await;
    let text = |length: usize| format!(r#"{{"t":1,"i":1,"s":"{}"}}"#, "x".repeat(length));
    let reference = r#"{"t":4,"i":7}"#.to_owned();
    let shared = r#"{"t":9,"i":7,"a":[],"o":0}"#.to_owned();
    let repeated = |count: usize| {
        let mut items = vec![shared.clone()];
        items.extend(std::iter::repeat_n(reference.clone(), count));
        array(8, &items)
    };
    for (data, status, told, refusal) in [
        (nested(3), 200, "", None),
        (nested(9), 413, "deep", Some(Refusal::ValueLimit)),
        (array(1, &vec![LEAF.to_owned(); 60]), 413, "parts", Some(Refusal::ValueLimit)),
        (repeated(3), 200, "", None),
        (repeated(4), 413, "more than 3 references", Some(Refusal::ValueLimit)),
        (text(900), 200, "", None),
        (text(1001), 413, "too large", Some(Refusal::ValueLimit)),
        (r#"{"t":9,"i":1}"#.to_owned(), 400, "at byte", Some(Refusal::ValueMalformed)),
        (r#"{"t":999}"#.to_owned(), 400, "at byte", Some(Refusal::ValueMalformed)),
    ] {
        let request = Sent {
            method: "POST".into(),
            url: "http://localhost/_serverFn/x".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: document(&data).into_bytes(),
        };
        let got = gateway.answer(Target::Function("values.take".into()), &request).await;
        assert_eq!(got.status, status, "{data}: {}", got.text());
        assert!(got.text().contains(told), "{told}: {}", got.text());
        if let Some(refusal) = refusal {
            let FromChild::Refused(counts) = gateway.hear().await else { panic!("nothing was counted") };
            assert_eq!(
                counts.iter().map(|count| (count.refusal, count.count)).collect::<Vec<_>>(),
                [(refusal, 1)]
            );
        }
    }
}

#[tokio::test]
async fn prototype_keys_are_data() {
    let mut gateway = strict_worker().await;
    let data =
        r#"{"t":10,"i":1,"p":{"k":["__proto__","constructor"],"v":[{"t":0,"s":1},{"t":0,"s":2}]},"o":0}"#;
    let request = Sent {
        method: "POST".into(),
        url: "http://localhost/_serverFn/x".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: document(data).into_bytes(),
    };
    let got = gateway.answer(Target::Function("values.take".into()), &request).await;
    assert_eq!((got.status, got.text()), (200, r#"{"__proto__":1,"constructor":2}"#));
}

#[tokio::test]
async fn what_javascript_on_the_server_sends_is_held_to_the_same() {
    let mut gateway = strict_worker().await;
    let serialized = |data: &str| format!("\0{{\"t\":{data},\"f\":0,\"m\":[]}}");
    let taken = gateway.call_for_job("values.take", &serialized(&nested(3)), "").await;
    assert_eq!(taken, Outcome::Value("[[[true]]]".into()));
    for (input, wanted) in [(serialized(&nested(9)), 413), (serialized("{"), 400), ("{".to_owned(), 400)] {
        match gateway.call_for_job("values.take", &input, "").await {
            Outcome::Failed { status, .. } => assert_eq!(status, wanted, "{input}"),
            other => panic!("{other:?}"),
        }
    }
}

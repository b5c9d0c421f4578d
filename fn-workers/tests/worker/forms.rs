//! Forms, as browsers and TanStack Start's own client send them.

use serde_json::{Value, json};
use shared::message::control::Refusal;
use shared::message::{FromChild, FromWorker, Target, ToWorker};
use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES};

use crate::gateway::{Gateway, Got, Sent, fixture_worker};
use crate::peer::Peer;

const BOUNDARY: &str = "----boundary";

fn function(name: &str) -> Target {
    Target::Function(name.into())
}

fn multipart(parts: &[(&str, &[u8])]) -> Sent {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    raw(&format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Sent {
    let headers =
        vec![("content-type".into(), content_type.into()), ("x-tsr-serverfn".into(), "true".into())];
    Sent { method: "POST".into(), url: "http://localhost/_serverFn/x".into(), headers, body: body.into() }
}

fn told(got: &Got) -> Value {
    assert_eq!(got.status, 200, "{}", got.text());
    serde_json::from_slice(&got.body).unwrap()
}

#[tokio::test]
async fn what_start_s_client_sends_arrives_with_its_files_and_its_context() {
    let mut gateway = fixture_worker(1, 8).await;
    let expression = "(() => {
        const form = new FormData()
        form.set('title', 'Caf\u{e9}')
        form.append('tags', 'a'); form.append('tags', 'b')
        form.set('file', new File(['hello'], '../x/caf\u{e9}.txt', { type: 'text/plain' }))
        return form })()";
    let request = Peer::start().request("POST", expression, Some("{ from: 'a page', at: new Date(0) }"));
    assert!(request.headers.iter().any(|(_, value)| value.starts_with("multipart/form-data")));
    let mut plain = request.clone();
    plain.headers.retain(|(name, _)| name != "x-tsr-serverfn");
    let expected = json!({
        "title": "Caf\u{e9}", "tags": ["a", "b"], "from": "a page",
        "name": "../x/caf\u{e9}.txt", "safe": "caf\u{e9}.txt", "type": "text/plain",
        "length": 5, "on_disk": false, "sum": 532,
    });
    assert_eq!(told(&gateway.answer(function("form.upload"), &plain).await), expected);
    let route = Sent { url: "http://localhost/api/upload".into(), ..plain };
    let got = gateway.answer(Target::Route, &route).await;
    assert_eq!(told(&got)["safe"], "caf\u{e9}.txt");
}

#[tokio::test]
async fn a_form_without_files_may_be_urlencoded() {
    let mut gateway = fixture_worker(1, 8).await;
    let form = raw("application/x-www-form-urlencoded;charset=UTF-8", "title=a+b&amount=3&starred=on");
    let got = gateway.answer(function("form.plain"), &form).await;
    assert!(got.text().contains("a b, 3, true"), "{}", got.text());
    // As the same form in parts.
    let parts = multipart(&[("name=title", b"a b"), ("name=amount", b"3"), ("name=starred", b"on")]);
    assert_eq!(gateway.answer(function("form.plain"), &parts).await.text(), got.text());
}

#[tokio::test]
async fn what_does_not_fit_the_type_is_told_with_the_field() {
    let mut gateway = fixture_worker(1, 8).await;
    for (parts, told) in [
        (vec![("name=title", &b"x"[..])], "missing field `file`"),
        (vec![("name=title", b"x"), ("name=file", b"text")], "file: invalid type: a text, expected a file"),
        (
            vec![("name=\"title\"; filename=\"a\"", b"x"), ("name=\"file\"; filename=\"a\"", b"y")],
            "title: invalid type: a file, expected a text",
        ),
        // What a browser sends where no file was chosen is no file.
        (vec![("name=title", b"x"), ("name=\"file\"; filename=\"\"", b"")], "missing field `file`"),
    ] {
        let got = gateway.answer(function("form.upload"), &multipart(&parts)).await;
        assert_eq!(got.status, 422, "{}", got.text());
        assert!(got.text().contains(told), "{told}: {}", got.text());
    }
}

#[tokio::test]
async fn every_limit_has_its_answer_and_is_counted() {
    let mut gateway = fixture_worker(1, 8).await;
    let file = "name=\"file\"; filename=\"a\"";
    let head = "x".repeat(200_000);
    let long_head = format!("name=\"file\"; filename=\"{head}\"");
    let field = |name: &'static str, length: usize| (name, vec![b'x'; length]);
    for (parts, status, told, refusal) in [
        (vec![field("name=a", 65)], 413, "field `a` is longer than 64 bytes", Refusal::FormField),
        (vec![field(file, 2001)], 413, "file `file` is longer than 2000 bytes", Refusal::FormFile),
        (vec![field("name=a", 1); 4], 413, "more than 3 fields", Refusal::FormFields),
        (vec![field(file, 1); 6], 413, "more than 5 parts", Refusal::FormParts),
        (vec![field(file, 1900); 3], 413, "longer than 5000 bytes", Refusal::FormBytes),
    ] {
        let parts: Vec<_> = parts.iter().map(|(head, content)| (*head, &content[..])).collect();
        expect(&mut gateway, &multipart(&parts), status, told, refusal).await;
    }
    // A part's head that does not end is not gathered to the form's own limit.
    let long = multipart(&[(&long_head, b"x")]);
    let got = gateway.upload(function("form.upload"), &long).await;
    assert_eq!(got.status, 413, "{}", got.text());
    assert!(got.text().contains("head of a part"), "{}", got.text());
    assert_eq!(gateway.refused().await, [(Refusal::FormField, 1)]);
    let urlencoded = |text: String| raw("application/x-www-form-urlencoded", text);
    let many = urlencoded("a=1&".repeat(4));
    expect(&mut gateway, &many, 413, "more than 3 fields", Refusal::FormFields).await;
    let long = urlencoded(format!("a={}", "%20".repeat(65)));
    expect(&mut gateway, &long, 413, "field `a`", Refusal::FormField).await;
    let too_long = urlencoded(format!("a={}", "x".repeat(5000)));
    expect(&mut gateway, &too_long, 413, "longer than 5000", Refusal::FormBytes).await;
}

#[tokio::test]
async fn what_is_no_form_is_told_so() {
    let mut gateway = fixture_worker(1, 8).await;
    let malformed = Refusal::FormMalformed;
    let cut = |bytes: &str| raw(&format!("multipart/form-data; boundary={BOUNDARY}"), bytes);
    for (form, told) in [
        (raw("multipart/form-data", "x"), "no boundary"),
        (cut("no boundary at all"), "after 18 bytes"),
        (
            cut("------boundary\r\nContent-Disposition: form-data; name=a\r\n\r\nabc"),
            "is missing, after 61 bytes",
        ),
        (
            cut("------boundary\r\nContent-Disposition: form-data\r\n\r\nabc\r\n------boundary--"),
            "has no name",
        ),
        (multipart(&[("name=a", b"\xff")]), "field `a` is not UTF-8"),
        (raw("application/x-www-form-urlencoded", b"a=\xff".to_vec()), "at byte 2"),
    ] {
        expect(&mut gateway, &form, 400, told, malformed).await;
    }
    let context = multipart(&[("name=__TSS_CONTEXT", b"{\"t\":"), ("name=title", b"x")]);
    let got = gateway.answer(function("form.context"), &context).await;
    assert_eq!(got.status, 400, "{}", got.text());
    assert!(got.text().contains("at byte 5"), "{}", got.text());
}

/// `form.small` refuses the form, and the gateway hears why.
async fn expect(gateway: &mut Gateway, form: &Sent, status: u16, told: &str, refusal: Refusal) {
    let got = gateway.answer(function("form.small"), form).await;
    assert_eq!(got.status, status, "{told}: {}", got.text());
    assert!(got.text().contains(told), "{told}: {}", got.text());
    assert_eq!(gateway.refused().await, [(refusal, 1)]);
}

const MIB: usize = 1 << 20;

fn big_file(bytes: usize) -> Sent {
    multipart(&[("name=title", b"big"), ("name=\"file\"; filename=\"big\"", &vec![1; bytes])])
}

#[tokio::test]
async fn a_large_file_streams_to_disk_with_flat_memory() {
    let mut gateway = fixture_worker(1, 8).await;
    gateway.upload(function("form.upload"), &big_file(MIB)).await;
    let before = gateway.peak_memory();
    let mut form = big_file(20 * MIB);
    form.headers.retain(|(name, _)| name != "x-tsr-serverfn");
    let told = told(&gateway.upload(function("form.upload"), &form).await);
    assert_eq!(
        (&told["length"], &told["on_disk"], &told["sum"]),
        (&json!(20 * MIB), &json!(true), &json!(20 * MIB))
    );
    let grown = gateway.peak_memory() - before;
    assert!(grown < 6 * MIB, "a file of 20 MiB took {grown} bytes");
    gateway.until_no_temporary_files().await;
}

#[tokio::test]
async fn a_temporary_file_goes_on_every_path() {
    let mut gateway = fixture_worker(1, 8).await;
    // The handler panics, or fails.
    assert_eq!(gateway.upload(function("form.panics"), &big_file(MIB)).await.status, 500);
    gateway.until_no_temporary_files().await;
    // The client leaves while the handler runs.
    let id = gateway.begin_upload(function("form.holds"), &big_file(MIB)).await;
    gateway.logged("holds 1048576 bytes").await;
    assert_eq!(gateway.temporary_files(), 1);
    gateway.cancel(id).await;
    gateway.until_no_temporary_files().await;
    // The client leaves in the middle of the file.
    let form = big_file(MIB);
    let half = Sent { body: form.body[..MIB / 2].to_vec(), ..form.clone() };
    let id = gateway.begin_part(function("form.holds"), &half).await;
    gateway.until_temporary_file().await;
    gateway.link.as_mut().unwrap().send(&ToWorker::BodyFailed { id }).await.unwrap();
    gateway.until_no_temporary_files().await;
    let heard = loop {
        match gateway.heard().await {
            FromWorker::Whole { id: of, head, .. } if of == id => break head.status,
            _ => {}
        }
    };
    assert_eq!(heard, 400);
}

impl Gateway {
    /// What the worker has refused since it told last.
    async fn refused(&mut self) -> Vec<(Refusal, u64)> {
        match self.hear().await {
            FromChild::Refused(counts) => counts.iter().map(|count| (count.refusal, count.count)).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request with a body of any length, as far as the window lets it, and reads the response.
    async fn upload(&mut self, target: Target, request: &Sent) -> Got {
        let id = self.begin_upload(target, request).await;
        self.rest_of(id).await
    }

    /// Sends a request and its whole body.
    async fn begin_upload(&mut self, target: Target, request: &Sent) -> u64 {
        let id = self.begin_part(target, request).await;
        self.link.as_mut().unwrap().send(&ToWorker::BodyEnd { id }).await.unwrap();
        id
    }

    /// Sends a request and a body that goes on.
    async fn begin_part(&mut self, target: Target, request: &Sent) -> u64 {
        let id = self.send_head(target, request, true).await;
        let mut window = INITIAL_WINDOW;
        let mut rest = &request.body[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(MAX_CHUNK_BYTES).min(window));
            window -= now.len();
            rest = later;
            if !now.is_empty() {
                let body = ToWorker::Body { id, bytes: now.to_vec().into() };
                self.link.as_mut().unwrap().send(&body).await.unwrap();
            }
            while window == 0 {
                match self.heard().await {
                    FromWorker::Credit { id: of, bytes } if of == id => window += bytes as usize,
                    // It is answered before it has come whole.
                    answer @ FromWorker::Whole { .. } => {
                        self.kept = Some(answer);
                        return id;
                    }
                    _ => {}
                }
            }
        }
        id
    }

    /// The most memory that the process has held, in bytes.
    fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Open files of the process that no directory lists.
    fn temporary_files(&self) -> usize {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", self.process.id().unwrap())).unwrap();
        let targets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().ends_with(" (deleted)")).count()
    }

    async fn until_no_temporary_files(&self) {
        self.until(0).await;
    }

    async fn until_temporary_file(&self) {
        self.until(1).await;
    }

    /// A descriptor's end tells nobody: it is looked for.
    async fn until(&self, files: usize) {
        let give_up = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while self.temporary_files() != files {
            assert!(tokio::time::Instant::now() < give_up, "{} temporary files", self.temporary_files());
            tokio::task::yield_now().await;
        }
    }
}

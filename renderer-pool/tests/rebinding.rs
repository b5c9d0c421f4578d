//! A name server that lies: a name that was allowed leads to a public server when it is first asked for, and to a
//! metadata service afterwards. The system's resolver asks it, over UDP, as it would ask the real one.
//!
//! Needs root, for a `/etc/resolv.conf` and a port 53 of its own; without it there is nothing to see here.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::collections::HashMap;
use std::ffi::CString;
use std::net::{Ipv4Addr, UdpSocket};
use std::ptr;
use std::sync::{Arc, Mutex};

use shared::egress::Egress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use renderer::Renderer;

/// Where the lying server listens: nobody else has this address.
const LIAR: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 53);

const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Connects to the query's `to` in its way.
const BUNDLE: &str = r#"
    import { get } from "node:http";
    import { connect } from "node:net";
    const code = (error) => [error.constructor.name, error.code, error.message, error.cause?.message].join(" ");
    const ways = {
      fetch: (to) => fetch(`http://${to}/`).then((response) => response.text(), code),
      request: (to) => new Promise((resolve) => get(`http://${to}/`, { agent: false }, (response) => {
        response.resume();
        resolve("hello");
      }).on("error", (error) => resolve(code(error)))),
      net: (to) => new Promise((resolve) => {
        const [host, port] = to.split(":");
        const socket = connect({ host, port: +port }, () => { socket.destroy(); resolve("hello"); });
        socket.on("error", (error) => resolve(code(error)));
      }),
    };
    export default {
      async fetch(request) {
        const query = new URL(request.url).searchParams;
        const way = ways[query.get("way")];
        return new Response(way ? await way(query.get("to")) : "");
      },
    };"#;

/// How often each name was asked for.
type Questions = Arc<Mutex<HashMap<String, usize>>>;

#[tokio::test]
async fn an_allowed_name_that_leads_to_a_metadata_service_later_is_refused_then() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let asked = serve_lies();
    resolve_by(LIAR);
    let port = greeter().await;
    let egress = Egress::new(vec!["*.liar.test".parse().unwrap(), "all".parse().unwrap()]);
    for egress in [egress.unwrap(), Egress::new(vec!["*.liar.test".parse().unwrap()]).unwrap()] {
        asked.lock().unwrap().clear();
        let mut renderer = Renderer::bundle(BUNDLE, |setup| setup.access.egress = egress).await;
        for way in ["fetch", "request", "net"] {
            let path = format!("/?way={way}&to={way}.liar.test:{port}");
            assert_eq!(renderer.get(&path).await.1, "hello", "{way}");
            let then = renderer.get(&path).await.1;
            let named = ["ERR_ACCESS_DENIED", "169.254.169.254", "--egress"];
            assert!(named.iter().all(|part| then.contains(part)), "{way}: {then}");
            let questions = asked.lock().unwrap()[&format!("{way}.liar.test")];
            assert_eq!(questions, 2, "{way} must have asked again");
        }
    }
}

/// Answers questions for addresses, each name's first one honestly.
fn serve_lies() -> Questions {
    let asked = Questions::default();
    let socket = UdpSocket::bind((LIAR, 53)).unwrap();
    let counts = asked.clone();
    std::thread::spawn(move || {
        let mut message = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            let answer = answer(&message[..length], &counts);
            let _ = socket.send_to(&answer, from);
        }
    });
    asked
}

/// The answer to a message with one question (RFC 1035, section 4).
fn answer(message: &[u8], asked: &Questions) -> Vec<u8> {
    let (name, end) = question(message);
    let is_for_ipv4 = message[end..end + 2] == [0, 1];
    let mut answer = Vec::new();
    answer.extend_from_slice(&message[..2]);
    // A response, recursion available, no error; one question, an answer where it is for an IPv4 address.
    answer.extend_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_for_ipv4), 0, 0, 0, 0]);
    answer.extend_from_slice(&message[12..end + 4]);
    if is_for_ipv4 {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(name).or_default();
        *times += 1;
        let address = if *times == 1 { HONEST } else { METADATA };
        // The question's name, A, IN, not to be kept, four bytes.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    answer
}

/// The question's name, and where it ends.
fn question(message: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), at + 1)
}

/// Gives this thread, and what it starts, a `/etc/resolv.conf` of its own.
fn resolve_by(server: Ipv4Addr) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("nameserver {server}\noptions timeout:5 attempts:1\n")).unwrap();
    let text = |text: &str| CString::new(text).unwrap();
    let (ours, system, root) = (text(file.path().to_str().unwrap()), text("/etc/resolv.conf"), text("/"));
    let mount = |from: *const libc::c_char, to: &CString, flags: libc::c_ulong| {
        // SAFETY: the strings live until the call returns; neither a type nor data is needed for these flags.
        let done = unsafe { libc::mount(from, to.as_ptr(), ptr::null(), flags, ptr::null()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    };
    // SAFETY: changes what this thread sees of the file system, nothing else.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(unshared, 0, "{}", std::io::Error::last_os_error());
    mount(ptr::null(), &root, libc::MS_REC | libc::MS_PRIVATE);
    mount(ours.as_ptr(), &system, libc::MS_BIND);
}

async fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let hello = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
                let _ = stream.write_all(hello.as_bytes()).await;
            });
        }
    });
    port
}

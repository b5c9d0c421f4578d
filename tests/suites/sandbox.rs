//! What an app may not do, tried by an app that means harm; and what the gateway says of its locks.

use std::fs;
use std::os::unix::net::UnixListener;

use serde_json::Value;
use tests::{Bundle, Cluster};

/// Answers `/NAME` with what came of the attempt of that name: `refused: CODE` or `succeeded: VALUE`. Attempts that
/// need to know something find it in the query.
const HOSTILE: &str = r#"
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import child_process from 'node:child_process'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

async function connected(options) {
  const socket = net.connect(options)
  try {
    await once(socket, 'connect')
    return 'connected'
  } finally {
    socket.destroy()
  }
}

const attempts = {
  readPasswords: () => fs.readFileSync('/etc/passwd', 'utf8'),
  readPasswordsAsync: () => fs.promises.readFile('/etc/passwd', 'utf8'),
  listRoot: () => fs.readdirSync('/').join(),
  readOwnEnvironment: () => fs.readFileSync('/proc/self/environ', 'utf8'),
  readGatewaysEnvironment: () => fs.readFileSync(`/proc/${process.ppid}/environ`, 'utf8'),
  readGatewaysMemory: () => fs.openSync(`/proc/${process.ppid}/mem`),
  readThroughOwnRoot: () => fs.readFileSync('/proc/self/root/etc/passwd', 'utf8'),
  readSecret: ({ secret }) => fs.readFileSync(secret, 'utf8'),
  readSecretThroughDots: ({ secret }) =>
    fs.readFileSync(path.dirname(new URL(import.meta.url).pathname) + '/../../../../../../../..' + secret, 'utf8'),
  readSecretThroughLink: ({ secret }) => {
    const link = path.join(os.tmpdir(), 'link')
    fs.symlinkSync(secret, link)
    return fs.readFileSync(link, 'utf8')
  },
  readSecretThroughHardLink: ({ secret }) => {
    const link = path.join(os.tmpdir(), 'hard')
    fs.linkSync(secret, link)
    return fs.readFileSync(link, 'utf8')
  },
  copySecret: ({ secret }) => fs.copyFileSync(secret, path.join(os.tmpdir(), 'copy')),
  importSecret: ({ secret }) => import(`file://${secret}`),
  requireSecret: ({ secret }) => require(secret),
  fetchSecret: async ({ secret }) => (await fetch(`file://${secret}`)).text(),
  writeOverItself: () => fs.writeFileSync(new URL(import.meta.url), ''),
  writeBesideItself: () => fs.writeFileSync(new URL('x.js', import.meta.url), ''),
  writeToTmp: () => fs.writeFileSync('/tmp/isopod-hostile', ''),
  moveOut: ({ secret }) => {
    const file = path.join(os.tmpdir(), 'mine')
    fs.writeFileSync(file, 'mine')
    fs.renameSync(file, secret)
  },
  removeSecret: ({ secret }) => fs.rmSync(secret),
  truncateSecret: ({ secret }) => fs.truncateSync(secret),
  openTerminal: () => fs.openSync('/dev/tty', 'r+'),
  runProgram: () => child_process.execFileSync('/bin/true'),
  runShell: () => child_process.execSync('id', { encoding: 'utf8' }),
  spawnProgram: async () => {
    const child = child_process.spawn('/bin/true')
    return await Promise.race([once(child, 'exit'), once(child, 'error').then(([error]) => { throw error })])
  },
  forkItself: () => child_process.fork(new URL(import.meta.url).pathname).pid,
  startWorker: async () => new (await import('node:worker_threads')).Worker('1', { eval: true }),
  loadAddon: () => process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6'),
  killGateway: () => process.kill(process.ppid, 'SIGKILL'),
  killItsGroup: () => process.kill(0, 'SIGKILL'),
  killAll: () => process.kill(-1, 'SIGKILL'),
  becomeSomebody: () => process.setuid(12345),
  setPriority: () => os.setPriority(process.ppid, 19),
  connectToUnixSocket: ({ socket }) => connected({ path: socket }),
  listenOnUnixSocket: async () => {
    const server = net.createServer().listen('/tmp/isopod-hostile.sock')
    await once(server, 'listening')
    return 'listens'
  },
  connectToAdminPort: ({ admin }) => connected({ host: '127.0.0.1', port: Number(admin) }),
  connectToAdminPortByAnotherName: ({ admin }) => connected({ host: '0.0.0.0', port: Number(admin) }),
  fetchStatus: async ({ admin }) => (await fetch(`http://localhost:${admin}/status`)).text(),
  connectToMetadata: () => connected({ host: '169.254.169.254', port: 80 }),
  fetchMetadata: async () => (await fetch('http://169.254.169.254/latest/meta-data/')).status,
  openInspector: async () => (await import('node:inspector')).open(0),
  connectInspector: async () => new (await import('node:inspector')).Session().connect(),
  setV8Flags: async () => (await import('node:v8')).setFlagsFromString('--allow-natives-syntax'),
  writeHeapSnapshot: async () => (await import('node:v8')).writeHeapSnapshot('/tmp/isopod-hostile.heapsnapshot'),
  importOps: () => import('ext:core/ops'),
  importCore: () => import('ext:core/mod.js'),
  useDeno: () => globalThis.Deno.readTextFileSync('/etc/passwd'),
  useBootstrap: () => globalThis.__bootstrap.core.ops,
}

const described = (error) => error?.code ?? error?.name ?? typeof error

export default {
  async fetch(request) {
    const url = new URL(request.url)
    if (url.pathname === '/names') return Response.json(Object.keys(attempts))
    if (url.pathname === '/environment') return Response.json(process.env)
    const attempt = attempts[url.pathname.slice(1)]
    if (attempt === undefined) return new Response('ok')
    try {
      const value = await attempt(Object.fromEntries(url.searchParams))
      return new Response(`succeeded: ${String(value).slice(0, 200)}`)
    } catch (error) {
      return new Response(`refused: ${described(error)}`)
    }
  },
}
"#;

#[tokio::test]
async fn a_hostile_app_gets_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.txt");
    fs::write(&secret, "the secret").unwrap();
    let socket = outside.path().join("database.sock");
    let _listener = UnixListener::bind(&socket).unwrap();

    let app = Bundle::new(HOSTILE);
    let bundle = app.path().join("server/server.js");
    let cluster = Cluster::of(app)
        .env("APP_COLOUR", "blue")
        .variable("DATABASE_PASSWORD", "hunter2")
        .config("sandbox = \"required\"")
        .start()
        .await;
    let renderer = cluster.children("renderer").await[0].pid;
    let environment = cluster.get("/environment").await.json();
    assert_eq!(environment, serde_json::json!({ "NODE_ENV": "production", "APP_COLOUR": "blue" }));

    let names: Vec<String> = serde_json::from_value(cluster.get("/names").await.json()).unwrap();
    assert!(names.len() > 40, "{names:?}");
    let admin = cluster.admin_url("").rsplit_once(':').unwrap().1.to_owned();
    let query = format!("secret={}&socket={}&admin={admin}", secret.display(), socket.display());
    let mut wrong = Vec::new();
    for name in &names {
        let answer = cluster.get(&format!("/{name}?{query}")).await;
        let text = answer.text();
        if answer.status != 200 || !text.starts_with("refused: ") {
            wrong.push(format!("{name}: {} {text}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), cluster.log());

    assert_eq!(cluster.get("/").await.text(), "ok");
    assert_eq!(cluster.children("renderer").await[0].pid, renderer, "none of it cost the process");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the secret");
    assert_eq!(fs::read_to_string(&bundle).unwrap(), HOSTILE);
    for left in ["/tmp/isopod-hostile", "/tmp/isopod-hostile.sock", "/tmp/isopod-hostile.heapsnapshot"] {
        assert!(!fs::exists(left).unwrap(), "{left}");
    }
    cluster.stop().await;
}

fn sandboxes(status: &Value) -> Vec<&Value> {
    let children = status["pool"]["children"].as_array().unwrap();
    children.iter().filter(|child| child["kind"] == "renderer").map(|child| &child["sandbox"]).collect()
}

#[tokio::test]
async fn log_and_status_tell_which_layers_are_in_force() {
    let cluster = Cluster::of(Bundle::fetch("return new Response('ok')")).renderers(2).start().await;
    let status = cluster.status().await;
    for layers in sandboxes(&status) {
        for layer in ["no_new_privs", "capabilities", "seccomp"] {
            assert_eq!(layers[layer], true, "{layer} in {layers}");
        }
        assert!(layers["landlock_abi"].as_u64().unwrap() > 0, "{layers}");
    }
    let line =
        cluster.log().find(|line| line.contains("a renderer is locked in").then(|| line.to_owned())).await;
    assert!(line.unwrap().contains("seccomp=true"));
    for pid in cluster.child_pids() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap().trim().to_owned()
        };
        assert_eq!(value("NoNewPrivs"), "1", "fn workers too: {status}");
        if value("Name").starts_with("renderer") {
            assert_eq!((value("Seccomp"), value("Seccomp_filters")), ("2".into(), "2".into()));
            // What the superuser keeps concerns files: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER.
            let capabilities = u64::from_str_radix(&value("CapPrm"), 16).unwrap();
            assert_eq!(capabilities & !0b1110, 0, "{status}");
        }
    }
}

#[tokio::test]
async fn an_operator_may_turn_it_off() {
    let cluster =
        Cluster::of(Bundle::fetch("return new Response('ok')")).config("sandbox = \"off\"").start().await;
    let status = cluster.status().await;
    assert_eq!(sandboxes(&status)[0]["seccomp"], false);
    let renderer = cluster.children("renderer").await[0].pid;
    let status = fs::read_to_string(format!("/proc/{renderer}/status")).unwrap();
    assert!(status.contains("Seccomp:\t0") && status.contains("NoNewPrivs:\t0"), "{status}");
}

#[tokio::test]
async fn what_is_required_and_not_there_is_named() {
    let app = || Bundle::fetch("return new Response('ok')");
    let exit = Cluster::of(app()).config("sandbox = \"required\"").without_landlock().start_to_end().await;
    exit.expect_code(69).expect_said(&["sandbox = required", "landlock", "sandbox = auto"]);
    let cluster = Cluster::of(app()).without_landlock().start().await;
    let status = cluster.status().await;
    let layers = sandboxes(&status)[0];
    assert_eq!((&layers["landlock_abi"], &layers["seccomp"]), (&0.into(), &true.into()));
    let warned =
        cluster.log().find(|line| line.contains("a layer of the sandbox is missing").then_some(())).await;
    assert!(warned.is_some());
}

#[tokio::test]
async fn nothing_is_left_behind_in_the_temporary_folder() {
    let tmp = tempfile::tempdir().unwrap();
    let app = Bundle::new(
        "import fs from 'node:fs'
         import os from 'node:os'
         export default { fetch() { fs.writeFileSync(os.tmpdir() + '/x', 'x'); return new Response(os.tmpdir()) } }",
    );
    let cluster = Cluster::of(app).variable("TMPDIR", tmp.path().to_str().unwrap()).start().await;
    let used = cluster.get("/").await.text();
    assert!(std::path::Path::new(&used).starts_with(tmp.path().canonicalize().unwrap()), "{used}");
    let lost = cluster.kill_renderer(0).await;
    cluster.wait_until_replaced(lost).await;
    tests::wait::eventually("a killed renderer's folder is gone", async || {
        (!fs::exists(&used).unwrap()).then_some(())
    })
    .await;
    cluster.stop().await;
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
}

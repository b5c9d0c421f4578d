// Node's `tls`, `https` and `http2`, with a certificate that signs itself. `key.pem` and `cert.pem` lie beside this.
import assert from "node:assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import tls from "node:tls";

const read = (name) => readFileSync(new URL(name, import.meta.url));
const [key, cert] = [read("key.pem"), read("cert.pem")];

async function serving(server, use) {
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    return await use(server.address().port);
  } finally {
    server.close();
  }
}

const text = async (stream) => {
  let all = "";
  for await (const chunk of stream) all += chunk;
  return all;
};

export default {
  "tls: a client that knows the authority is answered": () =>
    serving(tls.createServer({ key, cert, ALPNProtocols: ["x/1"] }, (socket) => socket.end("sealed")), async (port) => {
      const socket = tls.connect({ host: "127.0.0.1", port, ca: cert, servername: "localhost", ALPNProtocols: ["x/1"] });
      await once(socket, "secureConnect");
      assert.deepEqual([socket.authorized, socket.alpnProtocol, socket.encrypted], [true, "x/1", true]);
      assert.equal(await text(socket), "sealed");
    }),
  "tls: an unknown authority is refused, unless nobody asks": () =>
    serving(tls.createServer({ key, cert }, (socket) => (socket.on("error", () => {}), socket.end("x"))), async (port) => {
      const [error] = await once(tls.connect({ host: "127.0.0.1", port, servername: "localhost" }), "error").catch((error) => [error]);
      assert.match(String(error.code ?? error.message), /SELF_SIGNED|UNABLE_TO_VERIFY|UnknownIssuer|certificate/i);
      const trusting = tls.connect({ host: "127.0.0.1", port, servername: "localhost", rejectUnauthorized: false });
      assert.equal(await text(trusting), "x");
    }),
  "tls: another name than the certificate's is refused": () =>
    serving(tls.createServer({ key, cert }, (socket) => socket.on("error", () => {}).end()), async (port) => {
      const socket = tls.connect({ host: "127.0.0.1", port, ca: cert, servername: "other.test" });
      const [error] = await once(socket, "error").catch((error) => [error]);
      assert.match(String(error.code ?? error.message), /ALTNAME|NotValidForName|certificate/i);
    }),
  "https: server, client, agent with keep-alive": () =>
    serving(https.createServer({ key, cert }, (request, response) => response.end(`${request.method} ${request.url}`)), async (port) => {
      const agent = new https.Agent({ keepAlive: true, ca: cert });
      const get = (path) => new Promise((resolve, reject) =>
        https.get({ host: "127.0.0.1", port, path, agent, servername: "localhost" }, (response) => text(response).then(resolve, reject))
          .on("error", reject));
      assert.deepEqual([await get("/a"), await get("/b")], ["GET /a", "GET /b"]);
      agent.destroy();
      await assert.rejects(fetch(`https://127.0.0.1:${port}/`), TypeError, "fetch does not know the authority");
    }),
  "http2: requests in parallel over one connection, in clear and over TLS": async () => {
    const answer = (stream, headers) => {
      stream.respond({ ":status": 200, "x-path": headers[":path"] });
      stream.end(`for ${headers[":path"]}`);
    };
    const ask = (session, path) => new Promise((resolve, reject) => {
      const stream = session.request({ ":path": path });
      let status;
      stream.on("response", (headers) => (status = headers[":status"]));
      stream.on("error", reject);
      text(stream).then((body) => resolve([status, body]), reject);
    });
    const plain = http2.createServer().on("stream", answer);
    await serving(plain, async (port) => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      const answers = await Promise.all(["/a", "/b"].map((path) => ask(session, path)));
      assert.deepEqual(answers, [[200, "for /a"], [200, "for /b"]]);
      session.close();
    });
    const sealed = http2.createSecureServer({ key, cert }).on("stream", answer);
    await serving(sealed, async (port) => {
      const session = http2.connect(`https://localhost:${port}`, { ca: cert });
      assert.deepEqual(await ask(session, "/c"), [200, "for /c"]);
      session.close();
    });
  },
};

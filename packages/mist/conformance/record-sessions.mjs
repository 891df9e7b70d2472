// Records what real clients say over HTTP/2, for the tests that mutate sessions: node record-sessions.mjs, after a build
//
// Writes test/http2/recorded.json: for each client the bytes of one connection, in Base64. Needs curl, nghttp and Chromium
// (CHROMIUM names it); the others are packages of this workspace.

import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as mist from "@x/mist";

const run = promisify(execFile);
const from = (/** @type {string} */ example) =>
  createRequire(new URL(`../../../examples/${example}/package.json`, import.meta.url));
/** @type {typeof import("undici")} */
const undici = createRequire(import.meta.url)("undici");
const grpc = from("grpc")("@grpc/grpc-js");
const { chromium } = from("showcase")("playwright-core");

const page = `<!doctype html><title>recorded</title>${Array.from({ length: 12 }, (_, n) => `<img src="/image/${n}">`).join("")}
<script>
  const cancelled = new AbortController();
  fetch("/never", { signal: cancelled.signal }).catch(() => {});
  setTimeout(async () => {
    cancelled.abort();
    await fetch("/echo", { method: "POST", body: "x".repeat(3000), headers: { "x-recorded": "yes" } });
    document.title = "done";
  }, 100);
</script>`;

const server = await mist
  .new(async (request) => {
    if (request.path === "/never") return await new Promise(() => {});
    if (request.path === "/")
      return mist.response(200, { body: page }).setHeader("content-type", "text/html");
    if (request.path === "/stream") return mist.response(200).setBody(mist.chunked(["a", "b", "c"]));
    const body = await mist.readBody(request, { maxBodyLimit: 1e6 });
    const answer = mist.response(200).setBody(mist.bytes(body));
    if (request.getHeader("content-type") !== "application/grpc") return answer;
    return answer.setHeader("content-type", "application/grpc").withTrailers(() => [["grpc-status", "0"]]);
  })
  .port(0)
  .afterStart(() => {})
  .start();

/** @type {Buffer[][]} */
let connections = [];

/** @param {import("node:stream").Duplex} client */
function forward(client) {
  /** @type {Buffer[]} */
  const chunks = [];
  connections.push(chunks);
  client.on("data", (chunk) => chunks.push(chunk));
  const backend = net.connect(server.port, "127.0.0.1");
  client.pipe(backend).pipe(client);
  for (const socket of [client, backend]) socket.on("error", () => {});
}

const folder = mkdtempSync(join(tmpdir(), "recorded-"));
const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const request = ["req", "-x509", ...curve, "-subj", "/CN=localhost", "-days", "2"];
execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
const pems = { key: readFileSync(key), cert: readFileSync(cert) };
const clear = net.createServer(forward).listen(0, "127.0.0.1");
const secure = tls.createServer({ ...pems, ALPNProtocols: ["h2"] }, forward).listen(0, "127.0.0.1");
await Promise.all([once(clear, "listening"), once(secure, "listening")]);
const portOf = (/** @type {net.Server} */ one) => /** @type {net.AddressInfo} */ (one.address()).port;
const [http, https] = [`http://127.0.0.1:${portOf(clear)}`, `https://127.0.0.1:${portOf(secure)}`];

/** @type {Record<string, () => Promise<unknown>>} */
const clients = {
  // Over TLS: with prior knowledge curl 7.88 does not use a connection twice.
  curl: () =>
    run("curl", [
      ...["-sk", "--http2", `${https}/stream`, "--next"],
      ...["-sk", "--http2", "-b", "a=b; c=d", "-d", "x".repeat(2000), `${https}/echo`, "--next"],
      ...["-skI", "--http2", https],
    ]),
  nghttp: () =>
    run("nghttp", [
      "-n",
      "-w",
      "15",
      "-W",
      "15",
      "--header=priority: u=1, i",
      `${http}/stream`,
      `${http}/image/1`,
      `${http}/image/2`,
    ]),
  async undici() {
    const agent = new undici.Agent({ allowH2: true, connect: { rejectUnauthorized: false }, connections: 1 });
    for (const path of ["/stream", "/echo", "/echo"]) {
      const body = path === "/echo" ? "y".repeat(1500) : null;
      const method = body === null ? "GET" : "POST";
      await (await undici.fetch(`${https}${path}`, { dispatcher: agent, method, body })).text();
    }
    const cancelled = new AbortController();
    const never = undici
      .fetch(`${https}/never`, { dispatcher: agent, signal: cancelled.signal })
      .catch(() => {});
    setTimeout(() => cancelled.abort(), 20);
    await never;
    await agent.destroy();
  },
  async "node:http2"() {
    const client = http2.connect(http, { settings: { initialWindowSize: 20_000, headerTableSize: 256 } });
    const ended = (/** @type {http2.ClientHttp2Stream} */ stream) =>
      new Promise((resolve) =>
        stream
          .resume()
          .on("error", () => {})
          .on("close", resolve),
      );
    const upload = client.request({ ":path": "/echo", ":method": "POST" }, { waitForTrailers: true });
    upload.on("wantTrailers", () => upload.sendTrailers({ "x-sum": "1" }));
    upload.write("one");
    upload.end("two");
    await Promise.all([
      ended(upload),
      ended(client.request({ ":path": "/stream", authorization: "secret" })),
    ]);
    client.settings({ headerTableSize: 0, initialWindowSize: 10 });
    const never = client.request({ ":path": "/never" });
    setTimeout(() => never.close(http2.constants.NGHTTP2_CANCEL), 20);
    await ended(never);
    await new Promise((resolve) => client.ping(resolve));
    await ended(client.request({ ":path": "/echo", ":method": "HEAD" }));
    await new Promise((resolve) => client.close(() => resolve(undefined)));
  },
  async "grpc-js"() {
    const client = new grpc.Client(`127.0.0.1:${portOf(clear)}`, grpc.credentials.createInsecure());
    const same = (/** @type {Buffer} */ bytes) => bytes;
    const metadata = new grpc.Metadata();
    metadata.set("x-request", "recorded");
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve, reject) => {
        const done = (/** @type {Error | null} */ error) =>
          error === null ? resolve(undefined) : reject(error);
        client.makeUnaryRequest("/echo/Unary", same, same, Buffer.alloc(100, n), metadata, done);
      });
    }
    client.close();
  },
  async chromium() {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    const tab = await browser.newPage({ ignoreHTTPSErrors: true });
    await tab.goto(https);
    await tab.waitForFunction('document.title === "done"');
    await browser.close();
  },
};

/** @type {Record<string, string>} */
const recorded = {};
for (const [name, talk] of Object.entries(clients)) {
  connections = [];
  await talk();
  const longest = connections.map((chunks) => Buffer.concat(chunks)).sort((a, b) => b.length - a.length)[0];
  if (longest === undefined || longest.length === 0) throw new Error(`${name} has said nothing`);
  recorded[name] = longest.toString("base64");
  console.log(`${name}: ${longest.length} bytes`);
}
const file = fileURLToPath(new URL("../test/http2/recorded.json", import.meta.url));
writeFileSync(file, `${JSON.stringify(recorded, null, 2)}\n`);
clear.close();
secure.close();
rmSync(folder, { recursive: true });
await server.stop({ deadlineMs: 0 });

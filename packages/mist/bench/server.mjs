// The server that benchmarks talk to: node server.mjs PORT [tls CERTFILE KEYFILE]
//
// HTTP/1.1, and HTTP/2 with prior knowledge or, with TLS, by ALPN.
//
//   GET  /            Hello, world!
//   POST /echo        the request body
//   POST /hash        the SHA-256 of the request body, in hexadecimal
//   POST /count       how many bytes the request body has
//   GET  /file/1m     a file of 1 MiB; /file/4k one of 4 KiB
//   GET  /download    100 MiB in chunks
//   /ws, /ws-deflate  WebSocket echo, without and with permessage-deflate
//   /room, /events    WebSocket and event stream that receive what `globalThis.benchTasks.publish` sends

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as mist from "@x/mist";

const [port = "8080", ...tls] = process.argv.slice(2);
const [certfile, keyfile = ""] = tls[0] === "tls" ? tls.slice(1) : tls;
const folder = mkdtempSync(join(tmpdir(), "mist-bench-"));
writeFileSync(join(folder, "1m"), Buffer.alloc(1024 * 1024, "x"));
writeFileSync(join(folder, "4k"), Buffer.alloc(4096, "x"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

const chunk = Buffer.alloc(65_536, "x");
const topics = mist.topics();

/**
 * @param {mist.Request} request
 * @param {boolean} compression
 * @param {(socket: mist.WebSocket) => undefined} onInit
 */
function echoSocket(request, compression, onInit = () => undefined) {
  return mist.websocket({
    request,
    compression,
    onInit,
    handler(_state, message, conn) {
      if (message.type === "text") conn.sendText(message.data);
      else if (message.type === "binary") conn.sendBinary(message.data);
    },
  });
}

/** @param {mist.Request} request */
async function echo(request) {
  const content = await mist.readBody(request, { maxBodyLimit: 16 * 1024 * 1024 });
  return mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(content));
}

/** @param {mist.Request} request */
async function hash(request) {
  const digest = createHash("sha256");
  for await (const piece of mist.stream(request)) digest.update(piece);
  return mist
    .response(200)
    .setHeader("content-type", "text/plain")
    .setBody(mist.bytes(digest.digest("hex")));
}

/** @param {mist.Request} request */
async function count(request) {
  let length = 0;
  for await (const piece of mist.stream(request)) length += piece.length;
  return mist
    .response(200)
    .setHeader("content-type", "text/plain")
    .setBody(mist.bytes(String(length)));
}

function* chunks() {
  for (let i = 0; i < 1600; i++) yield chunk;
}

/** @param {mist.Request} request */
function handle(request) {
  switch (request.path) {
    case "/":
      return mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes("Hello, world!"));
    case "/echo":
      return echo(request);
    case "/hash":
      return hash(request);
    case "/count":
      return count(request);
    case "/file/1m":
    case "/file/4k":
      return mist.sendFile(join(folder, request.path.slice("/file/".length)), { request });
    case "/download":
      return mist.response(200).setBody(mist.chunked(chunks()));
    case "/ws":
      return echoSocket(request, false);
    case "/ws-deflate":
      return echoSocket(request, true);
    case "/room":
      return echoSocket(request, false, (socket) => void topics.join(socket, "room"));
    case "/events":
      return mist.serverSentEvents({
        request,
        init: (stream) => void topics.join(stream, "room"),
        loop: () => undefined,
      });
    default:
      return mist.response(404);
  }
}

// The probe asks for it: a message to everybody in the room.
if (globalThis.benchTasks) globalThis.benchTasks.publish = (data) => void topics.publish("room", data);

const builder = mist.new(handle).bind("127.0.0.1").port(Number(port));
const server = await (certfile === undefined ? builder : builder.withTls({ certfile, keyfile })).start();

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => server.stop({ deadlineMs: 1000 }).then(() => process.exit(0)));
}

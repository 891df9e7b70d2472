// node:http2 by its stream interface, which costs it less than the one that is like node:http:
// `node node-http2.mjs PORT [CERTFILE KEYFILE]`.

/** @import { ServerHttp2Stream } from "node:http2" */

import { readFileSync } from "node:fs";
import { createSecureServer, createServer } from "node:http2";
import { pipeline, Readable } from "node:stream";
import * as requests from "../src/requests.mjs";

const [port, certfile, keyfile = ""] = process.argv.slice(2);

/**
 * @param {ServerHttp2Stream} stream
 * @param {string | Buffer} body
 */
function answer(stream, body) {
  if (stream.destroyed) return; // its client has left
  stream.respond({
    ":status": 200,
    "content-type": "text/plain",
    "content-length": Buffer.byteLength(body),
  });
  stream.end(body);
}

function* chunks() {
  for (let i = 0; i < requests.chunkCount; i++) yield requests.chunk;
}

/** @type {Record<string, (stream: ServerHttp2Stream) => void>} */
const routes = {
  "/": (stream) => answer(stream, "Hello, world!"),
  "/echo"(stream) {
    /** @type {Buffer[]} */
    const parts = [];
    stream.on("data", (/** @type {Buffer} */ part) => parts.push(part));
    stream.on("end", () => answer(stream, parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)));
  },
  "/count"(stream) {
    let count = 0;
    stream.on("data", (part) => {
      count += part.length;
    });
    stream.on("end", () => answer(stream, String(count)));
  },
  "/download"(stream) {
    stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
    pipeline(Readable.from(chunks(), { objectMode: true }), stream, () => {});
  },
};

const server =
  certfile === undefined
    ? createServer()
    : createSecureServer({ cert: readFileSync(certfile), key: readFileSync(keyfile) });
server.on("stream", (stream, headers) => routes[headers[":path"] ?? ""]?.(stream));
server.on("sessionError", () => {}); // a client that leaves
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
process.once("SIGTERM", () => process.exit());

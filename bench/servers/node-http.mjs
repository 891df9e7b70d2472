// node:http, or node:https with a certificate, written as in its documentation:
// `node node-http.mjs PORT [CERTFILE KEYFILE]`.

/** @import { IncomingMessage, ServerResponse } from "node:http" */

import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline, Readable } from "node:stream";
import * as requests from "../src/requests.mjs";

const [port, certfile, keyfile = ""] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "bench-node-http-"));
const files = { "1m": requests.fileBytes, "4k": requests.smallFileBytes };
for (const [name, bytes] of Object.entries(files))
  writeFileSync(join(folder, name), Buffer.alloc(bytes, requests.fileFill));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

function* chunks() {
  for (let i = 0; i < requests.chunkCount; i++) yield requests.chunk;
}

/** @typedef {(request: IncomingMessage, response: ServerResponse) => void} Route */

/** @type {Record<string, Route>} */
const routes = {
  "/"(_request, response) {
    response.writeHead(200, { "content-type": "text/plain", "content-length": requests.hello.length });
    response.end("Hello, world!");
  },
  "/echo"(request, response) {
    /** @type {Buffer[]} */
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = /** @type {Buffer} */ (parts.length === 1 ? parts[0] : Buffer.concat(parts));
      response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
      response.end(body);
    });
  },
  "/hash"(request, response) {
    const hash = createHash("sha256");
    request.on("data", (part) => hash.update(part));
    request.on("end", () => {
      const digest = hash.digest("hex");
      response.writeHead(200, { "content-type": "text/plain", "content-length": digest.length });
      response.end(digest);
    });
  },
  "/download"(_request, response) {
    response.writeHead(200, { "content-type": "application/octet-stream" });
    pipeline(Readable.from(chunks(), { objectMode: true }), response, () => {});
  },
  "/file/1m": (_request, response) => sendFile(join(folder, "1m"), response),
  "/file/4k": (_request, response) => sendFile(join(folder, "4k"), response),
};

/**
 * @param {string} file
 * @param {ServerResponse} response
 */
async function sendFile(file, response) {
  const { size, mtime } = await stat(file);
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "content-length": size,
    "last-modified": mtime.toUTCString(),
  });
  pipeline(createReadStream(file), response, () => {});
}

/** @type {Route} */
const handle = (request, response) => routes[request.url ?? ""]?.(request, response);
const server =
  certfile === undefined
    ? createServer(handle)
    : createTlsServer({ cert: readFileSync(certfile), key: readFileSync(keyfile) }, handle);
server.keepAliveTimeout = 75_000;
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
process.once("SIGTERM", () => process.exit());

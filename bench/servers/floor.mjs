// The floor: bare node:net or node:tls that counts the bytes it receives and writes a canned response for every length
// of a request. `node floor.mjs PORT get|get-once|post-echo|file|small-file [CERTFILE KEYFILE]`

/** @import { Socket } from "node:net" */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import * as requests from "../src/requests.mjs";

const [port, what = "get", certfile, keyfile = ""] = process.argv.slice(2);

/** @type {Record<string, [request: Buffer, answer: Buffer]>} */
const kinds = {
  get: [requests.get, requests.canned(requests.hello)],
  "get-once": [requests.getOnce, requests.canned(requests.hello, "connection: close")],
  "post-echo": [requests.postEcho, requests.canned(requests.kibi)],
  "small-file": [
    requests.getSmallFile,
    requests.canned(Buffer.alloc(requests.smallFileBytes, requests.fileFill)),
  ],
  file: [requests.getFile, requests.canned(Buffer.alloc(requests.fileBytes, requests.fileFill))],
};
const kind = kinds[what];
if (kind === undefined) throw new Error(`there is no floor for ${what}`);
const [request, answer] = kind;
const most = what === "get" ? 64 : 1;
const answers = Array.from({ length: most + 1 }, (_, count) => {
  return Buffer.concat(Array.from({ length: count }, () => answer));
});

/** @param {Socket} socket */
function serve(socket) {
  let bytes = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    let count = Math.floor(bytes / request.length);
    bytes -= count * request.length;
    for (; count > 0; count -= most) socket.write(answers[Math.min(count, most)] ?? answer);
    if (what === "get-once") socket.destroy(); // the kernel has the response, and the client sends no more
  });
}

const server =
  certfile === undefined
    ? createServer({ noDelay: true }, serve)
    : createTlsServer({ cert: readFileSync(certfile), key: readFileSync(keyfile), noDelay: true }, serve);
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);

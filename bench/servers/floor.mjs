// The floor: bare node:net (or node:tls) that writes canned bytes for every request's worth of bytes it was sent, and
// reads none of them. `node floor.mjs PORT get|get-once|post-echo|file [CERTFILE KEYFILE]`
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import * as requests from "../src/requests.mjs";

const [port, what, certfile, keyfile] = process.argv.slice(2);

const kinds = {
  get: [requests.get, requests.canned(requests.hello)],
  "get-once": [requests.getOnce, requests.canned(requests.hello, "connection: close")],
  "post-echo": [requests.postEcho, requests.canned(requests.kibi)],
  file: [requests.getFile, requests.canned(Buffer.alloc(requests.fileBytes, requests.fileFill))],
};
const [request, answer] = kinds[what];
const most = what === "get" ? 64 : 1;
const answers = Array.from({ length: most + 1 }, (_, count) => {
  return Buffer.concat(Array.from({ length: count }, () => answer));
});

function serve(socket) {
  let bytes = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    let count = Math.floor(bytes / request.length);
    bytes -= count * request.length;
    for (; count > 0; count -= most) socket.write(answers[Math.min(count, most)]);
    if (what === "get-once") socket.destroy(); // the kernel has it all, and the client has no more to say
  });
}

const server =
  certfile === undefined
    ? createServer({ noDelay: true }, serve)
    : createTlsServer({ cert: readFileSync(certfile), key: readFileSync(keyfile), noDelay: true }, serve);
server.listen(Number(port), "127.0.0.1", 1024, () => console.log(server.address().port));

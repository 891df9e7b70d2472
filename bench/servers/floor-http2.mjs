// The floor of HTTP/2: bare node:net or node:tls that walks the frames it receives and writes a canned response, with
// the stream's id in it, for every HEADERS frame. `node floor-http2.mjs PORT [CERTFILE KEYFILE]`

/** @import { Socket } from "node:net" */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import {
  fieldIndices as fields,
  flags,
  frame,
  headerBlocks,
  headerLength,
  preface,
  types,
} from "../src/http2-frames.mjs";
import { hello } from "../src/requests.mjs";

const [port, certfile, keyfile = ""] = process.argv.slice(2);

const blocks = headerBlocks(
  [fields.ok],
  [
    [fields.date, "Sun, 06 Nov 1994 08:49:37 GMT"],
    [fields.contentType, "text/plain"],
    [fields.contentLength, String(hello.length)],
  ],
);
const content = frame(types.data, flags.endStream, 0, hello);
/** @param {Buffer} block */
const canned = (block) => Buffer.concat([frame(types.headers, flags.endHeaders, 0, block), content]);
const first = canned(blocks.first);
const later = canned(blocks.later);
const settings = frame(types.settings, 0, 0);
const settingsAck = frame(types.settings, flags.ack, 0);
const nothing = Buffer.alloc(0);

/** @param {Socket} socket */
function serve(socket) {
  let answer = first;
  let rest = nothing;
  let skip = preface.length;
  socket.on("error", () => {});
  socket.write(settings);
  socket.on("data", (/** @type {Buffer} */ chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = Math.min(skip, bytes.length);
    skip -= at;
    // No request is shorter than a frame's header and a byte.
    const most = Math.ceil((bytes.length - at) / (headerLength + 1));
    const out = Buffer.allocUnsafe(first.length + most * later.length);
    let end = 0;
    while (at + headerLength <= bytes.length) {
      const length = bytes.readUIntBE(at, 3);
      if (at + headerLength + length > bytes.length) break;
      if (bytes[at + 3] === types.headers) {
        out.set(answer, end);
        out.set(bytes.subarray(at + 5, at + 9), end + 5);
        out.set(bytes.subarray(at + 5, at + 9), end + answer.length - content.length + 5);
        end += answer.length;
        answer = later;
      } else if (bytes[at + 3] === types.settings && bytes[at + 4] !== flags.ack) socket.write(settingsAck);
      at += headerLength + length;
    }
    rest = at === bytes.length ? nothing : Buffer.from(bytes.subarray(at));
    if (end > 0) socket.write(out.subarray(0, end));
  });
}

const server =
  certfile === undefined
    ? createServer({ noDelay: true }, serve)
    : createTlsServer(
        {
          cert: readFileSync(certfile),
          key: readFileSync(keyfile),
          ALPNProtocols: ["h2"],
          noDelay: true,
        },
        serve,
      );
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);

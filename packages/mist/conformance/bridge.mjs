// From WebSocket over HTTP/1.1 to WebSocket over HTTP/2 (RFC 8441), for clients that know only the first:
// node bridge.mjs PORT http://HOST:PORT
//
// All connections share one of HTTP/2 with the server behind, and each has a stream of it.

import { createHash } from "node:crypto";
import { once } from "node:events";
import * as http from "node:http";
import * as http2 from "node:http2";

const [port = "9001", target = "http://127.0.0.1:8080"] = process.argv.slice(2);

const behind = http2.connect(target, { settings: { initialWindowSize: 1 << 20 } });
await once(behind, "remoteSettings");
if (behind.remoteSettings.enableConnectProtocol !== true)
  throw new Error(`${target} takes no extended CONNECT`);
behind.setLocalWindowSize(1 << 24);

/** Fields that speak of the connection, or that HTTP/2 does without (RFC 8441 §5). */
const own = new Set(["host", "connection", "upgrade", "sec-websocket-key"]);

/** @param {string} key */
const accept = (key) =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

const server = http.createServer((_request, response) => response.writeHead(426).end());

server.on("upgrade", (request, socket, head) => {
  const fields = Object.entries(request.headers).filter(([name]) => !own.has(name));
  const stream = behind.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": request.url,
    ...Object.fromEntries(fields),
  });
  socket.on("error", () => stream.close(http2.constants.NGHTTP2_CANCEL));
  stream.on("error", () => socket.destroy());
  stream.once("response", (answer) => {
    if (answer[":status"] !== 200) {
      socket.end(`HTTP/1.1 ${answer[":status"]} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    const lines = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade"];
    lines.push(`sec-websocket-accept: ${accept(request.headers["sec-websocket-key"] ?? "")}`);
    for (const [name, value] of Object.entries(answer))
      if (!name.startsWith(":")) lines.push(`${name}: ${value}`);
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    if (head.length > 0) stream.write(head);
    stream.pipe(socket);
    socket.pipe(stream);
  });
  stream.once("close", () => (stream.rstCode === 0 ? socket.end() : socket.destroy()));
});

server.listen(Number(port), "127.0.0.1", () => console.log(`Listening on ${port}`));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit());

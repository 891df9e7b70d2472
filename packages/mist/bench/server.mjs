// The server that benchmarks talk to: node server.mjs PORT
//
//   GET  /            Hello, world!
//   POST /echo        the content again
//   GET  /file/1m     a file of 1 MiB
//   /ws, /ws-deflate  WebSocket echo, without and with permessage-deflate

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as mist from "@x/mist";

const port = Number(process.argv[2] ?? 8080);
const folder = mkdtempSync(join(tmpdir(), "mist-bench-"));
const file = join(folder, "1m.bin");
writeFileSync(file, Buffer.alloc(1024 * 1024, "x"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

function echoSocket(request, compression) {
  return mist.websocket({
    request,
    compression,
    onInit: () => undefined,
    handler(_state, message, conn) {
      if (message.type === "text") conn.sendText(message.data);
      else if (message.type === "binary") conn.sendBinary(message.data);
    },
  });
}

async function echo(request) {
  const content = await mist.readBody(request, { maxBodyLimit: 16 * 1024 * 1024 });
  return mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(content));
}

function handle(request) {
  switch (request.path) {
    case "/":
      return mist
        .response(200)
        .setHeader("content-type", "text/plain")
        .setBody(mist.bytes("Hello, world!"));
    case "/echo":
      return echo(request);
    case "/file/1m":
      return mist.sendFile(file, { request });
    case "/ws":
      return echoSocket(request, false);
    case "/ws-deflate":
      return echoSocket(request, true);
    default:
      return mist.response(404);
  }
}

const server = await mist.new(handle).bind("127.0.0.1").port(port).start();

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => server.stop({ deadlineMs: 1000 }).then(() => process.exit(0)));
}

// mug as a test harness for someone else's server: any HTTP server at TARGET (host:port), or Node's own without it.
// Each check is a conversation byte by byte; one that fails shows the whole of it.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, forEverySplit, type Peer } from "@x/mug/testing";

const { host, port, close } = await target(process.env["TARGET"]);

const checks: Record<string, (peer: Peer) => Promise<void>> = {
  async "answers a request that comes a byte at a time"(peer) {
    await peer.dribble(request("GET", "/"));
    await peer.expectMatch(/^HTTP\/1\.1 \d{3} /);
  },

  async "answers two requests of one packet, in order"(peer) {
    await peer.send(request("GET", "/one") + request("GET", "/two"));
    await peer.expectMatch(/^HTTP\/1\.1 [\s\S]*HTTP\/1\.1 \d{3} /);
  },

  async "refuses a request with two lengths"(peer) {
    await peer.send(request("POST", "/", "Content-Length: 1\r\nContent-Length: 2\r\n"));
    await peer.expectMatch(/^HTTP\/1\.1 400 /);
    await peer.expectClose({ discard: true });
  },

  async "lives through a client that breaks off in the middle"(peer) {
    await peer.cutShort(request("GET", "/"), 20, "reset");
    await using other = await connect({ host, port });
    await other.send(request("GET", "/"));
    await other.expectMatch(/^HTTP\/1\.1 \d{3} /);
  },
};

let failures = 0;
for (const [name, check] of Object.entries(checks)) {
  await using peer = await connect({ host, port });
  try {
    await check(peer);
    console.log(`ok    ${name}`);
  } catch (error) {
    failures++;
    console.log(`FAIL  ${name}\n${error instanceof Error ? error.message : error}`);
  }
}

await forEverySplit(request("GET", "/"), async (pieces) => {
  await using peer = await connect({ host, port });
  await peer.sendPieces(pieces);
  await peer.expectMatch(/^HTTP\/1\.1 \d{3} /);
});
console.log("ok    answers a request however it is cut into two packets");

close();
process.exitCode = failures === 0 ? 0 : 1;

function request(method: string, path: string, fields = ""): string {
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
}

async function target(named: string | undefined): Promise<{ host: string; port: number; close(): void }> {
  if (named !== undefined) {
    const { hostname, port } = new URL(`tcp://${named}`);
    return { host: hostname, port: Number(port), close() {} };
  }
  const server = createServer((_, response) => response.end("hello\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { host: "127.0.0.1", port, close: () => server.close(() => server.closeAllConnections()) };
}

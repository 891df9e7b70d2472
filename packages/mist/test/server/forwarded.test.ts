// `withForwarded`: whom requests come from and what they ask for, behind proxies that speak HTTP.

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import * as http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { describe, expect, onTestFinished, test } from "vitest";
import { getConnInfo, upgradeWebSocket } from "../../src/fetch/hono/hono.ts";
import { type FetchHandler, fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { Exchange } from "../../src/server/exchange/exchange.ts";
import { forwardedSettings, readForwarded } from "../../src/server/exchange/forwarded.ts";
import { ask, session } from "../http2-server/client.ts";
import { serve } from "./serve.ts";

/** What a handler sees, as text. */
function seen(request: mist.Request): string {
  const { ipAddress, port } = mist.getConnectionInfo(request);
  const client = mist.ipAddressToString(ipAddress);
  return `${client} ${port} ${request.scheme} ${request.host} ${request.port}`;
}

const show = (request: mist.Request) => mist.text(seen(request));
const forwarded = { trustedPeers: ["127.0.0.1", "10.0.0.0/8", "fd00::/8"], headers: "forwarded" } as const;
const customary = { ...forwarded, headers: "x-forwarded" } as const;
const standardFields = { forwarded: 'for="192.0.2.7:4711";proto=https;host="example.org:8443"' };
const customaryFields = {
  "x-forwarded-for": "6.6.6.6, 192.0.2.7, 10.1.1.1",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "example.org",
  "x-forwarded-port": "8443",
};

/** A server that listens nowhere; clients may name the address they come from. */
async function inMemory(
  handler: mist.Handler,
  configure: (builder: mist.Builder) => mist.Builder,
): Promise<mist.Server> {
  const server = await mist.test(configure(mist.new(handler).onError(() => {})));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function shown(
  server: mist.Server,
  headers: Record<string, string>,
  remoteAddress = "127.0.0.1",
  httpVersion: 1 | 2 = 1,
): Promise<string> {
  const connection = { remoteAddress, remotePort: 1234 };
  const init = { headers, connection, httpVersion } as mist.FetchInit;
  return (await server.fetch("http://inner.test:8080/", init)).text();
}

describe.each([1, 2] as const)("over HTTP/%s", (version) => {
  test("a trusted peer is believed", async () => {
    const server = await inMemory(show, (builder) => builder.withForwarded(forwarded));
    expect(await shown(server, standardFields, "127.0.0.1", version)).toBe(
      "192.0.2.7 4711 https example.org 8443",
    );
    const other = await inMemory(show, (builder) => builder.withForwarded(customary));
    expect(await shown(other, customaryFields, "10.9.9.9", version)).toBe(
      "192.0.2.7 0 https example.org 8443",
    );
  });

  test("a stranger is not, whatever it says", async () => {
    const server = await inMemory(show, (builder) => builder.withForwarded(forwarded));
    const own = "192.0.2.200 1234 http inner.test 8080";
    expect(await shown(server, standardFields, "192.0.2.200", version)).toBe(own);
    expect(await shown(server, { forwarded: "for=127.0.0.1;by=127.0.0.1" }, "192.0.2.200", version)).toBe(
      own,
    );
  });
});

const peer = "127.0.0.1 1234 http inner.test 8080";

test.each([
  ["without fields", customary, {}, peer],
  ["with the other family's fields", customary, standardFields, peer],
  ["with a malformed chain", customary, { ...customaryFields, "x-forwarded-for": "192.0.2.7, x" }, peer],
  [
    "with an entry in front that the client has invented",
    customary,
    { "x-forwarded-for": "127.0.0.1, 10.0.0.1, 192.0.2.7" },
    "192.0.2.7 0 http inner.test 8080",
  ],
  [
    "with an IPv4 address mapped into IPv6",
    customary,
    { "x-forwarded-for": "::ffff:192.0.2.7" },
    "192.0.2.7 0 http inner.test 8080",
  ],
  [
    "with our own IPv6 proxies in between",
    forwarded,
    { forwarded: 'for="[2001:DB8::1]:99", for="[fd00::1]:1", for=10.0.0.1' },
    "2001:db8::1 99 http inner.test 8080",
  ],
  [
    "with a host in place of ours, but no port",
    forwarded,
    { forwarded: "host=example.org" },
    "127.0.0.1 1234 http example.org undefined",
  ],
  [
    "with a port alone",
    customary,
    { "x-forwarded-port": "443", "x-forwarded-proto": "https" },
    "127.0.0.1 1234 https inner.test 443",
  ],
] as const)("a trusted peer %s", async (_name, options, fields, expected) => {
  const server = await inMemory(show, (builder) => builder.withForwarded(options));
  expect(await shown(server, fields)).toBe(expected);
});

test("without the option nobody is believed", async () => {
  const server = await inMemory(show, (builder) => builder);
  expect(await shown(server, { ...standardFields, ...customaryFields })).toBe(peer);
});

test("thousands of hops are no more than the nearest", async () => {
  const { ask: send } = await serve(show, (builder) =>
    builder.withForwarded(customary).withLimits({ maxHead: 1 << 20, maxFields: 20_000 }),
  );
  const left = Array(30_000).fill("10.0.0.1").join(",");
  const head = (chain: string) => `GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${chain}\r\n\r\n`;
  expect(await send(head(`x-forwarded-for: ${left}, 192.0.2.7`))).toContain("192.0.2.7 0 http a undefined");
  expect(await send(head(`x-forwarded-for: ${left}`))).toMatch(/127\.0\.0\.1 \d+ http a undefined/);
  const lines = Array(15_000).fill("x-forwarded-for: 10.0.0.1").join("\r\n");
  expect(await send(head(lines))).toMatch(/127\.0\.0\.1 \d+ http a undefined/);
});

test("fields are those that came, whatever the handler sets", async () => {
  const server = await inMemory(
    (request) => mist.text(seen(request.setHeader("forwarded", "for=6.6.6.6;host=evil").setPath("/b"))),
    (builder) => builder.withForwarded(forwarded),
  );
  expect(await shown(server, standardFields)).toBe("192.0.2.7 4711 https example.org 8443");
});

test("nothing is parsed before it is asked for, and then once", async () => {
  const reads: number[] = [];
  const server = await inMemory(
    (request) => {
      const { exchange } = request;
      if (!(exchange instanceof Exchange)) throw new Error("no exchange");
      const parsed = Object.getOwnPropertyDescriptor(Exchange.prototype, "forwarded")!.get!;
      let count = 0;
      Object.defineProperty(exchange, "forwarded", {
        get() {
          count++;
          return parsed.call(exchange);
        },
      });
      void request.method;
      void request.path;
      void request.headers;
      reads.push(count);
      const first = exchange.forwarded;
      void request.host;
      expect(exchange.forwarded).toBe(first);
      return mist.text("ok");
    },
    (builder) => builder.withForwarded(forwarded),
  );
  expect(await shown(server, standardFields)).toBe("ok");
  expect(reads).toEqual([0]);
});

test("behind the PROXY protocol the peer is the client it names", async () => {
  const { connect } = await serve(show, (builder) =>
    builder
      .withProxyProtocol({ trustedPeers: ["127.0.0.1"] })
      .withForwarded({ trustedPeers: ["10.0.0.0/8"], headers: "forwarded" }),
  );
  const request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nforwarded: for=192.0.2.7\r\n\r\n";
  const answer = async (client: string) => {
    const socket = await connect();
    await socket.send(`PROXY TCP4 ${client} 192.0.2.1 40000 443\r\n${request}`);
    return (await socket.receiveToEnd({ timeout: 5000 })).toString();
  };
  expect(await answer("10.0.0.9")).toContain("192.0.2.7 0 http a undefined");
  expect(await answer("127.0.0.1")).toContain("127.0.0.1 40000 http a undefined");
});

describe("a unix socket", () => {
  async function overUnix(trustedPeers: readonly string[], handler: mist.Handler): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), "mist-"));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const socketPath = join(directory, "socket");
    const builder = mist.new(handler).onError(() => {});
    const server = await builder
      .afterStart(() => {})
      .withForwarded({ trustedPeers, headers: "forwarded" })
      .start({ path: socketPath });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const headers = { ...standardFields, host: "inner" };
    const request = http.get({ socketPath, path: "/", headers, agent: false });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    let text = "";
    for await (const piece of response) text += piece;
    return text;
  }

  test("is trusted as unix", async () => {
    expect(await overUnix(["unix"], show)).toBe("192.0.2.7 4711 https example.org 8443");
    const local = (request: mist.Request) =>
      mist.text(mist.ipAddressToString(mist.getConnectionInfo(request).local.ipAddress));
    expect(await overUnix(["unix"], local)).toBe("0.0.0.0");
    const app: FetchHandler = (request) => new Response(request.url);
    expect(await overUnix(["unix"], fromFetch(app))).toBe("https://example.org:8443/");
  });

  test("is not trusted otherwise", async () => {
    const target = ({ scheme, host }: mist.Request) => mist.text(`${scheme} ${host}`);
    expect(await overUnix(["127.0.0.1"], target)).toBe("http inner");
  });
});

test("a TCP peer that has reset its connection does not pass for one on a unix socket", () => {
  const gone = (transport: "tcp" | "unix") => ({
    transport,
    info: () => {
      throw new mist.TransportError("enotconn");
    },
  });
  const settings = forwardedSettings({ trustedPeers: ["unix"], headers: "forwarded" });
  const fields = [["forwarded", "proto=https"]] as const;
  expect(readForwarded(settings, gone("unix"), fields).scheme).toBe("https");
  expect(readForwarded(settings, gone("tcp"), fields).scheme).toBeUndefined();
});

describe("a fetch app", () => {
  const app = new Hono();
  app.get(
    "/ws",
    upgradeWebSocket((c) => ({
      onOpen: (_event, ws) => ws.send(`${c.req.url} ${getConnInfo(c).remote.address}`),
    })),
  );
  app.get("*", (c) => {
    const { address, addressType, port } = getConnInfo(c).remote;
    return c.text(`${c.req.url} ${address} ${addressType} ${port}`);
  });

  test("sees the client's URL and address", async () => {
    const { url } = await serve(fromFetch(app.fetch), (builder) => builder.withForwarded(forwarded));
    expect(await (await fetch(url, { headers: standardFields })).text()).toBe(
      "https://example.org:8443/ 192.0.2.7 IPv4 4711",
    );
    const client = await session(url);
    expect((await ask(client, "/a?b", { headers: standardFields })).body.toString()).toBe(
      "https://example.org:8443/a?b 192.0.2.7 IPv4 4711",
    );
  });

  test("sees them behind a WebSocket's handshake, too", async () => {
    const server = await inMemory(fromFetch(app.fetch), (builder) => builder.withForwarded(customary));
    await using socket = await server.websocket("/ws", { headers: customaryFields });
    expect(await socket.receive()).toBe("https://example.org:8443/ws 192.0.2.7");
  });
});

test("a WebSocket's handler knows the client for as long as it lives", async () => {
  const server = await inMemory(
    (request) =>
      mist.websocket({
        request,
        onInit: () => undefined,
        handler(_state, message, websocket) {
          if (message.type === "text") void websocket.sendText(seen(request));
        },
      }),
    (builder) => builder.withForwarded(forwarded),
  );
  await using socket = await server.websocket("/", { headers: standardFields });
  await socket.send("who am I?");
  expect(await socket.receive()).toBe("192.0.2.7 4711 https example.org 8443");
});

test("`serve` takes the same option", async () => {
  const server = await mist.serve({ memory: true, handler: show, forwarded });
  onTestFinished(() => server[Symbol.asyncDispose]());
  expect(await shown(server, standardFields)).toBe("192.0.2.7 4711 https example.org 8443");
});

// WebSockets of a Hono app on mist, with ws as the client.

import { once } from "node:events";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { createMiddleware } from "hono/factory";
import { secureHeaders } from "hono/secure-headers";
import type { WSEvents } from "hono/ws";
import { describe, expect, test } from "vitest";
import type { WebSocket as Client } from "ws";
import { getConnInfo, type UpgradeOptions, upgradeWebSocket } from "../../src/fetch/hono/hono.ts";
import type * as mist from "../../src/index.ts";
import { deferred, serveFetch, socketTo } from "./serve-fetch.ts";

type Events = WSEvents<mist.WebSocket>;

async function served(events: () => Events | Promise<Events>, options?: UpgradeOptions) {
  const app = new Hono();
  app.get("/ws", upgradeWebSocket(events, options), (c) => c.text("no socket"));
  return await serveFetch(app.fetch);
}

async function connected(port: number, protocols?: string[], path = "/ws") {
  const client = socketTo(port, path, protocols);
  const upgrade = once(client, "upgrade");
  await once(client, "open");
  const [response] = (await upgrade) as [{ headers: Record<string, string | string[]> }];
  return { client, headers: response.headers };
}

/** What comes next from the server, text or bytes. */
async function heard(client: Client): Promise<unknown> {
  const [data, binary] = (await once(client, "message")) as [Buffer, boolean];
  return binary ? [...data] : data.toString();
}

test("text and bytes, both ways", async () => {
  const closed = deferred<unknown>();
  const { port } = await served(() => ({
    onOpen: (_event, ws) => ws.send(`open ${ws.readyState} ${ws.url} [${ws.protocol}]`),
    onMessage: (event, ws) => {
      if (typeof event.data === "string") ws.send(`got ${event.data}`);
      else ws.send(new Uint8Array(event.data as ArrayBuffer).reverse());
    },
    onClose: (event, ws) => closed.resolve([event.code, event.reason, event.wasClean, ws.readyState]),
  }));
  const client = socketTo(port, "/ws?a=b");
  expect(await heard(client)).toBe(`open 1 ws://127.0.0.1:${port}/ws?a=b []`);
  client.send("ä");
  expect(await heard(client)).toBe("got ä");
  client.send(new Uint8Array([1, 2, 3]));
  expect(await heard(client)).toEqual([3, 2, 1]);
  client.close(4001, "enough");
  expect(await closed.promise).toEqual([4001, "enough", true, 3]);
});

test("other sorts of bytes, and a blob if asked for", async () => {
  const { port } = await served(() => ({
    onOpen: (_event, ws) => {
      ws.binaryType = "blob";
    },
    onMessage: async (event, ws) => ws.send(await (event.data as unknown as Blob).arrayBuffer()),
  }));
  const { client } = await connected(port);
  client.send(new Uint8Array([9]));
  expect(await heard(client)).toEqual([9]);
});

test("a request that is no handshake passes on", async () => {
  const { url } = await served(() => ({}));
  expect(await (await fetch(`${url}/ws`)).text()).toBe("no socket");
});

test("a malformed handshake is refused", async () => {
  const { ask } = await served(() => ({}));
  expect(
    await ask("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
  ).toMatch(/^HTTP\/1.1 400 /);
});

describe("subprotocols", () => {
  test.each<[UpgradeOptions | undefined, string]>([
    [undefined, "a"],
    [{ subprotocols: ["b"] }, "b"],
    [{ subprotocols: (offered) => offered.at(-1) }, "c"],
  ])("%j", async (options, chosen) => {
    const { port } = await served(() => ({ onOpen: (_event, ws) => ws.send(String(ws.protocol)) }), options);
    const client = socketTo(port, "/ws", ["a", "b", "c"]);
    expect(await heard(client)).toBe(chosen);
    expect(client.protocol).toBe(chosen);
  });
});

test("an unwelcome origin is refused", async () => {
  const { port } = await served(() => ({}), { checkOrigin: ["https://example.org"] });
  const client = socketTo(port, "/ws", [], { origin: "https://evil.example" });
  const [, response] = await once(client, "unexpected-response");
  expect(response.statusCode).toBe(403);
});

test("the server closes", async () => {
  const { port } = await served(() => ({ onMessage: (_event, ws) => ws.close(4002, "bye") }));
  const { client } = await connected(port);
  client.send("x");
  const [code, reason] = await once(client, "close");
  expect([code, String(reason)]).toEqual([4002, "bye"]);
});

describe("a handler that fails", () => {
  test.each<[string, Events["onMessage"]]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no");
      },
    ],
  ])("%s: 1011, onError, one report, onClose", async (_name, onMessage) => {
    const errors: unknown[] = [];
    const closed = deferred<number>();
    const { port, reports } = await served(() => ({
      ...(onMessage === undefined ? {} : { onMessage }),
      onError: (event) => errors.push((event as Event & { error: Error }).error.message),
      onClose: (event) => closed.resolve(event.code),
    }));
    const { client } = await connected(port);
    client.send("x");
    expect((await once(client, "close"))[0]).toBe(1011);
    expect(await closed.promise).toBe(1011);
    expect(errors).toEqual(["no"]);
    expect(reports).toHaveLength(1);
  });
});

test("a handler may wait for what another hears", async () => {
  const answer = deferred<string>();
  const { port } = await served(() => ({
    onMessage: async (event, ws) => {
      if (event.data === "question") ws.send(`answered ${await answer.promise}`);
      else answer.resolve(String(event.data));
    },
  }));
  const { client } = await connected(port);
  client.send("question");
  client.send("yes");
  expect(await heard(client)).toBe("answered yes");
});

test("a client that is lost closes with 1006", async () => {
  const closed = deferred<unknown>();
  const { port } = await served(() => ({ onClose: (event) => closed.resolve([event.code, event.wasClean]) }));
  const { client } = await connected(port);
  client.terminate();
  expect(await closed.promise).toEqual([1006, false]);
});

test("stop closes with 1001", async () => {
  const { port, server } = await served(() => ({}));
  const { client } = await connected(port);
  const closing = once(client, "close");
  await server.stop({ deadlineMs: 5000 });
  expect((await closing)[0]).toBe(1001);
});

test("middleware before and behind; its fields join the handshake's", async () => {
  const app = new Hono();
  app.use(cors({ origin: "https://example.org" }));
  app.use(secureHeaders());
  app.use(async (c, next) => {
    await next();
    c.header("set-cookie", "a=1", { append: true });
    c.header("set-cookie", "b=2", { append: true });
    expect(c.res.status).toBe(101);
  });
  app.get(
    "/ws",
    upgradeWebSocket(() => ({ onOpen: (_event, ws) => ws.send("hello") })),
  );
  const { port } = await serveFetch(app.fetch);
  const client = socketTo(port, "/ws", [], { origin: "https://example.org" });
  const [[response], message] = await Promise.all([once(client, "upgrade"), heard(client)]);
  expect(message).toBe("hello");
  expect(response.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  expect(response.headers["access-control-allow-origin"]).toBe("https://example.org");
  expect(response.headers["x-frame-options"]).toBe("SAMEORIGIN");
});

test("upgradeWebSocket(c, events) inside a handler, in a mounted app, with the address at hand", async () => {
  const inner = new Hono();
  inner.get("/:room", (c) => {
    const { address } = getConnInfo(c).remote;
    return upgradeWebSocket(c, {
      onOpen: (_event, ws) => ws.send(`${c.req.param("room")} ${address} ${ws.raw?.open}`),
    });
  });
  const app = new Hono().route("/rooms", inner);
  const { port } = await serveFetch((request, environment, context) =>
    app.fetch(request, environment, context),
  );
  const client = socketTo(port, "/rooms/blue");
  expect(await heard(client)).toBe("blue 127.0.0.1 true");
});

test("compression by option", async () => {
  const { port } = await served(() => ({ onMessage: (event, ws) => ws.send(event.data as string) }), {
    compression: { threshold: 1 },
  });
  const { client, headers } = await connected(port);
  expect(headers["sec-websocket-extensions"]).toContain("permessage-deflate");
  client.send("a".repeat(5000));
  expect(await heard(client)).toBe("a".repeat(5000));
});

test("an app that is served otherwise is told so", async () => {
  const app = new Hono();
  const errors: unknown[] = [];
  app.onError((error, c) => {
    errors.push(error);
    return c.text("", 500);
  });
  app.get(
    "/ws",
    upgradeWebSocket(() => ({})),
  );
  app.get(
    "/ip",
    createMiddleware((c) => Promise.resolve(c.json(getConnInfo(c)))),
  );
  await app.request("/ws", { headers: { upgrade: "websocket" } });
  await app.request("/ip");
  expect(errors.map(String)).toEqual([
    expect.stringContaining("fromFetch(app.fetch)"),
    expect.stringContaining("fromFetch(app.fetch)"),
  ]);
});

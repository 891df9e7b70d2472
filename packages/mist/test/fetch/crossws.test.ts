// crossws on mist, with ws and undici as clients, and crossws' own proxy on top.

import { once } from "node:events";
import { createWebSocketProxy, defineHooks, type Hooks, type Peer, type SyncMessage } from "crossws";
import { WebSocket as UndiciSocket } from "undici";
import { describe, expect, test } from "vitest";
import type { WebSocket as Client, ClientOptions } from "ws";
import { type MistAdapterOptions, mistAdapter } from "../../src/fetch/crossws/crossws.ts";
import { deferred, serveFetch, socketTo } from "./serve-fetch.ts";

async function served(hooks: Partial<Hooks>, options: MistAdapterOptions = {}) {
  const adapter = mistAdapter({ hooks, ...options });
  const served = await serveFetch((request) => adapter.handleUpgrade(request));
  return { ...served, adapter };
}

function client(port: number, path = "/", protocols: string[] = [], options: ClientOptions = {}): Client {
  return socketTo(port, path, protocols, options);
}

/** The next message, as text. */
async function heard(socket: Client): Promise<string> {
  return String((await once(socket, "message"))[0]);
}

async function opened(port: number, path = "/"): Promise<Client> {
  const socket = client(port, path);
  await once(socket, "open");
  return socket;
}

test("open, message and close", async () => {
  const log: unknown[] = [];
  const closed = deferred();
  const { port } = await served({
    open: (peer) => void peer.send("open"),
    message: (peer, message) => {
      log.push(message.rawData, message.text());
      peer.send(message.rawData);
    },
    close: (_peer, details) => {
      log.push(details);
      closed.resolve();
    },
  });
  const socket = client(port);
  expect(await heard(socket)).toBe("open");
  socket.send("ä");
  expect(await heard(socket)).toBe("ä");
  socket.send(new Uint8Array([65]));
  const [data, binary] = await once(socket, "message");
  expect([[...data], binary]).toEqual([[65], true]);
  socket.close(4000, "done");
  await closed.promise;
  expect(log).toEqual(["ä", "ä", expect.any(Uint8Array), "A", { code: 4000, reason: "done" }]);
});

test("undici's WebSocket", async () => {
  const { port } = await served({ message: (peer, message) => void peer.send(`got ${message}`) });
  const socket = new UndiciSocket(`ws://127.0.0.1:${port}/`);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  const answer = new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)));
  socket.send("x");
  expect(await answer).toBe("got x");
  socket.close();
});

describe("what is sent", () => {
  test.each<[string, unknown, string, boolean]>([
    ["text", "a", "a", false],
    ["a number", 1, "1", false],
    ["an object", { a: [1] }, '{"a":[1]}', false],
    ["an array", [1], "[1]", false],
    ["nothing", undefined, "", false],
    ["bytes", new Uint8Array([97]), "a", true],
    ["an ArrayBuffer", new Uint8Array([97]).buffer, "a", true],
    ["part of a buffer", Buffer.from("xax").subarray(1, 2), "a", true],
  ])("%s", async (_name, data, expected, binary) => {
    const { port } = await served({
      open: (peer) => {
        peer.subscribe("t");
        peer.send(data);
      },
      message: (peer) => peer.publish("t", data),
    });
    const [first, second] = [client(port), client(port)];
    for (const [received, isBinary] of await Promise.all([once(first, "message"), once(second, "message")])) {
      expect([String(received), isBinary]).toEqual([expected, binary]);
    }
    first.send("publish");
    const [received, isBinary] = await once(second, "message");
    expect([String(received), isBinary]).toEqual([expected, binary]);
  });
});

test("every form of a message", async () => {
  const got = deferred<unknown[]>();
  const { port } = await served({
    async message(peer, message) {
      const forms: unknown[] = [
        message.json(),
        [...message.uint8Array()].length,
        message.arrayBuffer().byteLength,
      ];
      forms.push(await message.blob().text(), `${message}`, message.id.length, message.peer === peer);
      for (const type of ["arraybuffer", "blob", "nodebuffer", "uint8array", "text", undefined]) {
        (peer.websocket as { binaryType?: string | undefined }).binaryType = type;
        forms.push((message.data as object).constructor.name);
      }
      got.resolve(forms);
    },
  });
  const socket = await opened(port);
  socket.send(Buffer.from("[1]"));
  expect(await got.promise).toEqual([
    ...[[1], 3, 3, "[1]", "[1]", 36, true],
    ...["ArrayBuffer", "Blob", "Buffer", "Buffer", "String", "Buffer"],
  ]);
});

test("what a peer knows", async () => {
  const got = deferred<Record<string, unknown>>();
  const { port, adapter } = await served({
    upgrade: () => ({ context: { user: "u" } }),
    open: (peer) =>
      got.resolve({
        ...{ id: peer.id, text: `${peer}`, namespace: peer.namespace, address: peer.remoteAddress },
        ...{ context: peer.context, url: peer.request.url, agent: peer.request.headers.get("x-agent") },
        ...{ peers: peer.peers.size, same: peer.peers.has(peer), topics: [...peer.topics] },
        ...{ ws: peer.websocket.url, state: peer.websocket.readyState },
      }),
  });
  client(port, "/room/1?a", [], { headers: { "x-agent": "ws" } });
  const known = await got.promise;
  expect(known).toEqual({
    ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), text: known["id"], namespace: "/room/1" },
    ...{
      address: "127.0.0.1",
      context: { user: "u" },
      url: `http://127.0.0.1:${port}/room/1?a`,
      agent: "ws",
    },
    ...{ peers: 1, same: true, topics: [], ws: `ws://127.0.0.1:${port}/room/1?a`, state: 1 },
  });
  expect([...adapter.peers.keys()]).toEqual(["/room/1"]);
});

describe("the handshake", () => {
  test("a hook's fields join it", async () => {
    const { port } = await served({ upgrade: () => ({ headers: { "set-cookie": "a=1", "x-a": "b" } }) });
    const [response] = await once(client(port), "upgrade");
    expect([response.headers["set-cookie"], response.headers["x-a"]]).toEqual([["a=1"], "b"]);
  });

  test.each<[string, Hooks["upgrade"], number, string]>([
    ["returns a Response", () => new Response("no", { status: 401, headers: { "x-a": "1" } }), 401, "1"],
    [
      "throws a Response",
      () => {
        throw new Response("no", { status: 403, headers: { "x-a": "1" } });
      },
      403,
      "1",
    ],
    [
      "rejects with one inside",
      async () => {
        throw Object.assign(new Error(), {
          response: new Response("no", { status: 404, headers: { "x-a": "1" } }),
        });
      },
      404,
      "1",
    ],
  ])("is refused by a hook that %s", async (_name, upgrade, status, field) => {
    const { port, reports } = await served({ upgrade });
    const [, response] = await once(client(port), "unexpected-response");
    expect([response.statusCode, response.headers["x-a"]]).toEqual([status, field]);
    expect(reports).toEqual([]);
  });

  test("a hook that fails is answered 500, and reported", async () => {
    const { port, reports } = await served({
      upgrade: () => {
        throw new Error("no");
      },
    });
    const [, response] = await once(client(port), "unexpected-response");
    expect([response.statusCode, reports.length]).toEqual([500, 1]);
  });

  test("a request that is none is 400; one for another version 426", async () => {
    const { url, ask } = await served({});
    expect((await fetch(url)).status).toBe(400);
    const version = "sec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const upgrade = "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    expect(await ask(`GET / HTTP/1.1\r\n${upgrade}${version}\r\n`)).toMatch(/^HTTP\/1.1 426 /);
  });

  test.each<[string, MistAdapterOptions, string]>([
    ["none by default", {}, ""],
    ["by handleProtocols", { handleProtocols: (offered) => [...offered].at(-1) }, "b"],
    ["by the hook", { hooks: { upgrade: () => ({ protocol: "a" }) }, handleProtocols: () => "b" }, "a"],
    [
      "by the hook's field",
      { hooks: { upgrade: () => ({ headers: { "sec-websocket-protocol": "b" } }) } },
      "b",
    ],
  ])("subprotocol: %s", async (_name, options, chosen) => {
    const { port } = await served({ open: (peer) => void peer.send(`${peer.websocket.protocol}.`) }, options);
    const socket = client(port, "/", ["a", "b"]);
    if (chosen === "") {
      await once(socket, "error"); // ws wants one of those it offered
      return;
    }
    await once(socket, "open");
    expect(socket.protocol).toBe(chosen);
  });

  test("compression, origins and namespaces by option", async () => {
    const { port, adapter } = await served(
      { upgrade: () => ({ perMessageDeflate: { threshold: 1, zlibDeflateOptions: { level: 1 } } }) },
      { checkOrigin: ["http://good.example"], getNamespace: () => "one" },
    );
    const bad = client(port, "/", [], { origin: "http://evil.example" });
    expect((await once(bad, "unexpected-response"))[1].statusCode).toBe(403);
    const good = client(port, "/", [], { origin: "http://good.example" });
    await once(good, "open");
    expect(good.extensions).toContain("permessage-deflate");
    expect([...adapter.peers.keys()]).toEqual(["one"]);
  });
});

describe("topics", () => {
  test("reach the other subscribers of the namespace, and nobody else", async () => {
    const { port, adapter } = await served({
      message(peer, message) {
        const [verb, topic = "", text] = message.text().split(" ");
        if (verb === "subscribe") peer.subscribe(topic);
        if (verb === "unsubscribe") peer.unsubscribe(topic);
        if (verb === "publish") peer.publish(topic, text);
        peer.send("ok");
      },
    });
    const [a, b, c] = [await opened(port, "/x"), await opened(port, "/x"), await opened(port, "/x")];
    const elsewhere = await opened(port, "/y");
    const log: string[] = [];
    const say = async (socket: Client, text: string) => {
      const ok = new Promise<void>((resolve) => {
        socket.on("message", (data) => String(data) === "ok" && resolve());
      });
      socket.send(text);
      await ok;
    };
    for (const socket of [a, b, elsewhere]) await say(socket, "subscribe t");
    for (const [name, socket] of Object.entries({ a, b, c, elsewhere })) {
      socket.on("message", (data) => String(data) !== "ok" && log.push(`${name} ${data}`));
    }
    await say(a, "publish t 1");
    await say(b, "unsubscribe t");
    await say(a, "publish t 2");
    adapter.publish("t", "all");
    adapter.publish("t", "only y", { namespace: "/y" });
    adapter.publish("t", "nobody", { namespace: "/z" });
    for (const socket of [a, b, c, elsewhere]) await say(socket, "");
    expect(log.sort()).toEqual(["a all", "b 1", "elsewhere all", "elsewhere only y"]);
  });

  test("go through the sync driver, both ways, and its failures stay outside", async () => {
    const relayed: SyncMessage[] = [];
    const errors: unknown[] = [];
    let deliver: (message: SyncMessage) => void = () => {};
    let closed = false;
    const { port, adapter } = await served(
      {
        open: (peer) => {
          peer.subscribe("t");
          peer.send("open");
        },
        message: (peer, message) => peer.publish("t", message.uint8Array()),
      },
      {
        sync: () => ({
          subscribe: (receiver) => {
            deliver = receiver;
          },
          publish(message) {
            relayed.push(message);
            throw new Error("backplane");
          },
          close: () => {
            closed = true;
          },
        }),
        onError: (error, { stage }) => errors.push([stage, (error as Error).message]),
      },
    );
    const socket = client(port, "/n");
    expect(await heard(socket)).toBe("open");
    deliver({ namespace: "/n", topic: "t", data: "from afar" });
    expect(await heard(socket)).toBe("from afar");
    adapter.publish("t", { a: 1 });
    expect(await heard(socket)).toBe('{"a":1}');
    const closing = once(socket, "close");
    socket.send("x");
    socket.close();
    await closing;
    await adapter.close();
    expect(relayed).toEqual([
      { namespace: "", topic: "t", data: '{"a":1}' },
      { namespace: "/n", topic: "t", data: new Uint8Array([120]) },
    ]);
    expect(errors).toEqual([
      ["publish", "backplane"],
      ["publish", "backplane"],
    ]);
    expect(closed).toBe(true);
  });
});

describe("ends", () => {
  test.each<[string, (peer: Peer) => void, number]>([
    ["close", (peer) => peer.close(4001, "bye"), 4001],
    ["terminate", (peer) => peer.terminate(), 1006],
  ])("%s", async (_name, end, code) => {
    const gone = deferred<unknown>();
    const { port, adapter } = await served({
      message: end,
      close: (peer, details) => gone.resolve([details.code, peer.websocket.readyState, peer.peers.size]),
    });
    const socket = await opened(port);
    socket.send("end");
    expect((await once(socket, "close"))[0]).toBe(code);
    expect(await gone.promise).toEqual([code, 3, 0]);
    expect(adapter.peers.size).toBe(0);
  });

  test("the adapter closes all", async () => {
    const { port, adapter } = await served({});
    const sockets = await Promise.all([opened(port, "/a"), opened(port, "/b")]);
    const closings = sockets.map((socket) => once(socket, "close"));
    await adapter.close(4010, "over");
    for (const closing of closings) expect((await closing)[0]).toBe(4010);
  });

  test.each<[string, Partial<Hooks>]>([
    [
      "message throws",
      {
        message: () => {
          throw new Error("no");
        },
      },
    ],
    [
      "message rejects",
      {
        message: async () => {
          throw new Error("no");
        },
      },
    ],
    [
      "open throws",
      {
        open: () => {
          throw new Error("no");
        },
      },
    ],
  ])("%s: 1011, the error hook, a report, and no peer left", async (_name, hooks) => {
    const errors: unknown[] = [];
    const { port, reports, adapter } = await served({
      ...hooks,
      error: (_peer, error) => void errors.push([error.name, error.message]),
    });
    const socket = client(port);
    const closing = once(socket, "close");
    await once(socket, "open");
    socket.send("x");
    expect((await closing)[0]).toBe(1011);
    expect(errors).toEqual([["WSError", "no"]]);
    expect(reports).toHaveLength(1);
    expect(adapter.peers.size).toBe(0);
  });

  test("a ping reaches the client; one too long the error hook", async () => {
    const failed = deferred<string>();
    const { port } = await served({
      message: (peer) => {
        peer.ping("hello");
        peer.ping("x".repeat(126));
      },
      error: (_peer, error) => failed.resolve(error.message),
    });
    const socket = await opened(port);
    const pinged = once(socket, "ping");
    socket.send("x");
    expect(String((await pinged)[0])).toBe("hello");
    expect(await failed.promise).toMatch(/125/);
  });
});

test("a sender waits for the drain", async () => {
  const drained = deferred();
  const waited = deferred<boolean>();
  const { port } = await served({
    async message(peer) {
      for (let i = 0; i < 8; i++) peer.send(new Uint8Array(1024 * 1024));
      const full = peer.bufferedAmount > 0;
      await peer.waitForDrain({ threshold: 1024 });
      waited.resolve(full);
    },
    drain: () => drained.resolve(),
  });
  const socket = await opened(port);
  let bytes = 0;
  socket.on("message", (data: Buffer) => {
    bytes += data.length;
  });
  socket.send("go");
  expect(await waited.promise).toBe(true);
  await drained.promise;
  await peerHasAll();

  async function peerHasAll(): Promise<void> {
    while (bytes < 8 * 1024 * 1024) await once(socket, "message");
  }
});

test("hooks by route, and crossws' own proxy on top", async () => {
  const echo = await served({ message: (peer, message) => void peer.send(`echo ${message.text()}`) });
  const { port } = await served(
    {},
    {
      resolve: async (request) =>
        new URL(request.url).pathname === "/proxy"
          ? createWebSocketProxy(`ws://127.0.0.1:${echo.port}/`)
          : defineHooks({ open: (peer) => void peer.send("route") }),
    },
  );
  const proxied = await opened(port, "/proxy");
  proxied.send("hello");
  expect(await heard(proxied)).toBe("echo hello");
  expect(await heard(client(port, "/other"))).toBe("route");
});

test("peers and messages have all that crossws' have", async () => {
  const { default: node } = await import("crossws/adapters/node");
  const { createServer } = await import("node:http");
  const members = (value: object) => {
    const names = new Set<string>();
    for (let at = value; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const name of Object.getOwnPropertyNames(at)) if (!/^_(?!publish)/.test(name)) names.add(name);
    }
    return names;
  };
  const seen = async (start: (hooks: Partial<Hooks>) => Promise<number>) => {
    const got = deferred<[Set<string>, Set<string>]>();
    const port = await start({ message: (peer, message) => got.resolve([members(peer), members(message)]) });
    const socket = await opened(port);
    socket.send("x");
    const names = await got.promise;
    return names;
  };
  const server = createServer();
  const theirs = await seen(async (hooks) => {
    const adapter = node({ hooks });
    server.on(
      "upgrade",
      (request, socket, head) => void adapter.handleUpgrade(request, socket as never, head),
    );
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as { port: number }).port;
  });
  server.close();
  const [peer, message] = await seen(async (hooks) => (await served(hooks)).port);
  for (const name of theirs[0]) expect(peer, `peer.${name}`).toContain(name);
  for (const name of theirs[1]) expect(message, `message.${name}`).toContain(name);
});

test("a Request of another server's is refused", async () => {
  await expect(mistAdapter().handleUpgrade(new Request("http://a/"))).rejects.toThrow("fromFetch");
});

// WebSockets on streams of HTTP/2 (RFC 8441): the handshake, what one stream may do to the others, and the ends. What a
// WebSocket does in either version is in `application/websocket-http2.test.ts`.

import { Buffer } from "node:buffer";
import diagnostics_channel from "node:diagnostics_channel";
import { once } from "node:events";
import type * as http2 from "node:http2";
import * as net from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { deferred, echo, RawClient } from "../application/websocket-peer.ts";
import { connectStream, openStream, StreamSocket } from "../application/websocket-stream-peer.ts";
import { certificate } from "../conformance/certificate.ts";
import { type Served, serve } from "../server/serve.ts";
import { binary, close, text } from "../websocket/client-frames.ts";
import { answerOf, ask, session } from "./client.ts";

/** A session on which WebSockets can be opened. */
async function ready(url: string, options?: http2.SecureClientSessionOptions) {
  const client = await session(url, options);
  if (client.remoteSettings?.enableConnectProtocol === undefined) await once(client, "remoteSettings");
  return client;
}

async function join(client: http2.ClientHttp2Session, path = "/", changes: Record<string, string> = {}) {
  const { stream, head } = await openStream(client, changes, path);
  if (!head.startsWith(":status: 200\r\n")) throw new Error(head);
  return new RawClient(new StreamSocket(client, stream), head);
}

async function refused(url: string, changes: Record<string, string | undefined>) {
  const { head, socket } = await connectStream(url, changes);
  const fields = new Map(
    head
      .trimEnd()
      .split("\r\n")
      .map((line) => line.split(": ") as [string, string]),
  );
  return { status: Number(fields.get(":status")), fields, stream: socket.stream, session: socket.session };
}

const closed = (stream: http2.ClientHttp2Stream) =>
  new Promise<number | undefined>((resolve) => {
    if (stream.closed) resolve(stream.rstCode);
    else stream.once("close", () => resolve(stream.rstCode));
    stream.resume();
  });

describe("the handshake", () => {
  test("is a GET with an Upgrade, as in HTTP/1.1, for the handler; without key and answer", async () => {
    const seen: unknown[] = [];
    const served = await serve((request) => {
      seen.push([request.method, request.version, request.path, request.query, request.body.length]);
      seen.push(
        ["upgrade", "connection", "sec-websocket-key", "host"].map((name) => request.getHeader(name)),
      );
      return echo({ headers: { "set-cookie": "a=1" } })(request);
    });
    const client = await join(await ready(served.url), "/chat?a=b");
    expect(seen).toEqual([
      ["GET", "2", "/chat", "a=b", 0],
      ["websocket", "Upgrade", undefined, `127.0.0.1:${served.port}`],
    ]);
    expect(client.head).toContain("set-cookie: a=1\r\n");
    expect(client.head).not.toMatch(/sec-websocket|upgrade|connection|content-length/);
  });

  test("agrees upon a subprotocol and compression", async () => {
    const served = await serve(echo({ subprotocols: ["chat.v1", "chat.v2"], compression: true }));
    const client = await join(await ready(served.url), "/", {
      "sec-websocket-protocol": "other, chat.v2, chat.v1",
      "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
    });
    expect(client.head).toContain("sec-websocket-protocol: chat.v2\r\n");
    expect(client.head).toContain("sec-websocket-extensions: permessage-deflate");
  });

  test.each<[string, Record<string, string | undefined>, number]>([
    ["version 8", { "sec-websocket-version": "8" }, 426],
    ["no version", { "sec-websocket-version": undefined }, 400],
    ["subprotocols that are no tokens", { "sec-websocket-protocol": "a b" }, 400],
    ["extensions that are malformed", { "sec-websocket-extensions": "=" }, 400],
    ["an origin that is not welcome", { origin: "https://evil.test" }, 403],
    ["another :protocol", { ":protocol": "connect-udp" }, 501],
  ])("%s is refused, and the connection goes on", async (_name, changes, status) => {
    const served = await serve(echo({ checkOrigin: (origin) => origin !== "https://evil.test" }));
    const answer = await refused(served.url, changes);
    expect(answer.status).toBe(status);
    expect(answer.fields.get("sec-websocket-version")).toBe(status === 426 ? "13" : undefined);
    expect(answer.fields.get("upgrade")).toBeUndefined();
    expect(await closed(answer.stream)).toBe(0);
    await join(answer.session);
  });

  test("a request over HTTP/2 that is none, is none", async () => {
    const served = await serve(echo());
    expect((await ask(await session(served.url), "/")).status).toBe(400);
  });

  test.each<[string, () => mist.ServerResponse, number]>([
    ["a whole one", () => mist.text("plain"), 400],
    ["a streamed one", () => mist.response(200, { body: mist.chunked(["plain"]) }), 400],
    ["one without content", () => mist.response(204), 400],
    ["a redirect", () => mist.redirect("/elsewhere", 307), 307],
    ["a refusal", () => mist.text("no\n", { status: 404 }), 404],
  ])("%s of a handler that knows no WebSockets does not accept one", async (_name, answer, status) => {
    const served = await serve(answer);
    expect((await refused(served.url, {})).status).toBe(status);
    expect(served.reports).toEqual([]);
  });

  test("a mistake of ours is a 500", async () => {
    const served = await serve(echo({ subprotocols: () => "surprise" }));
    expect((await refused(served.url, { "sec-websocket-protocol": "chat" })).status).toBe(500);
    expect(served.reports).toMatchObject([{ error: { name: "UsageError" } }]);
  });

  test("with END_STREAM in it opens a WebSocket whose client is gone", async () => {
    const ended = deferred<unknown>();
    const served = await serve(echo({ onClose: (_state, reason) => ended.resolve(reason) }));
    const client = await ready(served.url);
    const stream = client.request(
      { ":method": "CONNECT", ":protocol": "websocket", ":path": "/", "sec-websocket-version": "13" },
      { endStream: true },
    );
    expect(await ended.promise).toMatchObject({ code: 1006 });
    expect(await closed(stream)).toBe(0);
  });

  test("a handler may think about it, while frames come", async () => {
    const gate = deferred();
    const served = await serve(async (request) => {
      await gate.promise;
      return echo()(request);
    });
    const client = await ready(served.url);
    const opened = openStream(client, {}, "/", Buffer.concat([text("one"), text("two")]));
    gate.resolve();
    const { stream, head } = await opened;
    const socket = new RawClient(new StreamSocket(client, stream), head);
    expect([await socket.text(), await socket.text()]).toEqual(["one", "two"]);
  });

  test("a client that leaves while the handler thinks aborts its signal", async () => {
    const [begun, aborted] = [deferred(), deferred()];
    const served = await serve(async (request) => {
      request.signal.addEventListener("abort", () => aborted.resolve());
      begun.resolve();
      await aborted.promise;
      return echo()(request);
    });
    const client = await ready(served.url);
    const stream = client.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/" });
    stream.on("error", () => {});
    await begun.promise;
    stream.close(8);
    await aborted.promise;
    await expect.poll(() => served.server.info().streams).toBe(0);
    expect(served.reports).toEqual([]);
  });

  test("over TLS", async () => {
    const pem = await certificate();
    const { url } = await serve(echo(), (builder) => builder.withTls(pem));
    const client = await join(await ready(url));
    await client.send(text("hello"));
    expect(await client.text()).toBe("hello");
  });
});

describe("on one connection", () => {
  test("there are WebSockets, an event stream and requests, and each has its own end", async () => {
    const served = await serve((request) =>
      request.path === "/ws" ? echo()(request) : mist.text(request.path),
    );
    const client = await ready(served.url);
    const [a, b] = [await join(client, "/ws"), await join(client, "/ws")];
    await a.send(text("a"), close(4000));
    await b.send(text("b"));
    expect([await a.text(), await a.close(), await b.text()]).toEqual(["a", 4000, "b"]);
    expect((await ask(client, "/plain")).body.toString()).toBe("/plain");
    await b.send(text("still"));
    expect(await b.text()).toBe("still");
    expect(served.server.info()).toMatchObject({ connections: 1 });
  });

  test("as many as maxStreams allows; one more waits its turn", async () => {
    const served = await serve(echo(), (builder) => builder.withLimits({ maxStreams: 50 }));
    const client = await ready(served.url);
    const sockets = await Promise.all(Array.from({ length: 50 }, () => join(client)));
    const last = join(client);
    await sockets[0]!.send(close(1000));
    expect(await sockets[0]!.close()).toBe(1000);
    await (sockets[0]!.socket as StreamSocket).halfClose();
    await (await last).send(text("my turn"));
    expect(await (await last).text()).toBe("my turn");
    expect(served.server.info().streams).toBe(50);
  });

  test("a thousand, one after the other and all at once, hear each message of a topic, and leave nothing behind", async () => {
    const topics = mist.topics();
    const served = await serve(
      echo({ onInit: (websocket) => void topics.join(websocket, "room") }),
      (builder) => builder.withLimits({ maxStreams: 1000 }),
    );
    const client = await ready(served.url);
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => join(client)));
    expect(topics.publish("room", "news")).toBe(1000);
    for (const socket of sockets) expect(await socket.text()).toBe("news");
    for (const socket of sockets) socket.socket.reset();
    await expect.poll(() => served.server.info().streams).toBe(0);
    expect(topics.size("room")).toBe(0);
    expect(served.server.info().connections).toBe(1);
  });

  test("a handler that is slow holds back its stream, and no other", async () => {
    const gate = deferred();
    const served = await serve(
      echo({
        handler: (_state, message, websocket) => {
          if (message.type === "binary") return gate.promise;
          if (message.type === "text") websocket.sendText(message.data);
          return undefined;
        },
      }),
    );
    const client = await ready(served.url);
    const [slow, quick] = [await join(client), await join(client)];
    const flood = binary(Buffer.alloc(16_384));
    for (let n = 0; n < 64; n++) void slow.send(flood).catch(() => {});
    for (let n = 0; n < 20; n++) {
      await quick.send(text(`${n}`));
      expect(await quick.text()).toBe(`${n}`);
    }
    // Its window, 65 535 bytes at first, is shut: the rest is still with the client.
    const { stream } = slow.socket as StreamSocket;
    expect(stream.writableLength).toBeGreaterThan(64 * 16_384 - 200_000);
    gate.resolve();
    await slow.send(text("done"));
    expect(await slow.text()).toBe("done");
  });

  test("a client that reads nothing on one stream holds up its writer, and no other", async () => {
    let sent = 0;
    const served = await serve(
      echo({
        async handler(_state, message, websocket) {
          if (message.type === "binary") {
            for (; sent < 200; sent++) await websocket.sendBinary(Buffer.alloc(10_000));
          } else if (message.type === "text") void websocket.sendText(message.data);
        },
      }),
    );
    const client = await ready(served.url);
    const [slow, quick] = [await join(client), await join(client)];
    await slow.send(binary("go"));
    for (let n = 0; n < 20; n++) {
      await quick.send(text(`${n}`));
      expect(await quick.text()).toBe(`${n}`);
    }
    expect(sent).toBeLessThan(100);
    for (let n = 0; n < 200; n++) expect((await slow.frame()).payload.length).toBe(10_000);
  });

  test("a stream whose window stays shut is reset after sendMs: 1006; the others go on", async () => {
    const over = deferred<unknown>();
    const served = await serve(
      echo({
        pingIntervalMs: 0,
        handler: (_state, message, websocket) => {
          if (message.type === "binary") void websocket.sendBinary(Buffer.alloc(200_000));
          else if (message.type === "text") void websocket.sendText(message.data);
        },
        onClose: (_state, reason) => over.resolve(reason),
      }),
      (builder) => builder.withDeadlines({ sendMs: 150 }),
    );
    const client = await ready(served.url);
    const [slow, quick] = [await join(client), await join(client)];
    await slow.send(binary("go"));
    expect(await over.promise).toEqual({ code: 1006, reason: "the client takes nothing" });
    await quick.send(text("here"));
    expect(await quick.text()).toBe("here");
    expect(await closed((slow.socket as StreamSocket).stream)).toBe(8);
  });

  test("a window of one byte gets all of it, byte by byte", async () => {
    const served = await serve(echo());
    const client = await ready(served.url, { settings: { initialWindowSize: 1 } });
    const socket = await join(client);
    await socket.send(text("x".repeat(300)));
    expect(await socket.text()).toBe("x".repeat(300));
    await socket.send(close(4001, "enough"));
    expect(await socket.close()).toBe(4001);
    expect(await socket.rest()).toEqual([]);
  });

  test("frames may be cut anywhere by DATA, and padded", async () => {
    const served = await serve(echo());
    const client = await ready(served.url);
    const { stream, head } = await openStream(client);
    const socket = new RawClient(new StreamSocket(client, stream), head);
    for (const byte of Buffer.concat([text("Grüße"), binary(Buffer.alloc(200, 7))]))
      await socket.send(Buffer.from([byte]));
    expect(await socket.text()).toBe("Grüße");
    expect((await socket.frame()).payload.equals(Buffer.alloc(200, 7))).toBe(true);
  });
});

describe("the end", () => {
  const recorded = async (options: Partial<mist.WebSocketOptions<unknown>> = {}) => {
    const over = deferred<unknown>();
    const served = await serve(echo({ ...options, onClose: (_state, reason) => over.resolve(reason) }));
    const client = await ready(served.url);
    const socket = await join(client);
    return { served, client, socket, stream: (socket.socket as StreamSocket).stream, over: over.promise };
  };

  test("both Close frames, then END_STREAM; the client's is waited for", async () => {
    const { served, socket, stream, over } = await recorded();
    await socket.send(close(4000, "bye"));
    expect(await socket.close()).toBe(4000);
    expect(await socket.rest()).toEqual([]);
    expect(await over).toEqual({ code: 4000, reason: "bye" });
    expect(stream.closed).toBe(false);
    await (socket.socket as StreamSocket).halfClose();
    expect(await closed(stream)).toBe(0);
    await expect.poll(() => served.server.info().streams).toBe(0);
  });

  test("a client that does not end its side is not waited for long", async () => {
    const { served, socket, stream } = await recorded();
    await socket.send(close(1000));
    await socket.rest();
    expect(await closed(stream)).toBe(0);
    expect(served.server.info()).toMatchObject({ streams: 0, connections: 1 });
  });

  test("what comes behind a Close is dropped, whatever it is, and its window given back", async () => {
    const { socket, stream, client } = await recorded();
    await socket.send(close(1000), ...Array.from({ length: 40 }, () => binary(Buffer.alloc(10_000))));
    await socket.rest();
    await (socket.socket as StreamSocket).halfClose();
    expect(await closed(stream)).toBe(0);
    const other = await join(client);
    await other.send(binary(Buffer.alloc(1_500_000)));
    expect((await other.frame()).payload.length).toBe(1_500_000);
  });

  test("RST_STREAM by the client is 1006, also in the middle of a message", async () => {
    const { client, socket, stream, over } = await recorded();
    await socket.send(binary(Buffer.alloc(1000)).subarray(0, 500));
    await ask(client, "/").catch(() => {});
    stream.close(8);
    expect(await over).toMatchObject({ code: 1006 });
    expect(client.destroyed).toBe(false);
  });

  test("END_STREAM without a Close is 1006", async () => {
    const { socket, stream, over } = await recorded();
    await (socket.socket as StreamSocket).halfClose();
    expect(await over).toMatchObject({ code: 1006 });
    expect(await closed(stream)).toBe(0);
  });

  test("the connection's end is 1006 for each", async () => {
    const closes: unknown[] = [];
    const served = await serve(echo({ onClose: (_state, { code }) => closes.push(code) }));
    const client = await ready(served.url);
    await Promise.all([join(client), join(client), join(client)]);
    client.destroy();
    await expect.poll(() => closes).toEqual([1006, 1006, 1006]);
    expect(served.server.info().streams).toBe(0);
  });

  test("a client that answers no ping is reset with CANCEL", async () => {
    const { socket, stream, over } = await recorded({ pingIntervalMs: 50, pongTimeoutMs: 50 });
    expect((await socket.frame()).opcode).toBe(9);
    expect(await over).toEqual({ code: 1006, reason: "the client did not answer a ping" });
    expect(await closed(stream)).toBe(8);
  });

  test("a client that half-closes the connection is gone from each, also where something waits for it", async () => {
    const closes: unknown[] = [];
    const served = await serve(
      echo({
        pingIntervalMs: 0,
        handler: (_state, message, websocket) => {
          if (message.type === "text") void websocket.sendBinary(Buffer.alloc(200_000));
        },
        onClose: (_state, { code }) => closes.push(code),
      }),
    );
    const socket = net.connect({ port: served.port, host: "127.0.0.1", allowHalfOpen: true });
    onTestFinished(() => void socket.destroy());
    const client = await ready(served.url, { createConnection: () => socket });
    const [one] = [await join(client), await join(client)];
    await one.send(text("go"));
    await once((one.socket as StreamSocket).stream, "readable");
    socket.end();
    await expect.poll(() => closes).toEqual([1006, 1006]);
    await expect.poll(() => served.server.info()).toMatchObject({ connections: 0, streams: 0 });
  });

  test("a fault of the HTTP/2 connection's is 1006", async () => {
    const over = deferred<unknown>();
    const served = await serve(echo({ onClose: (_state, reason) => over.resolve(reason) }), (builder) =>
      builder.withLimits({ overheadBurst: 200, overheadPerSecond: 0 }),
    );
    const client = await ready(served.url);
    await join(client);
    for (let n = 0; n < 10; n++) client.settings({ enablePush: false });
    expect(await over.promise).toMatchObject({ code: 1006 });
  });

  test("GOAWAY of the client's leaves its WebSockets alone", async () => {
    const { client, socket } = await recorded();
    client.goaway(0);
    await socket.send(text("still here"));
    expect(await socket.text()).toBe("still here");
  });
});

describe("when the server stops", () => {
  test("each hears of it, says goodbye, and closes with 1001; the report counts streams", async () => {
    const served = await serve(
      echo({
        handler: async (_state, message, websocket) => {
          if (message.type === "shutdown") await websocket.sendText("goodbye");
        },
      }),
    );
    const client = await ready(served.url);
    const sockets = await Promise.all([join(client), join(client), join(client)]);
    const goaway = once(client, "goaway");
    const stopped = served.server.stop({ deadlineMs: 10_000 });
    for (const socket of sockets) {
      expect(await socket.text()).toBe("goodbye");
      expect(await socket.close()).toBe(1001);
      await socket.send(close(1001));
      expect(await socket.rest()).toEqual([]);
      await (socket.socket as StreamSocket).halfClose();
    }
    await goaway;
    expect(await stopped).toMatchObject({
      killed: 0,
      byKind: { http2: { drained: 1, killed: 0 } },
      streams: { drained: 3, killed: 0 },
    });
  });

  test("one that does not answer is cut off at the deadline, and counted", async () => {
    const { over, ...options } = { over: deferred<unknown>(), closeTimeoutMs: 60_000 };
    const served = await serve(echo({ ...options, onClose: (_state, reason) => over.resolve(reason) }));
    const socket = await join(await ready(served.url));
    const stopped = served.server.stop({ deadlineMs: 200 });
    expect(await socket.close()).toBe(1001);
    expect(await over.promise).toMatchObject({ code: 1006 });
    const { streams } = await stopped;
    expect(streams.drained + streams.killed).toBe(1);
  });

  test("its onClose is waited for", async () => {
    const [closing, gate] = [deferred(), deferred()];
    const served = await serve(
      echo({
        onClose: async () => {
          closing.resolve();
          await gate.promise;
        },
      }),
    );
    const socket = await join(await ready(served.url));
    socket.socket.reset();
    await closing.promise;
    let stopped = false;
    const stopping = served.server.stop({ deadlineMs: 10_000 }).finally(() => {
      stopped = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(stopped).toBe(false);
    gate.resolve();
    expect(await stopping).toMatchObject({ killed: 0, streams: { drained: 1, killed: 0 } });
  });

  test("one that opens while it stops is told at once", async () => {
    const [begun, gate] = [deferred(), deferred()];
    const served = await serve(async (request) => {
      begun.resolve();
      await gate.promise;
      return echo()(request);
    });
    const opening = ready(served.url).then((client) => join(client));
    await begun.promise;
    const stopped = served.server.stop({ deadlineMs: 10_000 });
    gate.resolve();
    const socket = await opening;
    expect(await socket.close()).toBe(1001);
    await socket.send(close(1001));
    await (socket.socket as StreamSocket).halfClose();
    expect(await stopped).toMatchObject({ killed: 0 });
  });
});

test("diagnostics: the request ends with 200, the WebSocket opens and closes once", async () => {
  const events: unknown[] = [];
  const gone = deferred();
  const listen = (name: string, listener: (message: never) => void) => {
    diagnostics_channel.subscribe(name, listener as never);
    onTestFinished(() => void diagnostics_channel.unsubscribe(name, listener as never));
  };
  listen("mist:request:start", ({ request }: { request: mist.Request }) =>
    events.push(["start", request.method, request.version]),
  );
  listen("mist:request:end", ({ status, complete }: { status: number; complete: boolean }) =>
    events.push(["end", status, complete]),
  );
  listen("mist:websocket:open", ({ websocket }: { websocket: mist.WebSocket }) =>
    events.push(["open", websocket.info().port > 0]),
  );
  listen("mist:websocket:close", ({ code }: { code: number }) => {
    events.push(["close", code]);
    gone.resolve();
  });
  const served: Served = await serve(echo());
  const socket = await join(await ready(served.url));
  await socket.send(close(4000));
  await gone.promise;
  expect(events).toEqual([
    ["start", "GET", "2"],
    ["end", 200, true],
    ["open", true],
    ["close", 4000],
  ]);
});

test("a stream that is no WebSocket's cannot be upgraded by a response made for another", async () => {
  let kept: mist.ServerResponse | undefined;
  const served = await serve((request) => {
    kept ??= echo()(request);
    return kept;
  });
  const client = await ready(served.url);
  await join(client);
  const stream = client.request({ ":path": "/" });
  expect((await answerOf(stream)).status).toBe(500);
});

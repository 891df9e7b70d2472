// WebSockets on real connections, with a raw peer: handshake, messages, closing, stopping.

import { Buffer } from "node:buffer";
import diagnostics_channel from "node:diagnostics_channel";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, serve, statuses } from "../server/serve.ts";
import { stopTime } from "../stop-time.ts";
import { binary, clientFrame, close, more, ping, pong, text } from "../websocket/client-frames.ts";
import { connected, deferred, echo, handshake, open, transport } from "./websocket-peer.ts";

/** What the handshake looks like is a matter of the version: `http2-server/websocket.test.ts` has HTTP/2's. */
const overHttp1 = test.runIf(transport.version === "1.1");

type Message = mist.WebSocketMessage<string>;

/** Options that keep what the handler is told, and say when `onClose` was called. */
function recorder(answer?: (message: Message, websocket: mist.WebSocket<string>) => void | Promise<void>) {
  const messages: Message[] = [];
  const onClosed = deferred<number>();
  let closes = 0;
  return {
    messages,
    closed: onClosed.promise,
    options: {
      onInit: () => 0,
      async handler(_state: number, message: Message, websocket: mist.WebSocket<string>) {
        messages.push(message);
        await answer?.(message, websocket);
        return mist.continue(messages.length);
      },
      onClose(state: number) {
        closes++;
        if (closes > 1) throw new Error("onClose was called twice");
        onClosed.resolve(state);
      },
    },
  };
}

describe("handshake", () => {
  overHttp1("is answered with 101 and the accept key, and nothing about content", async () => {
    const { client } = await connected({ headers: { "set-cookie": "a=1" } });
    const head = client.head.toLowerCase();
    expect(head).toContain("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n");
    expect(head).toContain("upgrade: websocket\r\n");
    expect(head).toContain("connection: upgrade\r\n");
    expect(head).toContain("set-cookie: a=1\r\n");
    expect(head).not.toMatch(/content-length|transfer-encoding|sec-websocket-extensions/);
  });

  overHttp1.each<[string, Record<string, string | undefined>, string, number]>([
    ["version 8", { "Sec-WebSocket-Version": "8" }, "GET / HTTP/1.1", 426],
    ["no Connection token", { Connection: "keep-alive" }, "GET / HTTP/1.1", 400],
    ["no Upgrade", { Upgrade: undefined }, "GET / HTTP/1.1", 400],
    ["POST", {}, "POST / HTTP/1.1", 400],
    ["HTTP/1.0", {}, "GET / HTTP/1.0", 400],
    ["a short key", { "Sec-WebSocket-Key": "c2hvcnQ=" }, "GET / HTTP/1.1", 400],
    ["no Host", { Host: undefined }, "GET / HTTP/1.1", 400],
  ])("%s is refused, and the connection goes on as HTTP", async (_name, changes, line, status) => {
    const served = await serve(echo());
    const socket = await served.connect();
    await socket.send(handshake(changes, line));
    const answer = await readAnswer(socket);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("sec-websocket-version")).toBe(status === 426 ? "13" : undefined);
  });

  overHttp1("an origin that is not welcome gets 403", async () => {
    const served = await serve(echo({ checkOrigin: ["https://app.test"] }));
    expect(statuses(await served.ask(handshake({ Origin: "https://evil.test" })))).toEqual([403]);
    await open(served, { Origin: "https://app.test" });
  });

  overHttp1("an upgrade nobody asked for is ignored as HTTP", async () => {
    const served = await serve(() => mist.response(200).setBody(mist.bytes("plain")));
    expect(await served.ask(handshake())).toMatch(/^HTTP\/1\.1 200 [\s\S]*plain$/);
  });

  test("the subprotocol is the first of the client's that the server speaks", async () => {
    const subprotocols: (string | undefined)[] = [];
    const onInit = (websocket: mist.WebSocket) => void subprotocols.push(websocket.subprotocol);
    const served = await serve(echo({ subprotocols: ["chat.v1", "chat.v2"], onInit }));
    const client = await open(served, { "Sec-WebSocket-Protocol": "other, chat.v2, chat.v1" });
    expect(client.head.toLowerCase()).toContain("sec-websocket-protocol: chat.v2\r\n");
    const none = await open(served, { "Sec-WebSocket-Protocol": "other" });
    expect(none.head.toLowerCase()).not.toContain("sec-websocket-protocol");
    expect(subprotocols).toEqual(["chat.v2", undefined]);
  });

  overHttp1(
    "choosing a subprotocol nobody offered, or a field of the handshake's own, is a mistake of ours: 500",
    async () => {
      const chooser = await serve(echo({ subprotocols: () => "surprise" }));
      expect(statuses(await chooser.ask(handshake({ "Sec-WebSocket-Protocol": "chat" })))).toEqual([500]);
      const header = await serve(echo({ headers: { "Sec-WebSocket-Accept": "x" } }));
      expect(statuses(await header.ask(handshake()))).toEqual([500]);
      expect([...chooser.reports, ...header.reports].map(({ error }) => (error as Error).name)).toEqual([
        "UsageError",
        "UsageError",
      ]);
    },
  );

  test("frames right behind it are not lost", async () => {
    const served = await serve(echo());
    const client = await open(served, {}, Buffer.concat([text("one"), text("two")]));
    expect(await client.text()).toBe("one");
    expect(await client.text()).toBe("two");
  });

  test("frames right behind it wait for an onInit that takes its time", async () => {
    const ready = deferred();
    const served = await serve(echo({ onInit: () => ready.promise }));
    const client = await open(served, {}, text("early"));
    await client.send(text("later"));
    ready.resolve();
    expect(await client.text()).toBe("early");
    expect(await client.text()).toBe("later");
  });

  test("what onInit sends comes behind the 101, whatever its size", async () => {
    const big = Buffer.alloc(100_000, 1);
    const { client } = await connected({
      onInit(websocket) {
        websocket.sendText("hello");
        websocket.sendBinary(big);
      },
    });
    expect(await client.text()).toBe("hello");
    expect((await client.frame()).payload.equals(big)).toBe(true);
  });
});

describe("messages", () => {
  test("fragments in several packets, with a ping between, come back whole", async () => {
    const { client } = await connected();
    await client.send(text("Hel", { fin: false }));
    await client.send(ping("still there?"));
    expect(await client.frame()).toMatchObject({ opcode: 10, payload: Buffer.from("still there?") });
    await client.send(more("lo", { fin: false }), more(""));
    expect(await client.frame()).toMatchObject({ fin: true, opcode: 1, payload: Buffer.from("Hello") });
  });

  test("a thousand messages in one packet come back in order", async () => {
    const { client } = await connected();
    await client.send(
      ...Array.from({ length: 1000 }, (_, i) =>
        i % 3 === 0 ? binary(`${i}`) : text(`${i} é`.slice(0, i % 2 ? 6 : -2)),
      ),
    );
    for (let i = 0; i < 1000; i++) {
      const { opcode, payload } = await client.frame();
      expect(opcode).toBe(i % 3 === 0 ? 2 : 1);
      expect(Number.parseInt(payload.toString(), 10)).toBe(i);
    }
  });

  test("a 16 MiB message goes through, and one octet more is refused with 1009", async () => {
    const { client } = await connected();
    const size = 16 * 1024 * 1024;
    void client.send(binary(Buffer.alloc(size, 7)));
    expect((await client.frame()).payload.length).toBe(size);
    await client.send(clientFrame({ opcode: 2, length: BigInt(size) + 1n }));
    expect(await client.close()).toBe(1009);
  });

  test("messages of other actors come in between, by the subject and by a selector", async () => {
    const { selector, subject } = await import("@x/glisten/actor");
    const news = subject<string>();
    const later = subject<string>();
    let own: mist.WebSocket<string>["subject"] | undefined;
    const { client } = await connected<number, string>({
      onInit(websocket) {
        own = websocket.subject;
        return [0, selector<string>().select(news)] as const;
      },
      handler(_state, message, websocket) {
        if (message.type === "text") return mist.continue(1).withSelector(selector<string>().select(later));
        if (message.type === "user") websocket.sendText(message.message);
        return undefined;
      },
    });
    news.send("news");
    expect(await client.text()).toBe("news");
    own?.send("own");
    expect(await client.text()).toBe("own");
    await client.send(text("switch"), ping());
    expect((await client.frame()).opcode).toBe(10);
    news.send("not heard");
    later.send("later");
    expect(await client.text()).toBe("later");
  });

  test("while a handler's promise is pending nothing more is handled", async () => {
    const gate = deferred();
    const seen: string[] = [];
    const { client } = await connected({
      async handler(_state, message, websocket) {
        if (message.type !== "text") return;
        seen.push(message.data);
        if (message.data === "first") await gate.promise;
        await websocket.sendText(`${message.data} of ${seen.length}`);
      },
    });
    await client.send(text("first"), text("second"));
    await client.send(text("third"));
    gate.resolve();
    expect([await client.text(), await client.text(), await client.text()]).toEqual([
      "first of 1",
      "second of 2",
      "third of 3",
    ]);
  });

  test("sending the wrong thing is told at once", async () => {
    const errors: unknown[] = [];
    const attempt = (call: () => unknown) => {
      try {
        call();
      } catch (error) {
        errors.push((error as Error).name);
      }
    };
    const { client } = await connected({
      onInit(websocket) {
        attempt(() => websocket.sendText(1 as never));
        attempt(() => websocket.sendBinary("x" as never));
        attempt(() => websocket.ping(Buffer.alloc(126)));
        attempt(() => websocket.close(1005));
        attempt(() => websocket.close(1000, "x".repeat(124)));
        websocket.sendText("done");
      },
    });
    expect(await client.text()).toBe("done");
    expect(errors).toEqual(Array.from({ length: 5 }, () => "UsageError"));
  });
});

describe("closing", () => {
  test.each([
    ["a code and a reason", close(4000, "bye"), 4000, { code: 4000, reason: "bye" }],
    ["no code", close(), 1005, { code: 1005, reason: "" }],
  ])(
    "the client closes with %s: answered in kind, then the transport ends",
    async (_name, frame, answered, told) => {
      const { messages, closed, options } = recorder();
      const { client } = await connected(options);
      await client.send(text("x"), frame, text("ignored"));
      expect(await client.close()).toBe(answered);
      expect(await client.rest()).toEqual([]);
      expect(await closed).toBe(2);
      expect(messages).toEqual([
        { type: "text", data: "x" },
        { type: "closed", ...told },
      ]);
    },
  );

  test("the handler closes, and hears the client's answer", async () => {
    const { messages, closed, options } = recorder((message, websocket) => {
      if (message.type === "text") websocket.close(4001, "enough");
    });
    const { client } = await connected(options);
    await client.send(text("go"));
    expect((await client.frame()).payload).toEqual(Buffer.from("\x0f\xa1enough", "latin1"));
    await client.send(text("too late"), close(4001));
    expect(await client.rest()).toEqual([]);
    await closed;
    expect(messages.slice(1)).toEqual([{ type: "closed", code: 4001, reason: "" }]);
  });

  test("a client that does not answer a Close is cut off after a while", async () => {
    const { messages, closed, options } = recorder((_message, websocket) => websocket.close());
    const { client } = await connected({ ...options, closeTimeoutMs: 200 });
    await client.send(text("go"));
    expect(await client.close()).toBe(1000);
    await closed;
    expect(messages.at(-1)).toMatchObject({ type: "closed", code: 1006 });
  });

  test("stop() closes with 1000", async () => {
    const { client } = await connected({ handler: () => mist.stop() });
    await client.send(text("go"));
    expect(await client.close()).toBe(1000);
  });

  test.each<[string, () => never | Promise<never> | ReturnType<typeof mist.stopAbnormal>]>([
    [
      "throws",
      () => {
        throw new Error("crash");
      },
    ],
    ["rejects", () => Promise.reject(new Error("crash"))],
    ["says stopAbnormal", () => mist.stopAbnormal(new Error("crash"))],
  ])("a handler that %s: 1011, reported once, onClose once, others unharmed", async (_name, handler) => {
    const onClose = deferred<unknown>();
    const served = await serve((request) =>
      request.path === "/echo" ? echo()(request) : echo({ handler, onClose: onClose.resolve })(request),
    );
    const bystander = await open(served);
    const client = await open(served);
    await client.send(text("go"));
    expect(await client.close()).toBe(1011);
    await onClose.promise;
    expect(served.reports.map(({ error }) => (error as Error).message)).toEqual(["crash"]);
    await bystander.send(ping("alive"));
    expect(await bystander.text()).toBe("alive");
  });

  test("an onInit that fails: 1011, reported, no onClose", async () => {
    let closes = 0;
    const { served, client } = await connected({
      onInit: () => Promise.reject(new Error("no database")),
      onClose: () => void closes++,
    });
    expect(await client.close()).toBe(1011);
    expect(await client.rest()).toEqual([]);
    expect(served.reports.map(({ error }) => (error as Error).message)).toEqual(["no database"]);
    expect(closes).toBe(0);
  });

  test.each<[string, Buffer, number]>([
    ["an unmasked frame", text("x", { mask: null }), 1002],
    ["a wrong octet", text(Buffer.from([0xff])), 1007],
    ["a close code that may not be sent", close(1005), 1002],
    ["a length of 2^63", clientFrame({ opcode: 2, length: 2n ** 63n }), 1002],
  ])("%s is answered with its close code, and the handler told", async (_name, frame, code) => {
    const { messages, closed, options } = recorder();
    const { served, client } = await connected(options);
    await client.send(text("before"), frame, text("behind"));
    expect(await client.close()).toBe(code);
    expect(await client.rest()).toEqual([]);
    await closed;
    expect(messages[0]).toEqual({ type: "text", data: "before" });
    expect(messages[1]).toMatchObject({ type: "closed", code });
    expect(messages.length).toBe(2);
    expect(served.reports).toEqual([]);
  });

  test.each<[string, (socket: { halfClose(): Promise<unknown>; reset(): unknown }) => unknown]>([
    ["a FIN", (socket) => socket.halfClose()],
    ["a reset", (socket) => socket.reset()],
  ])("a client lost with %s and no Close is 1006", async (_name, leave) => {
    const { messages, closed, options } = recorder();
    const { client } = await connected(options);
    await client.send(text("x"), ping());
    await client.frame();
    await leave(client.socket);
    await closed;
    expect(messages.at(-1)).toMatchObject({ type: "closed", code: 1006 });
  });

  test("a client lost while the handler is at work: closed and onClose come when it is done", async () => {
    const gate = deferred();
    const started = deferred();
    const { messages, closed, options } = recorder(async (message) => {
      if (message.type !== "text") return;
      started.resolve();
      await gate.promise;
    });
    const { client } = await connected(options);
    await client.send(text("slow"));
    await started.promise;
    client.socket.reset();
    gate.resolve();
    expect(await closed).toBe(2);
    expect(messages.map(({ type }) => type)).toEqual(["text", "closed"]);
  });

  test("sends after the end are refused, and nobody has to look", async () => {
    const kept = deferred<mist.WebSocket>();
    const { client } = await connected({ onInit: (websocket) => kept.resolve(websocket) });
    const websocket = await kept.promise;
    await client.send(close(1000));
    await client.close();
    await client.rest();
    expect(websocket.open).toBe(false);
    void websocket.sendText("nobody looks at this promise");
    await expect(websocket.sendText("x")).rejects.toMatchObject({ name: "TransportError", code: "closed" });
  });
});

describe("signs of life", () => {
  test("a silent client is pinged, and kept as long as it answers", async () => {
    const clock = stopTime();
    const { messages, closed, options } = recorder();
    const { client } = await connected({ ...options, pingIntervalMs: 30_000, pongTimeoutMs: 20_000 });
    for (let i = 0; i < 2; i++) {
      await clock.advance(30_200);
      expect((await client.frame()).opcode).toBe(9);
      await client.send(pong());
      await clock.settle();
    }
    await clock.advance(30_200);
    expect((await client.frame()).opcode).toBe(9);
    await clock.advance(19_999);
    expect(messages).toEqual([]);
    await clock.advance(201);
    await closed;
    expect(messages).toMatchObject([{ type: "closed", code: 1006 }]);
  });

  test("a client that says nothing but pongs is idle: 1001", async () => {
    const clock = stopTime();
    const { client } = await connected({
      idleTimeoutMs: 300_000,
      pingIntervalMs: 30_000,
      pongTimeoutMs: 5_000,
    });
    for (let pings = 0; ; pings++) {
      await clock.advance(30_200);
      const { opcode, payload } = await client.frame();
      if (opcode === 9) await client.send(pong());
      else {
        expect([opcode, payload.readUInt16BE(0)]).toEqual([8, 1001]);
        expect(pings).toBe(9);
        break;
      }
    }
  });

  test("a handler that takes long is no sign of a lost client", async () => {
    const clock = stopTime();
    const work = deferred();
    const { client } = await connected({
      pingIntervalMs: 30_000,
      pongTimeoutMs: 30_000,
      async handler(_state, message, websocket) {
        if (message.type !== "text") return;
        await work.promise;
        websocket.sendText("done");
      },
    });
    await client.send(text("go"));
    await clock.advance(600_000);
    work.resolve();
    let frame = await client.frame();
    while (frame.opcode === 9) frame = await client.frame();
    expect(frame.payload.toString()).toBe("done");
  });

  test("ping() sends one", async () => {
    const { client } = await connected({ onInit: (websocket) => void websocket.ping(Buffer.from("?")) });
    expect(await client.frame()).toMatchObject({ opcode: 9, payload: Buffer.from("?") });
  });
});

describe("when the server stops", () => {
  test("the handler hears of it, says goodbye, and 1001 goes out; stop waits for the client's answer", async () => {
    const { messages, options } = recorder(async (message, websocket) => {
      if (message.type === "shutdown") await websocket.sendText("goodbye");
    });
    const { served, client } = await connected(options);
    const stopped = served.server.stop({ deadlineMs: 10_000 });
    expect(await client.text()).toBe("goodbye");
    expect(await client.close()).toBe(1001);
    await client.send(close(1001));
    expect(await client.rest()).toEqual([]);
    await client.socket.close();
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
    expect(messages.map(({ type }) => type)).toEqual(["shutdown", "closed"]);
  });

  test("a client that does not answer does not hold it up beyond the deadline", async () => {
    const { closed, options } = recorder();
    const { served, client } = await connected(options);
    const stopped = served.server.stop({ deadlineMs: 300 });
    expect(await client.close()).toBe(1001);
    await stopped;
    await closed;
  });
});

describe("telemetry", () => {
  test("every WebSocket opens once and closes once, whatever happens to it", async () => {
    const events: string[] = [];
    const gone = deferred();
    const listeners = {
      open: () => events.push("open"),
      error: (message: unknown) => events.push(`error ${(message as { error: Error }).error.message}`),
      close(message: unknown) {
        events.push(`close ${(message as { code: number }).code}`);
        if (events.filter((event) => event.startsWith("close")).length === 4) gone.resolve();
      },
    };
    for (const [name, listener] of Object.entries(listeners)) {
      diagnostics_channel.subscribe(`mist:websocket:${name}`, listener);
      onTestFinished(() => void diagnostics_channel.unsubscribe(`mist:websocket:${name}`, listener));
    }
    const served = await serve(
      echo({
        handler: (_state, message) => {
          if (message.type === "text") throw new Error("crash");
        },
      }),
    );
    const endings = [close(4000), text("crash"), binary("x", { mask: null })];
    for (const ending of endings) {
      const client = await open(served);
      await client.send(ending);
      await client.rest();
      await client.socket.close();
    }
    (await open(served)).socket.reset();
    await gone.promise;
    expect(events.filter((event) => event !== "open").sort()).toEqual([
      "close 1002",
      "close 1006",
      "close 1011",
      "close 4000",
      "error crash",
      "error frame is not masked",
    ]);
    expect(events.filter((event) => event === "open").length).toBe(4);
  });
});

/** Nothing mug hands out or calls may end the process: promises nobody looks at, and callbacks that fail. */

import type { Socket as NetSocket } from "node:net";
import { duplexPair } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import * as testing from "../src/testing/index.ts";
import { serve, type TestServer } from "./servers.ts";

let server: TestServer;
let socket: mug.Socket;
let peer: NetSocket;
let unhandled: unknown[];
let warnings: string[];
const onUnhandled = (error: unknown): void => void unhandled.push(error);
const onWarning = (warning: Error): void => {
  if (warning.name === "MugCallbackWarning") warnings.push(warning.message);
};

beforeEach(async () => {
  unhandled = [];
  warnings = [];
  process.on("unhandledRejection", onUnhandled);
  process.on("warning", onWarning);
  server = await serve();
  socket = await mug.connect("127.0.0.1", { port: server.port });
  peer = await server.next();
});

afterEach(async () => {
  await socket.close({ timeout: 0 });
  await server[Symbol.asyncDispose]();
  process.off("unhandledRejection", onUnhandled);
  process.off("warning", onWarning);
});

/** Lets rejections surface: Node reports them when the microtasks have run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const refusing = { port: 1, timeout: 200, lookup: async () => [] };

const flood = Buffer.alloc(16 * 1024 * 1024);

/** Every promise of a socket, begun so that it rejects when the peer resets. */
const ignored: Record<string, (own: mug.Socket) => unknown> = {
  receive: (own) => own.receive(),
  receiveExact: (own) => own.receiveExact(5),
  receiveUntil: (own) => own.receiveUntil("\n"),
  receiveLine: (own) => own.receiveLine(),
  receiveToEnd: (own) => own.receiveToEnd(),
  "a second receive": (own) => [own.receive(), own.receive()],
  "a receive with a timeout": (own) => own.receive({ timeout: 1 }),
  "an aborted receive": (own) => own.receive({ signal: AbortSignal.abort() }),
  "a receive while armed": (own) => {
    own.receiveNextPacketAsMessage();
    return own.receive();
  },
  next: (own) => own[Symbol.asyncIterator]().next(),
  send: (own) => own.send(flood),
  "send with a timeout": (own) => own.send(flood, { timeout: 1 }),
  "an aborted send": (own) => own.send("x", { signal: AbortSignal.abort() }),
  flush: (own) => [own.send(flood), own.flush()],
  "flush behind a half-close": (own) => [own.send(flood), own.halfClose(), own.flush({ timeout: 1 })],
  halfClose: (own) => [own.send(flood), own.halfClose()],
  shutdown: (own) => [own.send(flood), own.shutdown()],
  "send behind a half-close": (own) => [own.halfClose(), own.send("x")],
  startTls: (own) => own.startTls({ dangerouslyDisableVerification: true }),
  "reading a web stream": (own) =>
    own
      .toWeb()
      .readable.getReader()
      .read()
      .catch(() => {}),
  "web streams nobody uses": (own) => own.toWeb(),
};

describe("ignored and rejected", () => {
  test.each(Object.entries(ignored))("%s", async (_name, begin) => {
    peer.pause();
    begin(socket);
    await turns();
    peer.resetAndDestroy();
    await socket.closed;
    await turns();
    expect(unhandled).toEqual([]);
  });

  test("connecting, in every way it can fail", async () => {
    void mug.connect("name.test", refusing);
    void mug.connect("name.test", { ...refusing, happyEyeballs: true });
    void mug.connect("name.test", { ...refusing, signal: AbortSignal.abort() });
    void mug.connect({ path: "/nowhere/at/all" });
    void mug.new("name.test", refusing).connect();
    const settled = [
      testing.connect("name.test", refusing),
      testing.connect({ path: "/nowhere/at/all" }),
      testing.listen([], { path: "/nowhere/at/all" }),
    ];
    await Promise.allSettled(settled);
    await turns();
    expect(unhandled).toEqual([]);
  });

  test("scripted peers and servers", async () => {
    const [left, right] = duplexPair();
    const own = testing.over(left, { expectTimeoutMs: 5 });
    void own.expect("x");
    await turns();
    right.write("abc");
    await turns();
    void own.expect("x");
    await turns();
    void own.expectMatch(/x/, { max: 1 });
    await turns();
    void own.expectSilence(100);
    await turns();
    void own.expectClose();
    await turns();
    await own.reset();
    void own.send("x");
    void own.halfClose();
    void own.sendPieces(["a", "b"]);
    void own.cutShort("abc", 1, "stall");
    void own.stall(Promise.reject(new Error("the promise")));
    void testing.forEverySplit("ab", () => Promise.reject(new Error("the test")));

    const scripted = await testing.listen((peer) => peer.expect("nothing of the kind"));
    const client = await mug.connect(scripted.target);
    await client.send("something");
    await client.closed;
    void scripted.done();
    void scripted.close();
    const idle = await testing.listen();
    void idle.accept({ timeout: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await idle.close();
    await turns();
    expect(unhandled).toEqual([]);
  });

  test("who awaits it later still gets it", async () => {
    const late = [socket.receive({ timeout: 1 }), socket.send(flood, { timeout: 1 })];
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (const promise of late) await expect(promise).rejects.toMatchObject({ code: "timeout" });
    expect(unhandled).toEqual([]);
  });
});

/** Every callback a user can give, made to fail in both ways. */
const failures: [string, () => unknown][] = [
  [
    "throws",
    () => {
      throw new Error("the callback");
    },
  ],
  ["rejects", () => Promise.reject(new Error("the callback"))],
];

describe.each(failures)("a callback that %s", (_name, fail) => {
  test("tap: the socket carries on, with one warning per failure", async () => {
    const tap: mug.Tap = { sent: fail, received: fail, event: fail };
    const own = await mug.connect("127.0.0.1", { port: server.port, tap });
    const stream = await server.next();
    await own.send("ping");
    stream.end("pong");
    expect(String(await own.receiveToEnd({ timeout: 2000 }))).toBe("pong");
    await own.close();
    await turns();
    expect(new Set(warnings)).toEqual(
      new Set(["sent", "received", "event"].map((name) => `tap.${name} failed: the callback`)),
    );
    expect(warnings.filter((warning) => warning.startsWith("tap.sent"))).toHaveLength(1);
    expect(unhandled).toEqual([]);
  });

  test("a receiver of messages: the others hear all, and so does it", async () => {
    const heard: string[] = [];
    let calls = 0;
    socket.subscribe(() => {
      calls++;
      return fail() as undefined;
    });
    socket.subscribe((message) => heard.push(message.type));
    socket.receiveAllPacketsAsMessages();
    peer.write("one");
    while (heard.length < 1) await new Promise((resolve) => setImmediate(resolve));
    peer.end("two");
    while (heard.at(-1) !== "socket-closed") await new Promise((resolve) => setImmediate(resolve));
    await turns();
    expect(heard).toEqual(["packet", "packet", "socket-closed"]);
    expect(calls).toBe(3);
    expect(warnings).toEqual(new Array(3).fill("a receiver of messages failed: the callback"));
    expect(unhandled).toEqual([]);
  });

  test("lookup: connecting fails and says why", async () => {
    const lookup = fail as mug.Lookup;
    for (const happyEyeballs of [true, false]) {
      const connecting = mug.connect("name.test", { port: 1, lookup, happyEyeballs });
      await expect(connecting).rejects.toMatchObject({
        family: "both",
        ipv4: { code: "nxdomain", cause: { message: "the callback" } },
      });
    }
  });

  test("script: the connection is reset, and close rejects with it", async () => {
    // A reset ahead of the client's first turn would be a failure to connect.
    const scripted = await testing.listen(async (peer) => {
      await peer.expect("go");
      await fail();
    });
    const client = await testing.connect(scripted.target);
    await client.send("go");
    expect(await client.expectClose()).toBe("reset");
    await expect(scripted.close()).rejects.toThrow("the callback");
  });
});

test.each([
  ["nothing", () => Promise.reject(undefined)],
  ["null", () => Promise.reject(null)],
  ["no array", async () => "127.0.0.1"],
  ["undefined", async () => undefined],
])("a lookup that brings %s is a failed connection", async (_name, lookup) => {
  const connecting = mug.connect("name.test", { port: 1, lookup: lookup as unknown as mug.Lookup });
  await expect(connecting).rejects.toBeInstanceOf(mug.ConnectError);
});
